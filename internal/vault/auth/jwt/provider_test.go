package jwt

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
)

var begin = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) // the harness's clock

const clientSecret = "canary-client-secret"

// provider is an OpenID provider, and any other issuer of JWTs.
type provider struct {
	*httptest.Server
	t testing.TB

	mu      sync.Mutex
	keys    []jose.JSONWebKey // private
	fetches int
	hang    chan struct{} // not nil: the keys are not answered before it is closed
	down    bool
	logins  map[string]login // by code
	info    map[string]any
}

// login is what a person did at the provider.
type login struct {
	challenge string
	claims    map[string]any
}

func newProvider(t testing.TB) *provider {
	p := &provider{t: t, logins: map[string]login{}}
	p.addKey("k1", "sig")
	p.Server = httptest.NewTLSServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) addKey(id, use string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = append([]jose.JSONWebKey{{Key: key, KeyID: id, Use: use, Algorithm: "ES256"}}, p.keys...)
}

func (p *provider) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
}

// sign makes a JWT with the newest key; the claims are those of a workload,
// with changes.
func (p *provider) sign(change map[string]any) string {
	claims := map[string]any{"iss": p.URL, "sub": "job-1", "aud": "vault", "exp": begin.Add(time.Hour).Unix(), "iat": begin.Unix(), "groups": []string{"ops", "dev"}}
	for k, v := range change {
		if v == nil {
			delete(claims, k)
			continue
		}
		claims[k] = v
	}
	p.mu.Lock()
	key := p.keys[0]
	p.mu.Unlock()
	return signWith(p.t, jose.SigningKey{Algorithm: jose.ES256, Key: key}, claims)
}

func signWith(t testing.TB, key jose.SigningKey, claims map[string]any) string {
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	hang, down := p.hang, p.down
	p.mu.Unlock()
	if down {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	var answer any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer = map[string]any{
			"issuer": p.URL, "jwks_uri": p.URL + "/keys", "authorization_endpoint": p.URL + "/auth",
			"token_endpoint": p.URL + "/token", "userinfo_endpoint": p.URL + "/userinfo",
		}
	case "/keys":
		if hang != nil {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
			return
		}
		answer = p.jwks()
	case "/token":
		answer = p.token(r)
	case "/userinfo":
		answer = p.info
	}
	if answer == nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		p.t.Error(err)
	}
}

func (p *provider) jwks() any {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fetches++
	set := map[string][]any{"keys": {map[string]any{"kty": "odd"}}}
	for _, k := range p.keys {
		set["keys"] = append(set["keys"], k.Public())
	}
	return set
}

// token sells a code once, to who knows the client's secret and the verifier.
func (p *provider) token(r *http.Request) any {
	if r.ParseForm() != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.logins[r.Form.Get("code")]
	delete(p.logins, r.Form.Get("code"))
	id, secret, _ := r.BasicAuth()
	sum := sha256.Sum256([]byte(r.Form.Get("code_verifier")))
	if !ok || id != "me" || secret != clientSecret || base64.RawURLEncoding.EncodeToString(sum[:]) != l.challenge {
		return nil
	}
	token := signWith(p.t, jose.SigningKey{Algorithm: jose.ES256, Key: p.keys[0]}, l.claims)
	return map[string]any{"access_token": "at", "token_type": "Bearer", "id_token": token}
}

// visit is a person's way through the provider: it returns code and state.
func (p *provider) visit(authURL string, change map[string]any) (code, state string) {
	u, err := url.Parse(authURL)
	if err != nil {
		p.t.Fatal(err)
	}
	q := u.Query()
	claims := map[string]any{"iss": p.URL, "aud": "me", "sub": "ann", "exp": begin.Add(time.Hour).Unix(), "iat": begin.Unix(), "nonce": q.Get("nonce"), "email": "ann@example.org"}
	for k, v := range change {
		claims[k] = v
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	code = "code-" + q.Get("nonce")
	p.logins[code] = login{q.Get("code_challenge"), claims}
	return code, q.Get("state")
}

// browser is the method with a person and its browser in front: a callback
// without a state comes from one that has just logged in at the provider.
type browser struct {
	*Engine
	p *provider
}

func (b *browser) Routes() []engine.Route {
	routes := b.Engine.Routes()
	for i := range routes {
		if routes[i].Pattern != "oidc/callback" {
			continue
		}
		visited := func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
			d := req.Decode()
			if d.String("state", "") != "" || d.Err() != nil {
				return b.callback(ctx, tx, req)
			}
			body, err := engine.ParseBody([]byte(`{"role":"people","redirect_uri":"http://localhost:8250/oidc/callback"}`))
			if err != nil {
				return nil, err
			}
			res, err := b.authURL(ctx, tx, &engine.Request{Body: body, Time: req.Time})
			if err != nil {
				return nil, err
			}
			var made struct {
				URL string `json:"auth_url"`
			}
			if err := json.Unmarshal(res.Data, &made); err != nil {
				return nil, err
			}
			code, state := b.p.visit(made.URL, nil)
			again := *req
			again.Body, err = engine.ParseBody([]byte(`{"state":"` + state + `","code":"` + code + `"}`))
			if err != nil {
				return nil, err
			}
			return b.callback(ctx, tx, &again)
		}
		routes[i].Handlers = handlers{engine.Read: visited, engine.Update: visited}
	}
	return routes
}

type world struct {
	*enginetest.Harness
	t      *testing.T
	p      *provider
	engine *Engine
}

func newWorld(t *testing.T, config, role map[string]any) *world {
	w := &world{t: t, p: newProvider(t)}
	w.Harness = enginetest.New(t, func(cfg engine.Config) (engine.Engine, error) {
		e, err := New(cfg)
		w.engine = e.(*Engine)
		return e, err
	})
	if config == nil {
		config = map[string]any{"oidc_discovery_url": w.p.URL, "oidc_discovery_ca_pem": w.p.ca()}
	}
	w.write("config", config)
	body := map[string]any{"role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault", "token_policies": "app"}
	for k, v := range role {
		body[k] = v
	}
	w.write("role/job", body)
	return w
}

func (w *world) write(path string, body map[string]any) {
	w.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.Do(engine.Update, path, string(raw)); err != nil {
		w.t.Fatalf("%s: %v", path, err)
	}
}

func (w *world) login(jwt string) (*engine.Auth, error) {
	res, err := w.Do(engine.Update, "login", `{"role":"job","jwt":"`+jwt+`"}`, func(r *engine.Request) { r.Caller = engine.Caller{} })
	if err != nil {
		return nil, err
	}
	return res.Auth, nil
}
