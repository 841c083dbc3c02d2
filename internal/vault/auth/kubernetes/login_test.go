package kubernetes

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// §2.6: metadata, alias, display name and parameters of a login.
func TestLogin(t *testing.T) {
	w := newWorld(t)
	w.configure(nil)
	a, err := w.login(w.api.issue(app, nil))
	if err != nil {
		t.Fatal(err)
	}
	want := &engine.Auth{
		DisplayName: "default-my-app", Alias: "uid-1", Ephemeral: true, Origin: "default/my-app",
		AliasMeta: map[string]string{"service_account_name": "my-app", "service_account_namespace": "default", "service_account_uid": "uid-1"}, Renewable: true, Orphan: true,
		Metadata: map[string]string{"role": "my-app", "service_account_name": "my-app", "service_account_namespace": "default", "service_account_secret_name": "", "service_account_uid": "uid-1"},
		Params:   engine.TokenParams{TTL: time.Hour, Policies: []string{"app"}},
	}
	if !reflect.DeepEqual(a, want) {
		t.Errorf("%+v", a)
	}
	w.write("role/my-app", map[string]any{"alias_name_source": "serviceaccount_name"})
	if a, err := w.login(w.api.issue(app, nil)); err != nil || a.Alias != "default/my-app" {
		t.Errorf("by name: %+v, %v", a, err)
	}
}

// Tokens from Secrets have flat claims, no end and no audience.
func TestLoginWithTokenOfASecret(t *testing.T) {
	w := newWorld(t)
	w.configure(nil)
	jwt := w.api.issue(app, func(c map[string]any) {
		for k := range c {
			delete(c, k)
		}
		c["iss"] = "kubernetes/serviceaccount"
		c["kubernetes.io/serviceaccount/namespace"] = "default"
		c["kubernetes.io/serviceaccount/service-account.name"] = "my-app"
		c["kubernetes.io/serviceaccount/service-account.uid"] = "uid-1"
		c["kubernetes.io/serviceaccount/secret.name"] = "my-app-token-x"
	})
	a, err := w.login(jwt)
	if err != nil || a.Metadata["service_account_secret_name"] != "my-app-token-x" {
		t.Errorf("%+v, %v", a, err)
	}
	w.configure(func(c, _ map[string]any) { c["disable_iss_validation"] = false })
	if _, err := w.login(jwt); err != nil {
		t.Errorf("with the default issuer: %v", err)
	}
}

func TestBindings(t *testing.T) {
	for name, c := range map[string]struct {
		names, namespaces string
		id                identity
		text              string // "" = may log in
	}{
		"exact":                 {"my-app", "default", app, ""},
		"one of several":        {"a,my-app", "b,default", app, ""},
		"any name":              {"*", "default", app, ""},
		"any namespace":         {"my-app", "*", app, ""},
		"globs":                 {"my-*", "*fault", app, ""},
		"another name":          {"my-app", "default", identity{"default", "other", "u"}, `service account name not authorized: role "my-app" is not bound to ServiceAccount "other", which this token is of (namespace "default")`},
		"another namespace":     {"my-app", "default", identity{"kube-system", "my-app", "u"}, `namespace not authorized: role "my-app" is not bound to namespace "kube-system", which this token's ServiceAccount "my-app" is in`},
		"prefix is not enough":  {"my-app", "default", identity{"default", "my-app2", "u"}, "service account name not authorized"},
		"glob that fits not":    {"my-*", "default", identity{"default", "x-my-", "u"}, "service account name not authorized"},
		"case is kept":          {"my-app", "default", identity{"default", "My-App", "u"}, "service account name not authorized"},
		"default, default":      {"my-app", "default", identity{"default", "default", "u"}, "service account name not authorized"},
		"name is the namespace": {"default", "my-app", app, "service account name not authorized"},
	} {
		w := newWorld(t)
		w.configure(func(_, r map[string]any) {
			r["bound_service_account_names"], r["bound_service_account_namespaces"] = c.names, c.namespaces
		})
		_, err := w.login(w.api.issue(c.id, nil))
		if c.text == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), "mnt/role/my-app") {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(c.names, "*") && strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: the caller is told what the role is bound to", name)
		}
		if !strings.Contains(w.Logs(), "bound_names=["+strings.ReplaceAll(c.names, ",", " ")) {
			t.Errorf("%s: the log does not say what the role is bound to: %s", name, w.Logs())
		}
	}
}

