package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/providertest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/auth"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/auth/iam"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/vaulttest"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// cluster is a Kubernetes with a few objects, by "namespace/name#key".
type cluster map[string]string

func (c cluster) SecretKey(_ context.Context, ref provider.Ref, key string) (redact.Secret, error) {
	v, ok := c[ref.String()+"#"+key]
	if !ok {
		return redact.Secret{}, errs.Newf(errs.NotExist, "Secret %q has no key %q", ref, key)
	}
	return redact.FromString(v), nil
}

func (c cluster) ConfigMapKey(ctx context.Context, ref provider.Ref, key string) (string, error) {
	v, err := c.SecretKey(ctx, ref, key)
	return v.RevealString(), err
}

func (c cluster) ServiceAccountToken(_ context.Context, ref provider.Ref, audiences []string) (redact.Secret, error) {
	return redact.FromString("jwt:" + ref.String() + ":" + strings.Join(audiences, ",")), nil
}

func (cluster) ServiceAccountAnnotations(context.Context, provider.Ref) (map[string]string, error) {
	return nil, nil
}

func tokenAuth() *auth.Auth {
	return &auth.Auth{TokenSecretRef: &v1.SecretKeySelector{Name: "vault", Key: "token"}}
}

func kubernetesAuth() *auth.Auth {
	return &auth.Auth{Kubernetes: &auth.Kubernetes{Role: "app", ServiceAccountRef: &v1.ServiceAccountSelector{Name: "app", Audiences: []string{"vault"}}}}
}

// fixture is a server, a clock and one open store.
type fixture struct {
	*vaulttest.Server
	store *store
	clock *testclock.FakeClock
	log   *bytes.Buffer
}

func newFixture(t *testing.T, server *vaulttest.Server, change func(*Settings)) *fixture {
	t.Helper()
	server.Start(t)
	for _, p := range providertest.Planted() {
		server.Put(p.Key, p.Value)
	}
	f := &fixture{Server: server, clock: testclock.NewFakeClock(time.Unix(1_800_000_000, 0)), log: &bytes.Buffer{}}
	settings := Settings{Server: server.URL, Path: "secret", Auth: kubernetesAuth()}
	if change != nil {
		change(&settings)
	}
	st, err := f.open(t, settings)
	if err != nil {
		t.Fatal(err)
	}
	f.store = st.(*store)
	t.Cleanup(func() {
		if err := st.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		if strings.Contains(f.log.String(), providertest.Canary) {
			t.Error("a secret value is in the log")
		}
	})
	return f
}

func (f *fixture) open(t *testing.T, settings Settings) (provider.Store, error) {
	t.Helper()
	raw, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	none := 0
	return Provider{}.Open(t.Context(), provider.Config{
		Scope:    provider.ScopeOf(&v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "store"}}),
		Settings: raw, Retry: provider.Retry{Max: &none}, Clock: f.clock,
		Cluster: cluster{"team/vault#token": "root", "team/vault#id": "secret-id", "team/vault#role": "role-id"},
		Log:     slog.New(slog.NewTextHandler(f.log, nil)),
	})
}

func (f *fixture) read(t *testing.T, key string) (string, error) {
	t.Helper()
	v, err := f.store.Read(t.Context(), provider.Request{Key: key})
	return v.Data.RevealString(), err
}

func TestConformance(t *testing.T) {
	server := vaulttest.New().Start(t)
	for _, p := range providertest.Planted() {
		server.Put(p.Key, p.Value)
	}
	providertest.Run(t, providertest.Harness{
		Provider: Provider{}, Cluster: cluster{"team/vault#token": "root"},
		Settings: Settings{Server: server.URL, Path: "secret", Auth: tokenAuth()},
	})
}

