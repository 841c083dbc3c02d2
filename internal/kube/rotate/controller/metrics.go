package controller

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

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
	seen map[types.NamespacedName]sample
}

// sample is what was last seen of one Rotation.
type sample struct {
	phase            v1alpha1.Phase
	turn             int64
	since, changed   time.Time
	published        time.Time // zero unless old and new both work
	limit, overlap   time.Duration
	proven, unproven int32
	pending          int
	refused          bool
}

// descs describe what is made at each scrape.
type descs struct {
	phase, age, overdue, held, refused, proof, overlap, limit, pending *prometheus.Desc
}

func describe() descs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("strongkeep_rotation_"+name, help, append([]string{"namespace", "name"}, labels...), nil)
	}
	return descs{
		phase:   desc("phase", "1 for the phase a Rotation is in.", "phase"),
		age:     desc("age_seconds", "Seconds since the credential that readers see was published."),
		overdue: desc("overdue", "1 while the credential is older than its policy or schedule allows."),
		held:    desc("held", "1 while a turn waits for a person."),
		refused: desc("refused", "1 while the Rotation may not work at all: its condition Ready says why."),
		proof:   desc("proof_pods", "Pods that use the credential, by whether they have the evidence required.", "proven"),
		overlap: desc("overlap_seconds", "Seconds for which the old and the new credential both work; 0 outside a turn."),
		limit:   desc("overlap_limit_seconds", "Seconds for which they may; 0: no limit."),
		pending: desc("statements_pending", "Statements of turns that the vault has not taken yet."),
	}
}

// NewMetrics returns Metrics to be registered.
func NewMetrics(c clock.PassiveClock) *Metrics {
	return &Metrics{
		clock: c, descs: describe(), seen: map[types.NamespacedName]sample{},
		turns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "strongkeep_rotation_turns_total", Help: "Turns that ended, by result: done or failed.",
		}, []string{"namespace", "name", "result"}),
		phases: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "strongkeep_rotation_phase_seconds", Help: "Time that turns spent in a phase.",
			Buckets: prometheus.ExponentialBuckets(0.1, 4, 12),
		}, []string{"phase"}),
	}
}

// see notes what rot has come to.
func (m *Metrics) see(rot *v1alpha1.Rotation, l *look, now time.Time) {
	s := &rot.Status
	next := sample{
		phase: s.Phase, turn: s.Turn, since: at(s.Since), changed: l.changed(s), limit: l.limit, overlap: l.o.Plan.OverlapMax,
		proven: s.Proof.PodsProven, unproven: s.Proof.Pods - s.Proof.PodsProven, pending: len(s.Pending), refused: l.o.Refused != "",
	}
	if underWay(s.Phase) && origin(l.o.Turn) != v1alpha1.PhaseRetiring {
		next.published = at(s.PublishedAt)
	}
	name := client.ObjectKeyFromObject(rot)
	m.mu.Lock()
	defer m.mu.Unlock()
	former, known := m.seen[name]
	m.seen[name] = next
	if !known || former.phase == next.phase && former.turn == next.turn {
		return
	}
	if underWay(former.phase) {
		m.phases.WithLabelValues(string(former.phase)).Observe(max(0, now.Sub(former.since).Seconds()))
	}
	switch next.phase {
	case v1alpha1.PhaseDone:
		m.turns.WithLabelValues(rot.Namespace, rot.Name, "done").Inc()
	case v1alpha1.PhaseFailed:
		m.turns.WithLabelValues(rot.Namespace, rot.Name, "failed").Inc()
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
	for _, desc := range []*prometheus.Desc{d.phase, d.age, d.overdue, d.held, d.refused, d.proof, d.overlap, d.limit, d.pending} {
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
		gauge(m.descs.phase, 1, string(s.phase))
		if !s.changed.IsZero() {
			age := m.clock.Since(s.changed)
			gauge(m.descs.age, age.Seconds())
			gauge(m.descs.overdue, is(s.limit > 0 && age > s.limit))
		}
		gauge(m.descs.held, is(s.phase == v1alpha1.PhaseHeld))
		gauge(m.descs.refused, is(s.refused))
		gauge(m.descs.proof, float64(s.proven), "true")
		gauge(m.descs.proof, float64(s.unproven), "false")
		overlap := 0.0
		if !s.published.IsZero() {
			overlap = m.clock.Since(s.published).Seconds()
		}
		gauge(m.descs.overlap, overlap)
		gauge(m.descs.limit, s.overlap.Seconds())
		gauge(m.descs.pending, float64(s.pending))
	}
}

func is(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
