package main

import (
	"context"
	_ "embed" // the script
	"fmt"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/rig"
	"github.com/strongkeep/strongkeep/test/bench/wrk"
)

//go:embed transit.lua
var encrypting string // a script that makes requests to transit/encrypt/bench

// encryptBound is of requests per second, to an empty net/http handler under 64
// connections; with 16 at least half of it.
const encryptBound = 0.25

// encryptLoad is encrypting 60 bytes with aes256-gcm96 over so many connections.
type encryptLoad struct {
	connections int
	bound       float64
}

func transitBenchmarks() []benchmark {
	var all []benchmark
	for _, l := range []encryptLoad{{64, encryptBound}, {16, encryptBound / 2}} {
		all = append(all, benchmark{fmt.Sprintf("transit-encrypt-c%d", l.connections), l.run})
	}
	return all
}

// run measures the empty handler, the vault, and the empty handler again.
func (l encryptLoad) run(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	s, err := b.StartDev(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Process.Stop(10 * time.Second)
	token, err := encrypter(ctx, s)
	if err != nil {
		return nil, s.Process.Explain(err)
	}
	reference := kvLoad{connections: l.connections}.reference
	before, err := reference(ctx, b)
	if err != nil {
		return nil, err
	}
	o, err := l.vault(ctx, b, s, token)
	if err != nil {
		return nil, s.Process.Explain(err)
	}
	after, err := reference(ctx, b)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("transit-encrypt-c%d", l.connections)
	return []figure.Figure{
		figure.AtLeast(l.bound, name, o.PerSecond(), "req/s", (before+after)/2),
		figure.Within(p99Bound, name+"-p99", o.P99ms(), "ms"),
	}, nil
}

// encrypter makes a key, and a token that may encrypt with it and no more.
func encrypter(ctx context.Context, s *rig.Server) (string, error) {
	if err := s.Client.Sys().MountWithContext(ctx, "transit", &vault.MountInput{Type: "transit"}); err != nil {
		return "", err
	}
	if _, err := s.Client.Logical().WriteWithContext(ctx, "transit/keys/bench", nil); err != nil {
		return "", err
	}
	const policy = `path "transit/encrypt/bench" { capabilities = ["update"] }`
	if err := s.Client.Sys().PutPolicyWithContext(ctx, "encrypter", policy); err != nil {
		return "", err
	}
	made, err := s.Client.Auth().Token().CreateWithContext(ctx, &vault.TokenCreateRequest{Policies: []string{"encrypter"}})
	if err != nil {
		return "", err
	}
	return made.Auth.ClientToken, nil
}

// vault loads the vault, after a short time to warm up, and checks that every
// answer has its two audit lines.
func (l encryptLoad) vault(ctx context.Context, b *rig.Rig, s *rig.Server, token string) (wrk.Outcome, error) {
	work := wrk.Load{
		URL: s.URL, Connections: l.connections, Duration: b.Duration / 5,
		Script: encrypting, Args: []string{token},
	}
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
