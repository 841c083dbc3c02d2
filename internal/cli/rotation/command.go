package rotation

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
)

// commands make the subcommands, which share the session and the cluster's flags.
type commands struct {
	*session.Session
	flags cluster.Flags
	now   func() time.Time
	// quiet is how long nothing happens until people are told that perhaps nobody
	// works on it.
	quiet time.Duration
}

// Command returns the rotation command with what is below it.
func Command(s *session.Session) *cobra.Command {
	x := &commands{Session: s, now: time.Now, quiet: 15 * time.Second}
	c := session.Group("rotation", "Rotate credentials, and see the proof that nobody uses the old one",
		x.list(), x.status(), x.watch(), x.rehearse(), x.start(), x.leaked(), x.approve(), x.hold(), x.resume(), x.rollback(),
		x.accept(), x.confirmRetired(), x.provide(), x.evidence(), x.verify(), x.report())
	return c
}

// named is a command about one Rotation.
func (x *commands) named(use, short string, run func(ctx context.Context, k *cluster.Cluster, r *v1alpha1.Rotation) error) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Args: session.Args(1, 1), ValidArgsFunction: x.complete,
		Example: "  strongkeep rotation " + strings.Replace(use, "NAME", "-n shop db", 1),
		RunE: func(c *cobra.Command, given []string) error {
			k, r, err := x.get(c.Context(), given[0])
			if err != nil {
				return err
			}
			return run(c.Context(), k, r)
		},
	}
	x.flags.Add(c.Flags())
	return c
}

func what(r client.Object) string { return fmt.Sprintf("Rotation %q", client.ObjectKeyFromObject(r)) }

func (x *commands) get(ctx context.Context, given string) (*cluster.Cluster, *v1alpha1.Rotation, error) {
	k, err := x.flags.Connect(x.Env)
	if err != nil {
		return nil, nil, err
	}
	name, err := k.Name(given)
	if err != nil {
		return nil, nil, err
	}
	r := &v1alpha1.Rotation{}
	err = k.Get(ctx, name, r)
	if apierrors.IsNotFound(err) {
		return nil, nil, k.Absent(ctx, fmt.Sprintf("Rotation %q", name), name.Namespace, &v1alpha1.RotationList{}, "strongkeep rotation list -A")
	}
	return k, r, cluster.Explain(err, fmt.Sprintf("Rotation %q", name))
}

// complete proposes names of Rotations.
func (x *commands) complete(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	return x.flags.Complete(x.Env, given, &v1alpha1.RotationList{})
}
