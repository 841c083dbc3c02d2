package state

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
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
	seal := Seal{Digest: digest}
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
	d.keeper.Seal, d.Seal = Seal{}, Seal{}
	if d.Seal.vouches("team", resource{}, envelope{}) {
		t.Error("without a key it vouches")
	}
}

func digest(text []byte) string { return fmt.Sprintf("of %x", sha256.Sum256(text)) }

// sealWith is a seal with a key of its own.
func sealWith(t *testing.T, key byte) Seal {
	t.Helper()
	block, err := aes.NewCipher(bytes.Repeat([]byte{key}, 32))
	if err != nil {
		t.Fatal(err)
	}
	c, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return Seal{Digest: func(text []byte) string { return digest(append(text, key)) }, Cipher: c}
}

const inner = `{"provider":{"server":"https://inner.example"}}`

// through makes the state of a credential that a generator made which is spelt out by
// inner.
func (d *desk) through(kind string) string {
	d.Helper()
	h, err := d.keeper.Begin(d.Context(), Origin{
		Key: types.NamespacedName{Namespace: "team", Name: "app"}, Holder: Holder{Secret, "app"},
		Kind: "Remote", Through: kind, Name: "maker", Spec: json.RawMessage(inner),
	})
	if err != nil {
		d.Fatal(err)
	}
	if _, err := h.Made(d.Context(), generator.Made{Known: json.RawMessage(`{"lease":"one"}`)}); err != nil {
		d.Fatal(err)
	}
	return h.Name()
}

// over makes a state's time be over and has it taken back, as far as that goes.
func (d *desk) over(name string) {
	d.Helper()
	s := d.get(name)
	s.Spec.GarbageCollectionDeadline = &metav1.Time{Time: noon.Add(-time.Minute)}
	if err := d.api.Update(d.Context(), s); err != nil {
		d.Fatal(err)
	}
	for range 3 {
		d.look(name)
	}
}

// shows reports whether a state says anywhere what inner says.
func (d *desk) shows(name string) bool {
	d.Helper()
	text, err := json.Marshal(d.get(name))
	if err != nil {
		d.Fatal(err)
	}
	return strings.Contains(string(text), "inner.example")
}

// Guards what a ClusterGenerator says, which those must not read in a GeneratorState of
// theirs who may not read the ClusterGenerator. What was made is taken back all the same.
func TestClusterGeneratorIsHidden(t *testing.T) {
	d := newDesk(t)
	d.hold()
	d.keeper.Seal, d.Seal = sealWith(t, 1), sealWith(t, 1)
	own, hidden := d.through(""), d.through("ClusterGenerator")
	if !d.shows(own) || d.shows(hidden) {
		t.Errorf("of the namespace's own it is shown: %t; of a ClusterGenerator: %t", d.shows(own), d.shows(hidden))
	}
	d.over(hidden)
	if s := d.kind.used; d.get(hidden) != nil || d.kind.revokes != 1 || string(s.Spec) != inner || s.Scope.Store().Kind != "ClusterGenerator" {
		t.Errorf("%d revocations, by %s as a %s", d.kind.revokes, s.Spec, s.Scope.Store().Kind)
	}
	lease := d.through("ClusterGenerator")
	d.hold(lease)
	d.look(lease)
	s := d.get(lease)
	replace(s.Spec.State, `"since"`, `"renewable":true,"expires":"2026-01-01T13:00:00Z","since"`)
	if err := d.api.Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	d.clock.Step(50 * time.Minute)
	if d.look(lease); d.kind.renews != 1 || d.shows(lease) {
		t.Errorf("%d renewals; shown: %t", d.kind.renews, d.shows(lease))
	}
}

// A state that shows what a ClusterGenerator says, an earlier operator's, is mended; what
// somebody else wrote is not made to look like one of ours.
func TestShownClusterGeneratorIsHidden(t *testing.T) {
	d := newDesk(t)
	d.hold()
	d.keeper.Seal, d.Seal = sealWith(t, 1), sealWith(t, 1)
	d.keeper.Seal.Cipher = nil
	before, forged := d.through("ClusterGenerator"), d.through("ClusterGenerator")
	s := d.get(forged)
	replace(s.Spec.State, `"one"`, `"two"`)
	if err := d.api.Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	d.look(before)
	d.look(forged)
	if d.shows(before) || !d.shows(forged) {
		t.Errorf("an earlier operator's is shown: %t; a forged one: %t", d.shows(before), d.shows(forged))
	}
	d.over(before)
	if s := d.kind.used; d.kind.revokes != 1 || string(s.Spec) != inner || s.Scope.Store().Kind != "ClusterGenerator" {
		t.Errorf("%d revocations, by %s as a %s", d.kind.revokes, s.Spec, s.Scope.Store().Kind)
	}
}

// What is hidden is good for the credential it was written for, where it was written, and
// by the key it was written with.
func TestHiddenElsewhere(t *testing.T) {
	for name, change := range map[string]func(*desk, *v1alpha1.GeneratorState){
		"another lease":     func(_ *desk, s *v1alpha1.GeneratorState) { replace(s.Spec.State, `"one"`, `"two"`) },
		"another generator": func(_ *desk, s *v1alpha1.GeneratorState) { replace(s.Spec.Resource, `"maker"`, `"taker"`) },
		"another namespace": func(d *desk, _ *v1alpha1.GeneratorState) {
			here := d.Seal.Cipher
			d.Seal.Cipher = elsewhere{here}
		},
		"another key": func(d *desk, _ *v1alpha1.GeneratorState) { d.Seal = sealWith(d.T, 2) },
		"no key":      func(d *desk, _ *v1alpha1.GeneratorState) { d.Seal = Seal{} },
	} {
		d := newDesk(t)
		d.hold()
		d.keeper.Seal, d.Seal = sealWith(t, 1), sealWith(t, 1)
		state := d.through("ClusterGenerator")
		s := d.get(state)
		change(d, s)
		if err := d.api.Update(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		d.over(state)
		s = d.get(state)
		if s == nil || d.kind.revokes != 0 || len(s.Status.Conditions) != 1 || s.Status.Conditions[0].Status != metav1.ConditionFalse {
			t.Errorf("%s: %d revocations, %+v", name, d.kind.revokes, s)
		}
		if s != nil && d.shows(state) {
			t.Errorf("%s: it is shown", name)
		}
	}
}

// elsewhere is a cipher that is told of another namespace than the state's.
type elsewhere struct{ cipher.AEAD }

func (e elsewhere) Open(dst, nonce, text, place []byte) ([]byte, error) {
	return e.AEAD.Open(dst, nonce, text, bytes.Replace(place, []byte(`"team"`), []byte(`"other"`), 1))
}

func replace(in *apiextensionsv1.JSON, old, text string) {
	if !strings.Contains(string(in.Raw), old) {
		panic("there is no " + old + " in " + string(in.Raw))
	}
	in.Raw = []byte(strings.Replace(string(in.Raw), old, text, 1))
}
