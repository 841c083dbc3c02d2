package jwt

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth/authtest"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
)

func object(m map[string]any) string {
	raw, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func TestSuite(t *testing.T) {
	p := newProvider(t)
	stranger := newProvider(t)
	good := p.sign(nil)
	login := func(jwt string) string { return object(map[string]any{"role": "job", "jwt": jwt}) }
	unsigned := "eyJhbGciOiJub25lIn0." + strings.Split(good, ".")[1] + "."
	hmac := signWith(t, jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat("k", 32))}, map[string]any{"iss": p.URL, "sub": "job-1", "aud": "vault", "exp": begin.Add(time.Hour).Unix()})
	authtest.Run(t, authtest.Suite{
		Factory: New,
		Setup: []authtest.Request{
			{Op: engine.Update, Path: "config", Body: object(map[string]any{"oidc_discovery_url": p.URL, "oidc_discovery_ca_pem": p.ca(), "oidc_client_id": "me", "oidc_client_secret": clientSecret})},
			{Op: engine.Update, Path: "role/job", Body: `{"role_type":"jwt","user_claim":"sub","bound_audiences":["vault"],"bound_subject":"job-1","token_policies":"app"}`},
		},
		Login: authtest.Request{Path: "login", Body: login(good)},
		Wrong: map[string]string{
			"no role":             object(map[string]any{"jwt": good}),
			"another role":        object(map[string]any{"role": "nope", "jwt": good}),
			"a path for a role":   object(map[string]any{"role": "../config", "jwt": good}),
			"no signature":        login(unsigned),
			"an HMAC":             login(hmac),
			"another's signature": login(stranger.sign(map[string]any{"iss": p.URL})),
			"another issuer":      login(p.sign(map[string]any{"iss": "https://issuer.example.org"})),
			"another subject":     login(p.sign(map[string]any{"sub": "job-2"})),
			"another audience":    login(p.sign(map[string]any{"aud": []string{"a", "b"}})),
			"no audience":         login(p.sign(map[string]any{"aud": nil})),
			"expired":             login(p.sign(map[string]any{"exp": begin.Add(-2 * time.Minute).Unix()})),
			"not yet":             login(p.sign(map[string]any{"nbf": begin.Add(2 * time.Minute).Unix()})),
			"issued tomorrow":     login(p.sign(map[string]any{"iat": begin.Add(24 * time.Hour).Unix()})),
			"no times":            login(p.sign(map[string]any{"exp": nil, "iat": nil})),
			"a text for a time":   login(p.sign(map[string]any{"exp": "tomorrow"})),
			"a list for a user":   login(p.sign(map[string]any{"sub": []string{"job-1"}})),
		},
		Secrets:  []string{clientSecret},
		DropRole: authtest.Request{Op: engine.Delete, Path: "role/job"},
	})
}

