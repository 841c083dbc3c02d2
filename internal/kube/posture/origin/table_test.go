package origin

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/record"
)

// Every mark that is looked for is kept when a snapshot is made: one that is not can never
// be found.
func TestMarksAreKept(t *testing.T) {
	for _, m := range marks {
		if _, ok := record.Annotations(map[string]string{m.key: "x"})[m.key]; !ok {
			t.Errorf("%s of %s is dropped from snapshots", m.key, m.tool)
		}
	}
	if got := record.Annotations(map[string]string{"reconcile.external-secrets.io/data-hash": "0f4c"}); got["reconcile.external-secrets.io/data-hash"] != "" {
		t.Error("a hash without a key is kept")
	}
}
