package spread

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the series of all Kinds, named as the External Secrets Operator names
// its own.
type Metrics struct {
	condition, duration map[string]*prometheus.GaugeVec // by prefix
}

// NewMetrics returns Metrics, to be registered.
func NewMetrics() *Metrics {
	m := &Metrics{map[string]*prometheus.GaugeVec{}, map[string]*prometheus.GaugeVec{}}
	for _, k := range []Kind{ExternalSecrets(), PushSecrets()} {
		m.condition[k.metric] = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: k.metric + "_status_condition", Help: "1 for the status a condition has."},
			[]string{"condition", "status", "name"})
		m.duration[k.metric] = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: k.metric + "_reconcile_duration", Help: "Nanoseconds of the last look."},
			[]string{"name"})
	}
	return m
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(c chan<- *prometheus.Desc) {
	for k := range m.condition {
		m.condition[k].Describe(c)
		m.duration[k].Describe(c)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(c chan<- prometheus.Metric) {
	for k := range m.condition {
		m.condition[k].Collect(c)
		m.duration[k].Collect(c)
	}
}

func (m *Metrics) spread(k Kind, name string, took time.Duration, ok bool) {
	is, other := "True", "False"
	if !ok {
		is, other = other, is
	}
	m.duration[k.metric].WithLabelValues(name).Set(float64(took))
	m.condition[k.metric].WithLabelValues("Ready", is, name).Set(1)
	m.condition[k.metric].WithLabelValues("Ready", other, name).Set(0)
}

func (m *Metrics) forget(k Kind, name string) {
	labels := prometheus.Labels{"name": name}
	m.condition[k.metric].DeletePartialMatch(labels)
	m.duration[k.metric].DeletePartialMatch(labels)
}
