// Package measure has the metrics of Rotations.
//
// Start reading at Metrics.
package measure

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Metrics has the series of Rotations. Ages are counted at each scrape, so that
// a Rotation at rest, which nobody looks at, still gets older.
type Metrics struct {
	clock  clock.PassiveClock
	descs  descs
	turns  *prometheus.CounterVec
	phases *prometheus.HistogramVec

	mu   sync.Mutex
	seen map[types.NamespacedName]Sample
}

// Sample is what was last seen of one Rotation.
type Sample struct {
	Phase                     v1alpha1.Phase
	UnderWay                  bool
	Turn                      int64
	Since, Changed, Published time.Time // Published: zero unless old and new both work
	Limit, Overlap            time.Duration
	Proven, Unproven          int32
	Pending                   int
	Refused, Awaits           bool
}

// descs describe what is made at each scrape.
type descs struct {
	phase, age, overdue, held, awaits, refused, proof, overlap, limit, pending *prometheus.Desc
}

func describe() descs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("strongkeep_rotation_"+name, help, append([]string{"namespace", "name"}, labels...), nil)
	}
	return descs{
		phase:   desc("phase", "1 for the phase a Rotation is in.", "phase"),
		age:     desc("age_seconds", "Seconds since the credential that readers see was published."),
		overdue: desc("overdue", "1 while the credential is older than its policy or schedule allows."),
		held:    desc("held", "1 while a turn is held: it waits for a person."),
		awaits:  desc("awaits_person", "1 while a turn that is not held waits for a key, an approval or a confirmation."),
		refused: desc("refused", "1 while the Rotation may not work at all: its condition Ready says why."),
		proof:   desc("proof_pods", "Pods that use the credential, by whether they have the evidence required.", "proven"),
		overlap: desc("overlap_seconds", "Seconds for which the old and the new credential both work; 0 outside a turn."),
		limit:   desc("overlap_limit_seconds", "Seconds for which they may; 0: no limit."),
		pending: desc("statements_pending", "Statements of turns that the vault has not taken yet."),
	}
}

// New returns Metrics to be registered.
func New(c clock.PassiveClock) *Metrics {
	return &Metrics{
		clock: c, descs: describe(), seen: map[types.NamespacedName]Sample{},
		turns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "strongkeep_rotation_turns_total", Help: "Turns that ended, by result: done or failed.",
		}, []string{"namespace", "name", "result"}),
		phases: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "strongkeep_rotation_phase_seconds", Help: "Time that turns spent in a phase.",
			Buckets: prometheus.ExponentialBuckets(0.1, 4, 12),
		}, []string{"phase"}),
	}
}

// See notes what the Rotation of that name has come to.
func (m *Metrics) See(name types.NamespacedName, next Sample, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	former, known := m.seen[name]
	m.seen[name] = next
	if !known || former.Phase == next.Phase && former.Turn == next.Turn {
		return
	}
	if former.UnderWay {
		m.phases.WithLabelValues(string(former.Phase)).Observe(max(0, now.Sub(former.Since).Seconds()))
	}
	switch next.Phase {
	case v1alpha1.PhaseDone:
		m.turns.WithLabelValues(name.Namespace, name.Name, "done").Inc()
	case v1alpha1.PhaseFailed:
		m.turns.WithLabelValues(name.Namespace, name.Name, "failed").Inc()
	}
}

// Forget drops the series of a Rotation that is gone.
func (m *Metrics) Forget(name types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.seen, name)
	m.turns.DeletePartialMatch(prometheus.Labels{"namespace": name.Namespace, "name": name.Name})
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(c chan<- *prometheus.Desc) {
	d := m.descs
	for _, desc := range []*prometheus.Desc{d.phase, d.age, d.overdue, d.held, d.awaits, d.refused, d.proof, d.overlap, d.limit, d.pending} {
		c <- desc
	}
	m.turns.Describe(c)
	m.phases.Describe(c)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(c chan<- prometheus.Metric) {
	m.turns.Collect(c)
	m.phases.Collect(c)
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, s := range m.seen {
		gauge := func(d *prometheus.Desc, v float64, labels ...string) {
			c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{name.Namespace, name.Name}, labels...)...)
		}
		gauge(m.descs.phase, 1, string(s.Phase))
		if !s.Changed.IsZero() {
			age := m.clock.Since(s.Changed)
			gauge(m.descs.age, age.Seconds())
			gauge(m.descs.overdue, is(s.Limit > 0 && age > s.Limit))
		}
		gauge(m.descs.held, is(s.Phase == v1alpha1.PhaseHeld))
		gauge(m.descs.awaits, is(s.Awaits))
		gauge(m.descs.refused, is(s.Refused))
		gauge(m.descs.proof, float64(s.Proven), "true")
		gauge(m.descs.proof, float64(s.Unproven), "false")
		overlap := 0.0
		if !s.Published.IsZero() {
			overlap = m.clock.Since(s.Published).Seconds()
		}
		gauge(m.descs.overlap, overlap)
		gauge(m.descs.limit, s.Overlap.Seconds())
		gauge(m.descs.pending, float64(s.Pending))
	}
}

func is(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
