package series

import (
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// Objects is a prometheus.Collector, safe for concurrent use.
type Objects struct {
	clock clock.PassiveClock
	descs descs

	mu   sync.Mutex
	byID map[types.NamespacedName]object
}

// object is what is known of one.
type object struct {
	syncs, failures uint32
	took            time.Duration
	read            time.Time // when the store was last read with success; zero: never
	ready           bool
}

// descs are the names, as the External Secrets Operator has them, but for age.
type descs struct{ syncs, failures, condition, duration, age *prometheus.Desc }

// New returns Objects that knows of none.
func New(c clock.PassiveClock) *Objects {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, append(labels, "name", "namespace"), nil)
	}
	return &Objects{clock: c, byID: map[types.NamespacedName]object{}, descs: descs{
		syncs:     desc("externalsecret_sync_calls_total", "Syncs of an ExternalSecret."),
		failures:  desc("externalsecret_sync_calls_error", "Syncs of an ExternalSecret that failed."),
		condition: desc("externalsecret_status_condition", "1 for the status a condition has.", "condition", "status"),
		duration:  desc("externalsecret_reconcile_duration", "Nanoseconds of the last sync."),
		age:       desc("strongkeep_externalsecret_data_age_seconds", "Seconds since the store was last read for it with success."),
	}}
}

// Synced records one sync.
func (s *Objects) Synced(id types.NamespacedName, took time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.byID[id]
	o.syncs, o.took, o.ready = o.syncs+1, took, err == nil
	if err != nil {
		o.failures++
	} else {
		o.read = s.clock.Now()
	}
	s.byID[id] = o
}

// Forget ends the series of an object.
func (s *Objects) Forget(id types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, id)
}

// Describe implements prometheus.Collector.
func (s *Objects) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{s.descs.syncs, s.descs.failures, s.descs.condition, s.descs.duration, s.descs.age} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (s *Objects) Collect(c chan<- prometheus.Metric) {
	now := s.clock.Now()
	for id, o := range s.copied() {
		labels := []*dto.LabelPair{pair("name", id.Name), pair("namespace", id.Namespace)}
		c <- sample{desc: s.descs.syncs, labels: labels, value: float64(o.syncs), counter: true}
		if o.failures > 0 {
			c <- sample{desc: s.descs.failures, labels: labels, value: float64(o.failures), counter: true}
		}
		c <- sample{desc: s.descs.duration, labels: labels, value: float64(o.took)}
		if !o.read.IsZero() {
			c <- sample{desc: s.descs.age, labels: labels, value: now.Sub(o.read).Seconds()}
		}
		for _, status := range []*dto.LabelPair{isTrue, isFalse} {
			one := sample{desc: s.descs.condition, labels: []*dto.LabelPair{ofReady, labels[0], labels[1], status}}
			if o.ready == (status == isTrue) {
				one.value = 1
			}
			c <- one
		}
	}
}

// copied is what is known of all, so that nobody waits for who asks for the series.
func (s *Objects) copied() map[types.NamespacedName]object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.byID)
}

// Labels that all objects share.
var (
	ofReady = pair("condition", "Ready")
	isTrue  = pair("status", "True")
	isFalse = pair("status", "False")
)

func pair(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }

// sample implements prometheus.Metric. Its labels, which are sorted by name, it has in
// common with other samples: nobody changes them.
type sample struct {
	desc    *prometheus.Desc
	labels  []*dto.LabelPair
	value   float64
	counter bool // else a gauge
}

func (s sample) Desc() *prometheus.Desc { return s.desc }

func (s sample) Write(to *dto.Metric) error {
	to.Label = s.labels
	if s.counter {
		to.Counter = &dto.Counter{Value: &s.value}
	} else {
		to.Gauge = &dto.Gauge{Value: &s.value}
	}
	return nil
}
