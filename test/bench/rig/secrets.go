package rig

import (
	"context"
	"strconv"

	"golang.org/x/sync/errgroup"
)

// Secrets is how many secrets the load goes to.
const Secrets = 1000

// SecretPath is where the load looks for secret i: wrk/requests.lua counts from 1.
func SecretPath(i int) string { return "bench/" + strconv.Itoa(i+1) }

// Fill writes the secrets that the load goes to.
func (s *Server) Fill(ctx context.Context) error {
	return Each(ctx, Secrets, func(ctx context.Context, i int) error {
		_, err := s.Client.KVv2(Mounted).Put(ctx, SecretPath(i), SecretValue(i))
		return err
	})
}

// SecretValue is what the benchmarks store.
func SecretValue(n int) map[string]any {
	return map[string]any{
		"username": "app", "password": strconv.Itoa(1_000_000_000+n) + "-mN3xR8vQ2pL5kT7w", "endpoint": "db.example.com:5432",
	}
}

// Each calls f for 0 up to n, 64 at a time, until one fails.
func Each(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
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