func TestConformance(t *testing.T) {
	p := newProvider(t)
	config := map[string]any{"oidc_discovery_url": p.URL, "oidc_discovery_ca_pem": p.ca(), "oidc_client_id": "me", "oidc_client_secret": enginetest.Canary, "default_role": "job"}
	if clientSecret == enginetest.Canary {
		t.Fatal("the provider's client has the canary as its secret")
	}
	known := map[string]any{"oidc_discovery_url": p.URL, "oidc_discovery_ca_pem": p.ca(), "oidc_client_id": "me", "oidc_client_secret": clientSecret, "default_role": "job"}
	enginetest.Run(t, enginetest.Suite{
		Factory: func(cfg engine.Config) (engine.Engine, error) {
			e, err := New(cfg)
			return &browser{e.(*Engine), p}, err
		},
		Steps: []enginetest.Step{
			{Op: engine.Read, Path: "config"},
			{Op: engine.Update, Path: "login", Body: `{"role":"job","jwt":"x"}`, Fails: errs.Invalid},
			{Op: engine.Update, Path: "config", Body: object(config)},
			{Op: engine.Update, Path: "config", Body: object(known)},
			{Op: engine.Update, Path: "config", Body: `{}`, Fails: errs.Invalid},
			{Op: engine.Update, Path: "config", Body: `{"jwks_url":"ftp://x"}`, Fails: errs.Invalid},
			{Op: engine.Update, Path: "config", Body: `{"jwt_validation_pubkeys":"` + enginetest.Canary + `"}`, Fails: errs.Invalid},
			{Op: engine.Update, Path: "config", Body: object(map[string]any{"oidc_discovery_url": p.URL + "/else", "oidc_discovery_ca_pem": p.ca()}), Fails: errs.Invalid},
			{Op: engine.Update, Path: "config", Body: `{"jwks_url":"https://x","provider_config":{"provider":"gsuite"}}`, Fails: errs.Invalid},
			{Op: engine.Update, Path: "config", Body: `{"jwks_url":"https://x","jwt_supported_algs":"HS256"}`, Fails: errs.Invalid},
			{Op: engine.Read, Path: "config"},
			{Op: engine.Update, Path: "role/job", Body: `{"role_type":"jwt","user_claim":"sub","bound_audiences":"vault","bound_claims":{"groups":["ops"]},"bound_claims_type":"glob","claim_mappings":{"iss":"issuer"}}`},
			{Op: engine.Update, Path: "role/people", Body: `{"user_claim":"email","allowed_redirect_uris":"http://localhost:8250/oidc/callback","oidc_scopes":"email","max_age":0}`},
			{Op: engine.Update, Path: "role/x", Body: `{"role_type":"jwt","user_claim":"sub"}`, Fails: errs.Invalid},
			{Op: engine.Update, Path: "role/x", Body: `{"role_type":"odd","user_claim":"sub"}`, Fails: errs.Invalid},
			{Op: engine.Update, Path: "role/x", Body: `{"user_claim":"sub"}`, Fails: errs.Invalid},
			{Op: engine.Update, Path: "role/x", Body: `{"role_type":"jwt","user_claim":"sub","bound_claims":{"a":{}}}`, Fails: errs.Invalid},
			{Op: engine.Update, Path: "role/x", Body: `{"role_type":"jwt","user_claim":"sub","bound_subject":"a","claim_mappings":{"a":"role"}}`, Fails: errs.Invalid},
			{Op: engine.Update, Path: "role/x", Body: `{"role_type":"jwt","user_claim":"sub","bound_subject":"a","token_policies":"root"}`, Fails: errs.Invalid},
			{Op: engine.Read, Path: "role/job"},
			{Op: engine.List, Path: "role/"},
			{Op: engine.Update, Path: "login", Body: object(map[string]any{"jwt": p.sign(nil)})},
			{Op: engine.Update, Path: "login", Body: object(map[string]any{"role": "people", "jwt": p.sign(nil)}), Fails: errs.Invalid},
			{Op: engine.Update, Path: "login", Body: `{"jwt":"` + enginetest.Canary + `"}`, Fails: errs.Denied},
			{Op: engine.Update, Path: "oidc/auth_url", Body: `{"role":"people","redirect_uri":"http://localhost:8250/oidc/callback","client_nonce":"n"}`},
			{Op: engine.Update, Path: "oidc/auth_url", Body: `{"role":"people","redirect_uri":"http://evil.example.org/oidc/callback"}`, Fails: errs.Invalid},
			{Op: engine.Update, Path: "oidc/auth_url", Body: `{"redirect_uri":"http://localhost:8250/oidc/callback"}`, Fails: errs.Invalid},
			{Op: engine.Read, Path: "oidc/callback"},
			{Op: engine.Update, Path: "oidc/callback"},
			{Op: engine.Update, Path: "oidc/callback", Body: `{"state":"` + enginetest.Canary + `","code":"c"}`, Fails: errs.Invalid},
			{Op: engine.Delete, Path: "role/job"},
		},
	})
}

