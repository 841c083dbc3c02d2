package cli

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	compose "github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/app/headroom"
	"github.com/strongkeep/strongkeep/internal/cli/admin"
	"github.com/strongkeep/strongkeep/internal/cli/controllers"
	"github.com/strongkeep/strongkeep/internal/cli/diagnose"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rbac"
	"github.com/strongkeep/strongkeep/internal/pages"
)

// operatorCommand holds what the person who runs a vault does, and "run", the
// program that runs in a cluster and keeps its Secrets in step.
func (a *app) operatorCommand() *cobra.Command {
	return session.Group("operator", "Run the Kubernetes operator; initialise, unseal, seal and rotate a vault",
		append([]*cobra.Command{a.operatorRun(), a.operatorRBAC(), a.diagnose()}, admin.Commands(a.Session)...)...)
}

func (a *app) diagnose() *cobra.Command {
	return diagnose.Command(a.Session, diagnose.Settings{Bind: bindServer, Load: a.serverConfig})
}

// operatorRun runs the controllers. Flags may also be given as STRONGKEEP_*
// variables, which is what a Deployment sets most easily.
func (a *app) operatorRun() *cobra.Command {
	var cfg operator.Config
	var level string
	c := &cobra.Command{
		Use: "run", Short: "Run the controllers that keep Kubernetes Secrets in step with their stores", Args: session.Args(0, 0),
		Long: `Run the controllers of external-secrets.io: SecretStore, ClusterSecretStore and
ExternalSecret, in v1 and v1beta1. In a pod the ServiceAccount of the pod is
used, elsewhere a kubeconfig. "strongkeep operator rbac" prints the rights needed.`,
		Example: "  strongkeep operator run -kubeconfig=$HOME/.kube/config -namespaces=payments",
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("namespace") { // as the original's charts say it; to pass it over would serve every namespace
				return errs.New(errs.Invalid, "-namespace is a vault's: say -namespaces for those of Kubernetes that the operator works in")
			}
			if err := a.fromEnvironment(c.Flags()); err != nil {
				return err
			}
			if cfg.Kubeconfig == "" {
				cfg.Kubeconfig = a.Env.Getenv("KUBECONFIG")
			}
			var l slog.Level
			if err := l.UnmarshalText([]byte(level)); err != nil {
				return errs.Newf(errs.Invalid, "log-level %q: use debug, info, warn or error", level)
			}
			cfg.Log = slog.New(slog.NewTextHandler(a.Env.Stderr, &slog.HandlerOptions{Level: l}))
			if err := compose.Harden(); err != nil {
				a.Warn([]string{fmt.Sprintf("memory may appear in core dumps: %v", err)})
			}
			defer headroom.Keep(headroom.Operator())()
			cfg.Started = func(operator.Addresses) {
				if err := pages.Release(); err != nil {
					cfg.Log.Debug("what the start has read of the program stays in memory", "error", err)
				}
			}
			return compose.RunOperator(c.Context(), cfg)
		},
	}
	controllers.Flags(c.Flags(), &cfg)
	c.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return c
}

// fromEnvironment sets flags that were not given from STRONGKEEP_*.
func (a *app) fromEnvironment(f *pflag.FlagSet) (err error) {
	f.VisitAll(func(flag *pflag.Flag) {
		value := a.Env.Getenv(variable(flag.Name))
		if err != nil || flag.Changed || value == "" {
			return
		}
		if setErr := f.Set(flag.Name, value); setErr != nil {
			err = errs.Newf(errs.Invalid, "setting %s: %w", variable(flag.Name), setErr)
		}
	})
	return err
}

// operatorRBAC prints the rights that the operator needs, no more.
func (a *app) operatorRBAC() *cobra.Command {
	var o rbac.Options
	noClusterStores, noRotation, noReload, noPush, noSpread := false, false, false, false, false
	var files []string
	c := &cobra.Command{
		Use: "rbac", Short: "Print the roles that the operator needs, each rule with its reason", Args: session.Args(0, 0),
		Long: `Print the roles that the operator needs, each rule with its reason. With -f they name the Secrets and
ServiceAccounts that manifests refer to, and let the operator read no others: for
"strongkeep operator run -watch-secrets=named -no-rotation -no-reload" (docs/rights.md).`,
		Example: `  strongkeep operator rbac -namespaces=payments,shop | kubectl apply -f -
  kubectl get secretstores,externalsecrets,pushsecrets -n payments -o yaml | strongkeep operator rbac -f - | kubectl apply -f -`,
		RunE: func(*cobra.Command, []string) error {
			o.ClusterStores, o.Rotation, o.Reload, o.Push, o.Spread = !noClusterStores, !noRotation, !noReload, !noPush, !noSpread
			if o.Checks && (len(files) > 0 || len(o.Namespaces) > 0) {
				return errs.New(errs.Invalid, "-checks with -f or -namespaces: the checks are about the whole cluster: leave one of them out")
			}
			if len(files) > 0 {
				if err := a.nameSecrets(&o, files); err != nil {
					return err
				}
			}
			out, err := rbac.YAML(o)
			if err != nil {
				return errs.Newf(errs.Internal, "rendering the roles: %w", err)
			}
			_, err = a.Env.Stdout.Write(out)
			return err
		},
	}
	f := c.Flags()
	f.StringArrayVarP(&files, "filename", "f", nil, "manifests whose Secrets and ServiceAccounts the roles are to name; - is the standard input")
	f.StringSliceVar(&o.Namespaces, "namespaces", nil, "roles for these namespaces only (default: a ClusterRole; with -f those of the manifests)")
	f.StringSliceVar(&o.CredentialNamespaces, "credential-namespaces", nil, "further namespaces that ClusterSecretStores take credentials from")
	f.BoolVar(&o.ConfigMaps, "unsafe-allow-generic-targets", false, "with the rights to make ConfigMaps for ExternalSecrets; of other kinds write a role (docs/target-manifest.md)")
	f.BoolVar(&o.Drills, "drills", false, "with the rights for Drills")
	f.BoolVar(&o.Checks, "checks", false, "with the rights to look at the whole cluster, for run -checks; not with -namespaces or -f")
	f.BoolVar(&noClusterStores, "no-cluster-stores", false, "without the rights for ClusterSecretStores")
	f.BoolVar(&noPush, "no-push", false, "without the rights for PushSecrets")
	f.BoolVar(&noSpread, "no-spread", false, "without the rights for ClusterExternalSecrets and ClusterPushSecrets")
	f.BoolVar(&noRotation, "no-rotation", false, "without the rights for Rotations")
	f.BoolVar(&o.RehearsalPods, "rehearsal-pods", false, "with the rights to make pods for rehearsals")
	f.BoolVar(&noReload, "no-reload", false, "without the rights to restart workloads whose Secrets and ConfigMaps change")
	f.BoolVar(&o.LeaderElection, "leader-election", false, "with the rights for leader election")
	f.StringVar(&o.Namespace, "own-namespace", "", "namespace of the operator (default strongkeep-system)")
	f.StringVar(&o.ServiceAccount, "service-account", "", "its ServiceAccount (default strongkeep-operator)")
	return c
}
