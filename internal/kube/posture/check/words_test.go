package check_test

import (
	"fmt"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
)

// TestCount: words as people say them.
func TestCount(t *testing.T) {
	for want, c := range map[string]struct {
		n    int
		noun string
	}{"no Secrets": {0, "Secret"}, "1 day": {1, "day"}, "90 days": {90, "day"}, "2 policies": {2, "policy"}} {
		if got := check.Count(c.n, c.noun); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

// TestNames: in order, each once; of very many the first, and how many there are.
func TestNames(t *testing.T) {
	if kept, n := check.Names([]string{"b", "a", "b"}); n != 2 || len(kept) != 2 || kept[0] != "a" {
		t.Errorf("%v, %d", kept, n)
	}
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("%04d", i))
	}
	if kept, n := check.Names(many); n != 1000 || len(kept) != 300 || kept[0] != "0000" {
		t.Errorf("%d of %d", len(kept), n)
	}
}
