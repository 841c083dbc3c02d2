package vault

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/providertest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/vaulttest"
)

// asked records what a server was asked.
type asked struct {
	mu   sync.Mutex
	list []string
}

func (a *asked) answer(method, path string, body []byte) (int, any, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, strings.TrimSpace(method+" "+path+" "+string(body)))
	switch {
	case strings.HasPrefix(path, "refused/"):
		return http.StatusBadRequest, "turn 4 is not the present one", true
	case strings.HasPrefix(path, "empty/"):
		return http.StatusOK, nil, true
	case strings.HasPrefix(path, "made/"):
		return http.StatusOK, map[string]any{"turn": json.Number("12345678901234567890"), "side": "<new>"}, true
	}
	return 0, nil, false
}

func TestCall(t *testing.T) {
	seen := &asked{}
	server := vaulttest.New()
	server.Answer = seen.answer
	f := newFixture(t, server, nil)
	body := map[string]any{"turn": 3, "password": providertest.Canary}
	for _, c := range []struct {
		method, path string
		body         any
		kind         errs.Kind // Internal: none
		want         string    // of the answer, or in the error
		sent         string
	}{
		{"GET", "made/x?turn=3", nil, 0, `{"side":"<new>","turn":12345678901234567890}`, "GET made/x?turn=3"},
		{"LIST", "made", nil, errs.NotExist, "made", "GET made?list=true"},
		{"LIST", "made/x", nil, 0, `{"side":"<new>","turn":12345678901234567890}`, "GET made/x?list=true"},
		{"POST", "made/x", body, 0, `{"side":"<new>","turn":12345678901234567890}`, `PUT made/x {"password":"` + providertest.Canary + `","turn":3}`},
		{"POST", "empty/x", nil, 0, "", "PUT empty/x"},
		{"DELETE", "empty/x", nil, 0, "", "DELETE empty/x"},
		{"POST", "refused/x", body, errs.Invalid, "turn 4 is not the present one", `PUT refused/x {"password":"` + providertest.Canary + `","turn":3}`},
		{"DELETE", "refused/x", nil, errs.Invalid, "turn 4 is not the present one", "DELETE refused/x"},
		{"GET", "absent/x", nil, errs.NotExist, "absent/x", "GET absent/x"},
		{"POST", "absent/x", nil, errs.NotExist, "absent/x", "PUT absent/x"},
	} {
		got, err := f.store.Call(t.Context(), c.method, c.path, c.body)
		if c.kind == 0 {
			var compact any
			if len(got) > 0 && json.Unmarshal(got, &compact) != nil || err != nil || unescaped(got) != c.want {
				t.Errorf("%s %s: %s, %v; want %s", c.method, c.path, got, err, c.want)
			}
		} else if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), providertest.Canary) {
			t.Errorf("%s %s: %v (%v); want %v with %q", c.method, c.path, err, errs.KindOf(err), c.kind, c.want)
		}
		if last := seen.list[len(seen.list)-1]; last != c.sent {
			t.Errorf("%s %s asked %s, want %s", c.method, c.path, last, c.sent)
		}
	}
}

func unescaped(raw json.RawMessage) string {
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(raw))
}

