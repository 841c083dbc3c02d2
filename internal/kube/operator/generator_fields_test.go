package operator

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/generator/github"
	"github.com/strongkeep/strongkeep/internal/kube/generator/webhook"
)

// facts/external-secrets.md §1.8: the fields of what is drawn here, and the kinds that
// a ClusterGenerator can hold.
func TestGeneratorFields(t *testing.T) {
	w := newWorld(t)
	object := func(kind, name, spec string) string {
		return "apiVersion: generators.external-secrets.io/v1alpha1\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec: " + spec + "\n---\n"
	}
	whole := w.ns + "-whole"
	w.Cleanup(func() { w.remove(&generators.ClusterGenerator{ObjectMeta: metav1.ObjectMeta{Name: whole}}) })
	w.start(nil)
	w.apply(object("Password", "digits", "{length: 12, digits: 12, symbols: 0, allowRepeat: true, noUpper: true, secretKeys: [one, two]}") +
		object("Password", "hex", "{length: 8, digits: 0, symbols: 8, symbolCharacters: '#!', allowRepeat: true, encoding: hex}") +
		object("SSHKey", "ecdsa", "{keyType: ecdsa, keySize: 384, comment: a@b}") +
		object("SSHKey", "rsa", "{keyType: rsa, keySize: 2048}") +
		object("Fake", "said", "{data: {user: nobody}}") +
		object("ClusterGenerator", whole, "{kind: Password, generator: {passwordSpec: {length: 7, digits: 7, symbols: 0, allowRepeat: true}}}") +
		generatorES("digits", "", "Password, name: digits") + generatorES("hex", "", "Password, name: hex") + generatorES("ecdsa", "", "SSHKey, name: ecdsa") +
		generatorES("rsa", "", "SSHKey, name: rsa") + generatorES("said", "", "Fake, name: said") + generatorES("whole", "", "ClusterGenerator, name: "+whole))
	only := func(characters string, length int, s *corev1.Secret, key string) {
		t.Helper()
		if v := string(s.Data[key]); len(v) != length || strings.Trim(v, characters) != "" {
			t.Errorf("%s %s is not %d of %s", s.Name, key, length, characters)
		}
	}
	s := w.generated("digits", 2, nil)
	only("0123456789", 12, s, "one")
	only("0123456789", 12, s, "two")
	only("0123456789", 7, w.generated("whole", 1, nil), "password")
	raw, err := hex.DecodeString(string(w.generated("hex", 1, nil).Data["password"]))
	if err != nil || len(raw) != 8 || strings.Trim(string(raw), "#!") != "" {
		t.Errorf("it is not 8 of #! in hex: %v", err)
	}
	if public := string(w.generated("ecdsa", 2, nil).Data["publicKey"]); !strings.HasPrefix(public, "ecdsa-sha2-nistp384 ") || !strings.HasSuffix(strings.TrimSpace(public), " a@b") {
		t.Errorf("the key is %.20s", public)
	}
	if public := string(w.generated("rsa", 2, nil).Data["publicKey"]); !strings.HasPrefix(public, "ssh-rsa ") {
		t.Errorf("the key is %.20s", public)
	}
	w.secret("said", map[string]string{"user": "nobody"})
}

// The examples that ask somebody else, with somebody there: an endpoint of one's own,
// and the API of GitHub.
func TestGeneratorsThatAskOthers(t *testing.T) {
	w := newWorld(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.URL.Path == "/credentials" && r.URL.Query().Get("for") == "app" && r.Header.Get("Authorization") == "Bearer your-token" && string(body) == `{"app":"shop"}`:
			_ = json.NewEncoder(rw).Encode(map[string]any{"result": map[string]string{"user": "shop", "password": canary}})
		case r.URL.Path == "/api/app/installations/12345678/access_tokens" && strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ey") && strings.Contains(string(body), `"shop"`):
			rw.WriteHeader(http.StatusCreated)
			_ = json.NewEncoder(rw).Encode(map[string]string{"token": "ghs_" + canary, "expires_at": "2099-01-01T00:00:00Z"})
		default:
			http.Error(rw, canary, http.StatusForbidden)
		}
	}))
	t.Cleanup(server.Close)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	w.start(func(c *Config) {
		c.Generators[generators.KindWebhook] = webhook.Kind{Loopback: true}
		c.Generators[generators.KindGithubAccessToken] = github.Kind{Loopback: true, CABundle: ca}
	})
	for file, changes := range map[string][]string{
		"webhook.yaml": {"https://maker.example.com", server.URL, "  method: POST", "  method: POST\n  caBundle: " + base64.StdEncoding.EncodeToString([]byte(ca))},
		"github.yaml":  {"spec:\n  appID:", "spec:\n  url: " + server.URL + "/api\n  appID:"},
	} {
		text, err := os.ReadFile("../../../examples/generators/" + file)
		if err != nil {
			t.Fatal(err)
		}
		w.apply(strings.NewReplacer(changes...).Replace(string(text)))
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := testClient.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "github-app"}, Data: map[string][]byte{"key": private}}); err != nil {
		t.Fatal(err)
	}
	w.secret("made-elsewhere", map[string]string{"user": "shop", "password": canary})
	w.generated("github-token", 1, func(s *corev1.Secret) bool { return string(s.Data["token"]) == "ghs_"+canary })
}
