package aws_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	testclock "k8s.io/utils/clock/testing"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/awstest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/providertest"
)

const webToken = "canary-web-token"

// newCluster has an access key in Secret "aws" and the ServiceAccount "reader".
func newCluster() *providertest.Cluster {
	return &providertest.Cluster{
		Name: "aws", Data: map[string]string{"id": awstest.KeyID, "secret": awstest.KeySecret},
		Annotations: map[string]string{"eks.amazonaws.com/role-arn": role("reader")},
		Token:       func(ref provider.Ref, _ []string) string { return webToken + ":" + ref.String() },
	}
}

func role(name string) string { return "arn:aws:iam::123456789012:role/" + name }

func byKey() aws.Auth {
	return aws.Auth{SecretRef: &aws.SecretRef{
		AccessKeyID:     v1.SecretKeySelector{Name: "aws", Key: "id"},
		SecretAccessKey: v1.SecretKeySelector{Name: "aws", Key: "secret"},
	}}
}

func byAccount(name string) aws.Auth {
	return aws.Auth{JWT: &aws.JWT{ServiceAccountRef: &v1.ServiceAccountSelector{Name: name}}}
}

func settings(service string, change func(*aws.Settings)) aws.Settings {
	s := aws.Settings{Service: service, Region: awstest.Region, Auth: byKey()}
	if service == aws.ParameterStore {
		s.Prefix = "/"
	}
	if change != nil {
		change(&s)
	}
	return s
}

// world has a server of its own.
type world struct {
	*providertest.World
	server  *awstest.Server
	getenv  func(string) string
	ambient provider.Ambient
}

func newWorld(t *testing.T) *world { return worldOf(t, awstest.New(t), newCluster()) }

func worldOf(t *testing.T, s *awstest.Server, c *providertest.Cluster) *world {
	w := &world{World: providertest.NewWorld(t, c), server: s, getenv: s.Getenv}
	w.Provider = func() provider.Provider { return aws.Provider{Getenv: w.getenv, Ambient: w.ambient} }
	return w
}

// stock puts what the suites want into a server.
func stock(s *awstest.Server, service string) {
	put := s.Put
	if service == aws.ParameterStore {
		put = func(name, value string) string { s.PutParameter("/"+name, value); return "" }
	}
	slash := map[string]string{aws.ParameterStore: "/"}[service]
	for _, p := range providertest.Planted() {
		put(p.Key, p.Value)
	}
	for _, p := range providertest.Searched() {
		put(p.Key, p.Value)
		s.Tag(slash+p.Key, p.Tags)
	}
}

func services(t *testing.T, f func(t *testing.T, service string)) {
	for _, service := range []string{aws.SecretsManager, aws.ParameterStore} {
		t.Run(service, func(t *testing.T) { f(t, service) })
	}
}

func TestConformance(t *testing.T) {
	services(t, func(t *testing.T, service string) {
		s := awstest.New(t)
		stock(s, service)
		s.AddRole(role("reader"), awstest.Role{WebToken: webToken + ":team/reader"})
		h := providertest.Harness{
			Literal:  true,
			Provider: aws.Provider{Getenv: s.Getenv}, Cluster: newCluster(),
			Settings: settings(service, func(s *aws.Settings) { s.Auth = byAccount("reader") }),
		}
		providertest.Run(t, h)
		path := func(folder string) string { return folder }
		if service == aws.SecretsManager { // a path is the beginning of a name
			path = func(folder string) string { return folder + "/" }
		}
		providertest.RunFinder(t, h, providertest.Search{Path: path, SecondPage: func() func() { s.LosePages(); return s.Mend }})
		fault := func(f awstest.Fault) func() func() {
			return func() func() { s.Fail("", f); return s.Mend }
		}
		providertest.RunFaults(t, h, providertest.Faults{
			Garbage: func(body string) func() {
				return fault(awstest.Fault{Status: http.StatusOK, Body: body + "\n"})()
			},
			Bodies:   []string{`{"SecretString":null,"SecretList":null,"Parameter":null,"Parameters":null}`, `{"Parameter":{"Name":"x"}}`},
			Throttle: fault(awstest.Fault{Status: http.StatusBadRequest, Code: "ThrottlingException"}),
			Outage:   fault(awstest.Fault{Status: http.StatusInternalServerError, Code: "InternalServiceError"}),
			Refuse:   fault(awstest.Fault{Status: http.StatusBadRequest, Code: "AccessDeniedException"}),
			Expire:   s.EndSessions,
		})
	})
}

