package kubernetes

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/push"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// open opens a store of namespace "team".
func open(t *testing.T, p Provider, cluster provider.Cluster, settings string) (*store, error) {
	t.Helper()
	object := &v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "store"}}
	st, err := p.Open(t.Context(), provider.Config{
		Scope: provider.ScopeOf(object), Settings: json.RawMessage(settings), Cluster: cluster, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = st.Close(context.WithoutCancel(t.Context())) })
	return st.(*store), nil
}

func mustOpen(t *testing.T, p Provider, cluster provider.Cluster, settings string) *store {
	t.Helper()
	st, err := open(t, p, cluster, settings)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// own is a provider whose own server is the real one.
func own() Provider { return Provider{Own: testREST} }

// by returns settings for the own server as an account, in the test's namespace.
func (w *world) by(account string) string {
	return fmt.Sprintf(`{"auth":{"serviceAccount":{"name":%q}},"remoteNamespace":%q}`, account, w.ns)
}

func TestSettings(t *testing.T) {
	keys := objects{keys: map[string]string{
		"s/token": "a\r\nb", "s/empty": "", "s/pem": "no PEM " + canary, "s/kubeconfig": canary,
		"s/exec": "current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'https://a.example'}}]\nusers: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, interactiveMode: Never}}}]\n",
	}}
	login := `"auth":{"serviceAccount":{"name":"a"}}`
	for settings, says := range map[string]string{
		`{}`:          "auth is missing",
		`{"auth":{}}`: "0 methods",
		`{"auth":{"serviceAccount":{"name":"a"},"token":{"bearerToken":{"name":"s","key":"k"}}}}`:        "2 methods",
		`{` + login + `,"remoteNamespace":"a/b"}`:                                                        "remoteNamespace",
		`{` + login + `,"server":{"url":"http://a.example"}}`:                                            "server.url",
		`{` + login + `,"server":{"url":"https://u:canary-7f3a91@a.example"}}`:                           "server.url",
		`{` + login + `,"server":{"url":"https://a.example?x=y"}}`:                                       "server.url",
		`{` + login + `,"server":{"url":"https://a.example"}}`:                                           "audiences is missing",
		`{` + login + `,"server":{"url":"https://kubernetes.default:6443"}}`:                             "audiences is missing",
		`{` + login + `,"server":{"caProvider":{"type":"Pod","name":"s"}}}`:                              "caProvider.type",
		`{` + login + `,"server":{"caProvider":{"type":"Secret","name":"s","key":"empty"}}}`:             "is empty",
		`{` + login + `,"server":{"caProvider":{"type":"Secret","name":"s","key":"nope"}}}`:              "server.caProvider",
		`{` + login + `,"server":{"caBundle":"YQ==","caProvider":{"type":"Secret","name":"s"}}}`:         "keep one",
		`{` + login + `,"server":{"caBundle":"YQ=="}}`:                                                   "PEM",
		`{"auth":{"token":{"bearerToken":{"name":"s"}}}}`:                                                "key is missing",
		`{"auth":{"token":{"bearerToken":{"name":"s","key":"token"}}}}`:                                  "is no token",
		`{"auth":{"token":{"bearerToken":{"name":"s","key":"empty"}}}}`:                                  "is no token",
		`{"auth":{"cert":{"clientCert":{"name":"s","key":"pem"},"clientKey":{"name":"s","key":"pem"}}}}`: "certificates or key cannot be used",
		`{"authRef":{"name":"s","key":"kubeconfig"}}`:                                                    "is not one",
		`{"authRef":{"name":"s","key":"exec"}}`:                                                          "runs a command",
		`{"authRef":{"name":"s"}}`:                                                                       "key is missing",
		`{"authRef":{"name":"s","key":"exec"},` + login + `}`:                                            "keep one",
		`{"authRef":{"name":"s","key":"exec"},"server":{"url":"https://a.example"}}`:                     "remove server",
	} {
		_, err := open(t, own(), keys, settings)
		if err == nil || !strings.Contains(err.Error(), says) || !strings.HasPrefix(err.Error(), "spec.provider.kubernetes") || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v, want %q", settings, err, says)
		}
	}
	// What External Secrets writes into every manifest is no contradiction.
	if _, err := open(t, own(), keys, `{"authRef":{"name":"s","key":"exec"},"server":{"url":"kubernetes.default"}}`); err == nil || !strings.Contains(err.Error(), "runs a command") {
		t.Errorf("the usual url beside authRef: %v", err)
	}
}

