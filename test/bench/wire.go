package main

import (
	"context"
	"fmt"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/rig"
	"github.com/strongkeep/strongkeep/test/bench/wrk"
)

// wire is one request, sent again and again over so many connections, held
// against the empty handler. prepare sets the vault up for it and returns the
// arguments of fixed.lua.
type wire struct {
	name        string
	connections int
	bound       float64 // of requests per second
	prepare     func(context.Context, *rig.Server) ([]string, error)
}

// wires is a wire with 64 connections, and one with 16 that must do half of it.
func wires(name string, bound float64, prepare func(context.Context, *rig.Server) ([]string, error)) []benchmark {
	var all []benchmark
	for _, w := range []wire{{name + "-c64", 64, bound, prepare}, {name + "-c16", 16, bound / 2, prepare}} {
		all = append(all, benchmark{w.name, w.run})
	}
	return all
}

func loginBenchmarks() []benchmark {
	return append(wires("approle-login", 0.10, approleLogin), wires("token-lookup-self", 0.36, lookupSelf)...)
}

// run measures the empty handler, the vault, and the empty handler again.
func (w wire) run(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	s, err := b.StartDev(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Process.Stop(10 * time.Second)
	args, err := w.prepare(ctx, s)
	if err != nil {
		return nil, s.Process.Explain(err)
	}
	reference := kvLoad{connections: w.connections}.reference
	before, err := reference(ctx, b)
	if err != nil {
		return nil, err
	}
	o, err := w.load(ctx, b, s, args)
	if err != nil {
		return nil, s.Process.Explain(err)
	}
	after, err := reference(ctx, b)
	if err != nil {
		return nil, err
	}
	return []figure.Figure{
		figure.AtLeast(w.bound, w.name, o.PerSecond(), "req/s", (before+after)/2),
		figure.Within(p99Bound, w.name+"-p99", o.P99ms(), "ms"),
	}, nil
}

// load loads the vault, after a short time to warm up, and checks that every
// answer has its two audit lines.
func (w wire) load(ctx context.Context, b *rig.Rig, s *rig.Server, args []string) (wrk.Outcome, error) {
	work := wrk.Load{URL: s.URL, Connections: w.connections, Duration: b.Duration / 5, Script: wrk.Fixed, Args: args}
	if _, err := wrk.Run(ctx, b, work); err != nil {
		return wrk.Outcome{}, err
	}
	work.Duration = b.Duration
	lines, err := s.AuditLines()
	if err != nil {
		return wrk.Outcome{}, err
	}
	used := rig.CPUTime(s.Process.PID())
	o, err := wrk.Run(ctx, b, work)
	if err != nil {
		return wrk.Outcome{}, err
	}
	b.Say("  vault: %.0f req/s, %s of CPU each, p50 %.2f ms, p99 %.2f ms",
		o.PerSecond(), perRequest(rig.CPUTime(s.Process.PID())-used, o), float64(o.P50)/1e3, o.P99ms())
	more, err := s.AuditLines()
	if err != nil {
		return wrk.Outcome{}, err
	}
	if got := more - lines; got < 2*o.Requests {
		return wrk.Outcome{}, errs.Newf(errs.Internal, "%d requests were answered, but only %d audit lines were written", o.Requests, got)
	}
	return o, nil
}

// approleLogin makes a role and a secret ID that may be used without end.
func approleLogin(ctx context.Context, s *rig.Server) ([]string, error) {
	if err := s.Client.Sys().EnableAuthWithOptionsWithContext(ctx, "approle", &vault.EnableAuthOptions{Type: "approle"}); err != nil {
		return nil, err
	}
	l := s.Client.Logical()
	if _, err := l.WriteWithContext(ctx, "auth/approle/role/bench", map[string]any{"token_policies": "default", "role_id": "bench"}); err != nil {
		return nil, err
	}
	made, err := l.WriteWithContext(ctx, "auth/approle/role/bench/secret-id", nil)
	if err != nil {
		return nil, err
	}
	return []string{"POST", "/v1/auth/approle/login", "", fmt.Sprintf(`{"role_id":"bench","secret_id":%q}`, made.Data["secret_id"])}, nil
}

func lookupSelf(ctx context.Context, s *rig.Server) ([]string, error) {
	made, err := s.Client.Auth().Token().CreateWithContext(ctx, &vault.TokenCreateRequest{Policies: []string{"default"}})
	if err != nil {
		return nil, err
	}
	return []string{"GET", "/v1/auth/token/lookup-self", made.Auth.ClientToken, ""}, nil
}
