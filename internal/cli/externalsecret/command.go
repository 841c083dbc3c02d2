package externalsecret

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// Config says what stores and generators there are.
type Config struct {
	Providers  map[string]provider.Provider
	Generators map[string]generator.Kind
}

// commands share the session and the cluster's flags.
type commands struct {
	*session.Session
	cfg   Config
	flags cluster.Flags
	now   func() time.Time
	// quiet is how long a failure that stays the same is waited for to change.
	quiet time.Duration
}

// Commands returns the commands about ExternalSecrets.
func Commands(s *session.Session, cfg Config) []*cobra.Command {
	part := func() *commands { return &commands{Session: s, cfg: cfg, now: time.Now, quiet: 10 * time.Second} }
	return []*cobra.Command{part().render(), part().explain(), part().sync()}
}

func what(name types.NamespacedName) string { return fmt.Sprintf("ExternalSecret %q", name) }

// get reads the ExternalSecret that a person named.
func (x *commands) get(ctx context.Context, k *cluster.Cluster, given string) (*v1.ExternalSecret, error) {
	name, err := k.Name(given)
	if err != nil {
		return nil, err
	}
	es := &v1.ExternalSecret{}
	err = k.Get(ctx, name, es)
	if apierrors.IsNotFound(err) {
		return nil, k.Absent(ctx, what(name), name.Namespace, &v1.ExternalSecretList{}, "kubectl get externalsecrets -A")
	}
	return es, cluster.Explain(err, what(name))
}

// complete proposes names of ExternalSecrets.
func (x *commands) complete(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	return x.flags.Complete(x.Env, given, &v1.ExternalSecretList{})
}
