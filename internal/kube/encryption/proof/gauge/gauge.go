package gauge

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/strongkeep/strongkeep/internal/draft"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/proof"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

const (
	namespace = "strongkeep_encryption_"
	runTime   = namespace + "run_timestamp_seconds"
	runWell   = namespace + "run_success"
)

// The states of values.
const (
	Expected      = "expected" // under the provider and the key that were told, or any where none was
	InTheClear    = "clear"
	Broken        = "broken" // claims to be encrypted, and cannot be read
	OtherProvider = "other_provider"
	OtherKey      = "other_key"
)

// Write replaces the file at path by the metrics of a report. Kinds: Invalid (the file
// cannot be there).
func Write(path string, r *proof.Signed, at time.Time) error {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(report{r}, run{at, 1})
	families, err := registry.Gather()
	if err != nil {
		return errs.Newf(errs.Internal, "gathering metrics: %w", err)
	}
	return put(path, families)
}

// Failed says in the file at path that there is no new report. What it has of the last one stays.
func Failed(path string, at time.Time) error {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(run{at, 0})
	families, err := registry.Gather()
	if err != nil {
		return errs.Newf(errs.Internal, "gathering metrics: %w", err)
	}
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errs.Newf(errs.Invalid, "reading metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	before, err := parser.TextToMetricFamilies(bytes.NewReader(raw))
	if err != nil {
		return put(path, families) // it is damaged: what is known now is
	}
	for name, f := range before {
		if strings.HasPrefix(name, namespace) && name != runTime && name != runWell {
			families = append(families, f)
		}
	}
	return put(path, families)
}

// put writes metrics, whole or not at all; everybody may read them.
func put(path string, families []*dto.MetricFamily) error {
	var text bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			return errs.Newf(errs.Internal, "encoding metrics: %w", err)
		}
	}
	if err := draft.Write(path, text.Bytes(), 0o644); err != nil {
		return errs.Newf(errs.Invalid, "writing metrics: %w", err)
	}
	return nil
}

// report collects what one says.
type report struct{ *proof.Signed }

var (
	values   = prometheus.NewDesc(namespace+"values", "Values in etcd, by what they are under, as the last report counted them.", []string{"resource", "provider", "state"}, nil)
	answers  = prometheus.NewDesc(namespace+"answer", "1 for the answer to each question of the last report.", []string{"question", "answer"}, nil)
	made     = prometheus.NewDesc(namespace+"report_timestamp_seconds", "When the last report looked.", nil, nil)
	sequence = prometheus.NewDesc(namespace+"report_number", "Number of the last report in its chain.", nil, nil)
)

// Describe implements prometheus.Collector.
func (report) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{values, answers, made, sequence} {
		c <- d
	}
}

type series struct{ resource, provider, state string }

// Collect implements prometheus.Collector.
func (r report) Collect(c chan<- prometheus.Metric) {
	s := r.Report
	counts := map[series]int{}
	for i := range s.Resources {
		counts[series{s.Resources[i].Name, string(stored.Clear), InTheClear}] += 0 // also of none: an alert looks at it
		for _, g := range s.Resources[i].Under {
			counts[series{s.Resources[i].Name, g.Provider, State(&s.Expected, g)}] += g.Values
		}
	}
	for at, n := range counts {
		c <- prometheus.MustNewConstMetric(values, prometheus.GaugeValue, float64(n), at.resource, at.provider, at.state)
	}
	for _, a := range s.Answers {
		for _, word := range []string{stored.Yes, stored.No, stored.NotChecked} {
			n := 0.0
			if a.Answer.Answer == word {
				n = 1
			}
			c <- prometheus.MustNewConstMetric(answers, prometheus.GaugeValue, n, a.ID, word)
		}
	}
	c <- prometheus.MustNewConstMetric(made, prometheus.GaugeValue, seconds(s.Time))
	c <- prometheus.MustNewConstMetric(sequence, prometheus.GaugeValue, float64(r.Seq))
}

// State is how a group of values stands to what was expected.
func State(expected *proof.Expected, g stored.Group) string {
	kind, _, _ := strings.Cut(g.Provider, "/")
	want := expected.Provider
	if want != "" && !strings.Contains(want, "/") {
		want = string(stored.KMSv2) + "/" + want
	}
	switch {
	case kind == string(stored.Clear):
		return InTheClear
	case kind == string(stored.Broken):
		return Broken
	case want != "" && g.Provider != want:
		return OtherProvider
	case expected.KeyID != "" && g.KeyID != expected.KeyID:
		return OtherKey
	}
	return Expected
}

// run collects how a run ended.
type run struct {
	at   time.Time
	well float64
}

var (
	tried = prometheus.NewDesc(runTime, "When a report was last tried.", nil, nil)
	well  = prometheus.NewDesc(runWell, "1 if the last run wrote a report, whatever it says.", nil, nil)
)

// Describe implements prometheus.Collector.
func (run) Describe(c chan<- *prometheus.Desc) { c <- tried; c <- well }

// Collect implements prometheus.Collector.
func (r run) Collect(c chan<- prometheus.Metric) {
	c <- prometheus.MustNewConstMetric(tried, prometheus.GaugeValue, seconds(r.at))
	c <- prometheus.MustNewConstMetric(well, prometheus.GaugeValue, r.well)
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
