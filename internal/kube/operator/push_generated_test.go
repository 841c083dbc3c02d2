package operator

import (
	"encoding/json"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/generate"
)

// pushedValue waits until the vault has a value at a key that f lets through.
func (w *world) pushedValue(key, property string, f func(string) bool) (value string) {
	w.Helper()
	w.until("the vault has a "+property+" at "+key, func() bool {
		object, _, _ := w.vault.State(key)
		var values map[string]string
		_ = json.Unmarshal([]byte(object), &values)
		value = values[property]
		return value != "" && (f == nil || f(value))
	})
	return value
}

func pushMade(name, kind, generator, entries string) string {
	return ps(name, "  selector: {generatorRef: {apiVersion: generators.external-secrets.io/v1alpha1, kind: "+kind+", name: "+generator+"}}\n  deletionPolicy: Delete\n  data: ["+entries+"]")
}

func entry(secretKey, key string) string {
	return "{match: {secretKey: " + secretKey + ", remoteRef: {remoteKey: " + key + ", property: " + secretKey + "}}}"
}

// facts §1.4 selector.generatorRef: made once and pushed; neither a restart, nor a
// label, nor a look makes another; the generator's spec, a force-sync, or another place
// does. Nothing of it is in the cluster.
func TestPushGenerated(t *testing.T) {
	w := newWorld(t)
	ready(w)
	stop := w.start(nil)
	w.apply(passwordObject + pushMade("made", "Password", "pw", entry("password", "pushed/made")))
	w.pushed("made", v1alpha1.ReasonSynced, "")
	first := w.pushedValue("pushed/made", "password", nil)
	if len(first) != 20 {
		t.Fatalf("a password of %d characters", len(first))
	}
	stop()
	writes := w.vault.Writes()
	w.start(nil)
	w.kubectl("label", "ps", "made", "team=shop")
	w.apply(source("src", "{k: v}") + ps("marker", pushTo("marker")))
	w.pushed("marker", v1alpha1.ReasonSynced, "")
	if n := w.vault.Writes() - writes; n != 2 {
		t.Errorf("%d writes after a restart, want the 2 of the marker", n)
	}
	if got := w.pushedValue("pushed/made", "password", nil); got != first {
		t.Error("another password was pushed")
	}
	w.kubectl("annotate", "ps", "made", "force-sync=1")
	second := w.pushedValue("pushed/made", "password", func(v string) bool { return v != first })
	w.apply(strings.Replace(passwordObject, "20", "21", 1))
	third := w.pushedValue("pushed/made", "password", func(v string) bool { return len(v) == 21 })
	w.apply(pushMade("made", "Password", "pw", entry("password", "pushed/elsewhere")))
	fourth := w.pushedValue("pushed/elsewhere", "password", nil)
	w.remote("pushed/made", "")
	p := w.pushed("made", v1alpha1.ReasonSynced, "")
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{first, second, third, fourth} {
		if strings.Contains(string(text), value) || strings.Contains(w.log.String(), value) {
			t.Error("a password is told")
		}
	}
	w.states(nil, 0)
	w.kubectl("delete", "ps", "made", "--timeout=60s")
	w.remote("pushed/elsewhere", "")

	// With IfNotExists nothing is made for a place that has something.
	w.vault.Lend("database/creds/app", 600)
	w.applyGenerator("vault.yaml")
	w.generated("app-database", 2, nil)
	before := w.vault.Count("database/creds/app")
	w.vault.Put("pushed/theirs", `{"username":"theirs"}`)
	w.apply(pushMade("kept", "VaultDynamicSecret", "app-database", entry("username", "pushed/theirs")+"]\n  updatePolicy: IfNotExists #"))
	w.pushed("kept", v1alpha1.ReasonSynced, "")
	w.remote("pushed/theirs", `{"username":"theirs"}`)
	if n := w.vault.Count("database/creds/app"); n != before {
		t.Errorf("%d credentials were made for nothing", n-before)
	}
}

// ADR 0008, invariants 3 and 4, for what is pushed: a credential that a store holds is
// not taken back; replaced, it is; and with the PushSecret.
func TestPushedLeases(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.vault.Lend("database/creds/app", 600)
	w.vault.TTL = 3600
	w.start(nil)
	w.applyGenerator("vault.yaml")
	w.generated("app-database", 2, nil) // the example's ExternalSecret, which is not of this test
	w.kubectl("delete", "es", "app-database")
	w.kubectl("delete", "secret", "app-database", "--ignore-not-found")
	w.until("its lease is revoked", func() bool { return len(w.vault.Leases()) == 0 })
	w.apply(pushMade("db", "VaultDynamicSecret", "app-database", entry("username", "pushed/db")+", "+entry("password", "pushed/db")))
	w.pushed("db", v1alpha1.ReasonSynced, "")
	first := w.pushedValue("pushed/db", "username", nil)
	inUse := func(s generators.GeneratorState) bool { return s.Spec.GarbageCollectionDeadline == nil }
	w.states(inUse, 1)
	if alive := w.vault.Leases(); len(alive) != 1 || !alive[first] {
		t.Fatalf("leases %v, want that of %s", alive, first)
	}

	// A store that cannot be written: what the other holds now, and what it held, stay.
	w.kubectl("patch", "ps", "db", "--type=merge", "-p", `{"spec":{"secretStoreRefs":[{"name":"vault"},{"name":"late"}]}}`)
	w.pushed("db", v1alpha1.ReasonErrored, `late" does not exist`)
	second := w.pushedValue("pushed/db", "username", func(v string) bool { return v != first })
	w.states(inUse, 2)
	w.expireStates()
	if alive := w.vault.Leases(); !alive[first] || !alive[second] {
		t.Errorf("leases %v, want those of %s and %s", alive, first, second)
	}

	// It comes: both hold another, and those before are taken back.
	w.apply(strings.ReplaceAll(store, "{name: vault}", "{name: late}"))
	w.pushed("db", v1alpha1.ReasonSynced, "")
	w.states(inUse, 1)
	third := w.pushedValue("pushed/db", "username", func(v string) bool { return v != first && v != second })
	w.until("the leases before are revoked", func() bool {
		w.expireStates()
		alive := w.vault.Leases()
		return len(alive) == 1 && alive[third]
	})
	w.states(nil, 1)
	var p v1alpha1.PushSecret
	if err := testClient.Get(t.Context(), types.NamespacedName{Namespace: w.ns, Name: "db"}, &p); err != nil || !strings.Contains(p.Annotations[generate.AnnotationPushed], `"state"`) {
		t.Errorf("annotation %q (%v)", p.Annotations[generate.AnnotationPushed], err)
	}
	w.kubectl("delete", "ps", "db", "--timeout=60s")
	w.remote("pushed/db", "")
	w.until("every lease is revoked", func() bool { return len(w.vault.Leases()) == 0 })
	w.states(nil, 0)
}

// expireStates has the time of every credential with a deadline be over.
func (w *world) expireStates() {
	w.Helper()
	var list generators.GeneratorStateList
	if err := testClient.List(w.Context(), &list, client.InNamespace(w.ns)); err != nil {
		w.Fatal(err)
	}
	for i := range list.Items {
		s := &list.Items[i]
		if s.Spec.GarbageCollectionDeadline == nil {
			continue
		}
		over := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"garbageCollectionDeadline":"2026-01-01T00:00:00Z"}}`))
		if err := testClient.Patch(w.Context(), s, over); client.IgnoreNotFound(err) != nil {
			w.Fatal(err)
		}
	}
}
