package main

import (
	"context"
	_ "embed" // the script
	"fmt"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
)

//go:embed pki.lua
var issuing string // a script that makes requests to pki/issue/bench

// issueBound is of requests per second, to an empty net/http handler under 64
// connections; with 16 at least half of it.
const issueBound = 0.06

// issueLoad is issuing certificates with EC P-256 keys, stored, over so many
// connections.
type issueLoad struct {
	connections int
	bound       float64
}

func pkiBenchmarks() []benchmark {
	var all []benchmark
	for _, l := range []issueLoad{{64, issueBound}, {16, issueBound / 2}} {
		all = append(all, benchmark{fmt.Sprintf("pki-issue-c%d", l.connections), l.run})
	}
	return all
}

// run measures the empty handler, the vault, and the empty handler again.
func (l issueLoad) run(ctx context.Context, b *bench) ([]figure, error) {
	s, err := b.startDev(ctx)
	if err != nil {
		return nil, err
	}
	defer s.process.Stop(10 * time.Second)
	token, err := s.issuer(ctx)
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
	name := fmt.Sprintf("pki-issue-c%d", l.connections)
	return []figure{atLeast(l.bound, name, o.perSecond(), "req/s", (before+after)/2)}, nil
}

// issuer makes a root and a role, and a token that may issue by it and no more.
func (s *server) issuer(ctx context.Context) (string, error) {
	if err := s.client.Sys().MountWithContext(ctx, "pki", &vault.MountInput{Type: "pki"}); err != nil {
		return "", err
	}
	for path, body := range map[string]map[string]any{
		"pki/root/generate/internal": {"common_name": "Bench", "key_type": "ec"},
		"pki/roles/bench":            {"allow_any_name": true, "key_type": "ec", "ttl": "1h"},
	} {
		if _, err := s.client.Logical().WriteWithContext(ctx, path, body); err != nil {
			return "", err
		}
	}
	if err := s.client.Sys().PutPolicyWithContext(ctx, "issuer", `path "pki/issue/bench" { capabilities = ["update"] }`); err != nil {
		return "", err
	}
	made, err := s.client.Auth().Token().CreateWithContext(ctx, &vault.TokenCreateRequest{Policies: []string{"issuer"}})
	if err != nil {
		return "", err
	}
	return made.Auth.ClientToken, nil
}

// vault loads the vault, after a short time to warm up, and checks that every
// answer has its two audit lines.
func (l issueLoad) vault(ctx context.Context, b *bench, s *server, token string) (outcome, error) {
	work := load{url: s.url, connections: l.connections, duration: b.duration / 5, script: issuing, secrets: []string{token}}
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
