package operator

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// facts/external-secrets.md §1.2: syncWindows.
func TestSyncWindows(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	closed := "\n  syncWindows: {kind: deny, windows: [{schedule: '* * * * *', duration: 24h}]}"
	w.apply(es("closed", oneKey+closed) + es("open", oneKey+"\n  syncWindows: {kind: allow, windows: [{schedule: '* * * * *', duration: 24h}]}"))
	first, second, third := map[string]string{"k": canary + "1"}, map[string]string{"k": "second"}, map[string]string{"k": "third"}
	w.secret("closed", first) // the first time, a window does not matter
	w.secret("open", first)
	w.es("closed", v1.ReasonSecretSynced, "")
	w.es("open", v1.ReasonSecretSynced, "")
	w.until("subscribed", func() bool { return w.vault.Subscribers() == 1 })
	w.vault.Put("app", `{"k":"second"}`)
	w.secret("open", second) // reported to both in the same moment
	w.secret("closed", first)
	// Whoever asks gets it, window or not.
	w.kubectl("annotate", "es", "closed", "force-sync=1")
	w.secret("closed", second)
	w.vault.Put("app", `{"k":"third"}`)
	w.secret("open", third)
	w.secret("closed", second)
	w.apply(es("closed", oneKey))
	w.secret("closed", third)
}

// facts/external-secrets.md §1.2: creationPolicy CreateOrMerge.
func TestCreateOrMerge(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.vault.Put("tls", `{"tls.crt":"`+canary+`c","tls.key":"`+canary+`k"}`)
	w.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: there, labels: {theirs: x}}\nstringData: {theirs: x}\n")
	w.start(nil)
	const policy = "creationPolicy: CreateOrMerge"
	w.apply(es("there", oneKey+"\n  target: {"+policy+"}") + es("new", oneKey+"\n  target: {"+policy+", deletionPolicy: Merge}") +
		es("second", "  data: [{secretKey: num, remoteRef: {key: app, property: num}}]\n  target: {name: new, "+policy+"}") +
		es("typed", "  dataFrom: [{extract: {key: tls}}]\n  target: {"+policy+", template: {type: kubernetes.io/tls}}") +
		es("other-type", oneKey+"\n  target: {name: there, "+policy+", template: {type: kubernetes.io/basic-auth}}") +
		es("absent", "  data: [{secretKey: k, remoteRef: {key: nope}}]\n  target: {"+policy+", deletionPolicy: Merge}"))
	w.secret("there", map[string]string{"theirs": "x", "k": canary + "1"})
	s := w.secret("new", map[string]string{"k": canary + "1", "num": "7"}) // whoever came first made it, the other merged
	if len(s.OwnerReferences) > 0 || s.Labels[target.LabelManaged] != "" || s.Labels[target.LabelCreatedBy] != "" {
		t.Errorf("a Secret that is shared has an owner: %v %v", s.OwnerReferences, s.Labels)
	}
	if s := w.secret("typed", map[string]string{"tls.crt": canary + "c", "tls.key": canary + "k"}); s.Type != "kubernetes.io/tls" {
		t.Errorf("it has type %s", s.Type)
	}
	w.es("other-type", v1.ReasonSecretSyncedError, "exists with another type than spec.target.template.type")
	w.es("absent", v1.ReasonSecretSynced, "")
	if out := w.kubectl("get", "secret", "absent", "--ignore-not-found", "-o", "name"); out != "" {
		t.Errorf("%s was made of nothing", out)
	}
	// What is deleted is made again; a key edited by hand is put right; others' keys stay.
	w.kubectl("delete", "secret", "new")
	w.secret("new", map[string]string{"k": canary + "1", "num": "7"})
	w.kubectl("patch", "secret", "new", "--type=merge", "-p", `{"data":{"k":"eA==","mine":"eA=="}}`)
	w.secret("new", map[string]string{"k": canary + "1", "num": "7", "mine": "x"})
	// A second write of a typed one keeps its type.
	w.vault.Put("tls", `{"tls.crt":"c2","tls.key":"k2"}`)
	w.kubectl("annotate", "es", "typed", "force-sync=1")
	w.secret("typed", map[string]string{"tls.crt": "c2", "tls.key": "k2"})
	// It outlives its ExternalSecret.
	w.kubectl("delete", "es", "new", "second")
	w.secret("new", map[string]string{"k": canary + "1", "num": "7", "mine": "x"})
}

// What somebody wrote into a shared Secret by a server-side apply of stringData
// belongs to nobody: it stays when the last key of ours goes.
func TestKeysOfNobodyStay(t *testing.T) {
	w := newWorld(t)
	ready(w)
	shared := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "shared"}}
	theirs := client.RawPatch(types.ApplyPatchType, []byte(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"shared"},"stringData":{"theirs":"x"}}`))
	if err := testClient.Patch(t.Context(), shared, theirs, client.FieldOwner("somebody")); err != nil {
		t.Fatal(err)
	}
	w.start(nil)
	w.apply(es("merge", oneKey+"\n  target: {name: shared, creationPolicy: Merge, deletionPolicy: Merge}"))
	both := map[string]string{"theirs": "x", "k": canary + "1"}
	w.secret("shared", both)
	w.until("subscribed", func() bool { return w.vault.Subscribers() == 1 })
	w.vault.Delete("app")
	w.secret("shared", map[string]string{"theirs": "x"})
	w.vault.Put("app", `{"k":"`+canary+`1"}`)
	w.secret("shared", both)
}