func TestRefusedBeforeTheAPIServerIsAsked(t *testing.T) {
	w := newWorld(t)
	w.configure(func(_, r map[string]any) { r["audience"] = "vault" })
	good := w.api.issue(app, nil)
	parts := strings.Split(good, ".")
	for name, c := range map[string]struct{ jwt, text string }{
		"garbage":         {"canary-garbage", "not the token of a Kubernetes ServiceAccount"},
		"dots":            {"..", "not the token of"},
		"huge":            {strings.Repeat("x", maxJWT+1), "not the token of"},
		"no signature":    {parts[0] + "." + parts[1] + ".", "not the token of"},
		"alg none":        {"eyJhbGciOiJub25lIn0." + parts[1] + ".", "not the token of"},
		"alg HS256":       {"eyJhbGciOiJIUzI1NiJ9." + parts[1] + "." + parts[2], "not the token of"},
		"no claims":       {w.api.issue(app, func(c map[string]any) { delete(c, "kubernetes.io") }), "not the token of"},
		"other claims":    {w.api.issue(app, func(c map[string]any) { c["kubernetes.io"] = "x" }), "not the token of"},
		"expired":         {w.api.issue(app, func(c map[string]any) { c["exp"] = w.Now().Add(-2 * time.Minute).Unix() }), "the jwt has expired"},
		"not valid yet":   {w.api.issue(app, func(c map[string]any) { c["nbf"] = w.Now().Add(2 * time.Minute).Unix() }), "not valid yet"},
		"other audience":  {w.api.issue(app, func(c map[string]any) { c["aud"] = "other" }), "invalid audience (aud) claim"},
		"no audience":     {w.api.issue(app, func(c map[string]any) { delete(c, "aud") }), "invalid audience (aud) claim"},
		"audience prefix": {w.api.issue(app, func(c map[string]any) { c["aud"] = []string{"vault2", "vaul"} }), "invalid audience (aud) claim"},
	} {
		_, err := w.login(c.jwt)
		if !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(w.api.bearers) != 0 {
		t.Error("the API server was asked about a token that is wrong in itself")
	}
	if _, err := w.login(good); err != nil {
		t.Errorf("the good one: %v", err)
	}
	if _, err := w.login(w.api.issue(app, func(c map[string]any) { c["exp"] = w.Now().Add(-30 * time.Second).Unix() })); err != nil {
		t.Errorf("clocks half a minute apart: %v", err)
	}
}

// Whatever is odd about a review, it is a refusal (§6: auth with an error must
// never become a token).
func TestReviews(t *testing.T) {
	w := newWorld(t)
	w.configure(func(_, r map[string]any) { r["audience"] = "vault" })
	jwt := w.api.issue(app, nil)
	for name, change := range map[string]func(*reviewStatus){
		"not authenticated":       func(s *reviewStatus) { s.Authenticated = false },
		"authenticated and error": func(s *reviewStatus) { s.Error = "something is wrong" },
		"audience not confirmed":  func(s *reviewStatus) { s.Audiences = nil },
		"another audience":        func(s *reviewStatus) { s.Audiences = []string{"x"} },
		"another uid":             func(s *reviewStatus) { s.User.UID = "uid-2" },
		"no uid":                  func(s *reviewStatus) { s.User.UID = "" },
		"another account":         func(s *reviewStatus) { s.User.Username = "system:serviceaccount:default:other" },
		"another namespace":       func(s *reviewStatus) { s.User.Username = "system:serviceaccount:other:my-app" },
		"a user":                  func(s *reviewStatus) { s.User.Username = "my-app" },
		"one part more":           func(s *reviewStatus) { s.User.Username += ":x" },
		"one part less":           func(s *reviewStatus) { s.User.Username = "system:serviceaccount:my-app" },
		"nobody":                  func(s *reviewStatus) { *s = reviewStatus{} },
	} {
		w.api.with(func() { w.api.status = change })
		if _, err := w.login(jwt); !errs.Is(err, errs.Denied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.api.with(func() { w.api.status = nil })
	if _, err := w.login(jwt); err != nil {
		t.Fatal(err)
	}
	w.api.with(func() { delete(w.api.accounts, jwt) }) // the pod was deleted
	_, err := w.login(jwt)
	if !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "its pod or ServiceAccount was deleted") {
		t.Errorf("after the pod was deleted: %v", err)
	}
	if !strings.Contains(w.Logs(), "invalid bearer token") {
		t.Error("the log does not say what the API server said")
	}
	if strings.Contains(w.Logs(), jwt) || strings.Contains(w.Logs(), reviewer) {
		t.Error("the log shows a token")
	}
}

func TestAPIServerInTrouble(t *testing.T) {
	w := newWorld(t)
	w.configure(nil)
	jwt := w.api.issue(app, nil)
	host := w.api.URL
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request) bool
		text   string
	}{
		"reviewer unknown": {func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(401); return true }, "does not accept the reviewer's token (status 401)"},
		"reviewer may not": {func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(403); return true }, "system:auth-delegator"},
		"overloaded":       {func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(429); return true }, "status 429"},
		"broken":           {func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return true }, "status 500"},
		"not an API server": {func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write([]byte("<html>" + reviewer))
			return true
		}, "is not a Kubernetes API server"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write([]byte(`{"status":{"authenticated":true},"x":"` + strings.Repeat("x", 2*maxResponse) + `"}`))
			return true
		}, "is not a Kubernetes API server"},
		"redirects": {func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "https://127.0.0.1:1/steal", http.StatusTemporaryRedirect)
			return true
		}, "status 307"},
		"hangs up": {func(w http.ResponseWriter, _ *http.Request) bool { panic(http.ErrAbortHandler) }, "cannot be reached"},
	} {
		w.api.with(func() { w.api.answer = c.answer })
		_, err := w.login(jwt)
		if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), host) {
			t.Errorf("%s: kind %v, %v", name, errs.KindOf(err), err)
		}
	}
	w.api.with(func() { w.api.answer = nil })
	w.api.Close()
	_, err := w.login(jwt)
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "the Kubernetes API server at "+host+" cannot be reached") {
		t.Errorf("down: %v", err)
	}
}

