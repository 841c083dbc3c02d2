package rotation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// commands make the subcommands, which share the session and the cluster's flags.
type commands struct {
	*session.Session
	flags cluster.Flags
	now   func() time.Time
}

// Command returns the rotation command with what is below it.
func Command(s *session.Session) *cobra.Command {
	x := &commands{Session: s, now: time.Now}
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
	r.Namespace, r.Name = name.Namespace, name.Name
	err = k.Get(ctx, name, r)
	if apierrors.IsNotFound(err) {
		r.Namespace, r.Name = name.Namespace, name.Name // Get empties it
		return nil, nil, x.unknown(ctx, k, r)
	}
	return k, r, cluster.Explain(err, fmt.Sprintf("Rotation %q", name))
}

// unknown says which there are, as far as they may be seen.
func (x *commands) unknown(ctx context.Context, k *cluster.Cluster, r *v1alpha1.Rotation) error {
	var list v1alpha1.RotationList
	if err := k.List(ctx, &list, client.InNamespace(r.Namespace)); err != nil || len(list.Items) == 0 {
		return errs.Newf(errs.NotExist, "%s does not exist, and namespace %s has none: see strongkeep rotation list -A", what(r), r.Namespace)
	}
	names := make([]string, 0, len(list.Items))
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	slices.Sort(names)
	if len(names) > 10 {
		names = append(names[:10], "…")
	}
	return errs.Newf(errs.NotExist, "%s does not exist; namespace %s has: %s", what(r), r.Namespace, strings.Join(names, ", "))
}

// complete proposes names of Rotations, asking for two seconds at most.
func (x *commands) complete(c *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(given) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(context.Background()), 2*time.Second)
	defer cancel()
	k, err := x.flags.Connect(x.Env)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var list v1alpha1.RotationList
	if err := k.List(ctx, &list, client.InNamespace(k.Namespace)); err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
