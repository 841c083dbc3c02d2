package subscribe

import (
	"iter"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// objects is a set. Nearly all are of one object: a map for each would be most of what
// a Hub holds.
type objects struct {
	few  []types.NamespacedName // while many is nil
	many map[types.NamespacedName]struct{}
}

// fewest is how many there are at least in a map.
const fewest = 9

// with returns the set with one more.
func (o objects) with(object types.NamespacedName) objects {
	if o.many != nil {
		o.many[object] = struct{}{}
		return o
	}
	if slices.Contains(o.few, object) {
		return o
	}
	if len(o.few)+1 < fewest {
		o.few = append(o.few, object)
		return o
	}
	o.many = map[types.NamespacedName]struct{}{object: {}}
	for _, each := range o.few {
		o.many[each] = struct{}{}
	}
	return objects{many: o.many}
}

// without returns the set without one; empty is true when nothing is left.
func (o objects) without(object types.NamespacedName) (left objects, empty bool) {
	if o.many != nil {
		delete(o.many, object)
		return o, len(o.many) == 0
	}
	o.few = slices.DeleteFunc(o.few, func(each types.NamespacedName) bool { return each == object })
	return o, len(o.few) == 0
}

// all are those of the set, in no order.
func (o objects) all() iter.Seq[types.NamespacedName] {
	if o.many != nil {
		return maps.Keys(o.many)
	}
	return slices.Values(o.few)
}
