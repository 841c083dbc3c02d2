package controller

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/measure"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// Vaults finds the vault that a storeRef names from namespace. Kinds of error:
// Denied, Invalid and Unsupported need a person; Unavailable is worth another try.
type Vaults interface {
	Vault(ctx context.Context, namespace string, ref v1.SecretStoreRef) (target.Vault, error)
}

// Finder finds who uses a credential. consumer.Finder is one.
type Finder interface {
	Find(ctx context.Context, w consumer.Wanted) (consumer.Graph, error)
}

// Restart says who is to be restarted, and on what.
type Restart struct {
	Owner         string // namespace/name of the Rotation
	Graph         *consumer.Graph
	Clusters      []consumer.Cluster // where its objects are, beside ours
	Method        v1alpha1.RolloutMethod
	MaxConcurrent int
	Deadline      time.Duration
	Since         time.Time // the deadline of a rollout never begins before
}

// Roller restarts workloads until all run on what their Secrets hold now. Both
// are idempotent. What cannot be asked is an error of kind Unavailable.
type Roller interface {
	// Look says how far restarts are, and changes nothing.
	Look(ctx context.Context, r Restart) (rotate.Rolling, error)
	// Roll restarts as many as may be.
	Roll(ctx context.Context, r Restart) (rotate.Rolling, error)
	// Forget lets go of a Rotation, namespace/name, that is gone.
	Forget(owner string)
}

// Question is what probes are asked.
type Question struct {
	Rotation string // namespace/name
	// Location and Version that Secrets must hold.
	Location, Version string
	Anew              bool // see evidence.Input
	Graph             *consumer.Graph
	// Sessions where the backend tells, else nil. Old are those of the credential
	// that is to go: on the way back, of the new one.
	Sessions *target.Sessions
}

// Prober asks nodes and applications what pods use.
type Prober interface {
	// Nodes reports whether there is a witness on the nodes.
	Nodes(ctx context.Context) bool
	// Probe returns what was reported, by pod. What could not be asked is Unknown in
	// the answer, and never an error.
	Probe(ctx context.Context, q Question) map[types.UID]evidence.Found
}

// Calendar says when. It is pure.
type Calendar interface {
	// Due says whether a turn should begin. limit is the age, 0 for none, at which
	// policies want one; changed is when what readers see was published, zero when
	// that is not known. Invalid is a schedule that cannot be meant.
	Due(rot *v1alpha1.Rotation, limit time.Duration, changed, now time.Time) (rotate.Due, error)
	// Gate says whether consumers may be touched; without Slot.
	Gate(rot *v1alpha1.Rotation, now time.Time) (rotate.Gate, error)
}

// Policies gives the greatest age that RotationPolicies allow a Rotation.
type Policies interface {
	// MaxAge returns 0 when no policy has a word. before, which is less, is how long
	// before that age a turn is to begin.
	MaxAge(ctx context.Context, rot *v1alpha1.Rotation) (limit, before time.Duration, err error)
}

// Config is what a Reconciler needs. Every field is required but those with a
// default named.
type Config struct {
	Client   client.Client // reads come from caches: Rotations
	Live     client.Reader // reads come from the API server
	Vaults   Vaults
	Cluster  provider.Cluster
	Targets  map[string]target.Kind // by their field of spec.target
	Finder   Finder
	Roller   Roller
	Prober   Prober
	Calendar Calendar
	Policies Policies
	// Rehearser tries turns.
	Rehearser Rehearser
	// Refresh asks for an ExternalSecret to be read anew at once. It does not block.
	Refresh func(es types.NamespacedName)
	Clock   clock.PassiveClock
	Log     *slog.Logger
	Event   func(about client.Object, eventType, reason, message string)
	Metrics *measure.Metrics

	// Namespaces worked in; all when empty.
	Namespaces []string
	// MaxTurns is how many turns may have consumers restarted at once; 10.
	MaxTurns int
	// EvidenceMount is where the vault's evidence engine is; "evidence".
	EvidenceMount string
	// Patience is how long a deleted Rotation's credential is tidied up; 2 minutes.
	Patience time.Duration
}

func (c Config) withDefaults() Config {
	c.MaxTurns = cmp.Or(c.MaxTurns, 10)
	c.EvidenceMount = cmp.Or(c.EvidenceMount, "evidence")
	c.Patience = cmp.Or(c.Patience, 2*time.Minute)
	return c
}
