package main

import (
	"context"
	_ "embed" // the script
	"fmt"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
)

//go:embed fixed.lua
var fixed string // a script that sends one request again and again

// wire is one request, sent again and again over so many connections, held
// against the empty handler. prepare sets the vault up for it and returns the
// arguments of fixed.lua.
type wire struct {
	name        string
	connections int
	bound       float64 // of requests per second
	prepare     func(context.Context, *server) ([]string, error)
}

// wires is a wire with 64 connections, and one with 16 that must do half of it.
func wires(name string, bound float64, prepare func(context.Context, *server) ([]string, error)) []benchmark {
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
func (w wire) run(ctx context.Context, b *bench) ([]figure, error) {
	s, err := b.startDev(ctx)
	if err != nil {
		return nil, err
	}
	defer s.process.Stop(10 * time.Second)
	args, err := w.prepare(ctx, s)
	if err != nil {
		return nil, s.process.Explain(err)
	}
	reference := kvLoad{connections: w.connections}.reference
	before, err := reference(ctx, b)
	if err != nil {
		return nil, err
	}
	o, err := w.load(ctx, b, s, args)
	if err != nil {
		return nil, s.process.Explain(err)
	}
	after, err := reference(ctx, b)
	if err != nil {
		return nil, err
	}
	return []figure{
		atLeast(w.bound, w.name, o.perSecond(), "req/s", (before+after)/2),
		within(p99Bound, w.name+"-p99", o.p99(), "ms"),
	}, nil
}

// load loads the vault, after a short time to warm up, and checks that every
// answer has its two audit lines.
func (w wire) load(ctx context.Context, b *bench, s *server, args []string) (outcome, error) {
	work := load{url: s.url, connections: w.connections, duration: b.duration / 5, script: fixed, secrets: args}
	if _, err := b.wrk(ctx, work); err != nil {
		return outcome{}, err
	}
	work.duration = b.duration
	lines, err := s.auditLines()
	if err != nil {
		return outcome{}, err
	}
	used := cpuTime(s.process.PID())
	o, err := b.wrk(ctx, work)
	if err != nil {
		return outcome{}, err
	}
	b.say("  vault: %.0f req/s, %s of CPU each, p50 %.2f ms, p99 %.2f ms",
		o.perSecond(), perRequest(cpuTime(s.process.PID())-used, o), float64(o.P50)/1e3, o.p99())
	more, err := s.auditLines()
	if err != nil {
		return outcome{}, err
	}
	if got := more - lines; got < 2*o.Requests {
		return outcome{}, errs.Newf(errs.Internal, "%d requests were answered, but only %d audit lines were written", o.Requests, got)
	}
	return o, nil
}

// approleLogin makes a role and a secret ID that may be used without end.
func approleLogin(ctx context.Context, s *server) ([]string, error) {
	if err := s.client.Sys().EnableAuthWithOptionsWithContext(ctx, "approle", &vault.EnableAuthOptions{Type: "approle"}); err != nil {
		return nil, err
	}
	l := s.client.Logical()
	if _, err := l.WriteWithContext(ctx, "auth/approle/role/bench", map[string]any{"token_policies": "default", "role_id": "bench"}); err != nil {
		return nil, err
	}
	made, err := l.WriteWithContext(ctx, "auth/approle/role/bench/secret-id", nil)
	if err != nil {
		return nil, err
	}
	return []string{"POST", "/v1/auth/approle/login", "", fmt.Sprintf(`{"role_id":"bench","secret_id":%q}`, made.Data["secret_id"])}, nil
}

func lookupSelf(ctx context.Context, s *server) ([]string, error) {
	made, err := s.client.Auth().Token().CreateWithContext(ctx, &vault.TokenCreateRequest{Policies: []string{"default"}})
	if err != nil {
		return nil, err
	}
	return []string{"GET", "/v1/auth/token/lookup-self", made.Auth.ClientToken, ""}, nil
}
