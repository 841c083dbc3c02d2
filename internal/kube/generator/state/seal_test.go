package state

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
)

// Guards against the reading of other namespaces' Secrets: whoever may write
// GeneratorStates in one writes there through what the credential was made.
func TestForgedStateReachesItsNamespaceOnly(t *testing.T) {
	for _, through := range []string{"ClusterSecretStore", "ClusterGenerator", ""} {
		d := newDesk(t)
		d.hold()
		forged := &v1alpha1.GeneratorState{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "forged", Finalizers: []string{Finalizer}}}
		forged.Spec.State = &apiextensionsv1.JSON{Raw: []byte(`{"v":1,"known":{"lease":"a"},"claimed":true}`)}
		forged.Spec.Resource = &apiextensionsv1.JSON{Raw: fmt.Appendf(nil, `{"kind":"Remote","through":%q,"metadata":{"name":"g"},"spec":{}}`, through)}
		if err := d.api.Create(t.Context(), forged); err != nil {
			t.Fatal(err)
		}
		d.look("forged")
		if d.kind.revokes != 1 {
			t.Fatalf("through %q: %d revocations", through, d.kind.revokes)
		}
		system := "kube-system"
		if ref, err := d.kind.used.Scope.Ref("auth.tokenSecretRef", &system, "admin"); !errs.Is(err, errs.Invalid) {
			t.Errorf("through %q it reads %v: %v", through, ref, err)
		}
		if ref, err := d.kind.used.Scope.Ref("auth.tokenSecretRef", nil, "own"); err != nil || ref.String() != "team/own" {
			t.Errorf("through %q: %v, %v", through, ref, err)
		}
	}
}

// Guards the operator's own identity, which a ClusterGenerator may use and nothing of a
// namespace: that a credential was made through one is believed of what an operator wrote.
func TestThroughIsBelievedOfOperatorsOnly(t *testing.T) {
	d := newDesk(t)
	d.hold()
	seal := Seal(func(text []byte) string { return "of " + string(text) })
	d.keeper.Seal, d.Seal = seal, seal
	for name, c := range map[string]struct {
		change func(*v1alpha1.GeneratorState)
		want   string
	}{
		"as written":     {func(*v1alpha1.GeneratorState) {}, "ClusterGenerator"},
		"in another way": {func(s *v1alpha1.GeneratorState) { replace(s.Spec.Resource, `{"b":1,"a":2}`, `{"a": 2, "b": 1}`) }, "ClusterGenerator"},
		"another server": {func(s *v1alpha1.GeneratorState) { replace(s.Spec.Resource, `"a":2`, `"a":3`) }, "Remote"},
		"another lease":  {func(s *v1alpha1.GeneratorState) { replace(s.Spec.State, `"one"`, `"two"`) }, "Remote"},
		"without a seal": {func(s *v1alpha1.GeneratorState) { replace(s.Spec.State, `"seal"`, `"other"`) }, "Remote"},
		"another kind": {func(s *v1alpha1.GeneratorState) {
			replace(s.Spec.Resource, `"ClusterGenerator"`, `"ClusterSecretStore"`)
		}, "Remote"},
	} {
		h, err := d.keeper.Begin(t.Context(), Origin{
			Key: types.NamespacedName{Namespace: "team", Name: "app"}, Holder: Holder{Secret, "app"},
			Kind: "Remote", Through: "ClusterGenerator", Name: "maker", Spec: json.RawMessage(`{"b":1,"a":2}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Made(t.Context(), generator.Made{Known: json.RawMessage(`{"lease":"one"}`)}); err != nil {
			t.Fatal(err)
		}
		s := d.get(h.Name())
		c.change(s)
		s.Spec.GarbageCollectionDeadline = &metav1.Time{Time: noon.Add(-time.Minute)}
		if err := d.api.Update(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		before := d.kind.revokes
		d.look(h.Name()) // it is claimed
		d.look(h.Name())
		if got := d.kind.used.Scope.Store().Kind; d.kind.revokes != before+1 || got != c.want {
			t.Errorf("%s: it is taken back as a %s, want %s; %d revocations", name, got, c.want, d.kind.revokes-before)
		}
	}
	d.keeper.Seal, d.Seal = nil, nil
	if d.Seal.vouches("team", resource{}, envelope{}) {
		t.Error("without a key it vouches")
	}
}

func replace(in *apiextensionsv1.JSON, old, text string) {
	if !strings.Contains(string(in.Raw), old) {
		panic("there is no " + old + " in " + string(in.Raw))
	}
	in.Raw = []byte(strings.Replace(string(in.Raw), old, text, 1))
}