func TestWrongCA(t *testing.T) {
	w := newWorld(t)
	w.configure(func(c, _ map[string]any) {
		c["kubernetes_ca_cert"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: otherCA(t)}))
	})
	_, err := w.login(w.api.issue(app, nil))
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v", err)
	}
	if len(w.api.bearers) != 0 {
		t.Error("a server of another CA was sent the token")
	}
}

// Whose token asks: the configured one, else the pod's own, else the login's.
func TestWhoReviews(t *testing.T) {
	w := newWorld(t)
	jwt := w.api.issue(app, nil)
	last := func() string {
		if _, err := w.login(jwt); err != nil {
			t.Error(err)
		}
		return w.api.bearers[len(w.api.bearers)-1]
	}
	w.configure(nil)
	if got := last(); got != reviewer {
		t.Error("not the configured one")
	}
	w.configure(func(c, _ map[string]any) { delete(c, "token_reviewer_jwt") })
	if got := last(); got != jwt {
		t.Error("not the login's")
	}
	pod := w.api.issue(identity{"vault", "vault", "u"}, nil)
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("token", pod+"\n")
	if got := last(); got != jwt {
		t.Error("a file that was not there is read anew at once: every login would read it")
	}
	w.Advance(fileTTL)
	if got := last(); got != pod {
		t.Error("not the pod's own")
	}
	renewed := w.api.issue(identity{"vault", "vault", "u"}, func(c map[string]any) { c["jti"] = "2" })
	put("token", renewed)
	w.Advance(fileTTL)
	if got := last(); got != renewed {
		t.Error("the pod's token was not read anew: it ends within the hour (facts §2.6)")
	}
	w.configure(func(c, _ map[string]any) { delete(c, "token_reviewer_jwt"); c["disable_local_ca_jwt"] = true })
	if got := last(); got != jwt {
		t.Error("the pod's own although that is disabled")
	}
	w.api.with(func() {
		w.api.answer = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(403); return true }
	})
	if _, err := w.login(jwt); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "system:auth-delegator") {
		t.Errorf("an account that may not review itself: %v", err)
	}
}

func TestLocalCAIsReadAnew(t *testing.T) {
	w := newWorld(t)
	w.configure(func(c, _ map[string]any) { delete(c, "kubernetes_ca_cert") })
	jwt := w.api.issue(app, nil)
	put := func(pemText string) {
		if err := os.WriteFile(filepath.Join(w.dir, "ca.crt"), []byte(pemText), 0o600); err != nil {
			t.Fatal(err)
		}
		w.Advance(fileTTL)
	}
	put(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: otherCA(t)})))
	if _, err := w.login(jwt); !errs.Is(err, errs.Unavailable) {
		t.Errorf("another CA: %v", err)
	}
	put(w.api.ca())
	if _, err := w.login(jwt); err != nil {
		t.Errorf("the right CA: %v", err)
	}
	put("no certificate")
	if _, err := w.login(jwt); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "ca.crt") {
		t.Errorf("a broken file: %v", err)
	}
}

