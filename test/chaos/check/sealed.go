package check

import "github.com/strongkeep/strongkeep/test/chaos/history"

// sealed finds secrets that a process showed between two answers that it is sealed: one that opens
// in between is not sealed afterwards, unless somebody asks for it.
func sealed(ops []history.Op) []Violation {
	var found []Violation
	since := map[int]*history.Op{} // by node: what shows that it is sealed
	for i := range ops {
		o := &ops[i]
		if o.Kind != history.Seal && !done(*o, history.Status) {
			continue
		}
		from := since[o.Node]
		delete(since, o.Node)
		if o.Outcome != history.OK || o.Kind == history.Status && !o.Sealed {
			continue // open, or not known
		}
		if o.Kind == history.Status && from != nil && from.Version == o.Version {
			found = append(found, shown(ops, *from, *o)...)
		}
		since[o.Node] = o
	}
	return found
}

// shown finds the secrets that a node showed between two operations.
func shown(ops []history.Op, from, to history.Op) []Violation {
	var found []Violation
	for _, r := range ops {
		if done(r, history.Read) && r.Node == to.Node && r.Value != "" && r.Call > from.Return && r.Return < to.Call {
			found = append(found, Violation{SealedShut, []history.Op{from, r, to}, "a secret was read"})
		}
	}
	return found
}
