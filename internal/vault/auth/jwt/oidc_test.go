package jwt

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

const redirect = "http://localhost:8250/oidc/callback"

func newBrowserWorld(t *testing.T, role map[string]any) *world {
	p := newProvider(t)
	w := newWorld(t, map[string]any{"oidc_discovery_url": p.URL, "oidc_discovery_ca_pem": p.ca(), "oidc_client_id": "me", "oidc_client_secret": clientSecret}, nil)
	w.p = p
	body := map[string]any{"user_claim": "email", "allowed_redirect_uris": []string{redirect, "https://ui.example.org/cb"}, "groups_claim": "groups"}
	for k, v := range role {
		body[k] = v
	}
	w.write("role/people", body)
	return w
}

func (w *world) begin(nonce string) string {
	w.t.Helper()
	res, err := w.Do(engine.Update, "oidc/auth_url", object(map[string]any{"role": "people", "redirect_uri": redirect, "client_nonce": nonce}))
	if err != nil {
		w.t.Fatal(err)
	}
	var made struct {
		URL string `json:"auth_url"`
	}
	if err := json.Unmarshal(res.Data, &made); err != nil {
		w.t.Fatal(err)
	}
	return made.URL
}

func (w *world) comesBack(state, code, nonce string) (*engine.Auth, error) {
	res, err := w.Do(engine.Read, "oidc/callback", object(map[string]any{"state": state, "code": code, "client_nonce": nonce}))
	if err != nil {
		return nil, err
	}
	return res.Auth, nil
}

func TestBrowserLogin(t *testing.T) {
	w := newBrowserWorld(t, nil)
	w.p.info = map[string]any{"sub": "ann", "groups": []string{"ops"}, "email": "evil@example.org"}
	address := w.begin("nonce-1")
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if q.Get("client_id") != "me" || q.Get("code_challenge_method") != "S256" || q.Get("scope") != "openid" || q.Get("redirect_uri") != redirect || q.Get("nonce") == "" {
		t.Errorf("%v", q)
	}
	if strings.Contains(address, clientSecret) || strings.Contains(address, "nonce-1") {
		t.Error("the address holds a secret")
	}
	if before := w.Stored(t); len(before) != 4 { // config, two roles, the key
		t.Errorf("a login that was only begun is stored: %d entries", len(before))
	}
	code, state := w.p.visit(address, nil)
	w.Conflict() // a code is sold once; the request is run twice
	a, err := w.comesBack(state, code, "nonce-1")
	if err != nil {
		t.Fatal(err)
	}
	if a.Alias != "ann@example.org" || len(a.Groups) != 1 || a.Groups[0] != "ops" {
		t.Errorf("%+v", a)
	}
	if _, err := w.comesBack(state, code, "nonce-1"); !errs.Is(err, errs.Denied) {
		t.Errorf("the same code again: %v", err)
	}
}

func TestBrowserLoginRefuses(t *testing.T) {
	w := newBrowserWorld(t, map[string]any{"max_age": 60, "bound_audiences": "me"})
	at := map[string]any{"auth_time": begin.Unix()}
	with := func(k string, v any) map[string]any { return map[string]any{"auth_time": begin.Unix(), k: v} }
	for what, c := range map[string]struct {
		claims map[string]any
		nonce  string
		ok     bool
	}{
		"good":                {at, "n", true},
		"another browser's":   {at, "other", false},
		"another nonce":       {with("nonce", "x"), "n", false},
		"for another client":  {with("aud", "you"), "n", false},
		"of another issuer":   {with("iss", "https://issuer.example.org"), "n", false},
		"expired":             {with("exp", begin.Add(-time.Hour).Unix()), "n", false},
		"proved long ago":     {with("auth_time", begin.Add(-time.Hour).Unix()), "n", false},
		"no word of the time": {nil, "n", false},
		"nobody":              {with("email", ""), "n", false},
	} {
		code, state := w.p.visit(w.begin("n"), c.claims)
		if _, err := w.comesBack(state, code, c.nonce); c.ok != (err == nil) {
			t.Errorf("%s: %v", what, err)
		}
	}
	code, state := w.p.visit(w.begin("n"), at)
	other := "A" // than the state's first
	if state[:1] == other {
		other = "B"
	}
	for what, s := range map[string]string{"none": "", "cut": state[:len(state)-4], "changed": other + state[1:], "not base64": "!!"} {
		if _, err := w.comesBack(s, code, "n"); !errs.Is(err, errs.Invalid) {
			t.Errorf("state %s: %v", what, err)
		}
	}
	w.Advance(stateLife + time.Second)
	if _, err := w.comesBack(state, code, "n"); !errs.Is(err, errs.Invalid) {
		t.Errorf("late: %v", err)
	}
}

// A state of one mount is worth nothing at another.
func TestStatesAreTheMountsOwn(t *testing.T) {
	one, two := newBrowserWorld(t, nil), newBrowserWorld(t, nil)
	key := make([]byte, 32)
	if err := two.engine.cfg.Update(t.Context(), func(_ context.Context, tx engine.Tx) error { tx.Put(stateKey, key); return nil }); err != nil {
		t.Fatal(err)
	}
	code, state := one.p.visit(one.begin("n"), nil)
	if _, err := two.comesBack(state, code, "n"); !errs.Is(err, errs.Invalid) {
		t.Error(err)
	}
}

func TestRedirects(t *testing.T) {
	for asked, ok := range map[string]bool{
		redirect: true, "https://ui.example.org/cb": true,
		"http://localhost:9999/oidc/callback":  true, // RFC 8252: any port of a loopback address
		"http://localhost:9999/oidc/callback2": false, "http://localhost.example.org:8250/oidc/callback": false,
		"http://127.0.0.1:8250/oidc/callback": false, "https://ui.example.org/cb?x=1": false, "https://ui.example.org:444/cb": false,
		"http://u@localhost:1/oidc/callback": false, "": false,
	} {
		if got := allowsRedirect([]string{redirect, "https://ui.example.org/cb"}, asked); got != ok {
			t.Errorf("%q: %v", asked, got)
		}
	}
}
