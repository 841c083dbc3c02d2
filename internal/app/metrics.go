package app

import (
	"maps"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/gate"
)

// metrics is the server's registry. Labels are mount types, operations and
// kinds of failure: nothing a client can choose, and nothing secret.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	known    atomic.Pointer[map[outcome]series] // of requests seen before; never changed, only replaced
}

// outcome is what the series of a request depend on.
type outcome struct {
	mountType string
	operation engine.Operation
	ok        bool
	kind      errs.Kind
}

// series are the metrics of one outcome. Finding them by their labels costs
// more than counting.
type series struct {
	requests prometheus.Counter
	latency  prometheus.Observer
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
	m.known.Store(&map[outcome]series{})
	m.registry.MustRegister(m.requests, m.latency,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe counts a request. Any number may be observed at once.
func (m *metrics) observe(o gate.Observation) {
	key := outcome{o.MountType, o.Operation, o.OK, o.Kind}
	s, ok := (*m.known.Load())[key]
	if !ok {
		s = m.learn(key)
	}
	s.requests.Inc()
	s.latency.Observe(o.Duration.Seconds())
}

// learn finds the series of an outcome and keeps them at hand. Of two that
// learn at once one may be forgotten, and is learned again.
func (m *metrics) learn(key outcome) series {
	result := "ok"
	if !key.ok {
		result = key.kind.Reason()
	}
	op := key.operation.String()
	s := series{m.requests.WithLabelValues(key.mountType, op, result), m.latency.WithLabelValues(key.mountType, op)}
	known := maps.Clone(*m.known.Load())
	known[key] = s
	m.known.Store(&known)
	return s
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
