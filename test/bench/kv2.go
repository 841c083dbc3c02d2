package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Bounds of KV version 2. The ratios are of requests per second, to an empty
// net/http handler under the same number of connections.
const (
	readBound  = 0.36 // with 64 connections; with 16 at least half of it
	writeBound = 0.10 // likewise
	p99Bound   = 25.0 // ms
)

// kvSecrets is how many secrets the load goes to.
const kvSecrets = 1000

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
func (l kvLoad) run(ctx context.Context, b *bench) ([]figure, error) {
	s, err := b.startDev(ctx)
	if err != nil {
		return nil, err
	}
	defer s.process.Stop(10 * time.Second)
	if err := s.fill(ctx); err != nil {
		return nil, s.process.Explain(err)
	}
	before, err := l.reference(ctx, b)
	if err != nil {
		return nil, err
	}
	o, err := l.vault(ctx, b, s)
	if err != nil {
		return nil, s.process.Explain(err)
	}
	after, err := l.reference(ctx, b)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("kv2-%s-c%d", l.mode, l.connections)
	return []figure{
		atLeast(l.bound, name, o.perSecond(), "req/s", (before+after)/2),
		within(p99Bound, name+"-p99", o.p99(), "ms"),
	}, nil
}

// reference is how many requests per second an empty handler answers.
func (l kvLoad) reference(ctx context.Context, b *bench) (float64, error) {
	e, err := b.startEmpty(ctx)
	if err != nil {
		return 0, err
	}
	defer e.process.Stop(0)
	before := cpuTime(e.process.PID())
	o, err := b.wrk(ctx, load{url: e.url, connections: l.connections, duration: b.duration / 2})
	if err != nil {
		return 0, err
	}
	b.say("  empty handler: %.0f req/s, %s of CPU each", o.perSecond(), perRequest(cpuTime(e.process.PID())-before, o))
	return o.perSecond(), nil
}

// vault loads the vault, after a short time to warm up, and checks that it did
// what it answered for: two audit lines for each request, and every write.
func (l kvLoad) vault(ctx context.Context, b *bench, s *server) (outcome, error) {
	token, err := s.appToken(ctx)
	if err != nil {
		return outcome{}, err
	}
	work := load{
		url: s.url, connections: l.connections, duration: b.duration / 5,
		secrets: []string{l.mode, strconv.Itoa(kvSecrets), token},
	}
	if _, err := b.wrk(ctx, work); err != nil {
		return outcome{}, err
	}
	work.duration = b.duration
	lines, versions, err := s.witness(ctx)
	if err != nil {
		return outcome{}, err
	}
	before := cpuTime(s.process.PID())
	o, err := b.wrk(ctx, work)
	if err != nil {
		return outcome{}, err
	}
	b.say("  vault: %.0f req/s, %s of CPU each, p50 %.2f ms, p99 %.2f ms",
		o.perSecond(), perRequest(cpuTime(s.process.PID())-before, o), float64(o.P50)/1e3, o.p99())
	moreLines, moreVersions, err := s.witness(ctx)
	if err != nil {
		return outcome{}, err
	}
	if got := moreLines - lines; got < 2*o.Requests {
		return outcome{}, errs.Newf(errs.Internal, "%d requests were answered, but only %d audit lines were written", o.Requests, got)
	}
	if got := moreVersions - versions; l.mode == "write" && got < o.Requests {
		return outcome{}, errs.Newf(errs.Internal, "%d writes were answered, but only %d versions were made", o.Requests, got)
	}
	return o, nil
}

// perRequest is the time of a server's own for one request: on a machine that
// others use too it says more than requests per second.
func perRequest(cpu time.Duration, o outcome) time.Duration {
	return (cpu / time.Duration(o.Requests)).Round(100 * time.Nanosecond)
}

// secretPath is where the load looks for secret i: requests.lua counts from 1.
func secretPath(i int) string { return "bench/" + strconv.Itoa(i+1) }

// fill writes the secrets that the load goes to.
func (s *server) fill(ctx context.Context) error {
	return each(ctx, kvSecrets, func(ctx context.Context, i int) error {
		_, err := s.client.KVv2(mounted).Put(ctx, secretPath(i), secretValue(i))
		return err
	})
}

// witness counts audit lines, and versions of all secrets.
func (s *server) witness(ctx context.Context) (lines, versions int64, err error) {
	if lines, err = s.auditLines(); err != nil {
		return 0, 0, err
	}
	counts := make([]int64, kvSecrets)
	err = each(ctx, kvSecrets, func(ctx context.Context, i int) error {
		m, err := s.client.KVv2(mounted).GetMetadata(ctx, secretPath(i))
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

// each calls f for 0 up to n, 64 at a time, until one fails.
func each(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(64)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error { return f(ctx, i) })
	}
	return g.Wait()
}