func TestLogin(t *testing.T) {
	w := newWorld(t, nil, map[string]any{"claim_mappings": map[string]string{"/project/name": "project", "absent": "x"}, "groups_claim": "groups", "token_ttl": 60})
	a, err := w.login(w.p.sign(map[string]any{"project": map[string]any{"name": "keep"}}))
	if err != nil {
		t.Fatal(err)
	}
	meta := map[string]string{"role": "job", "project": "keep"}
	want := &engine.Auth{DisplayName: "job-1", Alias: "job-1", AliasMeta: meta, Metadata: meta, Groups: []string{"ops", "dev"}, Renewable: true, Orphan: true,
		Params: engine.TokenParams{TTL: time.Minute, Policies: []string{"app"}}}
	if !reflect.DeepEqual(a, want) {
		t.Errorf("%+v", a)
	}
}

// Tokens as they really come, with the claims one binds them by.
func TestWorkloadsOfTheWild(t *testing.T) {
	for name, c := range map[string]struct {
		claims map[string]any
		role   map[string]any
		alias  string
	}{
		"GitHub Actions": {
			map[string]any{"sub": "repo:octo-org/octo-repo:ref:refs/heads/main", "aud": "https://github.com/octo-org", "repository": "octo-org/octo-repo", "ref": "refs/heads/main", "run_id": "1234", "environment": "prod", "job_workflow_ref": "octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main"},
			map[string]any{"bound_audiences": "https://github.com/octo-org", "bound_claims_type": "glob", "bound_claims": map[string]any{"sub": "repo:octo-org/*:ref:refs/heads/main", "job_workflow_ref": "octo-org/*/.github/workflows/deploy.yml@*"}, "user_claim": "repository"},
			"octo-org/octo-repo",
		},
		"GitLab CI": {
			map[string]any{"sub": "project_path:group/app:ref_type:branch:ref:main", "project_id": "42", "ref_protected": "true", "user_login": "ann", "aud": "vault"},
			map[string]any{"bound_claims": map[string]any{"project_id": 42, "ref_protected": true}, "user_claim": "project_id"},
			"42",
		},
		"SPIFFE": {
			map[string]any{"sub": "spiffe://example.org/ns/default/sa/my-app", "aud": []string{"vault"}},
			map[string]any{"bound_subject": "spiffe://example.org/ns/default/sa/my-app"},
			"spiffe://example.org/ns/default/sa/my-app",
		},
		"Kubernetes": {
			map[string]any{"sub": "system:serviceaccount:default:my-app", "aud": []string{"vault"}, "kubernetes.io": map[string]any{"namespace": "default", "serviceaccount": map[string]any{"name": "my-app", "uid": "u-1"}}},
			map[string]any{"bound_claims": map[string]any{"/kubernetes.io/namespace": "default"}, "user_claim": "/kubernetes.io/serviceaccount/uid", "user_claim_json_pointer": true},
			"u-1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil, c.role)
			a, err := w.login(w.p.sign(c.claims))
			if err != nil || a.Alias != c.alias {
				t.Errorf("%+v, %v", a, err)
			}
			if a, err := w.login(w.p.sign(nil)); err == nil {
				t.Errorf("somebody else: %+v", a)
			}
		})
	}
}

// Keys of a SPIFFE bundle say use jwt-svid, or nothing; those for encryption sign no login.
func TestUseOfKeys(t *testing.T) {
	for use, ok := range map[string]bool{"": true, "sig": true, "jwt-svid": true, "enc": false, "x509-svid": false} {
		w := newWorld(t, nil, nil)
		w.Advance(fetchPause)
		w.p.addKey("new", use)
		if _, err := w.login(w.p.sign(nil)); ok != (err == nil) {
			t.Errorf("use %q: %v", use, err)
		}
	}
}

func TestStaticKeys(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	p := newProvider(t)
	other := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
	w := newWorld(t, map[string]any{"jwt_validation_pubkeys": []string{other, text}, "bound_issuer": "me"}, nil)
	sign := func(issuer string) string {
		return signWith(t, jose.SigningKey{Algorithm: jose.ES256, Key: key}, map[string]any{"iss": issuer, "sub": "job-1", "aud": "vault", "exp": begin.Add(time.Hour).Unix()})
	}
	if _, err := w.login(sign("me")); err != nil {
		t.Error(err)
	}
	if _, err := w.login(sign("you")); !errs.Is(err, errs.Denied) {
		t.Error(err)
	}
}

