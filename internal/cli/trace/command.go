package trace

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/strongkeep/strongkeep/internal/cli/look"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/trace"
)

// Commands returns inventory and trace.
func Commands(s *session.Session) []*cobra.Command {
	x := &commands{Session: s, now: time.Now}
	t := &cobra.Command{Use: "trace COMMAND", Short: "Show where a credential is, where it comes from, who uses it and who gets at it", Args: cobra.ArbitraryArgs, RunE: session.Unknown}
	t.AddCommand(x.secret(), x.vault())
	return []*cobra.Command{x.inventory(), t}
}

type commands struct {
	*session.Session
	now func() time.Time
}

// scope is what is looked at: one cluster, and others.
type scope struct {
	look.Flags
	name   string
	with   []string
	labels trace.Labels
}

func (q *scope) add(to *pflag.FlagSet) {
	q.AddWhole(to)
	to.StringVar(&q.name, "name", "", "what to call the cluster that is looked at, where -with names others (default \"this\")")
	to.StringSliceVar(&q.with, "with", nil, "look at another cluster as well: NAME=FILE, a snapshot made with the same -key-file, NAME=context:CONTEXT or NAME=kubeconfig:FILE; may be given again")
	to.StringSliceVar(&q.labels.Owner, "owner-label", nil, "labels that say whose something is, instead of the usual ones")
	to.StringSliceVar(&q.labels.Team, "team-label", nil, "labels that say of which team")
	to.StringSliceVar(&q.labels.Environment, "environment-label", nil, "labels that say of which environment")
}

// seen is what was read, and the graph of it.
type seen struct {
	*look.Seen
	graph *trace.Graph
	name  string
}

// read reads what was asked for, and says on standard error what is missing.
func (x *commands) read(ctx context.Context, q *scope) (*seen, error) {
	first, err := q.Read(ctx, x.Session, x.now())
	if err != nil {
		return nil, err
	}
	out := &seen{Seen: first}
	if len(q.with) > 0 {
		out.name = session.First(q.name, "this")
	}
	clusters := []trace.Cluster{{Name: out.name, Snapshot: first.Snapshot}}
	for _, w := range q.with {
		name, from, ok := strings.Cut(w, "=")
		if !ok || name == "" || from == "" {
			return nil, errs.Newf(errs.Invalid, "-with=%q: say NAME=FILE, NAME=context:CONTEXT or NAME=kubeconfig:FILE", w)
		}
		other, err := q.Other(ctx, x.Session, from, first)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		clusters = append(clusters, trace.Cluster{Name: name, Snapshot: other})
	}
	x.warn(clusters)
	out.graph, err = trace.New(trace.Config{Clusters: clusters, Labels: q.labels, Now: x.now()})
	return out, err
}

// wanted are the resources whose lack makes the answer less than whole.
var wanted = []string{"secrets", "secrets/values", "configmaps", "pods", "workloads", "controllerrevisions", "uses", "sources", "stores", "roles", "clusterroles", "rolebindings", "clusterrolebindings"}

func (x *commands) warn(clusters []trace.Cluster) {
	var out []string
	for _, c := range clusters {
		for _, m := range c.Coverage.Missing(wanted...) {
			out = append(out, strings.TrimPrefix(c.Name+": ", ": ")+m+": there may be more than is shown")
		}
	}
	x.Warn(out)
}
