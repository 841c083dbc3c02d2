package serve

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
	v2 "k8s.io/kms/apis/v2"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/kms"
)

const (
	// drain is what calls under way get to end.
	drain = 10 * time.Second
	// maxMessage bounds a request; the largest that is right has 34 kB of annotations.
	maxMessage = 64 << 10
)

// Server is a plugin that listens. Its end is Run's.
type Server struct {
	Plugin  *kms.Plugin
	log     *slog.Logger
	metrics *metrics
	grpc    *grpc.Server
	socket  *socket
	http    net.Listener // nil: none
}

// New makes the socket and does not serve yet: who connects waits. The caller calls
// Run, or Close. Kinds: Invalid, Denied, Exist, Unavailable.
func New(ctx context.Context, c Config, key keystore.Versioned, log *slog.Logger) (_ *Server, err error) {
	s := &Server{log: log}
	if s.Plugin, err = c.Plugin(key, log); err != nil {
		return nil, err
	}
	s.metrics = newMetrics(s.Plugin)
	s.grpc = grpc.NewServer(grpc.UnaryInterceptor(around(s.metrics, log)), grpc.MaxRecvMsgSize(maxMessage), grpc.MaxConcurrentStreams(1000))
	v2.RegisterKeyManagementServiceServer(s.grpc, service{plugin: s.Plugin})
	if s.socket, err = listen(ctx, c.Socket, c.SocketGroup); err != nil {
		return nil, err
	}
	if c.Listen != "" {
		if s.http, err = new(net.ListenConfig).Listen(ctx, "tcp", c.Listen); err != nil {
			return nil, errors.Join(errs.Newf(errs.Unavailable, "listening on %s: %w", c.Listen, err), s.socket.Close())
		}
	}
	return s, nil
}

// Address is where metrics and /healthz are, "" for nowhere.
func (s *Server) Address() string {
	if s.http == nil {
		return ""
	}
	return s.http.Addr().String()
}

// Close is for a Server that is not to Run.
func (s *Server) Close() error {
	if s.http != nil {
		_ = s.http.Close()
	}
	return s.socket.Close()
}

// Run serves until ctx ends. Then no call is taken any more, those under way end,
// and the socket goes last.
func (s *Server) Run(ctx context.Context) error {
	polling, stop := context.WithCancel(context.WithoutCancel(ctx))
	var polls sync.WaitGroup
	polls.Go(func() { s.Plugin.Run(polling) })
	web := &http.Server{Handler: s.metrics.handler(s.Plugin), ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelInfo)}
	if s.http != nil {
		polls.Go(func() { _ = web.Serve(s.http) }) // its end is ours
	}
	failed := make(chan error, 1)
	go func() { failed <- s.grpc.Serve(s.socket.Listener) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		s.drain()
		err = <-failed // nil: it was stopped
	}
	if err != nil {
		err = errs.Newf(errs.Unavailable, "serving: %w", err)
	}
	stop()
	_ = web.Close()
	polls.Wait()
	return errors.Join(err, s.socket.Close())
}

// drain lets calls under way end, for a while.
func (s *Server) drain() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.grpc.GracefulStop()
	}()
	late := time.NewTimer(drain)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
		s.log.Warn("calls that did not end are broken off")
		s.grpc.Stop()
		<-done
	}
}
