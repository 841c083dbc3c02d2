package rotation_test

import (
	"fmt"
	"testing"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Turns of a real credential of PostgreSQL through the vault, to pods of a
// Deployment that a real controller replaces.
func TestTurns(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	for turn := range int64(3) {
		w.ask(v1alpha1.AnnotationRotate, fmt.Sprint("turn ", turn+1))
		rot := w.done(turn + 1)
		t.Logf("%+v", rot.Status)
	}
}