// The suite of faults, with a login of our own.
func TestFaults(t *testing.T) {
	server := vaulttest.New().Start(t)
	for _, p := range providertest.Planted() {
		server.Put(p.Key, p.Value)
	}
	fail := func(status int) func() func() {
		return func() func() {
			server.Fail(status)
			return func() { server.Fail(0) }
		}
	}
	providertest.RunFaults(t, providertest.Harness{
		Provider: Provider{}, Cluster: cluster{},
		Settings: Settings{Server: server.URL, Path: "secret", Auth: kubernetesAuth()},
	}, providertest.Faults{
		Garbage: server.Garble, Throttle: fail(429), Outage: fail(500), Expire: server.RevokeTokens,
		Refuse: fail(403),
		Bodies: []string{
			`{"data":null}`, `{"data":{}}`, `{"data":[]}`, `{"data":"text"}`, `{"data":{"data":"text","keys":"text"}}`,
			`{"data":{"data":[],"metadata":{"version":1},"keys":null}}`, `{"errors":[]}`,
		},
	})
}

// facts/external-secrets.md §2.2, and the manifest of seed 002, whose key holds
// the mount and "data/".
func TestPaths(t *testing.T) {
	for _, c := range []struct{ mount, version, key, want string }{
		{"secret", "v2", "my-app/config", "secret/data/my-app/config"},
		{"secret", "v2", "secret/my-app/config", "secret/data/my-app/config"},
		{"secret", "v2", "secret/data/my-app/config", "secret/data/my-app/config"},
		{"secret", "v2", "/secret/data/my-app/config/", "secret/data/my-app/config"},
		{"", "v2", "secret/data/my-app/config", "secret/data/my-app/config"},
		{"", "v2", "secret/my-app/config", "secret/data/my-app/config"},
		{"", "v2", "team/kv/data/x", "team/kv/data/x"},
		{"team/kv", "v2", "x", "team/kv/data/x"},
		{"team/kv", "v2", "team/kv/data/x", "team/kv/data/x"},
		{"secret", "v2", "secrets/x", "secret/data/secrets/x"},
		{"kv", "v1", "x/y", "kv/x/y"},
		{"kv", "v1", "kv/data/y", "kv/data/y"},
		{"", "v1", "kv/x", "kv/x"},
		{"", "v2", "alone", ""},
		{"secret", "v2", "../sys/mounts", ""},
		{"secret", "v2", "a/./b", ""},
		{"secret", "v2", "a//b", ""},
		{"secret", "v2", "", ""},
	} {
		got, err := dataPath(c.mount, c.version, c.key)
		if got != c.want || (c.want == "") != errs.Is(err, errs.Invalid) {
			t.Errorf("mount %q %s key %q: %q (%v), want %q", c.mount, c.version, c.key, got, err, c.want)
		}
	}
	if got := metadataPath("", "secret/data/a/data/b"); got != "secret/metadata/a/data/b" {
		t.Errorf("metadata path %q", got)
	}
}

func FuzzDataPath(f *testing.F) {
	f.Add("secret", "secret/data/my-app/config", true)
	f.Add("", "a/../../b", false)
	f.Add("kv", "kv/data/", true)
	f.Fuzz(func(t *testing.T, mount, key string, two bool) {
		mount = strings.Trim(mount, "/")
		if checkSegments(mount) != nil {
			return
		}
		version := map[bool]string{true: "v2", false: "v1"}[two]
		path, err := dataPath(mount, version, key)
		if err != nil {
			return
		}
		if mount != "" && !strings.HasPrefix(path, mount+"/") || strings.Contains("/"+path+"/", "/../") {
			t.Errorf("mount %q key %q: %q leaves the mount", mount, key, path)
		}
	})
}

