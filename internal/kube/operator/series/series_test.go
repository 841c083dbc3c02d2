package series_test

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/strongkeep/strongkeep/internal/kube/operator/series"
)

func id(name string) types.NamespacedName { return types.NamespacedName{Namespace: "n", Name: name} }

// Every series, as it is for an object that was synced, for one that never was, and
// for one whose sync failed after others.
func TestSeries(t *testing.T) {
	c := clocktesting.NewFakeClock(time.Unix(1_000, 0))
	s := series.New(c)
	s.Synced(id("fine"), 3*time.Second, nil)
	s.Synced(id("fine"), 2*time.Second, nil)
	s.Synced(id("bad"), time.Second, errors.New("no"))
	s.Synced(id("late"), time.Second, nil)
	c.Step(time.Minute)
	s.Synced(id("late"), time.Second, errors.New("no"))
	s.Synced(id("gone"), time.Second, errors.New("no"))
	s.Forget(id("gone"))
	want := `
# HELP externalsecret_reconcile_duration Nanoseconds of the last sync.
# TYPE externalsecret_reconcile_duration gauge
externalsecret_reconcile_duration{name="bad",namespace="n"} 1e+09
externalsecret_reconcile_duration{name="fine",namespace="n"} 2e+09
externalsecret_reconcile_duration{name="late",namespace="n"} 1e+09
# HELP externalsecret_status_condition 1 for the status a condition has.
# TYPE externalsecret_status_condition gauge
externalsecret_status_condition{condition="Ready",name="bad",namespace="n",status="False"} 1
externalsecret_status_condition{condition="Ready",name="bad",namespace="n",status="True"} 0
externalsecret_status_condition{condition="Ready",name="fine",namespace="n",status="False"} 0
externalsecret_status_condition{condition="Ready",name="fine",namespace="n",status="True"} 1
externalsecret_status_condition{condition="Ready",name="late",namespace="n",status="False"} 1
externalsecret_status_condition{condition="Ready",name="late",namespace="n",status="True"} 0
# HELP externalsecret_sync_calls_error Syncs of an ExternalSecret that failed.
# TYPE externalsecret_sync_calls_error counter
externalsecret_sync_calls_error{name="bad",namespace="n"} 1
externalsecret_sync_calls_error{name="late",namespace="n"} 1
# HELP externalsecret_sync_calls_total Syncs of an ExternalSecret.
# TYPE externalsecret_sync_calls_total counter
externalsecret_sync_calls_total{name="bad",namespace="n"} 1
externalsecret_sync_calls_total{name="fine",namespace="n"} 2
externalsecret_sync_calls_total{name="late",namespace="n"} 2
# HELP strongkeep_externalsecret_data_age_seconds Seconds since the store was last read for it with success.
# TYPE strongkeep_externalsecret_data_age_seconds gauge
strongkeep_externalsecret_data_age_seconds{name="fine",namespace="n"} 60
strongkeep_externalsecret_data_age_seconds{name="late",namespace="n"} 60
`
	if err := testutil.CollectAndCompare(s, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	// A registry that checks what it collects finds nothing wrong: labels are sorted, no
	// series is there twice.
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(s)
	for range 2 { // what a scrape shares with others is not changed by it
		if _, err := r.Gather(); err != nil {
			t.Error(err)
		}
	}
}

// Ten thousand objects are some numbers each. As vectors they were 2,900 bytes each.
func TestSmall(t *testing.T) {
	const n = 10_000
	names := make([]types.NamespacedName, n)
	for i := range names {
		names[i] = id("app-" + strconv.Itoa(i))
	}
	s := series.New(clocktesting.NewFakeClock(time.Unix(1_000, 0)))
	before := live()
	for _, name := range names {
		s.Synced(name, time.Second, nil)
	}
	if each := (live() - before) / n; each > 400 {
		t.Errorf("%d bytes for each object", each)
	}
	if got := testutil.CollectAndCount(s); got != 5*n {
		t.Error(fmt.Sprint(got, " series"))
	}
	runtime.KeepAlive(names)
}

func live() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
