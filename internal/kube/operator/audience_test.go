package operator

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// A token that is asked for with audiences is good for these alone, and not at the API
// server; one without is, which is what an operator with RequireAudiences does not ask for.
func TestTokensAreBoundToAudiences(t *testing.T) {
	w := newWorld(t)
	if err := authenticationv1.AddToScheme(testClient.Scheme()); err != nil {
		t.Fatal(err)
	}
	store := &v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "s"}}
	ref, err := provider.ScopeOf(store).Ref("auth", nil, "default")
	if err != nil {
		t.Fatal(err)
	}
	w.until("the namespace has its ServiceAccount", func() bool {
		return w.kubectl("get", "serviceaccount", "default", "--ignore-not-found") != ""
	})
	review := func(audiences ...string) (accepted bool, aud []string) {
		t.Helper()
		token, err := kube{live: testClient, client: testClient}.ServiceAccountToken(t.Context(), ref, audiences)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token.RevealString(), ".")[1])
		var claims struct {
			Audience []string `json:"aud"`
			Expires  int64    `json:"exp"`
			Issued   int64    `json:"iat"`
		}
		if err != nil || json.Unmarshal(raw, &claims) != nil || claims.Expires-claims.Issued != tokenSeconds {
			t.Fatalf("claims that are not as asked for: %v", err)
		}
		r := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token.RevealString()}}
		if err := testClient.Create(t.Context(), r, &client.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		return r.Status.Authenticated, claims.Audience
	}
	if accepted, aud := review("vault"); accepted || !slices.Equal(aud, []string{"vault"}) {
		t.Errorf("asked for vault: for %v, accepted by the API server: %v", aud, accepted)
	}
	if accepted, _ := review(); !accepted {
		t.Error("one without audiences is not accepted, so that this test shows nothing")
	}
	for name, c := range map[string]struct {
		audiences []string
		good      bool
	}{"none": {nil, false}, "one": {[]string{"vault"}, true}} {
		token, err := kube{live: testClient, client: testClient, bound: true}.ServiceAccountToken(t.Context(), ref, c.audiences)
		if c.good != (err == nil) || c.good == token.Empty() || !c.good && !errs.Is(err, errs.Denied) {
			t.Errorf("%s, with RequireAudiences: %v", name, err)
		}
	}
}

// With RequireAudiences a store without them says what to add, and one with them works.
func TestRequireAudiences(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(func(c *Config) { c.RequireAudiences = true })
	for name, audiences := range map[string]string{"loose": "", "bound": ", audiences: [vault]"} {
		w.apply("apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: " + name + "}\nspec:\n  provider:\n    vault:\n      server: VAULT\n      path: secret\n" +
			"      auth: {kubernetes: {role: app, serviceAccountRef: {name: default" + audiences + "}}}\n")
		w.apply(strings.Replace(es(name, oneKey), "{name: vault}", "{name: "+name+"}", 1))
	}
	w.secret("bound", map[string]string{"k": canary + "1"})
	w.es("loose", v1.ReasonSecretSyncedError, "without audiences")
	if got := w.kubectl("get", "secret", "loose", "--ignore-not-found"); got != "" {
		t.Errorf("there is %s", got)
	}
}
