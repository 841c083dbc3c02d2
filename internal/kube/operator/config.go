package operator

import (
	"log/slog"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
	"github.com/strongkeep/strongkeep/internal/kube/template"
)

// Config configures Run. Providers is required; zero values of the rest have
// the defaults named.
type Config struct {
	// Providers by their key under spec.provider.
	Providers map[string]provider.Provider
	// Generators are what generatorRef can name, by kind.
	Generators map[string]generator.Kind
	// Targets are what Rotations can turn, by their key under spec.target.
	Targets map[string]target.Kind

	// REST reaches the API server. When nil, Kubeconfig is read, or without one
	// the pod's own ServiceAccount used. Its QPS limit is taken off: the API
	// server's priority and fairness is the better judge.
	REST       *rest.Config
	Kubeconfig string

	// Namespaces to work in; all when empty.
	Namespaces []string
	// NoClusterStores leaves ClusterSecretStores alone.
	NoClusterStores bool
	// OwnNamespace holds the operator's lease and its key; the pod's when empty,
	// else "strongkeep-system".
	OwnNamespace string
	// Class is the spec.controller of stores answered for, beside those without; "default".
	// OnlyClass leaves those without to another operator beside this one, and with them
	// what has no class: PushSecrets, ClusterExternalSecrets and ClusterPushSecrets.
	Class     string
	OnlyClass bool

	// Concurrency is how many ExternalSecrets are worked on at once, and at most half of
	// it for one namespace or ClusterSecretStore; 64.
	Concurrency int
	// StoreConcurrency is how many calls to one store are under way at once; 16.
	StoreConcurrency int
	// StoreInterval is how often stores are checked; 5 minutes.
	StoreInterval time.Duration
	// TemplateLimits bound templates; see template.Limits.
	TemplateLimits template.Limits
	// TemplateDelimiters are those that templates of ExternalSecrets and PushSecrets are
	// written with; those of rewrite and of webhooks keep the usual ones.
	TemplateDelimiters template.Delimiters

	// GenericTargets lets ExternalSecrets make ConfigMaps and objects of other kinds
	// in place of Secrets; see package manifest.
	GenericTargets bool

	// LastValuesDir keeps what was last read, sealed with the key in LastValuesKeyFile,
	// for LastValuesMaxAge, a week; see package keepsake. Empty: nothing is kept. In
	// LastValuesOldKeyFile is the key before, while it is being changed.
	LastValuesDir, LastValuesKeyFile, LastValuesOldKeyFile string
	LastValuesMaxAge                                       time.Duration

	// WatchSecrets is WatchAll, by the right to list all Secrets of a namespace, or
	// WatchNamed: one by one, by roles that name them (see package named). That needs
	// Namespaces, NoReload and NoRotation, and no Drills. Empty: WatchAll.
	WatchSecrets string

	// RequireAudiences refuses stores and generators that ask for a ServiceAccount's token
	// without audiences, which the API server itself would accept.
	RequireAudiences bool

	// NoPush leaves PushSecrets alone; NoSpread ClusterExternalSecrets and
	// ClusterPushSecrets, as an operator does that has Namespaces or NoClusterStores.
	NoPush, NoSpread bool
	// NoRotation leaves Rotations alone. RehearsalPods lets their rehearsals run
	// shadow pods, if they are asked to.
	NoRotation, RehearsalPods bool
	// ShowCopies lets a Rotation know of copies of its credential in every namespace,
	// and not only in its own and where an annotation says so.
	ShowCopies bool
	// Turns is how many Rotations may have consumers restarted at once, 10; Rollouts
	// how many workloads may be restarted at once in the cluster, 20.
	Turns, Rollouts int
	// EvidenceMount is where each vault's evidence engine is mounted; "evidence".
	EvidenceMount string
	// Witnesses is the namespace of deploy/witness; empty: nodes are not asked.
	// ServiceAccount is the operator's own, which the witnesses answer;
	// "strongkeep-operator".
	Witnesses      string
	ServiceAccount string
	// PrivateNetworks, such as 10.96.0.0/12, are those that an address in a Rotation
	// (a webhook's, an endpoint's) may be in; none when empty.
	PrivateNetworks []string
	// Outbound is the same for the API servers of other clusters; app fills it in.
	Outbound outbound.Config
	// AmbientCredentials says which stores may use the operator's own identity in a
	// cloud: cluster (default), all or none; see provider.Ambient.
	AmbientCredentials string
	// NoReload leaves workloads alone whose Secrets and ConfigMaps change; otherwise
	// those are restarted that ask for it. ReloadSettle is how long content must be
	// still before; 2 seconds.
	NoReload     bool
	ReloadSettle time.Duration
	// Drills lets Drills break what is read for single workloads, in namespaces whose
	// label allows it.
	Drills bool
	// Checks keeps the answers of the checks current.
	Checks Checks

	// LeaderElection makes one of several operators work.
	LeaderElection bool

	// MetricsAddr and HealthAddr serve /metrics, and /healthz and /readyz; ":8080"
	// and ":8082". "0" serves nothing.
	MetricsAddr, HealthAddr string

	// ChangesAddr takes reports of changed secrets, see package hook; empty: none. With
	// ChangesTLSCert and ChangesTLSKey, PEM files read again when they change, by TLS.
	ChangesAddr, ChangesTLSCert, ChangesTLSKey string

	// Log hears what happens; nil: nobody hears.
	Log *slog.Logger
	// Started, when set, is called once with the addresses served.
	Started func(Addresses)
}

// Addresses are where the operator listens; empty where it does not.
type Addresses struct{ Metrics, Health, Changes string }

func (c Config) withDefaults() (Config, error) {
	text := func(s *string, d string) {
		if *s == "" {
			*s = d
		}
	}
	text(&c.OwnNamespace, ownNamespace())
	if c.OnlyClass && c.Class == "" {
		return c, errs.New(errs.Invalid, "only-class needs a class: name it with --class")
	}
	if err := c.TemplateDelimiters.Check(); err != nil {
		return c, err
	}
	c.NoPush, c.NoSpread = c.NoPush || c.OnlyClass, c.NoSpread || c.OnlyClass
	text(&c.Class, "default")
	text(&c.MetricsAddr, ":8080")
	text(&c.HealthAddr, ":8082")
	if c.Concurrency == 0 {
		c.Concurrency = 64
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := c.checkWatch(); err != nil {
		return c, err
	}
	own, err := c.Reach()
	if err != nil {
		return c, err
	}
	c.REST = rest.CopyConfig(own)
	c.REST.QPS = -1
	text(&c.REST.UserAgent, "strongkeep-operator")
	return c, nil
}

// Reach returns what reaches the API server: REST, or what Kubeconfig or the pod says.
func (c *Config) Reach() (*rest.Config, error) {
	if c.REST != nil {
		return c.REST, nil
	}
	return restConfig(c.Kubeconfig)
}

func restConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig != "" {
		cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		return cfg, errs.As(errs.Invalid, err)
	}
	cfg, err := rest.InClusterConfig()
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "not running in a pod: name a kubeconfig file with --kubeconfig: %w", err)
	}
	return cfg, nil
}

func ownNamespace() string {
	if ns := os.Getenv("POD_NAMESPACE"); ns != "" {
		return ns
	}
	if b, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace"); err == nil {
		return strings.TrimSpace(string(b))
	}
	return "strongkeep-system"
}