func TestReads(t *testing.T) {
	f := newFixture(t, vaulttest.New(), nil)
	f.Put("v", `{"n":1}`)
	f.Put("v", `{"n":2}`)
	f.PutMeta("v", map[string]string{"owner": "team"})
	for _, c := range []struct {
		req           provider.Request
		want, version string
	}{
		{provider.Request{Key: "v"}, `{"n":2}`, "2"},
		{provider.Request{Key: "v", Version: "1"}, `{"n":1}`, "1"},
		{provider.Request{Key: "v", Metadata: true}, `{"owner":"team"}`, "2"},
		{provider.Request{Key: "secret/data/v"}, `{"n":2}`, "2"},
	} {
		v, err := f.store.Read(t.Context(), c.req)
		if err != nil || v.Data.RevealString() != c.want || v.Version != c.version {
			t.Errorf("%+v: %s version %s (%v), want %s version %s", c.req, v.Data.Reveal(), v.Version, err, c.want, c.version)
		}
	}
	f.Delete("v")
	if _, err := f.read(t, "v"); !errs.Is(err, errs.NotExist) || !strings.Contains(err.Error(), "deleted") {
		t.Errorf("a deleted version: %v, want not found", err)
	}
}

func TestKVv1(t *testing.T) {
	f := newFixture(t, vaulttest.New(), func(s *Settings) { s.Version, s.Path = "v1", "kv1" })
	f.PutV1("a/b", `{"z":"1","a":"<&>"}`)
	if got, err := f.read(t, "a/b"); err != nil || got != `{"a":"<&>","z":"1"}` {
		t.Errorf("%s, %v", got, err)
	}
	for _, req := range []provider.Request{{Key: "a/b", Version: "1"}, {Key: "a/b", Metadata: true}} {
		if _, err := f.store.Read(t.Context(), req); !errs.Is(err, errs.Unsupported) {
			t.Errorf("%+v: %v, want unsupported", req, err)
		}
	}
	if topic := f.store.Topic("a/b"); topic != "" {
		t.Errorf("topic %q of what has no events", topic)
	}
}

func TestOneLoginForAllReads(t *testing.T) {
	f := newFixture(t, vaulttest.New(), nil)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := f.read(t, "app/config"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := f.Count("auth/kubernetes/login"); n != 1 {
		t.Errorf("%d logins for 50 reads, want 1", n)
	}
}

func TestLoginLife(t *testing.T) {
	server := vaulttest.New()
	server.TTL, server.Renewable = 3600, true
	f := newFixture(t, server, nil)
	read := func(when string, logins, renewals int) {
		t.Helper()
		if _, err := f.read(t, "app/config"); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if l, r := f.Count("auth/kubernetes/login"), f.Count("auth/token/renew-self"); l != logins || r != renewals {
			t.Errorf("%s: %d logins and %d renewals, want %d and %d", when, l, r, logins, renewals)
		}
	}
	read("at first", 1, 0)
	f.clock.Step(39 * time.Minute)
	read("before two thirds", 1, 0)
	f.clock.Step(2 * time.Minute)
	read("after two thirds", 1, 1)
	f.clock.Step(2 * time.Hour)
	read("after expiry", 2, 1)
	f.RevokeTokens()
	read("after revocation", 3, 1)
}

func TestDeniedReadsAreNotLogins(t *testing.T) {
	f := newFixture(t, vaulttest.New(), nil)
	f.Deny("secret/data/app/config")
	for range 20 {
		_, err := f.read(t, "app/config")
		if !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), `capability "read" on "secret/data/app/config"`) ||
			!strings.Contains(err.Error(), "permission denied") {
			t.Fatalf("%v (%v), want denied, with what to do", err, errs.KindOf(err))
		}
	}
	f.Deny("auth/token/lookup-self") // a token without the default policy
	for range 20 {
		if _, err := f.read(t, "app/config"); !errs.Is(err, errs.Denied) {
			t.Fatal(err)
		}
	}
	if n := f.Count("auth/kubernetes/login"); n > 2 {
		t.Errorf("%d logins for denied reads, want at most 2", n)
	}
}

