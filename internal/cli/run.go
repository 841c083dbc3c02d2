package cli

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	compose "github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rbac"
)

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
			defer compose.KeepHeadroom(compose.OperatorHeadroom())()
			cfg.Started = func(operator.Addresses) {
				if err := compose.ReleaseProgram(); err != nil {
					cfg.Log.Debug("what the start has read of the program stays in memory", "error", err)
				}
			}
			return compose.RunOperator(c.Context(), cfg)
		},
	}
	syncFlags(c.Flags(), &cfg)
	otherFlags(c.Flags(), &cfg)
	c.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return c
}

// syncFlags are those of ExternalSecrets, PushSecrets and their stores.
func syncFlags(f *pflag.FlagSet, cfg *operator.Config) {
	f.StringVar(&cfg.Kubeconfig, "kubeconfig", "", "how to reach the API server (KUBECONFIG); default: the pod's ServiceAccount")
	f.StringSliceVar(&cfg.Namespaces, "namespaces", nil, "work only in these namespaces (default: all)")
	f.StringVar(&cfg.OwnNamespace, "own-namespace", "", "namespace of the operator's lease and key (default: the pod's, else strongkeep-system)")
	f.BoolVar(&cfg.NoClusterStores, "no-cluster-stores", false, "leave ClusterSecretStores alone")
	f.StringVar(&cfg.Class, "class", "", "answer for stores of this spec.controller, and for those without (default \"default\")")
	f.BoolVar(&cfg.OnlyClass, "only-class", false, "leave stores without spec.controller, PushSecrets and Cluster… objects to another operator beside this one (docs/migrate-external-secrets.md)")
	f.IntVar(&cfg.Concurrency, "concurrency", 0, "ExternalSecrets worked on at once, at most half of them of one namespace or ClusterSecretStore (default 64)")
	f.IntVar(&cfg.StoreConcurrency, "store-concurrency", 0, "calls to one store under way at once (default 16)")
	f.DurationVar(&cfg.StoreInterval, "store-interval", 0, "how often stores are checked (default 5m)")
	f.StringVar(&cfg.TemplateDelimiters.Left, "template-left-delimiter", "", "what actions of templates of ExternalSecrets and PushSecrets begin with (default \"{{\")")
	f.StringVar(&cfg.TemplateDelimiters.Right, "template-right-delimiter", "", "what they end with (default \"}}\")")
	f.BoolVar(&cfg.GenericTargets, "unsafe-allow-generic-targets", false, "let ExternalSecrets make ConfigMaps and other objects in place of Secrets (docs/target-manifest.md); needs the roles that operator rbac with the same flag prints")
	f.StringVar(&cfg.LastValuesDir, "last-values-dir", "", "keep what was last read here, sealed, so that a namespace or cluster made anew can start while a store is away (docs/last-values.md)")
	f.StringVar(&cfg.LastValuesKeyFile, "last-values-key-file", "", "the key that seals it: 32 bytes, or those in base64, not in that directory")
	f.StringVar(&cfg.LastValuesOldKeyFile, "last-values-old-key-file", "", "the key before, while it is being changed (docs/last-values.md)")
	f.DurationVar(&cfg.LastValuesMaxAge, "last-values-max-age", 0, "how long a last value is good (default 168h)")
	f.StringVar(&cfg.WatchSecrets, "watch-secrets", "all", "all, or named: one by one, by the roles that operator rbac -f prints (docs/rights.md)")
	f.BoolVar(&cfg.RequireAudiences, "require-audiences", false, "send no ServiceAccount's token that the API server itself would accept: serviceAccountRef must name audiences")
	f.BoolVar(&cfg.NoPush, "no-push", false, "leave PushSecrets alone")
	f.BoolVar(&cfg.NoSpread, "no-spread", false, "leave ClusterExternalSecrets and ClusterPushSecrets alone, as with -namespaces and -no-cluster-stores")
	f.StringSliceVar(&cfg.PrivateNetworks, "private-networks", nil, "private networks, such as 10.96.0.0/12, where webhooks, and API servers of stores, may be (default: none)")
	f.StringVar(&cfg.AmbientCredentials, "ambient-credentials", "cluster", "stores that may use the operator's own identity in a cloud: cluster (ClusterSecretStores), all or none")
}

// otherFlags are those of what else the operator does, and of how it runs.
func otherFlags(f *pflag.FlagSet, cfg *operator.Config) {
	f.BoolVar(&cfg.NoRotation, "no-rotation", false, "leave Rotations alone")
	f.BoolVar(&cfg.ShowCopies, "show-copies", false, "let a Rotation know of copies of its credential in every namespace, and not only in its own and where an annotation says so")
	f.BoolVar(&cfg.RehearsalPods, "rehearsal-pods", false, "let rehearsals run copies of consumers' pods, if they are asked to; needs the roles that operator rbac -rehearsal-pods prints")
	f.IntVar(&cfg.Turns, "rotation-turns", 0, "Rotations whose consumers may be touched at once (default 10)")
	f.IntVar(&cfg.Rollouts, "rollouts", 0, "workloads that may be restarted at once in the cluster (default 20)")
	f.StringVar(&cfg.Witnesses, "witnesses", "", "namespace of the nodes' witnesses, strongkeep-witness with deploy/witness (default: nodes are not asked)")
	f.StringVar(&cfg.ServiceAccount, "service-account", "strongkeep-operator", "the operator's own ServiceAccount, which the witnesses answer")
	f.StringVar(&cfg.EvidenceMount, "evidence-mount", "", "where vaults have their evidence engine, for signed statements (default \"evidence\")")
	f.BoolVar(&cfg.NoReload, "no-reload", false, "restart no workloads whose Secrets and ConfigMaps change")
	f.DurationVar(&cfg.ReloadSettle, "reload-settle", 0, "how long content must be still before a workload is restarted (default 2s)")
	f.BoolVar(&cfg.Drills, "drills", false, "run Drills, which break how secrets reach a workload for a limited time, where a namespace's label allows it")
	f.BoolVar(&cfg.LeaderElection, "leader-election", false, "let one of several operators work")
	f.StringVar(&cfg.MetricsAddr, "metrics-addr", "", "address of /metrics, 0 for none (default :8080)")
	f.StringVar(&cfg.HealthAddr, "health-addr", "", "address of /healthz and /readyz, 0 for none (default :8082)")
	f.StringVar(&cfg.ChangesAddr, "changes-addr", "", "address that takes signed reports of changed secrets, such as :8443 (docs/changes.md; default: none)")
	f.StringVar(&cfg.ChangesTLSCert, "changes-tls-cert", "", "certificate of changes-addr, PEM, read again when it changes (default: no TLS)")
	f.StringVar(&cfg.ChangesTLSKey, "changes-tls-key", "", "its key, PEM")
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
