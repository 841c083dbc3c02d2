package migrate

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

func cluster(name string) v1.StoreKey {
	return v1.StoreKey{Kind: v1.KindClusterSecretStore, Name: name}
}

func TestGroups(t *testing.T) {
	local := v1.StoreKey{Kind: v1.KindSecretStore, Namespace: "a", Name: "s"}
	for name, c := range map[string]struct {
		uses []use
		want [][]string
	}{
		"none":        {nil, nil},
		"apart":       {[]use{{"b", []v1.StoreKey{local}}, {"a", nil}}, [][]string{{"a"}, {"b"}}},
		"shared":      {[]use{{"b", []v1.StoreKey{cluster("x")}}, {"a", []v1.StoreKey{cluster("x")}}, {"c", nil}}, [][]string{{"a", "b"}, {"c"}}},
		"in a chain":  {[]use{{"a", []v1.StoreKey{cluster("x")}}, {"b", []v1.StoreKey{cluster("x"), cluster("y")}}, {"c", []v1.StoreKey{cluster("y")}}, {"d", nil}}, [][]string{{"a", "b", "c"}, {"d"}}},
		"late joined": {[]use{{"a", []v1.StoreKey{cluster("x")}}, {"b", []v1.StoreKey{cluster("y")}}, {"c", []v1.StoreKey{cluster("x"), cluster("y")}}}, [][]string{{"a", "b", "c"}}},
	} {
		if got := groups(c.uses); !reflect.DeepEqual(got, c.want) && len(got)+len(c.want) > 0 {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestStateOf(t *testing.T) {
	of := func(classes ...string) []v1.Store {
		var out []v1.Store
		for _, c := range classes {
			out = append(out, &v1.SecretStore{Spec: v1.SecretStoreSpec{Controller: c}})
		}
		return out
	}
	for want, stores := range map[State][]v1.Store{Theirs: of("", "default"), Moved: of("k", "k"), Mixed: of("", "k")} {
		if got := stateOf(stores, "k"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// No field is passed over in silence, and none that is empty is complained about.
func TestLost(t *testing.T) {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"refreshInterval": "1h", "newField": map[string]any{"a": int64(1)}, "emptyField": "", "offField": false,
		"data":   []any{map[string]any{"secretKey": "v", "remoteRef": map[string]any{"key": "a", "shiny": "x"}}, map[string]any{"secretKey": "w", "remoteRef": map[string]any{"key": "a", "shiny": "x"}}},
		"target": map[string]any{"name": "x", "other": []any{"y"}},
	}}}
	es := &v1.ExternalSecret{}
	if err := as(u.Object, es); err != nil {
		t.Fatal(err)
	}
	if got, want := lost(u, es), []string{"spec.data[].remoteRef.shiny", "spec.newField", "spec.target.other"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestDifferences(t *testing.T) {
	live := &corev1.Secret{Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"a": []byte("1"), "b": []byte("2")}}
	made := func(merge bool, data map[string]string) *target.Secret {
		s := &target.Secret{Type: corev1.SecretTypeOpaque, Merge: merge, Data: map[string][]byte{}}
		for k, v := range data {
			s.Data[k] = []byte(v)
		}
		return s
	}
	for want, s := range map[string]*target.Secret{
		"":                              made(false, map[string]string{"a": "1", "b": "2"}),
		"keys that go b":                made(false, map[string]string{"a": "1"}),
		"new keys c; other values of a": made(true, map[string]string{"a": "canary-1", "c": "3"}),
	} {
		if got := differences(live, s); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	typed := made(false, map[string]string{"a": "1", "b": "2"})
	typed.Type = corev1.SecretTypeTLS
	if got := differences(live, typed); got != "type Opaque, which cannot be changed, to kubernetes.io/tls" {
		t.Error(got)
	}
}

func TestPushSecretNames(t *testing.T) {
	s := &v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "s", Labels: map[string]string{"x": "y"}}}
	for name, c := range map[string]struct {
		name, kind, namespace string
		selector              *metav1.LabelSelector
		want                  bool
	}{
		"by name":         {"s", "", "a", nil, true},
		"another":         {"t", "", "a", nil, false},
		"elsewhere":       {"s", "", "b", nil, false},
		"of another kind": {"s", v1.KindClusterSecretStore, "a", nil, false},
		"by label":        {"", "", "a", &metav1.LabelSelector{MatchLabels: map[string]string{"x": "y"}}, true},
		"by other label":  {"", "", "a", &metav1.LabelSelector{MatchLabels: map[string]string{"x": "z"}}, false},
	} {
		if got := names(c.name, c.kind, c.selector, c.namespace, s); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestOrder(t *testing.T) {
	list := []Object{{Kind: "A", Verdict: Fits}, {Kind: "B", Verdict: Refused}, {Kind: "A", Verdict: Note}, {Kind: "C", Verdict: Changes}}
	order(list)
	for i, want := range []Verdict{Refused, Changes, Note, Fits} {
		if list[i].Verdict != want {
			t.Errorf("%d: %s", i, list[i].Verdict)
		}
	}
}

// Whatever is not the same object with the same data is wrong, and what cannot be
// seen is not said to be right.
func TestBecame(t *testing.T) {
	gone := apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, "x")
	denied := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "x", nil)
	a := seen{uid: "1", digest: "a"}
	for name, c := range map[string]struct {
		was, is seen
		want    string
		wrong   bool
	}{
		"same":      {a, a, "same Secret, same data", false},
		"data":      {a, seen{uid: "1", digest: "b"}, "the data changed", true},
		"another":   {a, seen{uid: "2", digest: "a"}, "another object", true},
		"gone":      {a, seen{err: gone}, "gone", true},
		"made":      {seen{err: gone}, a, "made", false},
		"never":     {seen{err: gone}, seen{err: gone}, "no Secret yet", false},
		"unseen":    {seen{err: denied}, seen{err: denied}, "not known", false},
		"once seen": {a, seen{err: denied}, "not known", false},
	} {
		if got, wrong := became(c.was, c.is); !strings.Contains(got, c.want) || wrong != c.wrong {
			t.Errorf("%s: %q, %v", name, got, wrong)
		}
	}
}

// An ExternalSecret that no store ties to a move does not hold it up.
func TestBlocked(t *testing.T) {
	own, other := &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "own"}}, Object{Kind: v1.KindExternalSecret, Namespace: "a", Name: "generated", Verdict: Changes}
	l := &looker{plan: &Plan{Objects: []Object{other, {Kind: v1.KindSecretStore, Namespace: "b", Name: "s", Verdict: Refused}}}}
	m := &Move{Namespaces: []string{"a"}, users: []*v1.ExternalSecret{own}}
	if l.blocked(m, nil); len(m.Blocked) > 0 {
		t.Error(m.Blocked)
	}
	l.plan.Objects = append(l.plan.Objects, Object{Kind: v1.KindExternalSecret, Namespace: "a", Name: "own", Verdict: Changes},
		Object{Kind: v1.KindClusterSecretStore, Name: "c", Verdict: Refused}, Object{Kind: v1.KindSecretStore, Namespace: "a", Name: "s", Verdict: Note})
	if l.blocked(m, map[v1.StoreKey]bool{cluster("c"): true}); !slices.Equal(m.Blocked, []string{"ExternalSecret a/own: changes", "ClusterSecretStore c: refused"}) {
		t.Error(m.Blocked)
	}
}