func TestAppRole(t *testing.T) {
	server := vaulttest.New()
	server.RoleID, server.SecretID = "role-id", "secret-id"
	for name, role := range map[string]auth.AppRole{
		"id":  {RoleID: "role-id", SecretRef: v1.SecretKeySelector{Name: "vault", Key: "id"}},
		"ref": {RoleRef: &v1.SecretKeySelector{Name: "vault", Key: "role"}, SecretRef: v1.SecretKeySelector{Name: "vault", Key: "id"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, server, func(s *Settings) { s.Auth = &auth.Auth{AppRole: &role} })
			if err := f.store.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	f := newFixture(t, server, func(s *Settings) {
		s.Auth = &auth.Auth{AppRole: &auth.AppRole{RoleID: "wrong", SecretRef: v1.SecretKeySelector{Name: "vault", Key: "id"}}}
	})
	if err := f.store.Check(t.Context()); !errs.Is(err, errs.Unauthenticated) ||
		!strings.Contains(err.Error(), "invalid role or secret ID") || strings.Contains(err.Error(), "secret-id") {
		t.Errorf("a wrong role ID: %v", err)
	}
}

func TestRefusedServiceAccount(t *testing.T) {
	server := vaulttest.New()
	server.JWT = "somebody else"
	f := newFixture(t, server, nil)
	err := f.store.Check(t.Context())
	if !errs.Is(err, errs.Unauthenticated) || !strings.Contains(err.Error(), "service account name not authorized") ||
		!strings.Contains(err.Error(), `role "app" at auth/kubernetes as ServiceAccount "app"`) {
		t.Errorf("%v", err)
	}
	if strings.Contains(err.Error(), "jwt:") {
		t.Error("the token is in the message")
	}
}

func TestGivenToken(t *testing.T) {
	f := newFixture(t, vaulttest.New(), func(s *Settings) { s.Auth = tokenAuth() })
	if err := f.store.Check(t.Context()); err != nil {
		t.Error(err)
	}
	_ = f.store.Close(t.Context())
	if f.Count("auth/token/revoke-self") != 0 {
		t.Error("a token that is not ours was revoked")
	}
	missing := newFixture(t, vaulttest.New(), func(s *Settings) {
		s.Auth = &auth.Auth{TokenSecretRef: &v1.SecretKeySelector{Name: "absent", Key: "token"}}
	})
	if err := missing.store.Check(t.Context()); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "absent") {
		t.Errorf("a missing Secret: %v", err)
	}
}

func TestCloseRevokesOwnToken(t *testing.T) {
	f := newFixture(t, vaulttest.New(), nil)
	if _, err := f.read(t, "app/config"); err != nil || f.Tokens() != 1 {
		t.Fatalf("%d tokens, %v", f.Tokens(), err)
	}
	if err := f.store.Close(t.Context()); err != nil || f.Tokens() != 0 {
		t.Errorf("%d tokens after Close (%v), want none", f.Tokens(), err)
	}
}

func TestFailureKinds(t *testing.T) {
	f := newFixture(t, vaulttest.New(), nil)
	if _, err := f.read(t, "app/config"); err != nil {
		t.Fatal(err)
	}
	for status, want := range map[int]errs.Kind{429: errs.Exhausted, 503: errs.Unavailable, 500: errs.Unavailable, 400: errs.Invalid, 405: errs.Unsupported} {
		f.Fail(status)
		if _, err := f.read(t, "app/config"); !errs.Is(err, want) {
			t.Errorf("HTTP %d: %v (%v), want %v", status, err, errs.KindOf(err), want)
		} else if status == 503 && !strings.Contains(err.Error(), "Vault is sealed") {
			t.Errorf("the server's words are missing: %v", err)
		}
	}
	f.Fail(0)
	if _, err := f.read(t, "app/config"); err != nil {
		t.Errorf("after recovery: %v", err)
	}
	down := newFixture(t, vaulttest.New(), func(s *Settings) { s.Server = "https://127.0.0.1:1" })
	if _, err := down.read(t, "x"); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("a server that is down: %v", err)
	}
}

