package schedule_test

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"testing"

	"github.com/strongkeep/strongkeep/test/chaos/schedule"
)

// The seed is the whole plan; plans stay within their time; every kind comes, and no two
// disks are lost at once.
func TestSchedules(t *testing.T) {
	for world, kinds := range schedule.Kinds {
		seen := map[schedule.Kind]int{}
		for seed := range uint64(1000) {
			s := schedule.New(world, seed)
			if !reflect.DeepEqual(s, schedule.New(world, seed)) {
				t.Fatal("two plans of seed", seed)
			}
			if len(s.Faults) < 1 || len(s.Faults) > 3 {
				t.Errorf("seed %d has %d faults", seed, len(s.Faults))
			}
			lost := 0
			for _, f := range s.Faults {
				seen[f.Kind]++
				if f.Kind == schedule.LoseDisk {
					lost++
				}
				pair := f.Kind == schedule.CutPair || f.Kind == schedule.PartPair || f.Kind == schedule.PartPairOneWay
				if f.At <= 0 || f.For <= 0 || f.At+f.For > s.Length || f.A == f.B && pair || f.A >= world.Nodes() || f.B >= schedule.Members {
					t.Errorf("seed %d: %s", seed, f)
				}
			}
			if lost > 1 {
				t.Errorf("two disks are lost for good: %s", s)
			}
		}
		for _, k := range kinds {
			if seen[k] < 20 {
				t.Errorf("%q came %d times in 1000 schedules of the %s world", k, seen[k], world)
			}
		}
		if len(seen) != len(kinds) {
			t.Errorf("the %s world has %d kinds of faults, and there came %d", world, len(kinds), len(seen))
		}
	}
}

// A seed that was reported is the same faults for ever. That of the external world was taken before
// there was another.
func TestSeedsStay(t *testing.T) {
	for world, want := range map[schedule.World]string{
		schedule.External: "0e253945983ecf7154d03fc7c9d91775a0d67387a6904d1a83c7a5c5323bec52",
		schedule.Embedded: "e2800428146e984d9e0be8fff8e78c667c6d7873d8c25460ff6c4305f261fa4a",
		schedule.Cluster:  "aa958265e2c406ba51f146b26c43e85017da933da86108291ced65818bc2900c",
	} {
		h := sha256.New()
		for seed := uint64(1); seed <= 1000; seed++ {
			for _, f := range schedule.New(world, seed).Faults {
				_, _ = fmt.Fprintln(h, seed, f.Kind, f.At, f.For, f.A, f.B, f.Delay, f.Loss, f.Offset)
			}
		}
		if got := fmt.Sprintf("%x", h.Sum(nil)); got != want {
			t.Errorf("the seeds of the %s world give other faults than they did: %s", world, got)
		}
	}
}