// A login that ended is made anew once; a policy that forbids is said with the
// capability that it lacks.
func TestCallLogsInAgain(t *testing.T) {
	seen := &asked{}
	server := vaulttest.New()
	server.Answer = seen.answer
	f := newFixture(t, server, nil)
	for range 2 {
		if _, err := f.store.Call(t.Context(), "POST", "made/x", nil); err != nil {
			t.Fatal(err)
		}
		f.RevokeTokens()
		f.clock.Step(2 * reloginAfter)
	}
	if n := f.Count("auth/kubernetes/login"); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
	f.Deny("made/x")
	for method, capability := range map[string]string{"GET": "read", "POST": "update", "DELETE": "delete", "LIST": "list"} {
		_, err := f.store.Call(t.Context(), method, "made/x", nil)
		if !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), fmt.Sprintf(`capability "%s" on "made/x"`, capability)) {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestCallFailures(t *testing.T) {
	f := newFixture(t, vaulttest.New(), nil)
	for status, want := range map[int]errs.Kind{409: errs.Conflict, 503: errs.Unavailable, 429: errs.Exhausted, 405: errs.Unsupported, 413: errs.TooLarge} {
		f.Fail(status)
		for _, method := range []string{"GET", "POST"} {
			if _, err := f.store.Call(t.Context(), method, "made/x", nil); !errs.Is(err, want) {
				t.Errorf("%s, %d: %v (%v), want %v", method, status, err, errs.KindOf(err), want)
			}
		}
	}
}

// What an alternating role publishes is read as any KV v1 secret, with its
// version; a part of a secret that is called version stays a secret.
func TestVersionOfAlternatingCredentials(t *testing.T) {
	f := newFixture(t, vaulttest.New(), func(s *Settings) { s.Version, s.Path = "v1", "database" })
	f.PutAt("database/alternating-creds/app", `{"username":"app_b","password":"`+providertest.Canary+`","version":"7"}`)
	f.PutAt("database/alternating-creds/number", `{"username":"app_b","version":8}`)
	f.PutAt("database/alternating-creds/odd", `{"version":"`+providertest.Canary+`"}`)
	f.PutAt("database/alternating-creds/none", `{"version":null}`)
	f.PutAt("database/static-creds/app", `{"version":"7"}`)
	f.PutAt("database/alternating-creds", `{"version":"7"}`)
	f.PutAt("database/app/alternating-creds/a/b", `{"version":"7"}`)
	for key, want := range map[string]string{
		"alternating-creds/app": "7", "alternating-creds/number": "8", "alternating-creds/odd": "", "alternating-creds/none": "",
		"static-creds/app": "", "alternating-creds": "", "app/alternating-creds/a/b": "",
	} {
		v, err := f.store.Read(t.Context(), provider.Request{Key: key})
		if err != nil || v.Version != want {
			t.Errorf("%s: version %q (%v), want %q", key, v.Version, err, want)
		}
	}
}

func TestLocate(t *testing.T) {
	for _, c := range []struct {
		settings  Settings
		path, key string
		want      string
	}{
		{Settings{Server: "https://vault.example:8200"}, "secret/data/x", "", "vault.example:8200/secret/data/x"},
		{Settings{Server: "http://Vault.Example."}, "/secret/data/x/", "", "vault.example:80/secret/data/x"},
		{Settings{Server: "https://vault.example/"}, "secret/data/x?version=3", "", "vault.example:443/secret/data/x"},
		{Settings{Server: "https://proxy.example/vaults/one/"}, "a/b", "", "proxy.example:443/vaults/one/a/b"},
		{Settings{Server: "https://[::1]:8200", Namespace: "/team/a/"}, "a/b", "", "[::1]:8200/team/a/a/b"},
		{Settings{Server: "https://vault.ns.svc.cluster.local:8200", Namespace: "team"}, "a/b", "", "vault.ns.svc:8200/team/a/b"},
		{Settings{Server: "https://v", Path: "secret"}, "", "x", "v:443/secret/data/x"},
		{Settings{Server: "https://v", Path: "secret"}, "", "secret/data/x", "v:443/secret/data/x"},
		{Settings{Server: "https://v"}, "", "secret/x", "v:443/secret/data/x"},
		{Settings{Server: "https://v", Path: "secret", Namespace: "team"}, "", "x", "v:443/team/secret/data/x"},
		{Settings{Server: "https://v", Path: "team/secret"}, "", "x", "v:443/team/secret/data/x"}, // a vault sees no difference
		{Settings{Server: "https://v", Version: "v1", Path: "database"}, "", "alternating-creds/app", "v:443/database/alternating-creds/app"},
		{Settings{Server: "https://v", Version: "v1"}, "", "database/alternating-creds/app", "v:443/database/alternating-creds/app"},
		{Settings{Server: "https://v"}, "", "x", ""},
	} {
		c.settings.Auth = tokenAuth()
		if err := c.settings.check(); err != nil {
			t.Fatal(err)
		}
		s := &store{settings: c.settings}
		got := s.Locate(c.path)
		if c.path == "" {
			got = s.LocateKey(c.key)
		}
		if got != c.want {
			t.Errorf("%s%s of %s is at %q, want %q", c.path, c.key, c.settings.Server, got, c.want)
		}
	}
}

func FuzzNewCall(f *testing.F) {
	for _, path := range []string{"a/b", "a/b?c=d", "../x", "https://x/y", "%2e%2e/x", "a#b", "a/%2fb"} {
		f.Add("GET", path)
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		c, err := newCall(method, path, nil)
		if err != nil {
			return
		}
		for segment := range strings.SplitSeq(c.path, "/") {
			if segment == "" || segment == "." || segment == ".." {
				t.Errorf("%q became the path %q", path, c.path)
			}
		}
	})
}