// GHSA-fq7h-9x26-6j22: no token of a ServiceAccount of another namespace.
func TestCVE202642876(t *testing.T) {
	refused(t, `{"auth":{"serviceAccount":{"name":"a","namespace":"kube-system"}}}`)
	refused(t, `{"auth":{"token":{"bearerToken":{"name":"s","key":"k","namespace":"kube-system"}}}}`)
	refused(t, `{"authRef":{"name":"s","key":"k","namespace":"kube-system"}}`)
}

// GHSA-wv26-88m5-6h59: no authorities out of another namespace.
func TestCVE202642875(t *testing.T) {
	refused(t, `{"auth":{"serviceAccount":{"name":"a"}},"server":{"caProvider":{"type":"Secret","name":"s","namespace":"kube-system"}}}`)
}

func refused(t *testing.T, settings string) {
	t.Helper()
	if _, err := open(t, own(), objects{}, settings); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), `reads only its own namespace "team"`) {
		t.Errorf("%s: %v", settings, err)
	}
}

// A store does not reach what only the operator's machine or network reaches, whatever
// names it.
func TestAddresses(t *testing.T) {
	user := "users: [{name: u, user: {token: t}}]\n"
	file := func(server string) string {
		return "current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: '" + server + "'}}]\n" + user
	}
	for server, says := range map[string]string{
		"https://169.254.169.254": "own machine or network", "https://127.0.0.1:10250": "own machine or network", "https://[::1]:6443": "own machine or network",
		"https://10.0.0.1:6443": "--private-networks", "https://[fd12::1]": "--private-networks",
	} {
		for settings, keys := range map[string]map[string]string{
			`{"auth":{"token":{"bearerToken":{"name":"s","key":"token"}}},"server":{"url":"` + server + `"}}`: {"s/token": "t"},
			`{"authRef":{"name":"s","key":"kubeconfig"}}`:                                                     {"s/kubeconfig": file(server)},
		} {
			st := mustOpen(t, own(), objects{keys: keys}, settings)
			_, err := st.Read(t.Context(), provider.Request{Key: "a"})
			for what, err := range map[string]error{"reading": err, "checking": st.Check(t.Context())} {
				if !errs.Is(err, errs.Denied) || errors.Is(err, provider.ErrUnverifiable) || !strings.Contains(err.Error(), says) {
					t.Errorf("%s at %s: %v (%v)", what, server, err, errs.KindOf(err))
				}
			}
		}
	}
}

