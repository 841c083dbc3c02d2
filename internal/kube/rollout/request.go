package rollout

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
)

// Request is what somebody wants to be true of workloads. It is asked again and
// again, with the same Owner, until the Progress is as wished.
type Request struct {
	// Owner is who asks, such as "rotation/NAMESPACE/NAME". Its workloads count
	// against MaxConcurrent together.
	Owner string
	// Workloads in the order they are to be restarted in, and the pods known of
	// them. Of pods only those of workloads are looked at that Strongkeep cannot
	// restart; for the others it asks the API server.
	Workloads []consumer.Workload
	Pods      []consumer.Pod
	// Wanted returns the content that a workload's pods must have been created
	// for. Empty: it is left alone.
	Wanted func(consumer.Object) Stamp
	// Method; empty is Template. Force restarts workloads too that say by the
	// annotation strongkeep.io/reload that they need none.
	Method v1alpha1.RolloutMethod
	Force  bool
	// MaxConcurrent workloads of this Owner are under way at once; 5 when 0.
	MaxConcurrent int
	// Deadline of each workload, from when its restart was written or from Since,
	// whichever is later; 10 minutes when 0.
	Deadline time.Duration
	Since    time.Time
	// Remote reaches another cluster by the name that it has in Workloads, and says
	// who it is: the same for everybody who reaches it. Nil: none is reached.
	Remote func(ctx context.Context, cluster string) (c client.Client, id string, err error)
}

const (
	defaultConcurrent = 5
	defaultDeadline   = 10 * time.Minute
)

// State is how far one workload is.
type State string

// The states. Waiting, Rolling and Paused may still become Done by themselves or
// by a person; Failed may too, but is not waited for.
const (
	Waiting State = "Waiting" // for a slot, a PodDisruptionBudget, a Job, a person: Message says which
	Rolling State = "Rolling"
	Done    State = "Done" // each of its pods was created for what is wanted, and is ready
	Failed  State = "Failed"
	Paused  State = "Paused"  // by its owner; never touched
	Skipped State = "Skipped" // needs no restart, or is gone
)

// Item is one workload's progress.
type Item struct {
	consumer.Object
	State State
	// Message says how far, or why not, and what a person can do. It is empty for
	// Done.
	Message string
	// Turn, with Waiting: it waits for others to be done, and nothing else.
	Turn bool
	// Blind, with Waiting: it could not be asked just now.
	Blind bool
	// Since is when the restart was written; zero when it was not, or not known.
	Since time.Time
}

// Progress is what came of a Request, in the order of its workloads.
type Progress struct{ Items []Item }

// In returns the items in any of states.
func (p Progress) In(states ...State) []Item {
	var out []Item
	for _, i := range p.Items {
		for _, s := range states {
			if i.State == s {
				out = append(out, i)
			}
		}
	}
	return out
}

// Done reports whether nothing is left to be waited for.
func (p Progress) Done() bool { return len(p.In(Done, Skipped)) == len(p.Items) }

// String returns "Deployment NAMESPACE/NAME: MESSAGE", as conditions show it.
func (i Item) String() string {
	s := describe(i.Object)
	if i.Message != "" {
		s += ": " + i.Message
	}
	return s
}

func describe(o consumer.Object) string {
	s := o.Kind.Kind + " " + o.NamespacedName.String()
	if o.Cluster != "" {
		s += " of cluster " + o.Cluster
	}
	return s
}
