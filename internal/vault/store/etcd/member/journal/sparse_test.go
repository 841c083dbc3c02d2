package journal

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// The same is said once a minute, anything else at once; who says it is no matter of others.
func TestSparse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Sparse
		said := func(subject, text string, want bool) {
			t.Helper()
			if s.Due(subject, text) != want {
				t.Errorf("%s: %q is said: %v", subject, text, !want)
			}
		}
		said("a", "no majority", true)
		said("a", "no majority", false)
		said("b", "no majority", true)
		said("a", "read tcp 10.0.0.1:4001->10.0.0.2:8201: reset", true)
		said("a", "read tcp 10.0.0.1:4002->10.0.0.2:8201: reset", false)
		said("a", "read tcp 10.0.0.1:4003->10.0.0.3:8201: reset", true)
		said("a", "no majority", true)
		time.Sleep(again - time.Millisecond)
		said("a", "no majority", false)
		time.Sleep(time.Millisecond)
		said("a", "no majority", true)
		for i := range 10 * maxSubjects {
			said(fmt.Sprint("node-", i), "no majority", true)
		}
		if len(s.said) > maxSubjects {
			t.Errorf("%d subjects are remembered", len(s.said))
		}
	})
}