// Every way to log in reads the same Secret.
func TestLogins(t *testing.T) {
	w := newWorld(t)
	w.put("db", map[string]string{"password": canary}, nil)
	admin := rest.CopyConfig(testREST)
	if err := rest.LoadTLSFiles(admin); err != nil {
		t.Fatal(err)
	}
	token, err := w.token(t.Context(), "owner")
	if err != nil {
		t.Fatal(err)
	}
	ca64 := base64.StdEncoding.EncodeToString(admin.CAData)
	keys := objects{w, map[string]string{
		"tls/tls.crt": string(admin.CertData), "tls/tls.key": string(admin.KeyData), "ca/ca.crt": string(admin.CAData), "s/token": token,
		"s/kubeconfig": "current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: '" + admin.Host + "', certificate-authority-data: " + ca64 + "}}]\nusers: [{name: u, user: {token: " + token + "}}]\n",
	}}
	where := fmt.Sprintf(`"remoteNamespace":%q`, w.ns)
	others := map[string]string{
		"token":      `{"auth":{"token":{"bearerToken":{"name":"s","key":"token"}}},"server":{"url":"` + admin.Host + `","caProvider":{"type":"ConfigMap","name":"ca"}},` + where + `}`,
		"kubeconfig": `{"authRef":{"name":"s","key":"kubeconfig"},` + where + `}`,
		"audience":   `{"auth":{"serviceAccount":{"name":"owner","audiences":["` + audienceOf(t, token) + `"]}},"server":{"url":"` + admin.Host + `","caBundle":"` + ca64 + `"},` + where + `}`,
		"elsewhere":  `{"auth":{"serviceAccount":{"name":"owner","audiences":["https://elsewhere.example"]}},"server":{"url":"` + admin.Host + `","caBundle":"` + ca64 + `"},` + where + `}`,
	}
	if len(admin.CertData) == 0 {
		t.Fatal("the test's own login is no certificate")
	}
	others["certificate"] = `{"auth":{"cert":{"clientCert":{"name":"tls"},"clientKey":{"name":"tls"}}},"server":{"url":"` + admin.Host + `","caBundle":"` + ca64 + `"},` + where + `}`
	for name, settings := range others {
		p := Provider{Outbound: outbound.Config{Loopback: true}} // it knows no own server
		v, err := mustOpen(t, p, keys, settings).Read(t.Context(), provider.Request{Key: "db"})
		if name == "elsewhere" {
			if !errs.Is(err, errs.Unauthenticated) {
				t.Errorf("a token for another audience: %v (%v)", err, errs.KindOf(err))
			}
			continue
		}
		if err != nil || v.Parts["password"].RevealString() != canary {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, server := range []string{`{}`, `{"url":"kubernetes.default"}`, `{"url":"https://kubernetes.default.svc:443"}`, `{"url":"` + admin.Host + `"}`, `{"caBundle":"` + ca64 + `"}`} {
		settings := fmt.Sprintf(`{"auth":{"serviceAccount":{"name":"owner"}},"server":%s,%s}`, server, where)
		if _, err := mustOpen(t, own(), keys, settings).Read(t.Context(), provider.Request{Key: "db"}); err != nil {
			t.Errorf("the own server by %s: %v", server, err)
		}
	}
	// Without a right there, nothing of the operator's own takes its place.
	w.account("nobody")
	if _, err := mustOpen(t, own(), keys, w.by("nobody")).Read(t.Context(), provider.Request{Key: "db"}); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("an account without rights: %v", err)
	}
	if _, err := mustOpen(t, own(), keys, w.by("absent")).Read(t.Context(), provider.Request{Key: "db"}); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "auth.serviceAccount") {
		t.Errorf("an account that is not there: %v (%v)", err, errs.KindOf(err))
	}
}

func audienceOf(t *testing.T, token string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	var claims struct {
		Audience []string `json:"aud"`
	}
	if err != nil || json.Unmarshal(raw, &claims) != nil || len(claims.Audience) == 0 {
		t.Fatal("no audience in a token")
	}
	return claims.Audience[0]
}

// Bytes that are no text are read as they are, and never damaged.
func TestParts(t *testing.T) {
	w := newWorld(t)
	w.put("store", map[string]string{"keystore.jks": "\xfe\xed\x00", "config.json": `{"db":{"password":"` + canary + `"},"a.b":1}`, "user": "app"}, nil)
	st := mustOpen(t, own(), objects{w: w}, w.by("owner"))
	v, err := st.Read(t.Context(), provider.Request{Key: "store"})
	if err != nil {
		t.Fatal(err)
	}
	for property, want := range map[string]string{"keystore.jks": "\xfe\xed\x00", "config.json.db.password": canary, "config.json.a.b": "1", "user": "app"} {
		if got, err := v.Property(property); err != nil || got.RevealString() != want {
			t.Errorf("%s: %q, %v", property, got.Reveal(), err)
		}
	}
	all, err := v.Map()
	if err != nil || len(all) != 3 || all["keystore.jks"].RevealString() != "\xfe\xed\x00" {
		t.Errorf("all of it: %d, %v", len(all), err)
	}
	if _, err := v.Property(""); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "keystore.jks") {
		t.Errorf("as one object: %v", err)
	}
	for _, property := range []string{"nope", "user.", ".user", "user.x", "config.json.nope"} {
		if _, err := v.Property(property); !errs.Is(err, errs.NotExist) {
			t.Errorf("%q: %v", property, err)
		}
	}
	if _, err := st.Read(t.Context(), provider.Request{Key: "store", Version: v.Version}); err != nil {
		t.Errorf("its own version: %v", err)
	}
	for _, key := range []string{"", "a/../b", "../x", "a%2fb", "UP", "a?b", strings.Repeat("a", 300)} {
		if _, err := st.Read(t.Context(), provider.Request{Key: key}); !errs.Is(err, errs.Invalid) {
			t.Errorf("key %q: %v", key, err)
		}
	}
	if _, err := st.Read(t.Context(), provider.Request{Key: "store", Version: "latest"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a version that is none: %v", err)
	}
}

