package measure

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Metrics are the series of PushSecrets, named as the External Secrets Operator
// names its own, and a histogram that it lacks.
type Metrics struct {
	condition *prometheus.GaugeVec
	duration  *prometheus.GaugeVec
	latency   *prometheus.HistogramVec
	left      prometheus.Counter
}

// NewMetrics returns Metrics, to be registered.
func NewMetrics() *Metrics {
	return &Metrics{
		condition: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pushsecret_status_condition", Help: "1 for the status a condition has."},
			[]string{"condition", "status", "name", "namespace"}),
		duration: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pushsecret_reconcile_duration", Help: "Nanoseconds of the last push."},
			[]string{"name", "namespace"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "strongkeep_pushsecret_push_seconds", Help: "Time of pushes, by result: ok or the kind of failure.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 14),
		}, []string{"result"}),
		left: prometheus.NewCounter(prometheus.CounterOpts{ // of no namespace, whose series would stay when it is gone
			Name: "strongkeep_pushsecret_left_behind_total", Help: "Places in stores that were to be deleted, could not be, and were let go.",
		}),
	}
}

// Left hears of places that were let go.
func (m *Metrics) Left(places int) {
	m.left.Add(float64(places))
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(c chan<- *prometheus.Desc) {
	m.condition.Describe(c)
	m.duration.Describe(c)
	m.latency.Describe(c)
	m.left.Describe(c)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(c chan<- prometheus.Metric) {
	m.condition.Collect(c)
	m.duration.Collect(c)
	m.latency.Collect(c)
	m.left.Collect(c)
}

// Pushed hears of a push.
func (m *Metrics) Pushed(key types.NamespacedName, took time.Duration, err error) {
	result, is, other := "ok", "True", "False"
	if err != nil {
		result, is, other = errs.KindOf(err).Reason(), other, is
	}
	m.duration.WithLabelValues(key.Name, key.Namespace).Set(float64(took))
	m.latency.WithLabelValues(result).Observe(took.Seconds())
	m.condition.WithLabelValues("Ready", is, key.Name, key.Namespace).Set(1)
	m.condition.WithLabelValues("Ready", other, key.Name, key.Namespace).Set(0)
}

// Forget drops the series of a PushSecret that is gone.
func (m *Metrics) Forget(key types.NamespacedName) {
	labels := prometheus.Labels{"namespace": key.Namespace, "name": key.Name}
	m.condition.DeletePartialMatch(labels)
	m.duration.DeletePartialMatch(labels)
}