func TestPEMKeys(t *testing.T) {
	w := newWorld(t)
	public := func(s *apiServer) string {
		der, err := x509.MarshalPKIXPublicKey(&s.key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	stranger := newAPIServer(t)
	jwt := w.api.issue(app, nil)
	w.configure(func(c, _ map[string]any) { c["pem_keys"] = []string{public(stranger)} })
	if _, err := w.login(jwt); !errs.Is(err, errs.Denied) || len(w.api.bearers) != 0 {
		t.Errorf("signed by another key: %v", err)
	}
	w.configure(func(c, _ map[string]any) { c["pem_keys"] = []string{public(stranger), public(w.api)} })
	if _, err := w.login(jwt); err != nil {
		t.Error(err)
	}
	if len(w.api.bearers) != 1 {
		t.Error("a good signature is not enough: the API server must be asked as well (§2.6)")
	}
}

func TestIssuer(t *testing.T) {
	w := newWorld(t)
	jwt := w.api.issue(app, nil)
	for issuer, ok := range map[string]bool{"https://kubernetes.default.svc": true, "https://other": false, "": false} {
		w.configure(func(c, _ map[string]any) { c["disable_iss_validation"] = false; c["issuer"] = issuer })
		if _, err := w.login(jwt); (err == nil) != ok {
			t.Errorf("%q: %v", issuer, err)
		}
	}
}

func TestNamespaceSelector(t *testing.T) {
	w := newWorld(t)
	jwt := w.api.issue(app, nil)
	w.configure(func(_, r map[string]any) {
		r["bound_service_account_namespaces"] = "other"
		r["bound_service_account_namespace_selector"] = "matchLabels:\n  team: a\n"
	})
	if _, err := w.login(jwt); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "namespace not authorized") {
		t.Errorf("without the label: %v", err)
	}
	w.api.with(func() { w.api.labels["default"] = map[string]string{"team": "a"} })
	if _, err := w.login(jwt); err != nil {
		t.Errorf("with the label: %v", err)
	}
	w.api.with(func() {
		w.api.answer = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet {
				w.WriteHeader(403)
			}
			return r.Method == http.MethodGet
		}
	})
	if _, err := w.login(jwt); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), `grant it "get" on "namespaces"`) {
		t.Errorf("without the right to look: %v", err)
	}
}

func TestLoginRefuses(t *testing.T) {
	w := newWorld(t)
	jwt := w.api.issue(app, nil)
	try := func(body, text string, kind errs.Kind) {
		t.Helper()
		if _, err := w.Do(engine.Update, "login", body); !errs.Is(err, kind) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
	try(object(map[string]any{"role": "my-app", "jwt": jwt}), "write mnt/config first", errs.Invalid)
	w.configure(func(_, r map[string]any) { r["token_bound_cidrs"] = "198.51.100.0/24" })
	try(object(map[string]any{"role": "nope", "jwt": jwt}), "invalid role name", errs.Invalid)
	try(object(map[string]any{"role": "../config", "jwt": jwt}), "invalid role name", errs.Invalid)
	try(object(map[string]any{"jwt": jwt}), "missing role", errs.Invalid)
	try(object(map[string]any{"role": "my-app"}), "missing jwt", errs.Invalid)
	try(object(map[string]any{"role": "my-app", "jwt": []any{map[string]any{}}}), `field "jwt"`, errs.Invalid)
	try(object(map[string]any{"role": "my-app", "jwt": jwt}), "bound to other addresses", errs.Denied)
}

func TestConnectionIsReused(t *testing.T) {
	w := newWorld(t)
	w.configure(nil)
	for range 5 {
		if _, err := w.login(w.api.issue(app, nil)); err != nil {
			t.Fatal(err)
		}
	}
	w.api.with(func() {
		if len(w.api.bearers) != 5 || len(w.api.remotes) != 1 {
			t.Errorf("%d reviews over %d connections, want 5 over 1", len(w.api.bearers), len(w.api.remotes))
		}
	})
}
