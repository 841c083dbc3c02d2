package operator

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// versions waits until a Secret says that it was made of want, by the last part
// of the location.
func (w *world) versions(name string, want map[string]string) *corev1.Secret {
	w.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}
	at := strings.TrimPrefix(w.vault.URL, "http://") + "/secret/data/"
	return await(w, s, "the versions of "+name, func(s *corev1.Secret) bool {
		got := map[string]string{}
		for location, version := range target.Versions(s.Annotations) {
			if key, ok := strings.CutPrefix(location, at); ok {
				got[key] = version
			}
		}
		return maps.Equal(got, want)
	})
}

// ADR 7: a Secret says which versions it was made of, whoever owns it, and says
// so anew when only the version is new. Nothing else of it changes then: what a
// template drew at random stays.
func TestVersions(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.vault.Put("other", `{"k":"`+canary+`o"}`)
	w.start(nil)
	random := "\n  target: {template: {type: kubernetes.io/basic-auth, metadata: {labels: {a: b}}, data: {password: '{{.k}}', r: '{{randAlphaNum 8}}'}}}"
	pinned := "  data: [{secretKey: k, remoteRef: {key: app, property: k}}, {secretKey: old, remoteRef: {key: secret/data/app, property: k, version: '1'}}, {secretKey: o, remoteRef: {key: other, property: k}}]"
	w.kubectl("create", "secret", "generic", "shared", "--from-literal=own=1")
	w.apply(es("owned", oneKey) + es("orphan", oneKey+"\n  target: {creationPolicy: Orphan}") + es("random", oneKey+random) + es("pinned", pinned) +
		es("first", oneKey+"\n  target: {name: shared, creationPolicy: Merge}") +
		es("second", "  data: [{secretKey: o, remoteRef: {key: other, property: k}}]\n  target: {name: shared, creationPolicy: Merge}") +
		es("meta", "  data: [{secretKey: k, remoteRef: {key: app, property: k}}, {secretKey: m, remoteRef: {key: app, metadataPolicy: Fetch}}]"))
	one := map[string]string{"app": "1"}
	for _, name := range []string{"owned", "orphan", "meta"} {
		w.versions(name, one)
	}
	w.versions("pinned", map[string]string{"app": "1", "other": "1"})
	w.versions("shared", map[string]string{"app": "1", "other": "1"})
	before := w.versions("random", one)

	w.vault.Put("app", `{"k":"`+canary+`1"}`) // the same value
	two := map[string]string{"app": "2"}
	for _, name := range []string{"owned", "orphan"} {
		w.versions(name, two)
	}
	location := strings.TrimPrefix(w.vault.URL, "http://") + "/secret/data/app"
	if c := target.Changes(w.versions("owned", two).Annotations)[location]; c.Version != "2" || c.Unsure || len(c.Keys) != 0 {
		t.Errorf("of the same value it says that it changed: %+v", c)
	}
	w.versions("pinned", map[string]string{"app": "1,2", "other": "1"})
	w.versions("shared", map[string]string{"app": "2", "other": "1"})
	after := w.versions("random", two)
	if string(after.Data["r"]) != string(before.Data["r"]) || after.Type != corev1.SecretTypeBasicAuth || after.Labels["a"] != "b" || after.UID != before.UID ||
		len(after.OwnerReferences) != 1 || len(after.Data) != 2 {
		t.Errorf("more than the version changed: %+v", after.ObjectMeta)
	}
	if !strings.Contains(w.secret("owned", map[string]string{"k": canary + "1"}).Annotations[target.AnnotationVersions], `/secret/data/app":"2"`) {
		t.Error("the annotation is not an object of location to version")
	}

	w.vault.Put("app", `{"k":"`+canary+`3"}`) // another one: of two keys one changes
	three := map[string]string{"app": "3"}
	for name, want := range map[string]string{"owned": "k", "orphan": "k", "meta": "k"} {
		s := w.versions(name, three)
		c := target.Changes(s.Annotations)[location]
		if c.Version != "3" || c.Unsure || !slices.Contains(c.Keys, want) || strings.Contains(s.Annotations[target.AnnotationChanged], canary) {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// What a person does to the annotation is undone as any other change is, and a
// store that names no versions leaves none.
func TestVersionsAreOurs(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	w.apply(es("mine", oneKey) + `
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: fake}
spec: {provider: {fake: {data: [{key: app, value: x, version: "3"}]}}}
---
` + strings.Replace(es("bare", "  data: [{secretKey: k, remoteRef: {key: app}}]"), "{name: vault}", "{name: fake}", 1))
	w.versions("mine", map[string]string{"app": "1"})
	w.kubectl("annotate", "secret", "mine", "--overwrite", target.AnnotationVersions+"=forged")
	w.versions("mine", map[string]string{"app": "1"})
	w.kubectl("annotate", "secret", "mine", target.AnnotationVersions+"-")
	w.versions("mine", map[string]string{"app": "1"})
	w.es("bare", v1.ReasonSecretSynced, "")
	if s := w.secret("bare", map[string]string{"k": "x"}); s.Annotations[target.AnnotationVersions] != "" {
		t.Errorf("a store without locations: %v", s.Annotations)
	}
}
