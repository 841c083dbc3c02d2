package controller

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/clients"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/away"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/scan"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// result is what came of an act, until a status says so.
type result struct {
	rotate.Outcome
	state     *target.State // of Publish and Restore
	statement string        // where Record stored it
	pending   string        // the statement that it could not store, and why not
	why       string
}

// memory is what is remembered of one Rotation between two looks. Only the
// reconcile of that Rotation uses it, and there is one at a time.
type memory struct {
	result result
	// watched is how long the closed credential is watched, looked when last.
	watched time.Duration
	looked  time.Time
	// bound is the target that was last seen to be the credential of the turn.
	bound *v1alpha1.Target
	// scans is when copies were searched, and what was found.
	scans scan.Memory
	// confirmed has the resourceVersion at which a Secret was read live and held
	// the version of turn.
	confirmed map[consumer.Object]string
	version   string
	// closing is what was known when the old credential was closed, or the new one
	// about to be removed.
	closing closing
	// asked is when feeders were last asked to hurry.
	asked time.Time
	// away is since when clusters have not answered.
	away away.Memory
	// clients is what the vault last said of its own.
	clients clients.Memory
	// tried is when pending statements were last offered to the vault.
	tried time.Time
}

// closing is all that is known of the consumers of a turn, more than fits into
// a status.
type closing struct {
	turn    int64
	back    bool // on the way back
	pods    []v1alpha1.PodEvidence
	secrets []consumer.Fed
}

// ends reports whether c is of the end of the turn that s is in.
func (c *closing) ends(s *v1alpha1.RotationStatus) bool {
	return c.turn == s.Turn && c.back == (s.Back != "")
}

// memories has one for each Rotation.
type memories struct {
	mu   sync.Mutex
	byID map[types.UID]*memory
	ids  map[types.NamespacedName]types.UID // of those in byID
}

func (m *memories) get(name types.NamespacedName, uid types.UID) *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byID == nil {
		m.byID, m.ids = map[types.UID]*memory{}, map[types.NamespacedName]types.UID{}
	}
	if was := m.ids[name]; was != uid { // one of the same name is gone
		delete(m.byID, was)
		m.ids[name] = uid
	}
	if m.byID[uid] == nil {
		m.byID[uid] = &memory{}
	}
	return m.byID[uid]
}

// leave forgets a Rotation that is gone.
func (m *memories) leave(name types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byID, m.ids[name])
	delete(m.ids, name)
}
