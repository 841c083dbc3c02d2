package keeper

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/history"
)

// The parts of a look, as strongkeep_checks_failures_total calls them.
const (
	partSnapshot   = "snapshot"
	partChecks     = "checks"
	partHistory    = "history"
	partReports    = "reports"
	partExceptions = "exceptions"
)

// Metrics has the series of the checks, made at each scrape from what the history has
// and the clock. It is safe for concurrent use.
type Metrics struct {
	clock    clock.PassiveClock
	failures *prometheus.CounterVec

	answer, findings, fresh, excepted, exceptions, age, took, reports *prometheus.Desc

	mu      sync.Mutex
	book    *history.Book // nil: nothing is known
	written int
}

// NewMetrics returns Metrics to be registered.
func NewMetrics(c clock.PassiveClock) *Metrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	m := &Metrics{
		clock: c,
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "strongkeep_checks_failures_total", Help: "What failed of looks at the cluster, by part.",
		}, []string{"part"}),
		answer:     desc("strongkeep_check_answer", "1 for the answer that a check gives.", "check", "answer"),
		findings:   desc("strongkeep_check_findings", "Findings that no exception covers.", "check", "severity"),
		fresh:      desc("strongkeep_check_findings_new", "Of these, those that the last look was the first to see.", "check", "severity"),
		excepted:   desc("strongkeep_check_findings_excepted", "Findings that an exception covers.", "check", "severity"),
		exceptions: desc("strongkeep_checks_exceptions", "Exceptions that cover something (inforce), nothing (idle), or whose day has come (ended).", "state"),
		age:        desc("strongkeep_checks_snapshot_age_seconds", "Age of the last look at the cluster."),
		took:       desc("strongkeep_checks_seconds", "How long the last look and all checks took."),
		reports:    desc("strongkeep_checks_reports", "Report objects that say what was found; 0 where the cluster has no such kind."),
	}
	for _, part := range []string{partSnapshot, partChecks, partHistory, partReports, partExceptions} {
		m.failures.WithLabelValues(part)
	}
	return m
}

// see notes what is known now.
func (m *Metrics) see(b *history.Book) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.book = b
}

func (m *Metrics) reported(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.written = n
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(c chan<- *prometheus.Desc) {
	m.failures.Describe(c)
	for _, d := range []*prometheus.Desc{m.answer, m.findings, m.fresh, m.excepted, m.exceptions, m.age, m.took, m.reports} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(c chan<- prometheus.Metric) {
	m.failures.Collect(c)
	m.mu.Lock()
	book, written := m.book, m.written
	m.mu.Unlock()
	if book == nil || book.Taken.IsZero() {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(m.age, m.clock.Since(book.Taken).Seconds())
	gauge(m.took, book.Seconds)
	gauge(m.reports, float64(written))
	gauge(m.exceptions, float64(book.InForce), "inforce")
	gauge(m.exceptions, float64(book.Idle), "idle")
	gauge(m.exceptions, float64(len(book.Ended)), "ended")
	m.answers(book, gauge)
	m.counts(book, gauge)
}

func (m *Metrics) answers(book *history.Book, gauge func(*prometheus.Desc, float64, ...string)) {
	for _, a := range book.Answers {
		for _, answer := range []check.Answer{check.Yes, check.No, check.Partly, check.Unknown} {
			is := 0.0
			if len(a.Turns) > 0 && a.Turns[len(a.Turns)-1].Answer == answer {
				is = 1
			}
			gauge(m.answer, is, a.Check, string(answer))
		}
	}
}

// tally counts the findings of one check and severity.
type tally struct{ found, fresh, excepted int }

// counts shows each severity of each check that was asked, so that a series that goes
// to zero is seen to.
func (m *Metrics) counts(book *history.Book, gauge func(*prometheus.Desc, float64, ...string)) {
	all := map[string]map[check.Severity]*tally{}
	for _, a := range book.Answers {
		all[a.Check] = map[check.Severity]*tally{}
		for _, s := range check.Severities() {
			all[a.Check][s] = &tally{}
		}
	}
	for i := range book.Entries {
		e := &book.Entries[i]
		t := all[e.Check][e.Severity]
		switch {
		case t == nil || !e.Here():
		case e.Excepted:
			t.excepted++
		default:
			t.found++
			if e.New {
				t.fresh++
			}
		}
	}
	for id, severities := range all {
		for s, t := range severities {
			gauge(m.findings, float64(t.found), id, string(s))
			gauge(m.fresh, float64(t.fresh), id, string(s))
			gauge(m.excepted, float64(t.excepted), id, string(s))
		}
	}
}
