package slot

import (
	"cmp"
	"fmt"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Rival returns why rot, which is not amid a turn, may not turn its credential:
// another Rotation is amid a turn of the same one, or is older. all are the
// Rotations there are; whoever decides to begin a turn lists them live after its
// own location is written, so that of two that begin at the same time at least the
// younger sees the other.
func Rival(rot *v1alpha1.Rotation, location string, all []v1alpha1.Rotation) string {
	if location == "" {
		return ""
	}
	var older *v1alpha1.Rotation
	for i := range all {
		other := &all[i]
		if other.UID == rot.UID || other.Status.Location != location {
			continue
		}
		if turning(&other.Status) { // also while it is being deleted, and ends its turn
			return fmt.Sprintf("turn %d of Rotation %s/%s goes on, which rotates the same credential: wait until it has ended, and delete one of the two: kubectl -n %s delete rotation %s",
				other.Status.Turn, other.Namespace, other.Name, rot.Namespace, rot.Name)
		}
		if other.DeletionTimestamp.IsZero() && Older(other, rot) < 0 && (older == nil || Older(other, older) < 0) {
			older = other
		}
	}
	if older == nil {
		return ""
	}
	return fmt.Sprintf("Rotation %s/%s, which is older, rotates the same credential: delete one of the two: kubectl -n %s delete rotation %s",
		older.Namespace, older.Name, rot.Namespace, rot.Name)
}

// turning reports whether a turn is begun and not ended.
func turning(s *v1alpha1.RotationStatus) bool {
	switch s.Phase {
	case "", v1alpha1.PhaseIdle, v1alpha1.PhaseFailed:
		return false
	}
	return true
}

// Older orders Rotations, the oldest first.
func Older(a, b *v1alpha1.Rotation) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.UID, b.UID))
}
