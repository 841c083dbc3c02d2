package providertest

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Cluster is a provider.Cluster with one Secret, a ConfigMap of its name and content,
// and every ServiceAccount but "absent". Fields are changed while nobody uses it.
type Cluster struct {
	Name        string // of the Secret
	Data        map[string]string
	Annotations map[string]string // of ServiceAccounts
	// Token makes the token of a ServiceAccount.
	Token func(ref provider.Ref, audiences []string) string

	mu        sync.Mutex
	audiences []string
}

// Set changes one key. It is safe while the cluster is used.
func (c *Cluster) Set(key, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Data[key] = value
}

// Audiences are those that a token was last asked for.
func (c *Cluster) Audiences() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.audiences
}

// SecretKey implements provider.Cluster.
func (c *Cluster) SecretKey(ctx context.Context, ref provider.Ref, key string) (redact.Secret, error) {
	v, err := c.ConfigMapKey(ctx, ref, key)
	return redact.FromString(v), err
}

// ConfigMapKey implements provider.Cluster.
func (c *Cluster) ConfigMapKey(_ context.Context, ref provider.Ref, key string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.Data[key]
	if ref.Name() != c.Name || !ok {
		return "", errs.Newf(errs.Unavailable, "%q has no key %q", ref, key)
	}
	return v, nil
}

// ServiceAccountToken implements provider.Cluster.
func (c *Cluster) ServiceAccountToken(_ context.Context, ref provider.Ref, audiences []string) (redact.Secret, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.audiences = audiences
	return redact.FromString(c.Token(ref, audiences)), nil
}

// ServiceAccountAnnotations implements provider.Cluster.
func (c *Cluster) ServiceAccountAnnotations(_ context.Context, ref provider.Ref) (map[string]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ref.Name() == "absent" {
		return nil, errs.Newf(errs.Unavailable, "ServiceAccount %q does not exist", ref)
	}
	return c.Annotations, nil
}

// World opens stores and reads them, for one test.
type World struct {
	*testing.T
	Provider func() provider.Provider
	Cluster  *Cluster
	Clock    clock.Clock
	Object   v1.Store
	Retry    provider.Retry
}

// NewWorld returns a World of a SecretStore of namespace "team", without retries.
func NewWorld(t *testing.T, c *Cluster) *World {
	none := 0
	return &World{
		T: t, Cluster: c, Clock: clock.RealClock{}, Retry: provider.Retry{Max: &none},
		Object: &v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "store"}},
	}
}

// Everywhere makes the store a ClusterSecretStore.
func (w *World) Everywhere() {
	w.Object = &v1.ClusterSecretStore{ObjectMeta: metav1.ObjectMeta{Name: "all"}}
}

// TryOpen opens a store, which the caller closes.
func (w *World) TryOpen(settings any) (provider.Store, error) {
	w.Helper()
	raw, err := json.Marshal(settings)
	if err != nil {
		w.Fatal(err)
	}
	return w.Provider().Open(w.Context(), provider.Config{
		Scope: provider.ScopeOf(w.Object), Settings: raw, Retry: w.Retry,
		Cluster: w.Cluster, Clock: w.Clock, Log: slog.New(slog.DiscardHandler),
	})
}

// Open opens a store until the test ends.
func (w *World) Open(settings any) provider.Store {
	w.Helper()
	st, err := w.TryOpen(settings)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := st.Close(context.WithoutCancel(w.Context())); err != nil {
			w.Error(err)
		}
	})
	return st
}

// Read expects a value.
func (w *World) Read(st provider.Store, req provider.Request, want string) provider.Value {
	w.Helper()
	v, err := st.Read(w.Context(), req)
	if err != nil || v.Data.RevealString() != want {
		w.Errorf("%+v: %q (%v), want %q", req, v.Data.Reveal(), err, want)
	}
	return v
}

// Cannot expects that a read is refused.
func (w *World) Cannot(st provider.Store, req provider.Request, kind errs.Kind, words ...string) {
	w.Helper()
	_, err := st.Read(w.Context(), req)
	w.Refused(err, kind, words...)
}

// Refused is the function of that name.
func (w *World) Refused(err error, kind errs.Kind, words ...string) {
	w.Helper()
	Refused(w.T, err, kind, words...)
}

// Refused expects an error of a kind that holds words, and no secret: those of tests
// begin with "canary".
func Refused(t testing.TB, err error, kind errs.Kind, words ...string) {
	t.Helper()
	if !errs.Is(err, kind) {
		t.Errorf("%v (%v), want %v", err, errs.KindOf(err), kind)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%v: lacks %q", err, word)
		}
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("the message quotes a secret: %s", strings.ReplaceAll(err.Error(), "canary", "CANARY"))
	}
}

// Hyphens writes a key of the suites for stores whose keys have no slashes.
func Hyphens(key string) string { return strings.ReplaceAll(key, "/", "-") }