func TestKeyRotation(t *testing.T) {
	w := newWorld(t, nil, nil)
	old := w.p.sign(nil)
	if _, err := w.login(old); err != nil {
		t.Fatal(err)
	}
	w.p.addKey("k2", "sig")
	// Unknown keys are asked for, yet not at a stranger's will.
	before := w.p.fetches
	for range 20 {
		_, _ = w.login(newProvider(t).sign(map[string]any{"iss": w.p.URL}))
	}
	if asked := w.p.fetches - before; asked > 1 {
		t.Errorf("20 tokens with unknown keys asked the issuer %d times", asked)
	}
	w.Advance(fetchPause)
	if _, err := w.login(w.p.sign(nil)); err != nil {
		t.Errorf("with the new key: %v", err)
	}
	if _, err := w.login(old); err != nil {
		t.Errorf("with the old key: %v", err)
	}
}

// While the issuer is down, the keys it had are believed.
func TestIssuerDown(t *testing.T) {
	w := newWorld(t, nil, nil)
	good := w.p.sign(nil)
	if _, err := w.login(good); err != nil {
		t.Fatal(err)
	}
	w.p.mu.Lock()
	w.p.down = true
	w.p.mu.Unlock()
	w.Advance(keysFresh + time.Minute)
	late := w.p.sign(map[string]any{"exp": begin.Add(3 * time.Hour).Unix()})
	if _, err := w.login(late); err != nil {
		t.Errorf("with a known key: %v", err)
	}
	if _, err := w.Do(engine.Update, "config", object(map[string]any{"jwks_url": w.p.URL + "/keys", "jwks_ca_pem": w.p.ca()})); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "status 502") {
		t.Errorf("a config whose issuer is down: %v", err)
	}
}

// "A JWKS endpoint that hangs": the login fails soon and says why; those who come
// meanwhile do not pile up behind it.
func TestJWKSThatHangs(t *testing.T) {
	w := newWorld(t, nil, nil)
	w.p.mu.Lock()
	w.p.hang = make(chan struct{})
	close(w.p.hang) // answers at once, with nothing
	w.p.mu.Unlock()
	w.engine.issuer = nil
	jwt := w.p.sign(nil)
	for range 3 {
		if _, err := w.login(jwt); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "issuer") {
			t.Errorf("%v", err)
		}
	}
	w.p.mu.Lock()
	w.p.hang = nil
	w.p.mu.Unlock()
	w.Advance(fetchPause)
	if _, err := w.login(jwt); err != nil {
		t.Errorf("when it answers again: %v", err)
	}
}

func FuzzClaims(f *testing.F) {
	f.Add(`{"sub":"a","exp":1e300,"groups":["a",1,null]}`, "/groups/0", "a*")
	f.Add(`{"exp":-1,"nbf":"x","a":{"b":[{}]}}`, "/a/b/0/~1", "")
	f.Add(`[1]`, "", "*")
	f.Fuzz(func(t *testing.T, payload, name, glob string) {
		c, err := parseClaims([]byte(payload))
		if err != nil {
			return
		}
		r := role{Name: "r", UserClaim: name, Pointer: true, Claims: map[string][]string{name: {glob}}, Globs: true, Groups: name}
		if err := c.checkTimes(begin, &r); err != nil && !errs.Is(err, errs.Denied) {
			t.Error(err)
		}
		if err := r.checkAudience(c); err != nil && !errs.Is(err, errs.Denied) {
			t.Error(err)
		}
		if a, err := r.admit(c); err == nil && a.Alias == "" {
			t.Error("admitted nobody")
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add("https://issuer.example.org", "", "RS256")
	f.Add("", "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----", "none")
	f.Fuzz(func(t *testing.T, discovery, keys, algorithm string) {
		c := config{Discovery: discovery, PublicKeys: pems([]string{keys}), Algorithms: []string{algorithm}}
		if err := c.check(); err != nil && !errs.Is(err, errs.Invalid) {
			t.Error(err)
		}
	})
}
