package schedule_test

import (
	"reflect"
	"testing"

	"github.com/strongkeep/strongkeep/test/chaos/schedule"
)

// The seed is the whole plan; plans stay within their time; every kind comes.
func TestSchedules(t *testing.T) {
	seen := map[schedule.Kind]int{}
	for seed := range uint64(1000) {
		s := schedule.New(seed)
		if !reflect.DeepEqual(s, schedule.New(seed)) {
			t.Fatal("two plans of seed", seed)
		}
		if len(s.Faults) < 1 || len(s.Faults) > 3 {
			t.Errorf("seed %d has %d faults", seed, len(s.Faults))
		}
		for _, f := range s.Faults {
			seen[f.Kind]++
			if f.At <= 0 || f.For <= 0 || f.At+f.For > s.Length || f.A == f.B && f.Kind == schedule.CutPair || f.A >= schedule.Nodes || f.B >= schedule.Members {
				t.Errorf("seed %d: %s", seed, f)
			}
		}
	}
	for _, k := range schedule.Kinds {
		if seen[k] < 20 {
			t.Errorf("%q came %d times in 1000 schedules", k, seen[k])
		}
	}
}
