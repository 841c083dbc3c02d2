package operator

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/operatortest/permits"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// A restarted operator writes nothing and asks the store for nothing but what a
// subscription makes it check; and it repairs what was done meanwhile.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.vault.NoEvents = true
	stop := w.start(nil)
	// A template that draws random numbers must not change by itself either.
	w.apply(es("kept", oneKey) + es("random", oneKey+"\n  target: {template: {data: {k: '{{.k}}', r: '{{randAlphaNum 8}}'}}}") + es("spoilt", oneKey))
	for _, name := range []string{"kept", "random", "spoilt"} {
		w.es(name, v1.ReasonSecretSynced, "")
	}
	w.until("rechecks are over", func() bool { return strings.Count(w.log.String(), "msg=refreshed") >= 3 })
	w.storeReady("vault", v1.ReasonStoreValid, "")
	stop()
	versions := func() string {
		return w.kubectl("get", "secret/kept", "secret/random", "es/kept", "es/random", "ss/vault", "-o", "jsonpath={.items[*].metadata.resourceVersion}")
	}
	before, reads := versions(), w.vault.Count("secret/data/app")
	w.kubectl("patch", "secret", "spoilt", "--type=merge", "-p", `{"data":{"k":"eA=="}}`)

	rec := permits.New()
	w.start(func(c *Config) { c.REST = rec.Wrap(testREST) })
	w.secret("spoilt", map[string]string{"k": canary + "1"})
	w.until("every Secret was looked at", func() bool { return rec.Count("get /secrets") >= 4 })
	if after := versions(); after != before {
		t.Errorf("a restart changed objects: %s, then %s", before, after)
	}
	if n := w.vault.Count("secret/data/app") - reads; n > 2 {
		t.Errorf("%d reads of the store after a restart, want those of the one repair", n)
	}
}

func TestRenamedTarget(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	w.apply(es("renamed", oneKey+"\n  target: {name: first}"))
	w.secret("first", map[string]string{"k": canary + "1"})
	w.es("renamed", v1.ReasonSecretSynced, "")
	w.apply(es("renamed", oneKey+"\n  target: {name: second}"))
	w.secret("second", map[string]string{"k": canary + "1"})
	w.until("the first is deleted", func() bool { return w.kubectl("get", "secret", "first", "--ignore-not-found") == "" })
}

func TestImmutableTarget(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	w.apply(es("fixed", oneKey+"\n  target: {immutable: true}"))
	if s := w.secret("fixed", map[string]string{"k": canary + "1"}); s.Immutable == nil || !*s.Immutable {
		t.Error("the Secret is not immutable")
	}
	w.es("fixed", v1.ReasonSecretSynced, "")
	w.vault.Put("app", `{"k":"second"}`)
	w.kubectl("annotate", "es", "fixed", "now=1")
	w.es("fixed", v1.ReasonSecretSyncedError, "target is immutable")
	w.kubectl("delete", "secret", "fixed")
	w.secret("fixed", map[string]string{"k": "second"})
}

func TestTemplateMetadata(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	w.apply(es("meta", oneKey+`
  target:
    template:
      type: kubernetes.io/basic-auth
      mergePolicy: Merge
      metadata: {labels: {team: '{{ "A" | lower }}'}, annotations: {len: '{{ len .k }}'}}
      data: {username: app, password: '{{ .k }}'}
      templateFrom:
      - {literal: "from: {{ .k | upper | quote }}"}
      - {literal: "x/y: 7", target: Annotations}`))
	s := w.secret("meta", map[string]string{"k": canary + "1", "username": "app", "password": canary + "1", "from": strings.ToUpper(canary + "1")})
	if s.Type != corev1.SecretTypeBasicAuth || s.Labels["team"] != "a" || s.Annotations["x/y"] != "7" || s.Annotations["len"] != "12" {
		t.Errorf("type %s, labels %v, annotations %v", s.Type, s.Labels, s.Annotations)
	}
}

// A store of another class is somebody else's, and so is what reads from it.
func TestClass(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.apply(strings.Replace(store, "spec:\n", "spec:\n  controller: somebody-else\n", 1))
	w.apply(strings.ReplaceAll(strings.Replace(store, "spec:\n", "spec:\n  controller: default\n", 1), "{name: vault}", "{name: ours}"))
	w.start(nil)
	w.apply(es("theirs", oneKey) + strings.Replace(es("ours", oneKey), "{name: vault}", "{name: ours}", 1))
	w.es("ours", v1.ReasonSecretSynced, "")
	if out := w.kubectl("get", "es/theirs", "ss/vault", "-o", "jsonpath={.items[*].status}"); strings.Trim(out, " {}") != "" {
		t.Errorf("objects of another class have a status: %s", out)
	}
}

