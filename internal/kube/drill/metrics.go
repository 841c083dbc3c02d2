package drill

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Metrics has the series of drills, made at each scrape from what was last seen
// and the clock. It is safe for concurrent use.
type Metrics struct {
	clock            clock.PassiveClock
	running, undoing *prometheus.Desc

	mu   sync.Mutex
	seen map[types.NamespacedName]*v1alpha1.Drill
}

// NewMetrics returns Metrics to be registered.
func NewMetrics(c clock.PassiveClock) *Metrics {
	labels := []string{"namespace", "name", "failure"}
	return &Metrics{
		clock: c, seen: map[types.NamespacedName]*v1alpha1.Drill{},
		running: prometheus.NewDesc("strongkeep_drill_running", "1 while a drill breaks something on purpose.", labels, nil),
		undoing: prometheus.NewDesc("strongkeep_drill_undoing", "1 while something is left of a drill that has ended.", labels, nil),
	}
}

// see notes what a drill has come to.
func (m *Metrics) see(d *v1alpha1.Drill) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen[client.ObjectKeyFromObject(d)] = d
}

func (m *Metrics) forget(name types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.seen, name)
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(c chan<- *prometheus.Desc) {
	c <- m.running
	c <- m.undoing
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(c chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock.Now()
	is := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	for name, d := range m.seen {
		labels := []string{name.Namespace, name.Name, string(d.Spec.Failure)}
		active := d.Active(now)
		c <- prometheus.MustNewConstMetric(m.running, prometheus.GaugeValue, is(active), labels...)
		left := d.Status.Phase == v1alpha1.DrillUndoing || d.Status.Phase == v1alpha1.DrillRunning && !active
		c <- prometheus.MustNewConstMetric(m.undoing, prometheus.GaugeValue, is(left), labels...)
	}
}