func TestSettingsThatCannotWork(t *testing.T) {
	f := newFixture(t, vaulttest.New(), nil)
	for want, change := range map[string]func(*Settings){
		"server is missing":                   func(s *Settings) { s.Server = "" },
		"server must be the address":          func(s *Settings) { s.Server = "unix:///run/containerd.sock" },
		"of a server without user and":        func(s *Settings) { s.Server = "https://me:pw@vault.example" },
		"such as https://vault":               func(s *Settings) { s.Server = "vault.example:8200" },
		"must be v1 or v2":                    func(s *Settings) { s.Version = "v3" },
		"auth is missing":                     func(s *Settings) { s.Auth = nil },
		"exactly one of tokenSecretRef":       func(s *Settings) { s.Auth.TokenSecretRef = &v1.SecretKeySelector{} },
		"lends nobody its own ServiceAccount": func(s *Settings) { s.Auth.Kubernetes.ServiceAccountRef = nil },
		"role is missing":                     func(s *Settings) { s.Auth.Kubernetes.Role = "" },
		"exactly one of roleId and roleRef":   func(s *Settings) { s.Auth = &auth.Auth{AppRole: &auth.AppRole{}} },
		"auth.iam.vaultRole is missing":       func(s *Settings) { s.Auth = &auth.Auth{IAM: &iam.Settings{}} },
		"auth.cert and tls.certSecretRef are": func(s *Settings) {
			pair := v1.SecretKeySelector{Name: "pair"}
			s.Auth = &auth.Auth{Cert: &auth.Cert{ClientCert: pair, SecretRef: pair}}
			s.TLS.CertSecretRef, s.TLS.KeySecretRef = &pair, &pair
		},
		"needs both certSecretRef and":         func(s *Settings) { s.TLS.CertSecretRef = &v1.SecretKeySelector{} },
		"no PEM certificate":                   func(s *Settings) { s.CABundle = []byte("x") },
		"caBundle and caProvider are both set": func(s *Settings) { s.CABundle, s.CAProvider = []byte("x"), &v1.CAProvider{} },
		"it must be Secret or ConfigMap":       func(s *Settings) { s.CAProvider = &v1.CAProvider{Type: "File", Name: "x"} },
		"reads only its own namespace": func(s *Settings) {
			ns := "other"
			s.CAProvider = &v1.CAProvider{Type: "Secret", Name: "x", Namespace: &ns}
		},
		`headers: "X-Vault-Token" is the client`: func(s *Settings) { s.Headers = map[string]string{"X-Vault-Token": "x"} },
	} {
		settings := Settings{Server: f.URL, Auth: kubernetesAuth()}
		change(&settings)
		if _, err := f.open(t, settings); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "me:pw") {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
}

func TestHeadersAndNamespaces(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]http.Header{}
	server := vaulttest.New()
	server.Check = func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[strings.TrimPrefix(r.URL.Path, "/v1/")] = r.Header.Clone()
	}
	t.Setenv("VAULT_TOKEN", "from-the-environment")
	t.Setenv("VAULT_NAMESPACE", "from-the-environment")
	f := newFixture(t, server, func(s *Settings) {
		s.Namespace, s.Auth.Namespace, s.ForwardInconsistent = "data", "login", true
		s.Headers = map[string]string{"X-Team": "a"}
	})
	if _, err := f.read(t, "app/config"); err != nil {
		t.Fatal(err)
	}
	login, data := seen["auth/kubernetes/login"], seen["secret/data/app/config"]
	if login.Get("X-Vault-Namespace") != "login" || login.Get("X-Vault-Token") != "" {
		t.Errorf("login: namespace %q, token sent: %v", login.Get("X-Vault-Namespace"), login.Get("X-Vault-Token") != "")
	}
	if data.Get("X-Vault-Namespace") != "data" || data.Get("X-Team") != "a" || data.Get("X-Vault-Inconsistent") != "forward-active-node" {
		t.Errorf("read: %v", data)
	}
}