func TestMetadata(t *testing.T) {
	w := newWorld(t)
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: w.ns, Name: "db", Labels: map[string]string{"dev": "one", "example.com/team": "shop"},
		Annotations: map[string]string{"note": "x", corev1.LastAppliedConfigAnnotation: `{"data":"` + canary + `"}`},
	}}
	if err := testClient.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	v, err := mustOpen(t, own(), objects{w: w}, w.by("owner")).Read(t.Context(), provider.Request{Key: "db", Metadata: true})
	if err != nil || strings.Contains(v.Data.RevealString(), canary) {
		t.Fatalf("%s, %v", v.Data.Reveal(), err)
	}
	for property, want := range map[string]string{"labels.dev": "one", "labels.example.com/team": "shop", "annotations.note": "x", "annotations": `{"note":"x"}`} {
		if got, err := v.Property(property); err != nil || got.RevealString() != want {
			t.Errorf("%s: %q, %v", property, got.Reveal(), err)
		}
	}
}

func TestCheck(t *testing.T) {
	w := newWorld(t)
	w.account("one", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"db"}, Verbs: []string{"get"}})
	w.account("lists", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"list"}})
	w.account("pods", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"*"}})
	for account, kind := range map[string]errs.Kind{"owner": 0, "one": 0, "lists": errs.Denied, "pods": errs.Denied} {
		err := mustOpen(t, own(), objects{w: w}, w.by(account)).Check(t.Context())
		if (err == nil) != (kind == 0) || err != nil && !errs.Is(err, kind) {
			t.Errorf("%s: %v", account, err)
		}
	}
	h := w.byToken()
	raw, err := json.Marshal(h.Settings)
	if err != nil {
		t.Fatal(err)
	}
	st := mustOpen(t, h.Provider.(Provider), h.Cluster, string(raw))
	for name, c := range map[string]struct {
		answer       func(http.ResponseWriter)
		kind         errs.Kind
		unverifiable bool
	}{
		"reviews are refused":  {func(w http.ResponseWriter) { state(w, 403, metav1.StatusReasonForbidden) }, errs.Unsupported, true},
		"there are no reviews": {func(w http.ResponseWriter) { state(w, 404, metav1.StatusReasonNotFound) }, errs.Unsupported, true},
		"no login":             {func(w http.ResponseWriter) { state(w, 401, metav1.StatusReasonUnauthorized) }, errs.Unauthenticated, false},
		"garbage":              {func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"kind":"Secret"}`)) }, errs.Unavailable, false},
		"a page":               {func(w http.ResponseWriter) { http.Error(w, "<html>", http.StatusNotFound) }, errs.Unavailable, false},
		"a page that refuses":  {func(w http.ResponseWriter) { http.Error(w, "<html>", http.StatusForbidden) }, errs.Denied, false},
		"an authorizer that does not say all": {func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(`{"kind":"SelfSubjectRulesReview","status":{"incomplete":true,"resourceRules":[]}}`))
		}, errs.Unsupported, true},
	} {
		heal := w.set(always(c.answer))
		err := st.Check(t.Context())
		heal()
		if !errs.Is(err, c.kind) || errors.Is(err, provider.ErrUnverifiable) != c.unverifiable {
			t.Errorf("%s: %v (%v)", name, err, errs.KindOf(err))
		}
	}
}

// Only an API server's word about the very Secret is one; what a proxy says is none. No
// answer's words get our token into a message.
func TestAnswers(t *testing.T) {
	w := newWorld(t)
	h := w.byToken()
	raw, err := json.Marshal(h.Settings)
	if err != nil {
		t.Fatal(err)
	}
	st := mustOpen(t, h.Provider.(Provider), h.Cluster, string(raw))
	token := h.Cluster.(objects).keys["login/token"]
	named := func(name, message string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_ = json.NewEncoder(w).Encode(metav1.Status{
				TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: 404,
				Message: message, Details: &metav1.StatusDetails{Name: name, Kind: "secrets"},
			})
		}
	}
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter)
		kind   errs.Kind
	}{
		"its own word":   {named("db", "secrets \"db\" not found"), errs.NotExist},
		"of another":     {named("other", "x"), errs.Unavailable},
		"of a namespace": {named(w.ns, "namespaces not found"), errs.Unavailable},
		"of nothing":     {func(w http.ResponseWriter) { state(w, 404, metav1.StatusReasonNotFound) }, errs.Unavailable},
		"a page":         {func(w http.ResponseWriter) { http.Error(w, "404 page not found", http.StatusNotFound) }, errs.Unavailable},
		"our token":      {named("db", "no such thing for "+strings.TrimSpace(token)), errs.NotExist},
		"a long one":     {named("db", strings.Repeat("no\n\x1b[31m ", 9000)), errs.NotExist},
		"a redirect": {func(w http.ResponseWriter) {
			w.Header().Set("Location", "https://elsewhere.example/")
			w.WriteHeader(302)
		}, errs.Unavailable},
		"a page throttles": {func(w http.ResponseWriter) { http.Error(w, "slow", http.StatusTooManyRequests) }, errs.Exhausted},
	} {
		heal := w.set(always(c.answer))
		_, err := st.Read(t.Context(), provider.Request{Key: "db"})
		heal()
		if !errs.Is(err, c.kind) {
			t.Errorf("%s: %v (%v)", name, err, errs.KindOf(err))
		} else if text := err.Error(); strings.Contains(text, strings.TrimSpace(token)) || len(text) > 700 || strings.ContainsAny(text, "\n\x1b") {
			t.Errorf("%s: a message of %d bytes with what it is not to have", name, len(text))
		}
	}
	w.proxy.Close()
	if _, err := st.Read(t.Context(), provider.Request{Key: "db"}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("nobody answers: %v", err)
	}
}

// Guards memory and time against a server whose pages never end: with Secrets, large ones,
// or none.
func TestEndlessPages(t *testing.T) {
	w := newWorld(t)
	h := w.byToken()
	raw, err := json.Marshal(h.Settings)
	if err != nil {
		t.Fatal(err)
	}
	st := mustOpen(t, h.Provider.(Provider), h.Cluster, string(raw))
	if st.bounds != searching() || st.bounds.pages*pageSize < st.bounds.secrets {
		t.Fatalf("a search is bounded by %+v", st.bounds)
	}
	for name, c := range map[string]struct {
		bounds  bounds
		secrets int   // in a page
		size    int   // of each
		pages   int64 // that are read
	}{
		"pages":   {bounds{pages: 7, secrets: 1000, bytes: 1 << 20}, 0, 0, 8},
		"Secrets": {bounds{pages: 1000, secrets: 20, bytes: 1 << 20}, 3, 0, 7},
		"bytes":   {bounds{pages: 1000, secrets: 1000, bytes: 100_000}, 1, 30_000, 3},
	} {
		st.bounds = c.bounds
		var pages atomic.Int64
		heal := w.set(func(to http.ResponseWriter, _ *http.Request) bool {
			page := pages.Add(1)
			list := corev1.SecretList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "SecretList"}}
			list.ResourceVersion, list.Continue = "1", fmt.Sprint(page)
			for i := range c.secrets {
				s := corev1.Secret{Data: map[string][]byte{"k": make([]byte, c.size)}}
				s.Namespace, s.Name, s.UID, s.ResourceVersion = w.ns, fmt.Sprintf("s-%d-%d", page, i), "u", "1"
				list.Items = append(list.Items, s)
			}
			to.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(to).Encode(list)
			return true
		})
		found, err := st.Find(t.Context(), provider.Query{})
		heal()
		if !errs.Is(err, errs.TooLarge) || !strings.Contains(err.Error(), "find.tags") || found != nil || pages.Load() != c.pages {
			t.Errorf("%s: %d found in %d pages, %v", name, len(found), pages.Load(), err)
		}
	}
}

func TestWriteMetadata(t *testing.T) {
	w := newWorld(t)
	st := mustOpen(t, own(), objects{w: w}, w.by("owner"))
	write := func(name, metadata string, source provider.Source) error {
		return st.Write(t.Context(), provider.Write{Place: provider.Place{Key: name}, Value: redact.FromString(`{"k":"` + canary + `"}`), Metadata: json.RawMessage(metadata), Source: source})
	}
	spec := func(s string) string { return `{"apiVersion":"x/v1","kind":"PushSecretMetadata","spec":` + s + `}` }
	template := provider.Source{Labels: map[string]string{"from": "template"}, Annotations: map[string]string{"note": "t"}}
	for _, step := range []struct{ metadata, labels, annotations string }{
		{`{"labels":{"a":"1"},"annotations":{"x":"y"}}`, "map[a:1 from:template managed-by:external-secrets]", "map[note:t x:y]"},
		{`{"labels":{"b":"2"},"sourceMergePolicy":"Replace"}`, "map[a:1 b:2 from:template managed-by:external-secrets]", "map[note:t x:y]"},
		{`{"labels":{"c":"3"},"targetMergePolicy":"Ignore"}`, "map[a:1 b:2 from:template managed-by:external-secrets]", "map[note:t x:y]"},
		{`{"labels":{"c":"3"},"targetMergePolicy":"Replace","sourceMergePolicy":"Replace"}`, "map[c:3 managed-by:external-secrets]", "map[]"},
	} {
		if err := write("m", spec(step.metadata), template); err != nil {
			t.Fatal(step.metadata, err)
		}
		got := w.get("m")
		if l, a := fmt.Sprint(got.Labels), fmt.Sprint(got.Annotations); l != step.labels || a != step.annotations {
			t.Errorf("%s: %s %s", step.metadata, l, a)
		}
	}
	for metadata, says := range map[string]string{
		`{"sourceMergePolicy":"Ignore"}`: "sourceMergePolicy", `{"targetMergePolicy":"x"}`: "targetMergePolicy", `{"labels":{"managed-by":"me"}}`: "managed-by",
		`{"remoteNamespace":"kube-system"}`: "remoteNamespace", `{"labels":{"not a label":"x"}}`: "metadata.labels",
	} {
		err := write("other", spec(metadata), provider.Source{})
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", metadata, err)
		}
	}
	if err := write("m", spec(`{"remoteNamespace":"`+w.ns+`"}`), provider.Source{}); err != nil {
		t.Errorf("the store's own namespace: %v", err)
	}
}

// A Secret is of the source's type where it can be, and never a credential of the server.
func TestTypes(t *testing.T) {
	w := newWorld(t)
	st := mustOpen(t, own(), objects{w: w}, w.by("owner"))
	i := 0
	for _, c := range []struct{ kind, property, value, want string }{
		{"kubernetes.io/tls", "", `{"tls.crt":"a","tls.key":"b","ca.crt":"c"}`, "kubernetes.io/tls"},
		{"kubernetes.io/tls", "tls.crt", "a", "Opaque"},
		{"kubernetes.io/dockerconfigjson", ".dockerconfigjson", `{"auths":{}}`, "kubernetes.io/dockerconfigjson"},
		{"kubernetes.io/service-account-token", "", `{"token":"t"}`, "Opaque"},
		{"bootstrap.kubernetes.io/token", "", `{"token-id":"t"}`, "Opaque"},
		{"kubernetes.io/basic-auth", "password", "p", "kubernetes.io/basic-auth"},
		{"kubernetes.io/basic-auth", "x", "p", "Opaque"},
		{"kubernetes.io/ssh-auth", "ssh-privatekey", "p", "kubernetes.io/ssh-auth"},
		{"example.com/own", "x", "p", "example.com/own"},
		{"", "x", "p", "Opaque"},
	} {
		name := fmt.Sprint("t-", i)
		i++
		err := st.Write(t.Context(), provider.Write{Place: provider.Place{Key: name, Property: c.property}, Value: redact.FromString(c.value), Source: provider.Source{Type: c.kind}})
		if err != nil {
			t.Errorf("%+v: %v", c, err)
		} else if got := w.get(name); string(got.Type) != c.want {
			t.Errorf("%+v: %s", c, got.Type)
		}
	}
}

func TestWriteRefusals(t *testing.T) {
	w := newWorld(t)
	st := mustOpen(t, own(), objects{w: w}, w.by("owner"))
	yes := true
	fixed := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "fixed", Labels: map[string]string{push.TagManaged: push.Manager}}, Immutable: &yes, Data: map[string][]byte{"k": []byte("1")}}
	if err := testClient.Create(t.Context(), fixed); err != nil {
		t.Fatal(err)
	}
	try := func(name, property, value string) error {
		return st.Write(t.Context(), provider.Write{Place: provider.Place{Key: name, Property: property}, Value: redact.FromString(value)})
	}
	for name, c := range map[string]struct {
		err  error
		kind errs.Kind
		says string
	}{
		"an immutable Secret": {try("fixed", "k", canary), errs.Invalid, "immutable"},
		"a key that is none":  {try("new", "a b", canary), errs.Invalid, `"a b"`},
		"a text":              {try("new", "", canary), errs.Invalid, "remoteRef.property"},
		"too much":            {try("new", "k", canary+strings.Repeat("x", 2<<20)), errs.Invalid, "data"},
		"a path":              {try("a/b", "k", canary), errs.Invalid, "name of a Secret"},
	} {
		if c.err == nil || !errs.Is(c.err, c.kind) && !errs.Is(c.err, errs.TooLarge) || !strings.Contains(c.err.Error(), c.says) || strings.Contains(c.err.Error(), canary) {
			t.Errorf("%s: %v (%v)", name, c.err, errs.KindOf(c.err))
		}
	}
	if err := try("fixed", "k", "1"); err != nil {
		t.Errorf("what an immutable Secret has already: %v", err)
	}
	if err := mustOpen(t, own(), objects{w: w}, fmt.Sprintf(`{"auth":{"serviceAccount":{"name":"owner"}},"remoteNamespace":%q}`, w.ns+"-none")).Write(t.Context(),
		provider.Write{Place: provider.Place{Key: "k", Property: "k"}, Value: redact.FromString(canary)}); !errs.Is(err, errs.Denied) {
		t.Errorf("another namespace: %v", err)
	}
	// What bytes there are, are written.
	if err := try("bytes", "jks", "\xfe\xed"); err != nil || string(w.get("bytes").Data["jks"]) != "\xfe\xed" {
		t.Errorf("bytes: %v", err)
	}
}

func TestExpiry(t *testing.T) {
	claim := func(s string) redact.Secret {
		return redact.FromString("a." + base64.RawURLEncoding.EncodeToString([]byte(s)) + ".c")
	}
	for text, want := range map[string]int64{`{"exp":1800000000}`: 1_800_000_000, `{"exp":1800000000.5}`: 1_800_000_000, `{}`: 0, `{"exp":-1}`: 0, `{"exp":1e300}`: 0, `{"exp":"x"}`: 0, `[]`: 0} {
		got := expiry(claim(text))
		if want == 0 && !got.IsZero() || want != 0 && got.Unix() != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if got := expiry(redact.FromString("no token")); !got.IsZero() {
		t.Error(got)
	}
}

func FuzzExpiry(f *testing.F) {
	f.Add("a.b.c")
	f.Add("a." + base64.RawURLEncoding.EncodeToString([]byte(`{"exp":1800000000}`)) + ".c")
	f.Fuzz(func(t *testing.T, token string) {
		if at := expiry(redact.FromString(token)); at.After(time.Unix(1<<38, 0)) {
			t.Error(at)
		}
	})
}
