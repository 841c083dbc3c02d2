package restart

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/content"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller"
)

// Roller implements controller.Roller.
type Roller struct{ by *rollout.Roller }

// New returns a Roller that restarts with by.
func New(by *rollout.Roller) Roller { return Roller{by} }

// Look implements controller.Roller.
func (r Roller) Look(ctx context.Context, s controller.Restart) (rotate.Rolling, error) {
	return rolling(r.by.Look(ctx, request(s)))
}

// Roll implements controller.Roller.
func (r Roller) Roll(ctx context.Context, s controller.Restart) (rotate.Rolling, error) {
	return rolling(r.by.Roll(ctx, request(s)))
}

// Try says what would come of Roll once the Secrets hold something new, and
// changes nothing; see rollout.Roller.Try.
func (r Roller) Try(ctx context.Context, s controller.Restart) (rollout.Progress, error) {
	g := *s.Graph
	g.Secrets = slices.Clone(g.Secrets)
	for i := range g.Secrets {
		g.Secrets[i].Digest = "rehearsal" // which nobody has
	}
	s.Graph = &g
	return r.by.Try(ctx, request(s))
}

// Forget lets go of a Rotation that is gone.
func (r Roller) Forget(owner string) { r.by.Forget(prefix + owner) }

const prefix = "rotation/"

func request(s controller.Restart) rollout.Request {
	return rollout.Request{
		Owner: prefix + s.Owner, Workloads: s.Graph.Workloads, Pods: s.Graph.Pods, Wanted: wanted(s.Graph),
		Method: s.Method, MaxConcurrent: s.MaxConcurrent, Deadline: s.Deadline, Since: s.Since,
	}
}

// wanted returns what each workload is to be restarted for: what the Secrets
// hold that its containers use. Those that only pull images or mount storage are
// read by the node, anew for each pod; a workload that the user names, without
// a use that is seen, is restarted for every Secret of its namespace.
func wanted(g *consumer.Graph) func(consumer.Object) rollout.Stamp {
	type place struct {
		cluster string
		types.NamespacedName
	}
	digests := map[place]string{}
	for _, fed := range g.Secrets {
		if fed.Digest != "" && fed.Kind.Kind == "Secret" {
			digests[place{fed.Cluster, fed.NamespacedName}] = fed.Digest
		}
	}
	stamps := map[consumer.Object]rollout.Stamp{}
	for _, w := range g.Workloads {
		stamp := rollout.Stamp{}
		for _, u := range w.Uses {
			if u.Kind == consumer.UseNamed {
				for at, digest := range digests {
					if at.cluster == w.Cluster && at.Namespace == w.Namespace {
						stamp[entry(at.Name)] = digest
					}
				}
			}
			at := place{w.Cluster, types.NamespacedName{Namespace: w.Namespace, Name: u.Secret}}
			if digest := digests[at]; digest != "" && u.Kind != consumer.UseImagePull {
				stamp[entry(u.Secret)] = digest
			}
		}
		stamps[w.Object] = stamp
	}
	return func(o consumer.Object) rollout.Stamp { return stamps[o] }
}

func entry(secret string) string {
	return content.Object{Kind: content.Secret, NamespacedName: types.NamespacedName{Name: secret}}.Entry()
}

// rolling sums up. What was skipped needs no restart, and is done.
func rolling(p rollout.Progress, err error) (rotate.Rolling, error) {
	out := rotate.Rolling{Total: len(p.Items)}
	for _, i := range p.Items {
		switch {
		case i.State == rollout.Done || i.State == rollout.Skipped:
			out.Done++
		case i.State == rollout.Failed:
			out.Failed = append(out.Failed, i.String())
		case i.State == rollout.Rolling || i.State == rollout.Waiting && i.Turn:
			out.Under = append(out.Under, i.String())
		default:
			out.Waiting = append(out.Waiting, i.String())
		}
	}
	return out, err
}
