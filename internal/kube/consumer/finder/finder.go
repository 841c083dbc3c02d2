package finder

import (
	"context"
	"crypto/rand"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/copies"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/facts"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/versions"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/stock"
	"github.com/strongkeep/strongkeep/internal/kube/content"
)

// Locate returns the location of what key names in store, "" when nothing of
// that store has one; (*session.Pool).LocateKey does. An error means that this is
// not known yet.
type Locate func(ctx context.Context, store v1.Store, key string) (string, error)

// Digests returns keyed digests of what Secrets hold; *content.Digests does.
type Digests interface {
	Of(ctx context.Context, o content.Object, resourceVersion string) (string, error)
}

// Cluster is another cluster. Live's scheme is Scheme; Digests reads by Live,
// and Locate locates what the stores of that cluster hold.
type Cluster struct {
	Live    client.Reader
	Locate  Locate
	Digests Digests
}

// Config configures a Finder. Cached, Live, Locate, Digests and Clock are
// required.
type Config struct {
	// Cached has ExternalSecrets, stores, and the metadata of Secrets. Lists from
	// it are not changed.
	Cached client.Reader
	// Live asks the API server; its scheme is Scheme.
	Live    client.WithWatch
	Locate  Locate
	Digests Digests
	Clock   clock.PassiveClock

	// Namespaces worked in; all when empty.
	Namespaces []string
	// Cluster reaches another cluster. nil: other clusters cannot be asked.
	Cluster func(ctx context.Context, c consumer.Cluster) (Cluster, error)
	// Changed, when set, is told the namespace of each pod or workload with a
	// Secret that comes, changes or goes, and its Secrets. It must not block.
	Changed func(namespace string, secrets []string)
	// Vouched reports whether an operator of this cluster has written a Secret as it is,
	// with what it says that it was made of; (target.Key).Vouched does. nil: no Secret's
	// word counts in other namespaces.
	Vouched func(*corev1.Secret) bool
	// ShowCopies: a Rotation may know of copies in every namespace, and not only of
	// those in its own and of those whose annotation says so.
	ShowCopies bool
	// Log, when set, is told of copies that a Rotation may not know of.
	Log *slog.Logger
	// Patience is how long a pod may be unready or without a node before it counts
	// as failing; 2 minutes when 0.
	Patience time.Duration
}

// Finder finds consumers. It is safe for concurrent use.
type Finder struct {
	cfg    Config
	keeper *stock.Keeper
	extras extras
	share  *copies.Share
	guard  copies.Guard
	facts  facts.Facts
	memory versions.Memory
	absent stock.Absent
	salt   []byte // key of digests that only compare values within this process
}

// New returns a Finder. Nothing is watched until Run runs and something is searched.
func New(cfg Config) (*Finder, error) {
	if cfg.Patience == 0 {
		cfg.Patience = 2 * time.Minute
	}
	f := &Finder{cfg: cfg, salt: make([]byte, 32), share: copies.NewShare(), facts: facts.Facts{Vouched: cfg.Vouched}}
	rand.Read(f.salt)
	var err error
	f.keeper, err = stock.NewKeeper(cfg.Live, f.namespaces(), cfg.Changed)
	return f, err
}

// Run keeps pods and workloads from the first Find on, until ctx ends, and
// returns when all that it started has stopped. It is called once.
func (f *Finder) Run(ctx context.Context) error { return f.keeper.Run(ctx) }

// namespaces returns where to look; "" alone is everywhere.
func (f *Finder) namespaces() []string {
	if len(f.cfg.Namespaces) == 0 {
		return []string{""}
	}
	return f.cfg.Namespaces
}

// Find returns the graph of who consumes what is wanted. What may not be asked,
// and other clusters that cannot be reached, are in its Unknown. Unavailable: our
// own API server cannot be asked just now, and nothing is known.
func (f *Finder) Find(ctx context.Context, wanted consumer.Wanted) (consumer.Graph, error) {
	s := &search{
		Finder: f, wanted: wanted, now: f.cfg.Clock.Now(), held: map[consumer.Object]bool{},
		versions: versions.New(&f.memory, wanted.Location), sources: copies.Values{},
	}
	f.share.Drop(s.now)
	own := site{cached: f.cfg.Cached, live: f.cfg.Live, locate: f.cfg.Locate, digests: f.cfg.Digests, namespaces: f.namespaces()}
	if err := s.look(ctx, own); err != nil {
		return consumer.Graph{}, err
	}
	if err := s.lookFar(ctx); err != nil {
		return consumer.Graph{}, err
	}
	if len(f.cfg.Namespaces) > 0 {
		s.bound("only the namespaces that the operator works in were looked at: %v", f.cfg.Namespaces)
	}
	return s.graph(), nil
}

func nameOf(namespace, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: name}
}
