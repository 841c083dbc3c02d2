// Package slot says whether a turn may go on beside others: how many touch
// consumers at the same time, and which of two that have one credential.
//
// Start reading at Slots.
package slot

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
)

// Slots bounds the turns that may have consumers restarted at the same time. What
// counts is the phases in the objects, so that an operator that starts anew allows
// no more; grants stand in for phases that the cache does not show yet.
//
// Nobody keeps others waiting for long: what waits for proof takes no slot, one
// namespace takes at most half of them while others have Rotations, and a turn
// that has been in one phase for Longest counts no more.
type Slots struct {
	max int

	mu      sync.Mutex
	granted map[types.UID]bool
}

// Longest is for how long a turn keeps a slot in one phase, whatever it waits for:
// a workload that is paused, a Secret that does not follow.
const Longest = time.Hour

// New returns Slots for limit turns.
func New(limit int) *Slots { return &Slots{max: limit, granted: map[types.UID]bool{}} }

// Takes reports whether a turn takes a slot: its consumers are being restarted, or
// soon will be. One that is proven, watched or held waits for something, and
// others need not.
func Takes(s *v1alpha1.RotationStatus) bool {
	switch s.Phase {
	case v1alpha1.PhasePublishing, v1alpha1.PhaseRolling:
		return true
	case v1alpha1.PhaseRollingBack:
		return s.PublishedAt != nil && rotate.Back(s.Back) != rotate.BackCleared // then only the statement is left
	}
	return false
}

// Offer grants a slot to rot if there is one for its namespace. all are the
// Rotations as the cache has them. What is offered is kept until Release, or until
// it shows in all.
func (s *Slots) Offer(rot *v1alpha1.Rotation, all []v1alpha1.Rotation, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(all)
	busy, here, alone := 0, 0, true
	for i := range all {
		other := &all[i]
		alone = alone && other.Namespace == rot.Namespace
		if other.UID == rot.UID || !s.granted[other.UID] && !holds(&other.Status, now) {
			continue
		}
		busy++
		if other.Namespace == rot.Namespace {
			here++
		}
	}
	if busy >= s.max || !alone && here >= (s.max+1)/2 {
		return false
	}
	s.granted[rot.UID] = true
	return true
}

// sweep forgets what was granted to Rotations that show it by now, or are gone.
// s.mu is held.
func (s *Slots) sweep(all []v1alpha1.Rotation) {
	there := map[types.UID]bool{}
	for i := range all {
		other := &all[i]
		there[other.UID] = true
		if Takes(&other.Status) {
			delete(s.granted, other.UID)
		}
	}
	for other := range s.granted {
		if !there[other] { // deleted meanwhile
			delete(s.granted, other)
		}
	}
}

// holds reports whether a turn has a slot, and has not had it for too long.
func holds(s *v1alpha1.RotationStatus, now time.Time) bool {
	return Takes(s) && (s.Since == nil || now.Sub(s.Since.Time) <= Longest)
}

// Release gives back what Offer granted and nobody took.
func (s *Slots) Release(uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.granted, uid)
}
