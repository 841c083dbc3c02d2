package reload

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
)

// Metrics are the series of reloading; one for all Reconcilers.
type Metrics struct {
	total   *prometheus.CounterVec
	pending *prometheus.GaugeVec
}

// NewMetrics returns Metrics, to be registered.
func NewMetrics() *Metrics {
	return &Metrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "strongkeep_reload_total", Help: "Restarts for changed Secrets and ConfigMaps that ended, by result.",
		}, []string{"namespace", "kind", "name", "result"}),
		pending: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "strongkeep_reload_pending", Help: "1 for a workload that does not run on what its Secrets and ConfigMaps hold, by state.",
		}, []string{"namespace", "kind", "name", "state"}),
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(c chan<- *prometheus.Desc) {
	m.total.Describe(c)
	m.pending.Describe(c)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(c chan<- prometheus.Metric) {
	m.total.Collect(c)
	m.pending.Collect(c)
}

func labels(o consumer.Object) prometheus.Labels {
	return prometheus.Labels{"namespace": o.Namespace, "kind": o.Kind.Kind, "name": o.Name}
}

func (m *Metrics) state(i rollout.Item) {
	m.pending.DeletePartialMatch(labels(i.Object))
	if i.State != rollout.Done && i.State != rollout.Skipped {
		m.pending.WithLabelValues(i.Namespace, i.Kind.Kind, i.Name, string(i.State)).Set(1)
	}
}

func (m *Metrics) done(o consumer.Object, ok bool) {
	result := "done"
	if !ok {
		result = "failed"
	}
	m.total.WithLabelValues(o.Namespace, o.Kind.Kind, o.Name, result).Inc()
}

func (m *Metrics) forget(o consumer.Object) {
	m.total.DeletePartialMatch(labels(o))
	m.pending.DeletePartialMatch(labels(o))
}
