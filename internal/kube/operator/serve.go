package operator

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// serve serves metrics and health until stop, which waits. An operator that
// waits to be elected is healthy, and ready: it stands ready to take over.
func serve(cfg Config, m *metrics, mgr ctrl.Manager) (stop func(), err error) {
	var wg sync.WaitGroup
	var servers []*http.Server
	stop = func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		for _, s := range servers {
			_ = s.Shutdown(ctx)
		}
		wg.Wait()
	}
	listen := func(address string, h http.Handler) (string, error) {
		if address == "0" {
			return "", nil
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			return "", errs.Newf(errs.Unavailable, "listening on %s: %w", address, err)
		}
		s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
		servers = append(servers, s)
		wg.Go(func() { _ = s.Serve(l) })
		return l.Addr().String(), nil
	}

	metricsMux, health := http.NewServeMux(), http.NewServeMux()
	metricsMux.Handle("/metrics", promhttp.HandlerFor(prometheus.Gatherers{m.registry, ctrlmetrics.Registry}, promhttp.HandlerOpts{}))
	health.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	health.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if !mgr.GetCache().WaitForCacheSync(ctx) {
			http.Error(w, "the caches are not filled yet", http.StatusServiceUnavailable)
		}
	})
	var at Addresses
	if at.Metrics, err = listen(cfg.MetricsAddr, metricsMux); err == nil {
		at.Health, err = listen(cfg.HealthAddr, health)
	}
	if err != nil {
		stop()
		return nil, err
	}
	if cfg.Started != nil {
		cfg.Started(at)
	}
	return stop, nil
}
