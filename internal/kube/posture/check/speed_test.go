package check_test

import (
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec03"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec04"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec05"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec06"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec07"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec08"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec09"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec12"
	"github.com/strongkeep/strongkeep/internal/kube/posture/gentest"
)

// BenchmarkRun asks the checks of clusters about the large generated cluster, each
// alone and then all; docs/performance.md has the bound.
func BenchmarkRun(b *testing.B) {
	cluster := gentest.New(gentest.Large())
	checks := []check.Check{sec03.Check(), sec04.Check(), sec05.Check(), sec06.Check(), sec07.Check(), sec08.Check(), sec09.Check(), sec12.Check()}
	now := gentest.Now().Add(time.Hour)
	in := check.NewInput(cluster.Snapshot, now, check.Settings{})
	for _, c := range checks {
		b.Run(c.ID, func(b *testing.B) {
			for range b.N {
				check.Run([]check.Check{c}, in, nil, nil)
			}
		})
	}
	b.Run("all", func(b *testing.B) {
		for range b.N {
			check.Run(checks, check.NewInput(cluster.Snapshot, now, check.Settings{}), nil, nil)
		}
	})
}
