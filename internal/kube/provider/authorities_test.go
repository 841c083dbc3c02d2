package provider

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// keys is a Cluster of values by "NAMESPACE/NAME/KEY".
type keys map[string]string

func (k keys) SecretKey(_ context.Context, ref Ref, key string) (redact.Secret, error) {
	v, ok := k[ref.String()+"/"+key]
	if !ok {
		return redact.Secret{}, errs.Newf(errs.Unavailable, "Secret %q has no key %q", ref, key)
	}
	return redact.FromString(v), nil
}

func (k keys) ConfigMapKey(ctx context.Context, ref Ref, key string) (string, error) {
	v, err := k.SecretKey(ctx, ref, key)
	return v.RevealString(), err
}

func (keys) ServiceAccountToken(context.Context, Ref, []string) (redact.Secret, error) {
	return redact.Secret{}, errs.New(errs.Unsupported, "none")
}

func (keys) ServiceAccountAnnotations(context.Context, Ref) (map[string]string, error) {
	return nil, nil
}

// CVE-2026-42875 (GHSA-wv26-88m5-6h59): authorities come out of the store's namespace. What
// is empty or missing does not come to mean the system's.
func TestCVE202642875Authorities(t *testing.T) {
	cfg := Config{
		Scope:   ScopeOf(&v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "s"}}),
		Cluster: keys{"team/ca/ca.crt": "PEM", "team/ca/other": "other", "team/ca/empty": "", "kube-system/ca/ca.crt": "stolen"},
	}
	other := "kube-system"
	for name, c := range map[string]struct {
		bundle string
		from   *v1.CAProvider
		want   string
		says   string
	}{
		"nothing":           {"", nil, "", ""},
		"a bundle":          {"B", nil, "B", ""},
		"a Secret":          {"", &v1.CAProvider{Type: "Secret", Name: "ca"}, "PEM", ""},
		"a ConfigMap":       {"", &v1.CAProvider{Type: "ConfigMap", Name: "ca", Key: "other"}, "other", ""},
		"both":              {"B", &v1.CAProvider{Type: "Secret", Name: "ca"}, "", "keep one"},
		"another namespace": {"", &v1.CAProvider{Type: "Secret", Name: "ca", Namespace: &other}, "", `reads only its own namespace "team"`},
		"another kind":      {"", &v1.CAProvider{Type: "Pod", Name: "ca"}, "", "Secret or ConfigMap"},
		"empty":             {"", &v1.CAProvider{Type: "Secret", Name: "ca", Key: "empty"}, "", "is empty"},
		"empty ConfigMap":   {"", &v1.CAProvider{Type: "ConfigMap", Name: "ca", Key: "empty"}, "", "is empty"},
		"missing":           {"", &v1.CAProvider{Type: "ConfigMap", Name: "ca", Key: "nope"}, "", "caProvider"},
		"no name":           {"", &v1.CAProvider{Type: "Secret"}, "", "name is missing"},
	} {
		got, err := cfg.Authorities(t.Context(), []byte(c.bundle), c.from)
		if (c.says == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.says) || string(got) != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestRetryRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down, denied := errs.New(errs.Unavailable, "down"), errs.New(errs.Denied, "no")
		two := 2
		for name, c := range map[string]struct {
			retry Retry
			fails []error
			calls int
			took  time.Duration
			want  error
		}{
			"the default is once":   {Retry{}, []error{down}, 1, 0, down},
			"as often as it says":   {Retry{Max: &two, Wait: time.Second}, []error{down, down, down, down}, 3, 2 * time.Second, down},
			"until it works":        {Retry{Max: &two}, []error{down}, 2, 500 * time.Millisecond, nil},
			"what will not change":  {Retry{Max: &two}, []error{denied}, 1, 0, denied},
			"what works is not any": {Retry{Max: &two}, nil, 1, 0, nil},
		} {
			calls, began := 0, time.Now()
			err := c.retry.Read(t.Context(), clock.RealClock{}, func() error {
				if calls++; calls <= len(c.fails) {
					return c.fails[calls-1]
				}
				return nil
			})
			if err != c.want || calls != c.calls || time.Since(began) != c.took { //nolint:errorlint // the same
				t.Errorf("%s: %v after %d calls and %v", name, err, calls, time.Since(began))
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := (Retry{Max: &two, Wait: time.Hour}).Read(ctx, clock.RealClock{}, func() error { return down }); err != down { //nolint:errorlint // the same
			t.Errorf("who gave up: %v", err)
		}
	})
}
