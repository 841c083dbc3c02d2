package externalsecret

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/operator/render"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/redact"
)

func marker(t *testing.T) *Reconciler {
	t.Helper()
	key, err := target.NewKey([]byte(strings.Repeat("k", target.KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{Key: key})
}

func markFor(t *testing.T, r *Reconciler, o observed, password string) marked {
	t.Helper()
	m, err := r.mark(o, map[string]redact.Secret{"password": redact.FromString(password)}, render.Texts{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Who may read the metadata of Secrets in two places must not learn that they are made
// from the same.
func TestMarksOfTwoPlaces(t *testing.T) {
	r := marker(t)
	at := func(namespace, name string) string {
		o := settled(func(o *observed) { o.es.Namespace, o.es.Spec.Target.Name = namespace, name })
		return markFor(t, r, o, "p").Inputs
	}
	here := at("team", "app")
	if here != at("team", "app") {
		t.Error("the same inputs of one place have two marks")
	}
	if here == at("other", "app") {
		t.Error("equal inputs of two namespaces look equal")
	}
	byName := func(name string) string {
		o := settled(func(o *observed) { o.es.Name = name })
		return markFor(t, r, o, "p").Inputs
	}
	if byName("app") == byName("app2") {
		t.Error("equal inputs of two Secrets look equal")
	}
}

// A Secret that was marked before marks had a place in them is not written again for
// that, and is when what it is made from changes.
func TestMarkOfBefore(t *testing.T) {
	r := marker(t)
	o := settled(nil)
	before, err := r.Key.Inputs(map[string]redact.Secret{"password": redact.FromString("p")}, r.inputsOf(o.es))
	if err != nil {
		t.Fatal(err)
	}
	o.live.Annotations[target.AnnotationMark] = target.Mark{Content: "c", Inputs: before, Sources: o.sources}.String()
	same := markFor(t, r, o, "p")
	if !r.unchanged(o, same) {
		t.Error("a Secret of before is written anew at an upgrade")
	}
	if same.Inputs == before {
		t.Error("the next write would leave the mark as it was")
	}
	if r.unchanged(o, markFor(t, r, o, "q")) {
		t.Error("a change of a value is not noticed in a Secret of before")
	}
	o.live.Annotations[target.AnnotationMark] = target.Mark{Content: "c", Inputs: same.Inputs, Sources: o.sources}.String()
	if now := markFor(t, r, o, "p"); now.former != "" || !r.unchanged(o, now) {
		t.Error("a Secret of now is written anew")
	}
	o.live.Annotations[target.AnnotationMark] = "v1..." + o.sources
	if r.unchanged(o, markFor(t, r, o, "p")) {
		t.Error("a mark of nothing is taken for one")
	}
}
