package kubernetes

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
)

const reviewer = "canary-reviewer-jwt"

// apiServer is a Kubernetes API server as far as logins see it.
type apiServer struct {
	*httptest.Server
	t   testing.TB
	key *ecdsa.PrivateKey

	mu        sync.Mutex
	now       func() time.Time
	accounts  map[string]identity // by token
	audiences map[string][]string // of a token; nil = the server's own
	labels    map[string]map[string]string
	bearers   []string
	remotes   map[string]bool                                   // by address of the connection
	answer    func(w http.ResponseWriter, r *http.Request) bool // true: answered
	status    func(*reviewStatus)                               // changes the answer
}

func newAPIServer(t testing.TB) *apiServer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &apiServer{t: t, key: key, accounts: map[string]identity{}, audiences: map[string][]string{}, labels: map[string]map[string]string{}, remotes: map[string]bool{}}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *apiServer) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.bearers = append(s.bearers, bearer)
	s.remotes[r.RemoteAddr] = true
	if s.answer != nil && s.answer(w, r) {
		return
	}
	if _, known := s.accounts[bearer]; !known && bearer != reviewer {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if name, ok := strings.CutPrefix(r.URL.Path, "/api/v1/namespaces/"); ok && r.Method == http.MethodGet {
		if err := json.NewEncoder(w).Encode(map[string]any{"kind": "Namespace", "metadata": map[string]any{"name": name, "labels": s.labels[name], "uid": "x"}}); err != nil {
			s.t.Error(err)
		}
		return
	}
	if r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" || r.Method != http.MethodPost {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	var review tokenReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Kind != "TokenReview" || review.APIVersion != "authentication.k8s.io/v1" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	review.Status = s.review(review.Spec)
	if s.status != nil {
		s.status(&review.Status)
	}
	w.WriteHeader(http.StatusCreated)
	if err := json.NewEncoder(w).Encode(review); err != nil {
		s.t.Error(err)
	}
}

func (s *apiServer) review(spec reviewSpec) (status reviewStatus) {
	id, ok := s.accounts[spec.Token]
	if !ok {
		status.Error = "[invalid bearer token, " + spec.Token + "]"
		return status
	}
	if len(spec.Audiences) > 0 {
		for _, a := range s.audiences[spec.Token] {
			if a == spec.Audiences[0] {
				status.Audiences = []string{a}
			}
		}
		if status.Audiences == nil {
			status.Error = "token audiences invalid"
			return status
		}
	}
	status.Authenticated = true
	status.User.Username = "system:serviceaccount:" + id.namespace + ":" + id.name
	status.User.UID = id.uid
	return status
}

// issue signs a token of id and makes it known.
func (s *apiServer) issue(id identity, change func(map[string]any)) string {
	claims := map[string]any{
		"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:" + id.namespace + ":" + id.name,
		"aud": []string{"vault", "https://kubernetes.default.svc"}, "exp": s.now().Add(time.Hour).Unix(), "nbf": s.now().Unix(),
		"kubernetes.io": map[string]any{
			"namespace": id.namespace, "serviceaccount": map[string]any{"name": id.name, "uid": id.uid}, "pod": map[string]any{"name": "p", "uid": "u"},
		},
	}
	if change != nil {
		change(claims)
	}
	token := s.sign(claims)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts[token] = id
	if a, ok := claims["aud"].([]string); ok {
		s.audiences[token] = a
	}
	return token
}

func (s *apiServer) sign(claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.key}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		s.t.Fatal(err)
	}
	jws, err := signer.Sign(raw)
	if err != nil {
		s.t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

func (s *apiServer) with(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

var app = identity{"default", "my-app", "uid-1"}

// world is a mounted method with a cluster behind it.
type world struct {
	*enginetest.Harness
	t   *testing.T
	api *apiServer
	dir string
}

func factoryIn(dir string) engine.Factory {
	return func(cfg engine.Config) (engine.Engine, error) {
		e, err := New(cfg)
		if err == nil {
			e.(*Engine).local.dir = dir
		}
		return e, err
	}
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, api: newAPIServer(t), dir: t.TempDir()}
	w.Harness = enginetest.New(t, factoryIn(w.dir))
	w.api.now = w.Now
	return w
}

func object(fields map[string]any) string {
	raw, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func (w *world) write(path string, fields map[string]any) *engine.Response {
	w.t.Helper()
	res, err := w.Do(engine.Update, path, object(fields))
	if err != nil {
		w.t.Fatalf("writing %s: %v", path, err)
	}
	return res
}

// configure writes config and a role; change may alter both.
func (w *world) configure(change func(config, role map[string]any)) {
	w.t.Helper()
	c := map[string]any{"kubernetes_host": w.api.URL, "kubernetes_ca_cert": w.api.ca(), "token_reviewer_jwt": reviewer}
	r := map[string]any{"bound_service_account_names": "my-app", "bound_service_account_namespaces": "default", "token_policies": "app", "token_ttl": "1h"}
	if change != nil {
		change(c, r)
	}
	w.write("config", c)
	w.write("role/my-app", r)
}

func (w *world) login(jwt string) (*engine.Auth, error) {
	w.t.Helper()
	res, err := w.Do(engine.Update, "login", object(map[string]any{"role": "my-app", "jwt": jwt}), func(r *engine.Request) { r.Caller = engine.Caller{} })
	if err != nil {
		if res != nil {
			w.t.Error("an error came with a response")
		}
		if strings.Contains(err.Error(), jwt) || strings.Contains(err.Error(), reviewer) {
			w.t.Errorf("the error shows a token: %v", err)
		}
		return nil, err
	}
	return res.Auth, nil
}
