package operator

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
)

// fakeStore is a SecretStore whose values stand in it.
func fakeStore(name, data string) string {
	return "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: " + name + "}\nspec: {provider: {fake: {data: [" + data + "]}}}\n---\n"
}

// of has an ExternalSecret of es read another store.
func of(store, text string) string {
	return strings.Replace(text, "{name: vault}", "{name: "+store+"}", 1)
}

// goesOn has the vault's value changed, and waits until an ExternalSecret follows.
func (w *world) goesOn(name, value string) {
	w.Helper()
	w.vault.Put("app", `{"k":"`+value+`"}`)
	w.secret(name, map[string]string{"k": value})
}

// Bad input that many a manifest has: each is a condition that says what to do, makes
// no Secret, and holds up no other object. (docs/external-secrets-api.md, Bad input)
func TestBadInput(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.vault.Put("big", `{"k":"`+strings.Repeat("x", 2<<20)+`"}`)
	w.start(nil)
	w.apply(es("good", oneKey))
	w.secret("good", map[string]string{"k": canary + "1"})
	w.until("subscribed", func() bool { return w.vault.Subscribers() == 1 })
	w.apply("apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: elsewhere}\nspec: {provider: {doppler: {auth: {}}}}\n")
	w.storeReady("elsewhere", v1.ReasonInvalidProvider, "spec.provider.doppler: this operator has no such provider: use one of aws, azurekv, fake,")
	for name, c := range map[string]struct{ text, want string }{
		"store-of-other-kind": {of(w.ns+"-x, kind: ClusterSecretStore", es("store-of-other-kind", oneKey)), `ClusterSecretStore "` + w.ns + `-x" does not exist: create it`},
		"no-such-provider":    {of("elsewhere", es("no-such-provider", oneKey)), "this operator has no such provider: use one of "},
		"two-megabytes":       {es("two-megabytes", strings.Replace(oneKey, "key: app", "key: big", 1)), "the values are 2097152 bytes together: a Secret holds at most 1048576"},
		"ten-megabytes":       {es("ten-megabytes", oneKey+"\n  target: {template: {data: {x: '{{ range until 1000 }}{{ repeat 10500 \"x\" }}{{ end }}'}}}"), "writes more than fits into a Secret"},
		"ten-megabytes-label": {es("ten-megabytes-label", oneKey+"\n  target: {template: {metadata: {labels: {x: '{{ range until 1000 }}{{ repeat 10500 \"x\" }}{{ end }}'}}}}"), "writes more than fits into a Secret"},
		"backtracking":        {es("backtracking", "  dataFrom: [{find: {name: {regexp: '^(x+x+)+y(a|aa)+$'}}}]"), "the store has no secret that matches"},
		"backtracking-keys":   {es("backtracking-keys", "  dataFrom: [{extract: {key: app}, rewrite: [{regexp: {source: '(a*)*b(?=c)', target: x}}]}]"), "rewrite[0].regexp.source"},
	} {
		w.apply(c.text)
		w.es(name, v1.ReasonSecretSyncedError, c.want)
		if out := w.kubectl("get", "secret", name, "--ignore-not-found", "-o", "name"); out != "" {
			t.Errorf("%s: a Secret was made", name)
		}
	}
	w.goesOn("good", "after all of it")
}

// A store that answers 200 with something else than its API's answers is not believed:
// the Secret stays, the condition says where the answer came from, and objects of
// other stores go on. Once it answers properly, so do its own.
func TestGarbageWith200(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	w.apply(fakeStore("other", "{key: app, value: '"+canary+"'}") + es("kept", oneKey+"\n  target: {deletionPolicy: Delete}"))
	was := map[string]string{"k": canary + "1"}
	w.secret("kept", was)
	w.es("kept", v1.ReasonSecretSynced, "")
	tries := 0
	for _, garbage := range []string{`{"data":{}}`, "<html>Sign in</html>", `{"data":{"data":["` + canary + `"],"metadata":{"version":1}}}`, ""} {
		heal := w.vault.Garble(garbage)
		w.until(fmt.Sprintf("%q is said to be no answer", garbage), func() bool { // what was read half a second ago is shared
			tries++
			w.kubectl("annotate", "es", "kept", "--overwrite", fmt.Sprint("try=", tries))
			return w.kubectl("get", "es", "kept", "-o", "jsonpath={.status.conditions[0].status}") == "False"
		})
		w.secret("kept", was)
		name := fmt.Sprint("beside-", tries)
		w.apply(of("other", es(name, "  data: [{secretKey: k, remoteRef: {key: app}}]")))
		w.es(name, v1.ReasonSecretSynced, "")
		heal()
		w.until("it is believed again", func() bool {
			tries++
			w.kubectl("annotate", "es", "kept", "--overwrite", fmt.Sprint("try=", tries))
			return w.kubectl("get", "es", "kept", "-o", "jsonpath={.status.conditions[0].status}") == "True"
		})
	}
}

// hold makes a pod that stays when it is deleted: Kubernetes empties a namespace of
// pods first, so that all else in it stays too, until release is called.
func (w *world) hold(ns string) (release func()) {
	w.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "hold", Finalizers: []string{"strongkeep.io/test"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "none.example/none"}}},
	}
	w.until("there is a ServiceAccount for a pod", func() bool { return testClient.Create(w.Context(), pod) == nil })
	release = sync.OnceFunc(func() {
		none := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
		if err := testClient.Patch(contextOf(w), pod, none); client.IgnoreNotFound(err) != nil {
			w.Error(err)
		}
	})
	w.Cleanup(release)
	return release
}

// A namespace that is deleted amid a sync: nothing is made in it any more, the
// condition says why, other namespaces go on, and nothing of ours holds it.
func TestNamespaceDeletedAmidSync(t *testing.T) {
	w := newWorld(t)
	ready(w)
	leaving := w.another()
	release := w.hold(leaving)
	w.start(func(c *Config) { c.Namespaces = []string{w.ns, leaving} })
	if err := apiserver.Apply(t.Context(), testClient, leaving, fakeStore("fake", "{key: app, value: '"+canary+"'}")+
		of("fake", es("leaving", "  data: [{secretKey: k, remoteRef: {key: app}}]"))); err != nil {
		t.Fatal(err)
	}
	w.apply(es("staying", oneKey))
	w.secret("staying", map[string]string{"k": canary + "1"})
	w.until("subscribed", func() bool { return w.vault.Subscribers() == 1 })
	at := metav1.ObjectMeta{Namespace: leaving, Name: "leaving"}
	await(w, &corev1.Secret{ObjectMeta: at}, "its Secret", func(s *corev1.Secret) bool { return string(s.Data["k"]) == canary })

	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: leaving}}
	if err := testClient.Delete(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	if err := testClient.Delete(t.Context(), &corev1.Secret{ObjectMeta: at}); err != nil {
		t.Fatal(err)
	}
	await(w, &v1.ExternalSecret{ObjectMeta: at}, "the condition says why", func(es *v1.ExternalSecret) bool {
		c := v1.FindCondition(es.Status.Conditions, v1.ConditionReady)
		return c != nil && c.Reason == v1.ReasonSecretSyncedError && strings.Contains(c.Message, `namespace "`+leaving+`" is being deleted`)
	})
	w.goesOn("staying", "while the other leaves")
	release()
	w.absent(&corev1.Namespace{}, "", leaving)
	w.goesOn("staying", "when it has left")
}
