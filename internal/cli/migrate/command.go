package migrate

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/migrate"
	"github.com/strongkeep/strongkeep/internal/kube/operator"
	"github.com/strongkeep/strongkeep/internal/kube/operator/preview"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	pool "github.com/strongkeep/strongkeep/internal/kube/provider/session"
)

// Config says what stores and generators there are.
type Config struct {
	Providers  map[string]provider.Provider
	Generators map[string]generator.Kind
}

// command is one run of "migrate external-secrets".
type command struct {
	*session.Session
	cfg        Config
	flags      cluster.Flags
	namespaces []string
	class      string
	apply      bool
	back       bool
	dry        bool
	all        bool
	compare    bool
	changes    bool
	pushes     bool
	wait       time.Duration
}

// Command returns the migrate command with what is below it.
func Command(s *session.Session, cfg Config) *cobra.Command {
	return session.Group("migrate", "Take over from another operator", (&command{Session: s, cfg: cfg}).externalSecrets())
}

func (x *command) externalSecrets() *cobra.Command {
	c := &cobra.Command{
		Use: "external-secrets", Short: "Take over from the External Secrets Operator, a namespace at a time, and back again", Args: session.Args(0, 0),
		Long: `Examine a cluster that runs the External Secrets Operator and say what works here as
it is, what does not, and whose Secret would change. Nothing is written unless -apply
or -back says so.

Before -apply, run Strongkeep's operator beside the original:
  strongkeep operator run -class=strongkeep -only-class
-apply gives the stores of the namespaces that class, which the original then leaves
alone; waits until the ExternalSecrets are taken over; and checks that each Secret is
the same object with the same data. -back gives the stores their class back.
docs/migrate-external-secrets.md has all steps, to the last.`,
		Example: `  strongkeep migrate external-secrets
  strongkeep migrate external-secrets -apply -n shop
  strongkeep migrate external-secrets -back -n shop`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := x.check(c); err != nil {
				return err
			}
			return x.run(c.Context())
		},
	}
	f := c.Flags()
	f.StringVar(&x.flags.Kubeconfig, "kubeconfig", "", "how to reach the API server (KUBECONFIG, ~/.kube/config, or the pod's own)")
	f.StringVar(&x.flags.Context, "context", "", "context of the kubeconfig; its current one when not given")
	f.StringSliceVarP(&x.namespaces, "kube-namespace", "n", nil, "namespaces of Kubernetes to move; several by commas")
	f.BoolVar(&x.all, "all", false, "move every namespace")
	f.BoolVar(&x.dry, "dry-run", false, "only say what there is; it is so unless -apply or -back is given")
	f.BoolVar(&x.apply, "apply", false, "move the stores of the namespaces")
	f.BoolVar(&x.back, "back", false, "give the stores of the namespaces back to the original")
	f.StringVar(&x.class, "class", "strongkeep", "class of Strongkeep's operator, as its -class says")
	f.BoolVar(&x.compare, "compare", true, "read the stores and Secrets with your own rights, and say whose data would change")
	f.BoolVar(&x.changes, "accept-changes", false, "move although something is refused or would change")
	f.BoolVar(&x.pushes, "pause-pushes", false, "move although PushSecrets use the stores: they are not pushed until the original is gone")
	f.DurationVar(&x.wait, "wait", 5*time.Minute, "how long the operator may take; 0: it is not waited for")
	return c
}

func (x *command) check(c *cobra.Command) error {
	acts := x.apply || x.back
	switch {
	case x.apply && x.back, x.dry && acts:
		return errs.New(errs.Invalid, "only one of -dry-run, -apply and -back can be meant")
	case acts && x.all == (len(x.namespaces) > 0):
		return errs.New(errs.Invalid, "say what to move: -n NAMESPACE, several by commas, or -all")
	case x.class == "" || x.class == "default":
		return errs.Newf(errs.Invalid, "-class=%q is the original's own: choose another, such as strongkeep, and run the operator with it", x.class)
	case x.wait < 0:
		return errs.Newf(errs.Invalid, "-wait=%s: use a time such as 5m, or 0 to wait for nothing", x.wait)
	case c.Flags().Changed("wait") && !x.apply:
		return errs.New(errs.Invalid, "-wait is for -apply")
	}
	return nil
}

func (x *command) run(ctx context.Context) error {
	k, err := x.flags.Connect(x.Env)
	if err != nil {
		return err
	}
	cfg := migrate.Config{Client: k, Class: x.class, Providers: x.cfg.Providers, Generators: x.cfg.Generators}
	if x.compare && !x.back {
		objects := operator.Objects(k, k)
		stores := pool.New(pool.Config{Providers: x.cfg.Providers, Cluster: objects, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler)})
		defer stores.Close()
		cfg.Maker = &preview.Maker{Reader: k, Stores: stores, Generators: x.cfg.Generators, Cluster: objects, Clock: clock.RealClock{}}
	}
	if x.Env.ReadLine != nil { // a terminal
		cfg.Progress = func(text string) { _, _ = fmt.Fprintf(x.Env.Stderr, "%s\n", text) }
	}
	plan, err := migrate.Look(ctx, cfg)
	if err != nil {
		return cluster.Explain(err, "examining the cluster")
	}
	if !x.apply && !x.back {
		return x.show(plan)
	}
	return x.act(ctx, k, plan)
}

func (x *command) act(ctx context.Context, k *cluster.Cluster, plan *migrate.Plan) error {
	moves, err := plan.Pick(x.namespaces)
	if err != nil {
		return err
	}
	if x.apply {
		if err := x.refuse(moves); err != nil {
			return err
		}
	}
	mover := &migrate.Mover{Client: k, Class: x.class, Wait: x.wait, Now: time.Now}
	var outcomes []migrate.Outcome
	for _, m := range moves {
		do := mover.Back
		if x.apply {
			do = mover.Apply
		}
		of, err := do(ctx, m)
		if ctx.Err() != nil {
			return session.Interrupted{Left: "the stores of " + strings.Join(m.Namespaces, ", ") + " may be moved: see strongkeep migrate external-secrets, and take it back with -back"}
		}
		if err != nil {
			return err
		}
		outcomes = append(outcomes, of...)
	}
	return x.report(outcomes)
}

// refuse says what stands against the moves.
func (x *command) refuse(moves []*migrate.Move) error {
	for _, m := range moves {
		of := "namespace " + strings.Join(m.Namespaces, ", ")
		if len(m.Blocked) > 0 && !x.changes {
			return errs.Newf(errs.Conflict, "%s is not moved: %s; strongkeep migrate external-secrets says why, and -accept-changes moves it all the same", of, strings.Join(m.Blocked, "; "))
		}
		if len(m.Pushes) > 0 && !x.pushes {
			return errs.Newf(errs.Conflict, "%s is not moved: its stores are used by PushSecrets (%s), which would not be pushed until the original is gone; -pause-pushes moves it all the same", of, strings.Join(m.Pushes, ", "))
		}
	}
	return nil
}
