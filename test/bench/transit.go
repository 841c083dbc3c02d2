package main

import (
	"context"
	_ "embed" // the script
	"fmt"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
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
func (l encryptLoad) run(ctx context.Context, b *bench) ([]figure, error) {
	s, err := b.startDev(ctx)
	if err != nil {
		return nil, err
	}
	defer s.process.Stop(10 * time.Second)
	token, err := s.encrypter(ctx)
	if err != nil {
		return nil, s.process.Explain(err)
	}
	reference := kvLoad{connections: l.connections}.reference
	before, err := reference(ctx, b)
	if err != nil {
		return nil, err
	}
	o, err := l.vault(ctx, b, s, token)
	if err != nil {
		return nil, s.process.Explain(err)
	}
	after, err := reference(ctx, b)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("transit-encrypt-c%d", l.connections)
	return []figure{
		atLeast(l.bound, name, o.perSecond(), "req/s", (before+after)/2),
		within(p99Bound, name+"-p99", o.p99(), "ms"),
	}, nil
}

// encrypter makes a key, and a token that may encrypt with it and no more.
func (s *server) encrypter(ctx context.Context) (string, error) {
	if err := s.client.Sys().MountWithContext(ctx, "transit", &vault.MountInput{Type: "transit"}); err != nil {
		return "", err
	}
	if _, err := s.client.Logical().WriteWithContext(ctx, "transit/keys/bench", nil); err != nil {
		return "", err
	}
	const policy = `path "transit/encrypt/bench" { capabilities = ["update"] }`
	if err := s.client.Sys().PutPolicyWithContext(ctx, "encrypter", policy); err != nil {
		return "", err
	}
	made, err := s.client.Auth().Token().CreateWithContext(ctx, &vault.TokenCreateRequest{Policies: []string{"encrypter"}})
	if err != nil {
		return "", err
	}
	return made.Auth.ClientToken, nil
}

// vault loads the vault, after a short time to warm up, and checks that every
// answer has its two audit lines.
func (l encryptLoad) vault(ctx context.Context, b *bench, s *server, token string) (outcome, error) {
	work := load{
		url: s.url, connections: l.connections, duration: b.duration / 5,
		script: encrypting, secrets: []string{token},
	}
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