func TestMetricsAndHealth(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	w.apply(es("fine", oneKey) + es("bad", "  data: [{secretKey: k, remoteRef: {key: nope}}]"))
	w.es("fine", v1.ReasonSecretSynced, "")
	w.es("bad", v1.ReasonSecretSyncedError, "")
	get := func(url string) string {
		t.Helper()
		answer, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %v", url, answer.Status, err)
		}
		return string(body)
	}
	get("http://" + w.at.Health + "/healthz")
	get("http://" + w.at.Health + "/readyz")
	w.until("subscribed", func() bool { return w.vault.Subscribers() == 1 })
	wants := []string{
		`externalsecret_sync_calls_total{name="fine",namespace="` + w.ns + `"}`,
		`externalsecret_sync_calls_error{name="bad",namespace="` + w.ns + `"}`,
		`externalsecret_status_condition{condition="Ready",name="fine",namespace="` + w.ns + `",status="True"} 1`,
		`externalsecret_status_condition{condition="Ready",name="bad",namespace="` + w.ns + `",status="False"} 1`,
		`externalsecret_provider_api_calls_count{call="Read",provider="vault",status="success"}`,
		`secretstore_status_condition{condition="Ready",name="vault",namespace="` + w.ns + `",status="True"} 1`,
		`secretstore_reconcile_duration{name="vault",namespace="` + w.ns + `"}`,
		`externalsecret_reconcile_duration{name="fine",namespace="` + w.ns + `"}`,
		`strongkeep_externalsecret_data_age_seconds{name="fine"`,
		`strongkeep_externalsecret_sync_seconds_bucket{result="NotFound"`,
		`strongkeep_store_changes_connected{by="store",kind="SecretStore",name="vault",namespace="` + w.ns + `"}`,
		`controller_runtime_reconcile_total`,
	}
	text := ""
	for _, want := range wants { // what is done is counted when it is done: behind the status
		w.until("/metrics has "+want, func() bool {
			text = get("http://" + w.at.Metrics + "/metrics")
			return strings.Contains(text, want)
		})
	}
	if strings.Contains(text, canary) {
		t.Error("a secret value is in /metrics")
	}
	w.kubectl("delete", "es", "fine")
	w.until("its series are gone", func() bool { return !strings.Contains(get("http://"+w.at.Metrics+"/metrics"), `name="fine"`) })
}

// Of two operators one works; when it ends, the other takes over.
func TestTwoOperators(t *testing.T) {
	w := newWorld(t)
	ready(w)
	first := w.start(func(c *Config) { c.LeaderElection = true })
	w.apply(es("one", oneKey))
	w.es("one", v1.ReasonSecretSynced, "")
	w.start(func(c *Config) { c.LeaderElection = true })
	first()
	w.apply(es("two", oneKey))
	w.es("two", v1.ReasonSecretSynced, "")
}

// An object that an older operator's finalizer holds can be deleted.
func TestForeignFinalizer(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	w.apply(es("old", oneKey))
	w.es("old", v1.ReasonSecretSynced, "")
	w.kubectl("patch", "es", "old", "--type=merge", "-p", `{"metadata":{"finalizers":["externalsecrets.external-secrets.io/externalsecret-cleanup"]}}`)
	began := time.Now()
	w.kubectl("delete", "es", "old", "--timeout=90s")
	t.Logf("deleted after %v", time.Since(began))
}

// A Secret that the External Secrets Operator made is taken over without being
// recreated, and keys it alone had wrote go.
func TestTakeOver(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.apply(es("moved", oneKey))
	object := &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "moved"}}
	await(w, object, "the object", func(*v1.ExternalSecret) bool { return true })
	yes := true
	made := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.ns, Name: "moved",
			Labels:      map[string]string{"reconcile.external-secrets.io/managed": "true", "reconcile.external-secrets.io/created-by": target.CreatedBy(w.ns, "moved")},
			Annotations: map[string]string{"reconcile.external-secrets.io/data-hash": strings.Repeat("0", 56)},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "external-secrets.io/v1", Kind: "ExternalSecret", Name: "moved", UID: object.UID, Controller: &yes, BlockOwnerDeletion: &yes,
			}},
		},
		Data: map[string][]byte{"k": []byte("old"), "former": []byte("x")},
	}
	if err := testClient.Create(t.Context(), made, client.FieldOwner("externalsecrets.external-secrets.io/moved")); err != nil {
		t.Fatal(err)
	}
	w.start(nil)
	s := w.secret("moved", map[string]string{"k": canary + "1"})
	if s.UID != made.UID {
		t.Error("the Secret was made anew")
	}
	w.apply(es("moved", "  data: [{secretKey: other, remoteRef: {key: app, property: k}}]"))
	w.secret("moved", map[string]string{"other": canary + "1"})
}
