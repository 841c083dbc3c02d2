package app

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/gate"
)

func TestRequestsAreCountedByOutcome(t *testing.T) {
	m := newMetrics()
	read := gate.Observation{MountType: "kv", Operation: engine.Read, OK: true, Duration: time.Millisecond}
	denied := read
	denied.OK, denied.Kind = false, errs.Denied
	for _, o := range []gate.Observation{read, denied, read, read} {
		m.observe(o)
	}
	for result, want := range map[string]float64{"ok": 3, errs.Denied.Reason(): 1, errs.Internal.Reason(): 0} {
		if got := testutil.ToFloat64(m.requests.WithLabelValues("kv", "read", result)); got != want {
			t.Errorf("%s: counted %v, want %v", result, got, want)
		}
	}
	if n := testutil.CollectAndCount(m.latency); n != 1 {
		t.Errorf("%d histograms, want one for both results", n)
	}
	if n := testing.AllocsPerRun(100, func() { m.observe(read) }); n != 0 {
		t.Errorf("counting a request allocates %v times", n)
	}
}
