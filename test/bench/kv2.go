package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/rig"
	"github.com/strongkeep/strongkeep/test/bench/wrk"
)

// Bounds of KV version 2. The ratios are of requests per second, to an empty
// net/http handler under the same number of connections.
const (
	readBound  = 0.36 // with 64 connections; with 16 at least half of it
	writeBound = 0.10 // likewise
	p99Bound   = 25.0 // ms
)

// kvLoad is reading or writing random secrets over so many connections.
type kvLoad struct {
	mode        string // "read" or "write"
	connections int
	bound       float64
}

func kv2Benchmarks() []benchmark {
	var all []benchmark
	for _, l := range []kvLoad{
		{"read", 64, readBound}, {"write", 64, writeBound},
		{"read", 16, readBound / 2}, {"write", 16, writeBound / 2},
	} {
		all = append(all, benchmark{fmt.Sprintf("kv2-%s-c%d", l.mode, l.connections), l.run})
	}
	return all
}

// run measures the empty handler, the vault, and the empty handler again.
func (l kvLoad) run(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	s, err := b.StartDev(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Process.Stop(10 * time.Second)
	if err := s.Fill(ctx); err != nil {
		return nil, s.Process.Explain(err)
	}
	before, err := l.reference(ctx, b)
	if err != nil {
		return nil, err
	}
	o, err := l.vault(ctx, b, s)
	if err != nil {
		return nil, s.Process.Explain(err)
	}
	after, err := l.reference(ctx, b)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("kv2-%s-c%d", l.mode, l.connections)
	return []figure.Figure{
		figure.AtLeast(l.bound, name, o.PerSecond(), "req/s", (before+after)/2),
		figure.Within(p99Bound, name+"-p99", o.P99ms(), "ms"),
	}, nil
}

// reference is how many requests per second an empty handler answers.
func (l kvLoad) reference(ctx context.Context, b *rig.Rig) (float64, error) {
	e, err := startEmpty(ctx, b)
	if err != nil {
		return 0, err
	}
	defer e.process.Stop(0)
	before := rig.CPUTime(e.process.PID())
	o, err := wrk.Run(ctx, b, wrk.Load{URL: e.url, Connections: l.connections, Duration: b.Duration / 2})
	if err != nil {
		return 0, err
	}
	b.Say("  empty handler: %.0f req/s, %s of CPU each", o.PerSecond(), perRequest(rig.CPUTime(e.process.PID())-before, o))
	return o.PerSecond(), nil
}

// vault loads the vault, after a short time to warm up, and checks that it did
// what it answered for: two audit lines for each request, and every write.
func (l kvLoad) vault(ctx context.Context, b *rig.Rig, s *rig.Server) (wrk.Outcome, error) {
	token, err := appToken(ctx, s)
	if err != nil {
		return wrk.Outcome{}, err
	}
	work := wrk.Load{
		URL: s.URL, Connections: l.connections, Duration: b.Duration / 5,
		Args: []string{l.mode, strconv.Itoa(rig.Secrets), token},
	}
	if _, err := wrk.Run(ctx, b, work); err != nil {
		return wrk.Outcome{}, err
	}
	work.Duration = b.Duration
	lines, versions, err := witness(ctx, s)
	if err != nil {
		return wrk.Outcome{}, err
	}
	before := rig.CPUTime(s.Process.PID())
	o, err := wrk.Run(ctx, b, work)
	if err != nil {
		return wrk.Outcome{}, err
	}
	b.Say("  vault: %.0f req/s, %s of CPU each, p50 %.2f ms, p99 %.2f ms",
		o.PerSecond(), perRequest(rig.CPUTime(s.Process.PID())-before, o), float64(o.P50)/1e3, o.P99ms())
	moreLines, moreVersions, err := witness(ctx, s)
	if err != nil {
		return wrk.Outcome{}, err
	}
	if got := moreLines - lines; got < 2*o.Requests {
		return wrk.Outcome{}, errs.Newf(errs.Internal, "%d requests were answered, but only %d audit lines were written", o.Requests, got)
	}
	if got := moreVersions - versions; l.mode == "write" && got < o.Requests {
		return wrk.Outcome{}, errs.Newf(errs.Internal, "%d writes were answered, but only %d versions were made", o.Requests, got)
	}
	return o, nil
}

// perRequest is the time of a server's own for one request: on a machine that
// others use too it says more than requests per second.
func perRequest(cpu time.Duration, o wrk.Outcome) time.Duration {
	return (cpu / time.Duration(o.Requests)).Round(100 * time.Nanosecond)
}

// witness counts audit lines, and versions of all secrets.
func witness(ctx context.Context, s *rig.Server) (lines, versions int64, err error) {
	if lines, err = s.AuditLines(); err != nil {
		return 0, 0, err
	}
	counts := make([]int64, rig.Secrets)
	err = rig.Each(ctx, rig.Secrets, func(ctx context.Context, i int) error {
		m, err := s.Client.KVv2(rig.Mounted).GetMetadata(ctx, rig.SecretPath(i))
		if err == nil {
			counts[i] = int64(m.CurrentVersion)
		}
		return err
	})
	for _, n := range counts {
		versions += n
	}
	return lines, versions, err
}

// appToken makes a token as an application has it: one policy, for one folder.
func appToken(ctx context.Context, s *rig.Server) (string, error) {
	const policy = `path "secret/data/bench/*" { capabilities = ["create", "read", "update"] }`
	if err := s.Client.Sys().PutPolicyWithContext(ctx, "bench", policy); err != nil {
		return "", err
	}
	made, err := s.Client.Auth().Token().CreateWithContext(ctx, &vault.TokenCreateRequest{Policies: []string{"bench"}})
	if err != nil {
		return "", err
	}
	return made.Auth.ClientToken, nil
}
