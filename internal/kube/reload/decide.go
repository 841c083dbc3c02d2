package reload

import (
	"maps"
	"slices"

	"github.com/strongkeep/strongkeep/internal/kube/rollout"
)

// Decision is what is to be done about one workload.
type Decision struct {
	// Adopt is content seen for the first time: it is noted, and restarts nothing.
	Adopt rollout.Stamp
	// Changed are entries, in their order, whose content is not what pods run on.
	Changed []string
}

// Decide compares what pods are known to run on with what there is. record is
// on the workload, template in its pod template. Both are written at once, and
// either is enough: a tool that resets the template has restarted the pods by
// that, and a template that has what there is cannot be restarted for it. What is gone changes nothing: it is compared
// again when it comes back. It is pure.
func Decide(record, template, present rollout.Stamp) Decision {
	d := Decision{Adopt: rollout.Stamp{}}
	for _, entry := range slices.Sorted(maps.Keys(present)) {
		now := present[entry]
		switch {
		case record[entry] == now || template[entry] == now:
		case record[entry] == "" && template[entry] == "":
			d.Adopt[entry] = now
		default:
			d.Changed = append(d.Changed, entry)
		}
	}
	return d
}
