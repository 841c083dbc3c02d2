package operator

import (
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// metrics holds the operator's series, named as the External Secrets Operator
// names its own, and some it lacks: a histogram of sync time, the age of the
// data, and whether changes arrive at once. Each Run has its own registry.
type metrics struct {
	registry *prometheus.Registry
	clock    clock.PassiveClock

	calls     *prometheus.CounterVec
	syncs     *prometheus.CounterVec
	failures  *prometheus.CounterVec
	condition *prometheus.GaugeVec
	duration  *prometheus.GaugeVec
	latency   *prometheus.HistogramVec
	stores    map[string]*prometheus.GaugeVec
	checks    map[string]*prometheus.GaugeVec
	connected *prometheus.GaugeVec
	generated *prometheus.CounterVec
	age       *ageCollector
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
		registry: prometheus.NewRegistry(), clock: c,
		calls:     counter("externalsecret_provider_api_calls_count", "Calls to external stores.", "provider", "call", "status"),
		syncs:     counter("externalsecret_sync_calls_total", "Syncs of an ExternalSecret.", object...),
		failures:  counter("externalsecret_sync_calls_error", "Syncs of an ExternalSecret that failed.", object...),
		condition: gauge("externalsecret_status_condition", "1 for the status a condition has.", withCondition...),
		duration:  gauge("externalsecret_reconcile_duration", "Nanoseconds of the last sync.", object...),
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
		age:       &ageCollector{clock: c, synced: map[[2]string]time.Time{}},
	}
	m.registry.MustRegister(m.calls, m.syncs, m.failures, m.condition, m.duration, m.latency, m.connected, m.generated, m.age)
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
	m.syncs.WithLabelValues(es.Name, es.Namespace).Inc()
	m.duration.WithLabelValues(es.Name, es.Namespace).Set(float64(took))
	m.latency.WithLabelValues(result(err)).Observe(took.Seconds())
	if err != nil {
		m.failures.WithLabelValues(es.Name, es.Namespace).Inc()
	} else {
		m.age.set(es.Namespace, es.Name, m.clock.Now())
	}
	setCondition(m.condition, err == nil, es.Name, es.Namespace)
}

// Forget implements externalsecret.Metrics.
func (m *metrics) Forget(namespace, name string) {
	labels := prometheus.Labels{"namespace": namespace, "name": name}
	m.syncs.DeletePartialMatch(labels)
	m.failures.DeletePartialMatch(labels)
	m.condition.DeletePartialMatch(labels)
	m.duration.DeletePartialMatch(labels)
	m.age.forget(namespace, name)
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

// ageCollector says at every scrape how old the data of each ExternalSecret is:
// the time since the store was last read for it with success.
type ageCollector struct {
	clock  clock.PassiveClock
	mu     sync.Mutex
	synced map[[2]string]time.Time // by namespace and name
}

func (*ageCollector) desc() *prometheus.Desc {
	return prometheus.NewDesc("strongkeep_externalsecret_data_age_seconds", "Seconds since the store was last read for it with success.", []string{"name", "namespace"}, nil)
}

func (a *ageCollector) set(namespace, name string, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.synced[[2]string{namespace, name}] = at
}

func (a *ageCollector) forget(namespace, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.synced, [2]string{namespace, name})
}

// Describe implements prometheus.Collector.
func (a *ageCollector) Describe(c chan<- *prometheus.Desc) { c <- a.desc() }

// Collect implements prometheus.Collector.
func (a *ageCollector) Collect(c chan<- prometheus.Metric) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, at := range a.synced {
		c <- prometheus.MustNewConstMetric(a.desc(), prometheus.GaugeValue, a.clock.Since(at).Seconds(), key[1], key[0])
	}
}
