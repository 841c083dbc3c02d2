package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

const reviewerJWT = "canary-reviewer"

// cluster answers TokenReviews as an API server does. The real one is asked in
// the tests of internal/vault/auth/kubernetes.
type cluster struct {
	*httptest.Server
	key *ecdsa.PrivateKey

	mu       sync.Mutex
	accounts map[string]string // "namespace:name" by token
	reviews  int
}

func newCluster(t testing.TB) *cluster {
	c := &cluster{key: must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), accounts: map[string]string{}}
	c.Server = httptest.NewTLSServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reviews++
	if r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" || r.Header.Get("Authorization") != "Bearer "+reviewerJWT {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	var review struct {
		Spec struct{ Token string } `json:"spec"`
	}
	_ = json.NewDecoder(r.Body).Decode(&review)
	account, ok := c.accounts[review.Spec.Token]
	status := map[string]any{"authenticated": ok}
	if ok {
		status["user"] = map[string]any{"username": "system:serviceaccount:" + account, "uid": "uid-" + account}
	} else {
		status["error"] = "invalid bearer token " + review.Spec.Token // some authenticators quote it
	}
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status})
}

// issue returns a token of a ServiceAccount that the cluster knows.
func (c *cluster) issue(t testing.TB, namespace, name string, expires time.Duration) string {
	t.Helper()
	jwt := c.sign(t, namespace, name, expires)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accounts[jwt] = namespace + ":" + name
	return jwt
}

func (c *cluster) sign(t testing.TB, namespace, name string, expires time.Duration) string {
	t.Helper()
	signer := must[jose.Signer](t)(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: c.key}, nil))
	payload := must[[]byte](t)(json.Marshal(map[string]any{
		"iss": "https://kubernetes.default.svc", "aud": []string{"vault"}, "exp": time.Now().Add(expires).Unix(), "jti": rand.Text(),
		"kubernetes.io": map[string]any{"namespace": namespace, "serviceaccount": map[string]any{"name": name, "uid": "uid-" + namespace + ":" + name}},
	}))
	jws := must[*jose.JSONWebSignature](t)(signer.Sign(payload))
	return must[string](t)(jws.CompactSerialize())
}

// kubernetesAuth enables the method for a cluster, with the role app.
func kubernetesAuth(t testing.TB, v *testenv.Vault, c *cluster) {
	t.Helper()
	check(t, v.Sys().EnableAuthWithOptions("kubernetes", &vault.EnableAuthOptions{Type: "kubernetes"}))
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw})
	write := func(path string, in map[string]any) {
		t.Helper()
		_, err := v.Logical().Write(path, in)
		check(t, err)
	}
	write("auth/kubernetes/config", map[string]any{"kubernetes_host": c.URL, "kubernetes_ca_cert": string(ca), "token_reviewer_jwt": reviewerJWT})
	check(t, v.Sys().PutPolicy("app", `path "secret/data/app/*" { capabilities = ["read"] }
		path "auth/token/create" { capabilities = ["update"] }`))
	write("auth/kubernetes/role/app", map[string]any{
		"bound_service_account_names": "web", "bound_service_account_namespaces": "prod,stage", "token_policies": "app", "token_ttl": "1h", "token_max_ttl": "2h",
	})
}

// §1.1 row 17, §2.6: a login through the whole stack, and what the token may do.
func TestKubernetesLogin(t *testing.T) {
	v, c := start(t), newCluster(t)
	kubernetesAuth(t, v, c)
	wantStatus(t, send(v, "PUT", "secret/data/app/config", `{"data":{"x":"1"}}`), 200)
	jwt := c.issue(t, "prod", "web", time.Hour)
	pod := v.NewClient("")
	s := must[*vault.Secret](t)(pod.Logical().Write("auth/kubernetes/login", map[string]any{"role": "app", "jwt": jwt}))
	a := s.Auth
	if a.LeaseDuration != 3600 || !a.Renewable || !a.Orphan || !slices.Equal(a.Policies, []string{"app", "default"}) {
		t.Errorf("auth %+v", a)
	}
	for name, want := range map[string]string{"role": "app", "service_account_name": "web", "service_account_namespace": "prod", "service_account_uid": "uid-prod:web"} {
		if a.Metadata[name] != want {
			t.Errorf("metadata %s is %q, want %q", name, a.Metadata[name], want)
		}
	}
	pod.SetToken(a.ClientToken)
	must[*vault.KVSecret](t)(pod.KVv2("secret").Get(t.Context(), "app/config"))
	_, err := pod.KVv2("secret").Put(t.Context(), "app/config", map[string]any{})
	wantFailure(t, err, 403, "permission denied")
	if renewed := must[*vault.Secret](t)(pod.Auth().Token().RenewSelf(7200)); renewed.Auth.LeaseDuration > 7200 {
		t.Errorf("renewed for %d, over the role's longest", renewed.Auth.LeaseDuration)
	}
	d := must[*vault.Secret](t)(pod.Auth().Token().LookupSelf()).Data
	if d["path"] != "auth/kubernetes/login" || d["display_name"] != "kubernetes-prod-web" {
		t.Errorf("lookup: %v", d)
	}
	// The type of token that the mount is tuned to.
	for tuned, prefix := range map[string]string{"batch": "hvb.", "default-batch": "hvb.", "service": "hvs.", "default-service": "hvs."} {
		check(t, v.Sys().TuneMount("auth/kubernetes", vault.MountConfigInput{TokenType: tuned}))
		s := must[*vault.Secret](t)(v.NewClient("").Logical().Write("auth/kubernetes/login", map[string]any{"role": "app", "jwt": jwt}))
		if !strings.HasPrefix(s.Auth.ClientToken, prefix) {
			t.Errorf("tuned to %s: another type of token", tuned)
		}
	}
}

