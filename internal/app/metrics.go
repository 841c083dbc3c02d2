package app

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/strongkeep/strongkeep/internal/vault/gate"
)

// metrics is the server's registry. Labels are mount types, operations and
// kinds of failure: nothing a client can choose, and nothing secret.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "strongkeep_requests_total", Help: "Requests that passed the gate, by result (ok or the kind of failure).",
		}, []string{"mount_type", "operation", "result"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "strongkeep_request_duration_seconds", Help: "Time from decoding a request to its durable audit line.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
		}, []string{"mount_type", "operation"}),
	}
	m.registry.MustRegister(m.requests, m.latency,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) observe(o gate.Observation) {
	result := "ok"
	if !o.OK {
		result = o.Kind.Reason()
	}
	op := o.Operation.String()
	m.requests.WithLabelValues(o.MountType, op, result).Inc()
	m.latency.WithLabelValues(o.MountType, op).Observe(o.Duration.Seconds())
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
