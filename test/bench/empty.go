package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/test/bench/rig"
	"github.com/strongkeep/strongkeep/test/cluster/process"
)

// serveEmpty serves a handler that does nothing: what net/http itself costs.
func serveEmpty(ctx context.Context, address string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return errs.Newf(errs.Unavailable, "listening: %w", err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return errs.Newf(errs.Unavailable, "serving: %w", err)
	}
	return nil
}

// empty is a running empty handler, in a process of its own.
type empty struct {
	process *process.Process
	url     string
}

func startEmpty(ctx context.Context, b *rig.Rig) (*empty, error) {
	address, err := rig.FreeAddress()
	if err != nil {
		return nil, err
	}
	p, err := b.Start("empty", b.Self, "-serve-empty", address)
	if err != nil {
		return nil, err
	}
	e := &empty{process: p, url: "http://" + address + "/"}
	if err := p.Await(ctx, reachable(address)); err != nil {
		p.Stop(0)
		return nil, err
	}
	return e, nil
}

// reachable asks whether somebody listens.
func reachable(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return c.Close()
	}
}
