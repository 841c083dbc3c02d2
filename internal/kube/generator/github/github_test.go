package github_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator/generatortest"
	"github.com/strongkeep/strongkeep/internal/kube/generator/github"
)

// api stands in for GitHub's: it knows App 7 with installation 42.
type api struct {
	*httptest.Server
	key    *rsa.PrivateKey
	status int // to answer with; 0: as it should be
	made   int
	asked  map[string]any
}

func newAPI(t *testing.T) *api {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	a := &api{key: key}
	a.Server = httptest.NewTLSServer(a)
	t.Cleanup(a.Close)
	return a
}

// ServeHTTP implements http.Handler.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.status != 0 {
		w.WriteHeader(a.status)
		_, _ = w.Write([]byte(`{"message":"` + r.Header.Get("Authorization") + `"}`))
		return
	}
	token, err := jwt.ParseSigned(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), []jose.SignatureAlgorithm{jose.RS256})
	var claims jwt.Claims
	if err != nil || token.Claims(&a.key.PublicKey, &claims) != nil || claims.Issuer != "7" ||
		claims.ValidateWithLeeway(jwt.Expected{Time: time.Now()}, 0) != nil || claims.Expiry.Time().Sub(claims.IssuedAt.Time()) > 10*time.Minute {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.Method != http.MethodPost || r.URL.Path != "/api/v3/app/installations/42/access_tokens" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	a.asked = nil
	_ = json.NewDecoder(r.Body).Decode(&a.asked)
	a.made++
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"token": fmt.Sprintf("ghs_%d", a.made), "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)})
}

func (a *api) kind() github.Kind {
	return github.Kind{Loopback: true, CABundle: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw}))}
}

func (a *api) objects(t *testing.T) generatortest.Cluster {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, raw []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}))
	}
	return generatortest.Cluster{"Secret/app": {
		"key": block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(a.key)), "pkcs8": block("PRIVATE KEY", pkcs8), "none": "canary",
	}}
}

func (a *api) spec(rest string) string {
	return `{"url":"` + a.URL + `/api/v3","appID":"7","installID":"42","auth":{"privateKey":{"secretRef":{"name":"app","key":"key"}}}` + rest + `}`
}

func TestSuite(t *testing.T) {
	a := newAPI(t)
	generatortest.Run(t, generatortest.Subject{
		Kind: a.kind(), Spec: a.spec(""), Cluster: a.objects(t), Keys: []string{"token"}, Hidden: []string{"canary", "eyJ", "PRIVATE"},
		Break: func() func() { a.status = 502; return func() { a.status = 0 } },
	})
}

func TestRequest(t *testing.T) {
	a := newAPI(t)
	spec := strings.Replace(a.spec(`,"repositories":["shop"],"permissions":{"contents":"read"}`), `"key":"key"`, `"key":"pkcs8"`, 1)
	made, err := a.kind().Generate(t.Context(), generatortest.Config(a.objects(t), spec))
	if err != nil || made.Data["token"].RevealString() != "ghs_1" || time.Until(made.Expires) < 50*time.Minute {
		t.Errorf("%v, until %s", err, made.Expires)
	}
	if got := fmt.Sprint(a.asked); got != "map[permissions:map[contents:read] repositories:[shop]]" {
		t.Error(got)
	}
}

func TestRefusals(t *testing.T) {
	a := newAPI(t)
	for status, kind := range map[int]errs.Kind{401: errs.Unauthenticated, 403: errs.Denied, 404: errs.Invalid, 422: errs.Invalid, 500: errs.Unavailable, 200: errs.Invalid, 302: errs.Invalid} {
		a.status = status
		_, err := a.kind().Generate(t.Context(), generatortest.Config(a.objects(t), a.spec("")))
		if !errs.Is(err, kind) || strings.Contains(err.Error(), "eyJ") {
			t.Errorf("%d: %v (%v), want %v", status, err, errs.KindOf(err), kind)
		}
	}
	a.status = 0
	for from, to := range map[string]string{
		`"appID":"7"`: `"appID":"8"`, `"installID":"42"`: `"installID":"43"`, `"42"`: `"4/2"`, `"key":"key"`: `"key":"none"`, `/api/v3`: `/api/v3?x=y`,
		`"name":"app"`: `"name":"app","namespace":"other"`, `https:`: `http:`,
	} {
		spec := strings.Replace(a.spec(""), from, to, 1)
		if _, err := a.kind().Generate(t.Context(), generatortest.Config(a.objects(t), spec)); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", spec, err)
		}
	}
	if _, err := (github.Kind{}).Generate(t.Context(), generatortest.Config(a.objects(t), a.spec(""))); !errs.Is(err, errs.Denied) {
		t.Errorf("%v: loopback was reached", err)
	}
}
