package operator

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/series"
)

// metrics holds the operator's series, named as the External Secrets Operator
// names its own, and some it lacks: a histogram of sync time, the age of the
// data, and whether changes arrive at once. Each Run has its own registry.
type metrics struct {
	registry *prometheus.Registry

	calls     *prometheus.CounterVec
	objects   *series.Objects
	latency   *prometheus.HistogramVec
	stores    map[string]*prometheus.GaugeVec
	checks    map[string]*prometheus.GaugeVec
	connected *prometheus.GaugeVec
	generated *prometheus.CounterVec
}

func newMetrics(c clock.PassiveClock) *metrics {
	object := []string{"name", "namespace"}
	withCondition := append([]string{"condition", "status"}, object...)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		calls:    counter("externalsecret_provider_api_calls_count", "Calls to external stores.", "provider", "call", "status"),
		objects:  series.New(c),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "strongkeep_externalsecret_sync_seconds", Help: "Time of syncs, by result: ok or the kind of failure.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 14),
		}, []string{"result"}),
		stores: map[string]*prometheus.GaugeVec{
			v1.KindSecretStore:        gauge("secretstore_status_condition", "1 for the status a condition has.", withCondition...),
			v1.KindClusterSecretStore: gauge("clustersecretstore_status_condition", "1 for the status a condition has.", withCondition...),
		},
		checks: map[string]*prometheus.GaugeVec{
			v1.KindSecretStore:        gauge("secretstore_reconcile_duration", "Nanoseconds of the last check.", object...),
			v1.KindClusterSecretStore: gauge("clustersecretstore_reconcile_duration", "Nanoseconds of the last check.", object...),
		},
		connected: gauge("strongkeep_store_changes_connected", "1 while changes of the store arrive at once, 0 while with the refresh interval.", "by", "kind", "name", "namespace"),
		generated: counter("strongkeep_generated_credentials_total", "Tries to renew and to take back generated credentials, by result: ok or the kind of failure.", "kind", "action", "result"),
	}
	m.registry.MustRegister(m.calls, m.objects, m.latency, m.connected, m.generated)
	for kind, s := range m.stores {
		m.registry.MustRegister(s, m.checks[kind])
	}
	return m
}

func result(err error) string {
	if err == nil {
		return "ok"
	}
	return errs.KindOf(err).Reason()
}

func (m *metrics) called(provider, call string, err error) {
	status := "success"
	if err != nil {
		status = "error"
	}
	m.calls.WithLabelValues(provider, call, status).Inc()
}

// Synced implements externalsecret.Metrics.
func (m *metrics) Synced(es *v1.ExternalSecret, took time.Duration, err error) {
	m.objects.Synced(types.NamespacedName{Namespace: es.Namespace, Name: es.Name}, took, err)
	m.latency.WithLabelValues(result(err)).Observe(took.Seconds())
}

// Forget implements externalsecret.Metrics.
func (m *metrics) Forget(namespace, name string) {
	m.objects.Forget(types.NamespacedName{Namespace: namespace, Name: name})
}

// StoreChecked implements secretstore.Metrics.
func (m *metrics) StoreChecked(store v1.Store, took time.Duration) {
	m.checks[store.StoreKind()].WithLabelValues(store.GetName(), store.GetNamespace()).Set(float64(took))
	setCondition(m.stores[store.StoreKind()], v1.IsReady(store.StoreStatus().Conditions), store.GetName(), store.GetNamespace())
}

// StoreForgotten implements secretstore.Metrics.
func (m *metrics) StoreForgotten(key v1.StoreKey) {
	labels := prometheus.Labels{"namespace": key.Namespace, "name": key.Name}
	m.stores[key.Kind].DeletePartialMatch(labels)
	m.checks[key.Kind].DeletePartialMatch(labels)
	labels["kind"] = key.Kind
	m.connected.DeletePartialMatch(labels)
}

// Who tells of the changes of a store: the store itself, or what its annotation names.
const byStore = "store"

var byOthers = []string{"azure-queue", "pubsub", "sqs", "webhook"}

func (m *metrics) subscribed(store v1.Store, connected bool) {
	key, by := v1.KeyOf(store), byStore
	kind, _, _ := strings.Cut(store.GetAnnotations()[v1.AnnotationChanges], ":")
	for _, other := range append([]string{byStore}, byOthers...) {
		if other == kind {
			by = other
			continue
		}
		m.connected.DeleteLabelValues(other, key.Kind, key.Name, key.Namespace)
	}
	value := 0.0
	if connected {
		value = 1
	}
	m.connected.WithLabelValues(by, key.Kind, key.Name, key.Namespace).Set(value)
}

// Revoked implements state.Metrics.
func (m *metrics) Revoked(kind string, err error) {
	m.generated.WithLabelValues(kind, "revoke", result(err)).Inc()
}

// Renewed implements state.Metrics.
func (m *metrics) Renewed(kind string, err error) {
	m.generated.WithLabelValues(kind, "renew", result(err)).Inc()
}

func setCondition(g *prometheus.GaugeVec, ready bool, name, namespace string) {
	is, other := "True", "False"
	if !ready {
		is, other = other, is
	}
	g.WithLabelValues("Ready", is, name, namespace).Set(1)
	g.WithLabelValues("Ready", other, name, namespace).Set(0)
}
