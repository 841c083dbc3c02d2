package subscribe

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func named(i int) types.NamespacedName {
	return types.NamespacedName{Namespace: "n", Name: strconv.Itoa(i)}
}

func (o objects) sorted() []types.NamespacedName {
	return slices.SortedFunc(o.all(), func(a, b types.NamespacedName) int { return strings.Compare(a.Name, b.Name) })
}

// Sets as large as these have every object once, also where they become maps.
func TestObjects(t *testing.T) {
	for _, n := range []int{1, 2, fewest - 1, fewest, fewest + 1, 100} {
		var o objects
		var want []types.NamespacedName
		for i := range n {
			o = o.with(named(i)).with(named(i))
			want = append(want, named(i))
		}
		slices.SortFunc(want, func(a, b types.NamespacedName) int { return strings.Compare(a.Name, b.Name) })
		if got := o.sorted(); !slices.Equal(got, want) {
			t.Errorf("%d: %v", n, got)
		}
		o, empty := o.without(types.NamespacedName{Name: "stranger"})
		if got := o.sorted(); empty || !slices.Equal(got, want) {
			t.Errorf("%d, without one that is not there: %v", n, got)
		}
		for i := range n {
			if o, empty = o.without(named(i)); empty != (i == n-1) || slices.Contains(o.sorted(), named(i)) {
				t.Errorf("%d, without %d: %v", n, i, o.sorted())
			}
		}
		if got := o.with(named(7)).sorted(); !slices.Equal(got, []types.NamespacedName{named(7)}) {
			t.Errorf("%d, emptied and begun anew: %v", n, got)
		}
	}
}
