package cluster

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// names returns the names of what there is of list's kind in a namespace, sorted.
func (c *Cluster) names(ctx context.Context, list client.ObjectList, namespace string) ([]string, error) {
	if err := c.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	var names []string
	err := meta.EachListItem(list, func(o runtime.Object) error {
		m, err := meta.Accessor(o)
		if err == nil {
			names = append(names, m.GetName())
		}
		return err
	})
	slices.Sort(names)
	return names, err
}

// Absent is the error for what, such as `Rotation "shop/db"`, that a person named
// and that does not exist. It says which of list's kind the namespace has, as far
// as they may be seen; see is the command that lists them.
func (c *Cluster) Absent(ctx context.Context, what, namespace string, list client.ObjectList, see string) error {
	names, err := c.names(ctx, list, namespace)
	if err != nil || len(names) == 0 {
		return errs.Newf(errs.NotExist, "%s does not exist, and namespace %s has none: see %s", what, namespace, see)
	}
	if len(names) > 10 {
		names = append(names[:10], "…")
	}
	return errs.Newf(errs.NotExist, "%s does not exist; namespace %s has: %s", what, namespace, strings.Join(names, ", "))
}

// Complete proposes names of list's kind for the first argument of a command,
// asking for two seconds at most.
func (f *Flags) Complete(env session.Env, given []string, list client.ObjectList) ([]string, cobra.ShellCompDirective) {
	if len(given) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	k, err := f.Connect(env)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, _ := k.names(ctx, list, k.Namespace) // what cannot be asked is not proposed
	return names, cobra.ShellCompDirectiveNoFileComp
}
