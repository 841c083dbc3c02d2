package serve

import (
	"net/http"
	"path"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/codes"
	v2 "k8s.io/kms/apis/v2"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kms"
)

// metrics of a plugin. Nothing of what it encrypts is in them; key ids are public.
type metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.HistogramVec
	good     map[string]prometheus.Observer // of calls that went well, by full method
}

func newMetrics(p *kms.Plugin) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "strongkeep_kms_call_duration_seconds", Help: "Calls of API servers, by method and gRPC code.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 3, 11), // to 6 s: an API server waits for 3
		}, []string{"method", "code"}),
	}
	m.good = map[string]prometheus.Observer{}
	for _, method := range v2.KeyManagementService_ServiceDesc.Methods {
		full := "/" + v2.KeyManagementService_ServiceDesc.ServiceName + "/" + method.MethodName
		m.good[full] = m.calls.WithLabelValues(method.MethodName, codes.OK.String())
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	m.registry.MustRegister(m.calls, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), about{p},
		gauge("strongkeep_kms_healthy", "1 if Status answers, 0 if it errs.", func() float64 {
			if _, err := p.Status(); err != nil {
				return 0
			}
			return 1
		}),
		gauge("strongkeep_kms_last_contact_timestamp_seconds", "When the key store last answered as it should; 0 for never.", func() float64 {
			return seconds(p.About().Looked)
		}),
		gauge("strongkeep_kms_next_version_timestamp_seconds", "When the next version of the key becomes active; 0 if none waits.", func() float64 {
			return seconds(p.About().Due)
		}))
	return m
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// about is the series that names the active key.
type about struct{ plugin *kms.Plugin }

var keyInfo = prometheus.NewDesc("strongkeep_kms_key_info", "The active key: its id, and its version in the key store.", []string{"key_id", "version"}, nil)

// Describe implements prometheus.Collector.
func (about) Describe(c chan<- *prometheus.Desc) { c <- keyInfo }

// Collect implements prometheus.Collector.
func (a about) Collect(c chan<- prometheus.Metric) {
	if k := a.plugin.About(); k.KeyID != "" {
		c <- prometheus.MustNewConstMetric(keyInfo, prometheus.GaugeValue, 1, k.KeyID, k.Version)
	}
}

func (m *metrics) observe(method string, code codes.Code, took time.Duration) {
	if good := m.good[method]; good != nil && code == codes.OK {
		good.Observe(took.Seconds())
		return
	}
	m.calls.WithLabelValues(path.Base(method), code.String()).Observe(took.Seconds())
}

// handler serves /metrics, and /healthz for probes: 200 if Status would answer.
func (m *metrics) handler(p *kms.Plugin) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if _, err := p.Status(); err != nil {
			http.Error(w, err.Error(), errs.KindOf(err).HTTPStatus())
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	return mux
}