// facts §2.2: versions of Secrets Manager are staging labels, or ids behind "uuid/";
// metadata are tags; binary secrets; what awaits its deletion is gone.
func TestSecretsManager(t *testing.T) {
	w := newWorld(t)
	first := w.server.Put("team-db", `{"password":"one"}`)
	second := w.server.Put("team-db", `{"password":"two"}`)
	w.server.PutBinary("team-raw", []byte{0, 1, 255})
	w.server.Put("team-gone", "x")
	w.server.Delete("team-gone")
	w.server.Tag("team-db", map[string]string{"owner": "db<&>"})
	st := w.Open(settings(aws.SecretsManager, func(s *aws.Settings) { s.Prefix = "team-" }))
	if v := w.Read(st, provider.Request{Key: "db"}, `{"password":"two"}`); v.Version != second {
		t.Errorf("version %q, want %q", v.Version, second)
	}
	w.Read(st, provider.Request{Key: "db", Version: "AWSCURRENT"}, `{"password":"two"}`)
	w.Read(st, provider.Request{Key: "db", Version: "AWSPREVIOUS"}, `{"password":"one"}`)
	w.Read(st, provider.Request{Key: "db", Version: "uuid/" + first}, `{"password":"one"}`)
	w.Read(st, provider.Request{Key: "raw"}, "\x00\x01\xff")
	v := w.Read(st, provider.Request{Key: "db", Metadata: true}, `{"owner":"db\u003c\u0026\u003e"}`)
	if owner, err := v.Property("owner"); err != nil || owner.RevealString() != "db<&>" {
		t.Errorf("tag %q (%v)", owner.Reveal(), err)
	}
	for _, req := range []provider.Request{{Key: "gone"}, {Key: "gone", Metadata: true}, {Key: "none"}, {Key: "db", Version: "uuid/x"}, {Key: "none", Metadata: true}} {
		_, err := st.Read(t.Context(), req)
		w.Refused(err, errs.NotExist, req.Key)
	}
	_, err := st.Read(t.Context(), provider.Request{})
	w.Refused(err, errs.Invalid, "key is missing")
	whole := w.Open(settings(aws.SecretsManager, nil))
	w.Read(whole, provider.Request{Key: "arn:aws:secretsmanager:" + awstest.Region + ":123456789012:secret:team-db-AbCdEf"}, `{"password":"two"}`)
}

// facts §2.2: a parameter's version is a number, behind the key or beside it; its
// metadata are tags; SecureStrings come decrypted.
func TestParameterStore(t *testing.T) {
	w := newWorld(t)
	w.server.PutParameter("/team/db", "one")
	w.server.PutParameter("/team/db", "two")
	w.server.Tag("/team/db", map[string]string{"owner": "x"})
	st := w.Open(settings(aws.ParameterStore, func(s *aws.Settings) { s.Prefix = "" }))
	if v := w.Read(st, provider.Request{Key: "/team/db"}, "two"); v.Version != "2" {
		t.Errorf("version %q", v.Version)
	}
	w.Read(st, provider.Request{Key: "/team/db", Version: "1"}, "one")
	w.Read(st, provider.Request{Key: "/team/db:1"}, "one")
	w.Read(st, provider.Request{Key: "/team/db", Metadata: true}, `{"owner":"x"}`)
	_, err := st.Read(t.Context(), provider.Request{Key: "/team/db:1", Version: "2"})
	w.Refused(err, errs.Invalid, "keep one")
	for _, req := range []provider.Request{{Key: "/none"}, {Key: "/team/db", Version: "3"}, {Key: "/none", Metadata: true}} {
		_, err := st.Read(t.Context(), req)
		w.Refused(err, errs.NotExist, req.Key)
	}
	_, err = st.Read(t.Context(), provider.Request{})
	w.Refused(err, errs.Invalid, "key is missing")
}