// §2.6: every refusal is 403 with a reason, quotes no token, and makes none.
func TestKubernetesLoginRefused(t *testing.T) {
	v, c := start(t), newCluster(t)
	kubernetesAuth(t, v, c)
	before := accessors(t, v)
	good := c.issue(t, "prod", "web", time.Hour)
	for name, in := range map[string]struct {
		role, jwt string
		status    int
		text      string
	}{
		"another account":       {"app", c.issue(t, "prod", "other", time.Hour), 403, "service account name not authorized"},
		"another namespace":     {"app", c.issue(t, "dev", "web", time.Hour), 403, "namespace not authorized"},
		"expired":               {"app", c.issue(t, "prod", "web", -time.Hour), 403, "expired"},
		"unknown to the server": {"app", c.sign(t, "prod", "web", time.Hour), 403, "permission denied"},
		"no jwt at all":         {"app", "canary-jwt", 403, "permission denied"},
		"cut off":               {"app", good[:len(good)-10], 403, "permission denied"},
		"missing jwt":           {"app", "", 400, "missing jwt"},
		"missing role":          {"", good, 400, "missing role"},
		"unknown role":          {"none", good, 400, "invalid role name"},
	} {
		a := send(v, "POST", "auth/kubernetes/login", `{"role":`+quote(in.role)+`,"jwt":`+quote(in.jwt)+`}`, "X-Vault-Token", "")
		if a.Status != in.status || !strings.Contains(a.Body, in.text) {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		if in.jwt != "" && strings.Contains(a.Body, in.jwt) {
			t.Errorf("%s: the answer quotes the jwt", name)
		}
	}
	c.Close()
	a := send(v, "POST", "auth/kubernetes/login", `{"role":"app","jwt":`+quote(good)+`}`)
	if a.Status != 503 || !strings.Contains(a.Body, "cannot be reached") {
		t.Errorf("an API server that is gone: %d %s", a.Status, a.Body)
	}
	if after := accessors(t, v); after != before {
		t.Errorf("there were %d tokens and now are %d", before, after)
	}
}

func accessors(t testing.TB, v *testenv.Vault) int {
	t.Helper()
	s := must[*vault.Secret](t)(v.Logical().List("auth/token/accessors"))
	return len(s.Data["keys"].([]any))
}

// Disabling the method ends the tokens of its logins and what these created, at once.
func TestDisablingAMethodEndsItsTokens(t *testing.T) {
	v, c := start(t), newCluster(t)
	kubernetesAuth(t, v, c)
	login := must[*vault.Secret](t)(v.NewClient("").Logical().Write("auth/kubernetes/login",
		map[string]any{"role": "app", "jwt": c.issue(t, "prod", "web", time.Hour)})).Auth.ClientToken
	child := must[*vault.Secret](t)(v.NewClient(login).Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"default"}})).Auth.ClientToken
	// Moving it does not.
	check(t, v.Sys().Remount("auth/kubernetes", "auth/moved"))
	for _, token := range []string{login, child} {
		must[*vault.Secret](t)(v.NewClient(token).Auth().Token().LookupSelf())
	}
	check(t, v.Sys().DisableAuth("moved"))
	for _, token := range []string{login, child} {
		_, err := v.NewClient(token).Auth().Token().LookupSelf()
		wantFailure(t, err, 403, textBadToken)
	}
}
