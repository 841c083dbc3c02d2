// Package slot says whether a turn may go on beside others: how many touch
// consumers at the same time, and which of two that have one credential.
//
// Start reading at Slots.
package slot

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Slots bounds the turns that are past Staged at the same time. What counts is
// the phases in the objects, so that an operator that starts anew allows no more;
// grants stand in for phases that the cache does not show yet.
type Slots struct {
	max int

	mu      sync.Mutex
	granted map[types.UID]bool
}

// New returns Slots for limit turns.
func New(limit int) *Slots { return &Slots{max: limit, granted: map[types.UID]bool{}} }

// Past reports whether consumers or the old credential are being touched. A turn
// that is held takes no slot: it waits for somebody, and others need not.
func Past(s *v1alpha1.RotationStatus) bool {
	switch s.Phase {
	case v1alpha1.PhasePublishing, v1alpha1.PhaseRolling, v1alpha1.PhaseProving, v1alpha1.PhaseQuiescing, v1alpha1.PhaseRetiring:
		return true
	case v1alpha1.PhaseRollingBack:
		return s.PublishedAt != nil
	}
	return false
}

// Offer grants a slot to uid if there is one. all are the Rotations as the cache
// has them. What is offered is kept until Release, or until it shows in all.
func (s *Slots) Offer(uid types.UID, all []v1alpha1.Rotation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	busy := 0
	there := map[types.UID]bool{}
	for i := range all {
		other := &all[i]
		there[other.UID] = true
		if Past(&other.Status) {
			delete(s.granted, other.UID)
			if other.UID != uid {
				busy++
			}
		}
	}
	for other := range s.granted {
		if !there[other] { // deleted meanwhile
			delete(s.granted, other)
		} else if other != uid {
			busy++
		}
	}
	if busy >= s.max {
		return false
	}
	s.granted[uid] = true
	return true
}

// Release gives back what Offer granted and nobody took.
func (s *Slots) Release(uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.granted, uid)
}
