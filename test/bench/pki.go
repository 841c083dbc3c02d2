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
func (l issueLoad) run(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	s, err := b.StartDev(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Process.Stop(10 * time.Second)
	token, err := issuer(ctx, s)
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
	name := fmt.Sprintf("pki-issue-c%d", l.connections)
	return []figure.Figure{figure.AtLeast(l.bound, name, o.PerSecond(), "req/s", (before+after)/2)}, nil
}

// issuer makes a root and a role, and a token that may issue by it and no more.
func issuer(ctx context.Context, s *rig.Server) (string, error) {
	if err := s.Client.Sys().MountWithContext(ctx, "pki", &vault.MountInput{Type: "pki"}); err != nil {
		return "", err
	}
	for path, body := range map[string]map[string]any{
		"pki/root/generate/internal": {"common_name": "Bench", "key_type": "ec"},
		"pki/roles/bench":            {"allow_any_name": true, "key_type": "ec", "ttl": "1h"},
	} {
		if _, err := s.Client.Logical().WriteWithContext(ctx, path, body); err != nil {
			return "", err
		}
	}
	if err := s.Client.Sys().PutPolicyWithContext(ctx, "issuer", `path "pki/issue/bench" { capabilities = ["update"] }`); err != nil {
		return "", err
	}
	made, err := s.Client.Auth().Token().CreateWithContext(ctx, &vault.TokenCreateRequest{Policies: []string{"issuer"}})
	if err != nil {
		return "", err
	}
	return made.Auth.ClientToken, nil
}

// vault loads the vault, after a short time to warm up, and checks that every
// answer has its two audit lines.
func (l issueLoad) vault(ctx context.Context, b *rig.Rig, s *rig.Server, token string) (wrk.Outcome, error) {
	work := wrk.Load{URL: s.URL, Connections: l.connections, Duration: b.Duration / 5, Script: issuing, Args: []string{token}}
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
