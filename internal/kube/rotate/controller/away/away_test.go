package away

import (
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
)

func TestSort(t *testing.T) {
	var m Memory
	now := time.Unix(1_800_000_000, 0)
	east := []consumer.Unreached{{Cluster: "east", Err: errs.New(errs.Unavailable, "refused")}, {Cluster: "west", Err: errs.New(errs.Invalid, "no kubeconfig")}}
	again := func(err error) bool { return errs.Is(err, errs.Unavailable) }
	for _, c := range []struct {
		after        time.Duration
		list         []consumer.Unreached
		waits, holds int
	}{
		{0, east, 1, 1}, {Hiccup - time.Second, east, 1, 1}, {time.Second, east, 0, 2},
		{time.Second, nil, 0, 0}, {time.Second, east, 1, 1}, // it was there meanwhile
	} {
		now = now.Add(c.after)
		if waits, holds := m.Sort(c.list, now, again); len(waits) != c.waits || len(holds) != c.holds {
			t.Errorf("after %v: waits for %v, holds for %v", c.after, waits, holds)
		}
	}
}