func TestNotify(t *testing.T) {
	f := newFixture(t, vaulttest.New(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	changes := make(chan provider.Change, 10)
	ended := make(chan error, 1)
	go func() { ended <- f.store.Notify(ctx, func(c provider.Change) { changes <- c }) }()
	if c := <-changes; !c.Connected {
		t.Fatalf("first report %+v, want Connected", c)
	}
	for f.Subscribers() == 0 { // the server registers after it accepts
		if ctx.Err() != nil {
			t.Fatal("no subscriber")
		}
	}
	f.Put("app/config", `{"a":"b"}`)
	if c := <-changes; c.Topic != f.store.Topic("app/config") || c.Topic != "secret/data/app/config" {
		t.Errorf("report %+v, want the data path of app/config", c)
	}
	f.DropConnections()
	if err := <-ended; err == nil || errs.Is(err, errs.Unsupported) {
		t.Errorf("a lost connection gives %v", err)
	}
	go func() { ended <- f.store.Notify(ctx, func(c provider.Change) { changes <- c }) }()
	<-changes
	cancel()
	if err := <-ended; err == nil {
		t.Error("ending gives no reason")
	}
}

// Credentials of alternating roles are read as version v1: who may read them
// hears that another one was published. KV v1 has no events.
func TestNotifyAlternating(t *testing.T) {
	f := newFixture(t, vaulttest.New(), func(s *Settings) { s.Path, s.Version = "database", "v1" })
	ctx, cancel := context.WithCancel(t.Context())
	changes := make(chan provider.Change, 10)
	ended := make(chan error, 1)
	go func() { ended <- f.store.Notify(ctx, func(c provider.Change) { changes <- c }) }()
	if c := <-changes; !c.Connected {
		t.Fatalf("first report %+v, want Connected", c)
	}
	for f.Subscribers() == 0 { // the server registers after it accepts
		if ctx.Err() != nil {
			t.Fatal("no subscriber")
		}
	}
	f.PublishAlternating("app")
	if c := <-changes; c.Topic != f.store.Topic("alternating-creds/app") || c.Topic != "database/alternating-creds/app" {
		t.Errorf("report %+v, want the path of the credential", c)
	}
	for _, key := range []string{"config", "creds/app", "data/alternating", "/"} {
		if topic := f.store.Topic(key); topic != "" {
			t.Errorf("%q: topic %q of what has no events", key, topic)
		}
	}
	if n := f.Count("sys/events/subscribe/database/alternating-publish"); n != 1 {
		t.Errorf("%d subscriptions to what alternates", n)
	}
	cancel()
	<-ended
}

func TestNotifyUnsupported(t *testing.T) {
	server := vaulttest.New()
	server.NoEvents = true
	f := newFixture(t, server, nil)
	if err := f.store.Notify(t.Context(), func(provider.Change) { t.Error("reported") }); !errs.Is(err, errs.Unsupported) {
		t.Errorf("no endpoint: %v, want unsupported", err)
	}
	for version, events := range map[string]string{"v1": "database/alternating-publish", "v2": "kv-v2/*"} {
		denied := newFixture(t, vaulttest.New(), func(s *Settings) { s.Version = version })
		denied.Deny("sys/events/subscribe/" + events)
		if err := denied.store.Notify(t.Context(), func(provider.Change) { t.Error("reported") }); !errs.Is(err, errs.Unsupported) {
			t.Errorf("%s, not allowed: %v, want unsupported", version, err)
		}
	}
}

func FuzzTopicOf(f *testing.F) {
	f.Add([]byte(`{"data":{"event":{"metadata":{"data_path":"secret/data/x","path":"secret/metadata/x"}}}}`))
	f.Add([]byte(`{"data":{"event":{"metadata":{"path":7}}}}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if topic := topicOf(b); strings.HasPrefix(topic, "/") {
			t.Errorf("topic %q is not trimmed", topic)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	server := vaulttest.New().Start(b)
	server.Put("a", `{"user":"x","password":"y"}`)
	raw, _ := json.Marshal(Settings{Server: server.URL, Path: "secret", Auth: tokenAuth()})
	st, err := Provider{}.Open(b.Context(), provider.Config{
		Scope:    provider.ScopeOf(&v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "s"}}),
		Settings: raw, Cluster: cluster{"team/vault#token": "root"}, Clock: testclock.NewFakeClock(time.Now()), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := st.Read(b.Context(), provider.Request{Key: "a"}); err != nil {
			b.Fatal(err)
		}
	}
}
