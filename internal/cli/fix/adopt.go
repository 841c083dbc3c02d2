package fix

import (
	"context"
	"log/slog"

	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/kube/operator"
	"github.com/strongkeep/strongkeep/internal/kube/operator/preview"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/remedy"
	"github.com/strongkeep/strongkeep/internal/kube/posture/remedy/adoption"
	pool "github.com/strongkeep/strongkeep/internal/kube/provider/session"
)

// adoptSecret makes a vault the source of a Secret, and of its copies.
func (x *command) adoptSecret(ctx context.Context, config *rest.Config, target remedy.Target) error {
	k, err := x.flags.Connect(x.Env)
	if err != nil {
		return err
	}
	client, err := x.Client()
	if err != nil {
		return err
	}
	// Values are written: what is sent is never shown.
	defer session.Plain(client)()
	seen, err := x.read(ctx, config, append([]string{target.Namespace}, x.options.In...)...)
	if err != nil {
		return err
	}
	objects := operator.Objects(k, k)
	stores := pool.New(pool.Config{Providers: x.Providers, Cluster: objects, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler)})
	defer stores.Close()
	a := &adoption.Adopter{
		Client: k, Vault: &engine{x.Session, client}, Seen: check.NewInput(seen, x.now(), check.Settings{}), Wait: x.wait, Now: x.now,
		Maker: &preview.Maker{Reader: k, Stores: stores, Generators: x.Generators, Cluster: objects, Clock: clock.RealClock{}},
	}
	x.adopt.In, x.adopt.Anyway = x.options.In, x.options.Anyway
	plan, err := a.Plan(ctx, target, x.adopt)
	if err != nil {
		return err
	}
	if err := remedy.Apply(ctx, k, plan.Plan, true); err != nil {
		return err
	}
	if !x.apply {
		return x.show(plan.Plan)
	}
	return x.do(ctx, config, plan.Plan, func() error { return a.Apply(ctx, plan) })
}
