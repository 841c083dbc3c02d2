package controllers

import (
	"github.com/spf13/pflag"

	"github.com/strongkeep/strongkeep/internal/kube/operator"
)

// Flags adds the flags that fill in cfg.
func Flags(f *pflag.FlagSet, cfg *operator.Config) {
	syncFlags(f, cfg)
	otherFlags(f, cfg)
	checkFlags(f, &cfg.Checks)
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

// checkFlags are those of what keeps the checks current.
func checkFlags(f *pflag.FlagSet, cfg *operator.Checks) {
	f.BoolVar(&cfg.On, "checks", false, "keep the answers of the checks current: reports, metrics, history (docs/checks/README.md); needs deploy/operator/rbac-checks.yaml")
	f.DurationVar(&cfg.Every, "checks-interval", 0, "how often the cluster is looked at for them (default 1h)")
	f.BoolVar(&cfg.Content, "checks-content", false, "read the contents of Secrets and ConfigMaps for them, for fingerprints that are never stored (default: metadata of Secrets only)")
	f.StringVar(&cfg.Exceptions, "checks-exceptions", "", "file of findings that are accepted, as check -exceptions takes it, read at each look")
}
