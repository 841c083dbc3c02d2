package operator

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/webhookcall/ntlmtest"
)

// secretsAPI is an API of somebody's own, as in the examples.
type secretsAPI struct {
	*httptest.Server

	mu      sync.Mutex
	secrets map[string]string
	down    bool
}

func newSecretsAPI(t *testing.T) *secretsAPI {
	t.Helper()
	s := &secretsAPI{secrets: map[string]string{}}
	s.Server = httptest.NewTLSServer(s)
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	return s
}

func (s *secretsAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	name, found := strings.CutPrefix(r.URL.Path, "/v1/secrets/")
	have, there := s.secrets[name]
	switch {
	case s.down:
		http.Error(w, "down: "+canary, http.StatusBadGateway)
	case r.Header.Get("Authorization") != "Bearer "+canary+"-token", !found:
		http.Error(w, canary, http.StatusForbidden)
	case r.Method == http.MethodPost:
		s.secrets[name] = string(body)
	case r.Method == http.MethodDelete:
		delete(s.secrets, name)
	case !there:
		http.Error(w, "no "+canary, http.StatusNotFound)
	default:
		_ = json.NewEncoder(w).Encode(map[string]json.RawMessage{"data": json.RawMessage(have)})
	}
}

func (s *secretsAPI) change(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }

func (s *secretsAPI) get(name string) (text string) {
	s.change(func() { text = s.secrets[name] })
	return text
}

// at writes an example for this server.
func (s *secretsAPI) at(t *testing.T, name string, pairs ...string) string {
	t.Helper()
	return exampleAt(t, s.Server, name, pairs...)
}

func exampleAt(t *testing.T, s *httptest.Server, name string, pairs ...string) string {
	t.Helper()
	bundle := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	return example(t, name, append(pairs, "https://secrets.example.com", s.URL, "      headers:\n", "      caBundle: "+bundle+"\n      headers:\n")...)
}

// The examples of docs/stores/webhook.md: what an API of one's own answers, by 404 that
// there is nothing, and what is pushed there.
func TestWebhookExamples(t *testing.T) {
	w, s := newWorld(t), newSecretsAPI(t)
	w.start(nil)
	s.change(func() {
		s.secrets["shop-db"], s.secrets["shop-settings"] = `{"password":"`+canary+`","user":"app"}`, `{"mode":"fast","retries":3}`
	})
	w.apply(s.at(t, "webhook.yaml", "your-token", canary+"-token"))
	w.secret("shop-db", map[string]string{"password": canary})
	w.secret("shop-settings", map[string]string{"mode": "fast", "retries": "3"})
	w.storeReady("secrets-api", v1.ReasonStoreValid, "")
	in := func(text string) string { return strings.Replace(text, "{name: vault}", "{name: secrets-api}", 1) }
	w.apply(in(es("absent", "  data: [{secretKey: k, remoteRef: {key: absent}}]")))
	w.es("absent", v1.ReasonSecretSyncedError, `"absent"`)

	w.apply(s.at(t, "webhook-push.yaml", "example-token", canary+`"quoted"`))
	w.pushed("shop-token", v1alpha1.ReasonSynced, "")
	if got := s.get("shop-token"); got != `{"key": "token", "value": "`+canary+`\"quoted\""}` {
		t.Errorf("pushed: %s", got)
	}
	w.remove(&v1alpha1.PushSecret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "shop-token"}})
	w.until("it is taken away there", func() bool { return s.get("shop-token") == "" })

	s.change(func() { s.down = true })
	w.apply(in(es("away", "  data: [{secretKey: k, remoteRef: {key: shop-db}}]")))
	w.es("away", v1.ReasonSecretSyncedError, "the webhook answers 502")
}

// A store whose templates use the property is told each: one request for each of them.
func TestWebhookProperties(t *testing.T) {
	w, s := newWorld(t), newSecretsAPI(t)
	w.start(nil)
	s.change(func() { s.secrets["db/user"], s.secrets["db/password"] = `"app"`, `"`+canary+`"` })
	w.apply(strings.Replace(s.at(t, "webhook.yaml", "your-token", canary+"-token"), "{{ .remoteRef.key }}", "{{ .remoteRef.key }}/{{ .remoteRef.property }}", 1))
	w.apply(strings.Replace(es("both", "  data: [{secretKey: u, remoteRef: {key: db, property: user}}, {secretKey: p, remoteRef: {key: db, property: password}}]"), "{name: vault}", "{name: secrets-api}", 1))
	w.secret("both", map[string]string{"u": "app", "p": canary})
}

// A store whose server lets nobody in but by NTLM. A password that is not right any more
// is told, and one that is corrected takes effect.
func TestWebhookNTLMExample(t *testing.T) {
	w := newWorld(t)
	s := ntlmtest.New(t, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, `{"data":{"password":"`+canary+`"}}`)
	}))
	s.User(`SHOP\reader`, canary+"-login")
	w.start(nil)
	w.apply(exampleAt(t, s.Server, "webhook-ntlm.yaml", "your-password", canary+"-wrong"))
	w.es("shop-db", v1.ReasonSecretSyncedError, "check the user and the password")
	w.apply(exampleAt(t, s.Server, "webhook-ntlm.yaml", "your-password", canary+"-login"))
	w.secret("shop-db", map[string]string{"password": canary})
}
