package restart

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/content"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller"
)

// Reach reaches another cluster, and says who it is: the same for everybody who
// reaches it.
type Reach func(ctx context.Context, c consumer.Cluster) (by client.Client, id string, err error)

// Roller implements controller.Roller.
type Roller struct {
	by    *rollout.Roller
	reach Reach
}

// New returns a Roller that restarts with by. reach may be nil: then nothing is
// restarted in other clusters.
func New(by *rollout.Roller, reach Reach) Roller { return Roller{by, reach} }

// Look implements controller.Roller.
func (r Roller) Look(ctx context.Context, s controller.Restart) (rotate.Rolling, error) {
	return rolling(r.by.Look(ctx, r.request(s)))
}

// Roll implements controller.Roller.
func (r Roller) Roll(ctx context.Context, s controller.Restart) (rotate.Rolling, error) {
	return rolling(r.by.Roll(ctx, r.request(s)))
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
	return r.by.Try(ctx, r.request(s))
}

// Forget lets go of a Rotation that is gone.
func (r Roller) Forget(owner string) { r.by.Forget(prefix + owner) }

const prefix = "rotation/"

func (r Roller) request(s controller.Restart) rollout.Request {
	q := rollout.Request{
		Owner: prefix + s.Owner, Workloads: s.Graph.Workloads, Pods: s.Graph.Pods, Wanted: wanted(s.Graph),
		Method: s.Method, MaxConcurrent: s.MaxConcurrent, Deadline: s.Deadline, Since: s.Since,
	}
	if r.reach != nil {
		q.Remote = r.remote(s.Clusters)
	}
	return q
}

// remote reaches the clusters of one Rotation by their names in it.
func (r Roller) remote(clusters []consumer.Cluster) func(context.Context, string) (client.Client, string, error) {
	return func(ctx context.Context, name string) (client.Client, string, error) {
		for _, c := range clusters {
			if c.Name == name {
				return r.reach(ctx, c)
			}
		}
		return nil, "", errs.Newf(errs.Invalid, "spec.consumers.clusters names no cluster %q", name)
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