// What one moment wants is one call; who may not make it makes single ones, and
// does not try again at each read.
func TestReadsAreOneCall(t *testing.T) {
	for _, c := range []struct {
		service, one, several string
		size                  int
	}{
		{aws.SecretsManager, "GetSecretValue", "BatchGetSecretValue", 20},
		{aws.ParameterStore, "GetParameter", "GetParameters", 10},
	} {
		for _, denied := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s denied=%v", c.service, denied), func(t *testing.T) {
				w := newWorld(t)
				for i := range c.size {
					name := fmt.Sprintf("s%d", i)
					w.server.Put(name, name)
					w.server.PutParameter("/"+name, name)
				}
				if denied {
					w.server.Fail(c.several, awstest.Fault{Status: 400, Code: "AccessDeniedException"})
				}
				st := w.Open(settings(c.service, nil))
				w.Read(st, provider.Request{Key: "s0"}, "s0")
				reads := 1
				for began := time.Now(); w.server.Count(c.several) == 0 && time.Since(began) < 30*time.Second; reads += c.size + 1 {
					w.together(st, c.one, c.size)
				}
				ones, several := w.server.Count(c.one), w.server.Count(c.several)
				t.Logf("%d reads: %d x %s, %d x %s", reads, ones, c.one, several, c.several)
				if several < 1 || !denied && ones+several >= reads {
					t.Error("nothing was put together")
				}
				if w.together(st, c.one, c.size); denied && w.server.Count(c.several) != several {
					t.Error("what is denied was tried again")
				}
			})
		}
	}
}

// together makes n reads, one of them of what is not there, while another is under way.
func (w *world) together(st provider.Store, action string, n int) {
	var wg sync.WaitGroup
	w.server.Before(action, func() {
		for i := range n {
			wg.Go(func() {
				if i == 7 {
					_, err := st.Read(w.Context(), provider.Request{Key: "absent"})
					w.Refused(err, errs.NotExist, "absent")
					return
				}
				w.Read(st, provider.Request{Key: fmt.Sprintf("s%d", i)}, fmt.Sprintf("s%d", i))
			})
		}
	})
	w.Read(st, provider.Request{Key: "s1"}, "s1")
	wg.Wait()
}

