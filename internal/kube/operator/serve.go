package operator

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// servers are what the operator serves.
type servers struct {
	all []*http.Server
	wg  sync.WaitGroup
}

// stop ends all and waits.
func (s *servers) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for _, one := range s.all {
		_ = one.Shutdown(ctx)
	}
	s.wg.Wait()
}

// listen serves h at an address, by TLS where there is a configuration of it.
func (s *servers) listen(address string, h http.Handler, secure *tls.Config) (string, error) {
	if address == "0" || address == "" {
		return "", nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", errs.Newf(errs.Unavailable, "listening on %s: %w", address, err)
	}
	one := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, TLSConfig: secure, MaxHeaderBytes: 64 << 10}
	s.all = append(s.all, one)
	s.wg.Go(func() {
		if secure != nil {
			_ = one.ServeTLS(l, "", "")
			return
		}
		_ = one.Serve(l)
	})
	return l.Addr().String(), nil
}

// serve serves metrics and health, and takes reports of changes, until stop, which
// waits. An operator that waits to be elected is healthy, and ready: it stands ready to
// take over.
func (p parts) serve(ctx context.Context) (stop func(), err error) {
	secure, err := changesTLS(ctx, p.cfg)
	if err != nil {
		return nil, err
	}
	reports, err := p.hook()
	if err != nil {
		return nil, err
	}
	var s servers
	var at Addresses
	metrics, health := p.pages()
	if at.Metrics, err = s.listen(p.cfg.MetricsAddr, metrics, nil); err == nil {
		at.Health, err = s.listen(p.cfg.HealthAddr, health, nil)
	}
	if err == nil {
		at.Changes, err = s.listen(p.cfg.ChangesAddr, reports, secure)
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	if p.cfg.Started != nil {
		p.cfg.Started(at)
	}
	return s.stop, nil
}

// pages are those of metrics and of health.
func (p parts) pages() (metrics, health *http.ServeMux) {
	metrics, health = http.NewServeMux(), http.NewServeMux()
	metrics.Handle("/metrics", promhttp.HandlerFor(prometheus.Gatherers{p.metrics.registry, ctrlmetrics.Registry}, promhttp.HandlerOpts{}))
	health.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	health.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if !p.mgr.GetCache().WaitForCacheSync(ctx) {
			http.Error(w, "the caches are not filled yet", http.StatusServiceUnavailable)
		}
	})
	return metrics, health
}
