package slot

import (
	"cmp"
	"fmt"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Rival returns why rot may not turn its credential: an older Rotation has the
// same one. all are the Rotations there are; whoever decides to begin a turn lists
// them live after its own location is written, so that of two that begin at the
// same time at least the younger sees the other.
func Rival(rot *v1alpha1.Rotation, location string, all []v1alpha1.Rotation) string {
	if location == "" {
		return ""
	}
	for i := range all {
		other := &all[i]
		if other.UID == rot.UID || other.Status.Location != location || !other.DeletionTimestamp.IsZero() {
			continue
		}
		if Older(other, rot) < 0 {
			return fmt.Sprintf("Rotation %s/%s, which is older, rotates the same credential: delete one of the two: kubectl -n %s delete rotation %s",
				other.Namespace, other.Name, rot.Namespace, rot.Name)
		}
	}
	return ""
}

// Older orders Rotations, the oldest first.
func Older(a, b *v1alpha1.Rotation) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.UID, b.UID))
}