// A call that fails is made again, as often as the store says.
func TestRetries(t *testing.T) {
	w := newWorld(t)
	w.server.Put("a", "x")
	raw, err := json.Marshal(settings(aws.SecretsManager, nil))
	if err != nil {
		t.Fatal(err)
	}
	two := 2
	for name, c := range map[string]struct {
		retry provider.Retry
		want  int
	}{
		"default": {provider.Retry{}, 3}, "as set": {provider.Retry{Max: &two, Wait: time.Millisecond}, 3}, "without": {provider.Retry{Max: new(int)}, 1},
	} {
		st, err := aws.Provider{Getenv: w.getenv}.Open(t.Context(), provider.Config{
			Scope: provider.ScopeOf(w.Object), Settings: raw, Retry: c.retry, Cluster: w.Cluster, Clock: w.Clock, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		before := w.server.Count("GetSecretValue")
		w.server.Fail("GetSecretValue", awstest.Fault{Status: 503, Code: "ServiceUnavailable"})
		_, err = st.Read(t.Context(), provider.Request{Key: "a"})
		w.Refused(err, errs.Unavailable)
		if n := w.server.Count("GetSecretValue") - before; n != c.want {
			t.Errorf("%s: %d calls, want %d", name, n, c.want)
		}
		w.server.Mend()
	}
}

func TestKinds(t *testing.T) {
	w := newWorld(t)
	w.server.Put("a", "x")
	st := w.Open(settings(aws.SecretsManager, nil))
	for _, c := range []struct {
		status int
		code   string
		want   errs.Kind
	}{
		{400, "ThrottlingException", errs.Exhausted},
		{400, "RequestLimitExceeded", errs.Exhausted},
		{400, "AccessDeniedException", errs.Denied},
		{400, "DecryptionFailure", errs.Denied},
		{400, "ResourceNotFoundException", errs.NotExist},
		{500, "ResourceNotFoundException", errs.Unavailable}, // no answer that a service gives
		{400, "InvalidParameterException", errs.Invalid},
		{400, "", errs.Unavailable},
		{404, "", errs.Unavailable},
		{400, "Bad <b>code</b>", errs.Unavailable},
		{503, "ServiceUnavailable", errs.Unavailable},
		{500, "InternalServiceError", errs.Unavailable},
		{502, "Nobody knows", errs.Unavailable},
	} {
		w.server.Fail("GetSecretValue", awstest.Fault{Status: c.status, Code: c.code})
		_, err := st.Read(t.Context(), provider.Request{Key: "a"})
		w.Refused(err, c.want)
	}
	w.server.Fail("GetSecretValue", awstest.Fault{Status: 404, Body: "<html>no such page</html>"})
	_, err := st.Read(t.Context(), provider.Request{Key: "a"})
	w.Refused(err, errs.Unavailable)
	w.server.Fail("GetSecretValue", awstest.Fault{Status: 200, Body: `{"SecretString":"` + strings.Repeat("x", 9<<20) + `"}`})
	_, err = st.Read(t.Context(), provider.Request{Key: "a"})
	w.Refused(err, errs.TooLarge, "8 MiB")
	w.server.Mend()
	w.Read(st, provider.Request{Key: "a"}, "x")
	w.server.Close()
	_, err = st.Read(t.Context(), provider.Request{Key: "a"})
	w.Refused(err, errs.Unavailable)
}

func TestBadSettings(t *testing.T) {
	w := newWorld(t)
	other := "other"
	for name, c := range map[string]struct {
		change func(*aws.Settings)
		kind   errs.Kind
		words  string
	}{
		"service":    {func(s *aws.Settings) { s.Service = "S3" }, errs.Invalid, "SecretsManager, ParameterStore or CertificateManager"},
		"no region":  {func(s *aws.Settings) { s.Region = "" }, errs.Invalid, "region"},
		"host":       {func(s *aws.Settings) { s.Region = "evil.example/eu-central-1" }, errs.Invalid, "region"},
		"role":       {func(s *aws.Settings) { s.Role = "reader" }, errs.Invalid, "not an ARN"},
		"chain":      {func(s *aws.Settings) { s.AdditionalRoles = []string{"x"} }, errs.Invalid, "not an ARN"},
		"both":       {func(s *aws.Settings) { s.Auth.JWT = &aws.JWT{} }, errs.Invalid, "keep one"},
		"no account": {func(s *aws.Settings) { s.Auth = aws.Auth{JWT: &aws.JWT{}} }, errs.Invalid, "serviceAccountRef"},
		"key":        {func(s *aws.Settings) { s.Auth.SecretRef.AccessKeyID.Key = "" }, errs.Invalid, "key is missing"},
		"window":     {func(s *aws.Settings) { s.SecretsManager.RecoveryWindowInDays = 3 }, errs.Invalid, "7 to 30"},
		"window, force": {func(s *aws.Settings) {
			s.SecretsManager = aws.Deletion{ForceDeleteWithoutRecovery: true, RecoveryWindowInDays: 7}
		}, errs.Invalid, "without force"},
		"policy":  {func(s *aws.Settings) { s.SessionTagsPolicy = "Some" }, errs.Invalid, "None, Simple or Custom"},
		"ambient": {func(s *aws.Settings) { s.Auth = aws.Auth{} }, errs.Denied, "--ambient-credentials"},
		// GHSA-fq7h-9x26-6j22/CVE-2026-42876 and CVE-2026-42875 are of this shape.
		"another namespace's account": {func(s *aws.Settings) { s.Auth = byAccount("reader"); s.Auth.JWT.ServiceAccountRef.Namespace = &other }, errs.Invalid, "reads only its own namespace"},
		"another namespace's key":     {func(s *aws.Settings) { s.Auth.SecretRef.AccessKeyID.Namespace = &other }, errs.Invalid, "reads only its own namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.TryOpen(settings(aws.SecretsManager, c.change))
			w.Refused(err, c.kind, c.words, "spec.provider.aws")
		})
	}
	w.Everywhere()
	_, err := w.TryOpen(settings(aws.SecretsManager, func(s *aws.Settings) { s.SessionTagsPolicy = "Simple"; s.Auth = aws.Auth{} }))
	w.Refused(err, errs.Unsupported, "use a SecretStore")
	for _, region := range []string{"eu-central-1", "us-gov-west-1", "cn-northwest-1", "ap-southeast-10", "us-iso-east-1", "eusc-de-east-1", "mx-central-1"} {
		if _, err := w.TryOpen(settings(aws.SecretsManager, func(s *aws.Settings) { s.Region = region })); err == nil || !strings.Contains(err.Error(), "must name the namespace") {
			t.Errorf("region %s: %v", region, err)
		}
	}
}

func advance(w *world) *testclock.FakeClock {
	c := testclock.NewFakeClock(time.Now())
	w.Clock = c
	w.server.Clock(c.Now)
	return c
}
