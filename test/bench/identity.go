package main

import (
	"context"
	"fmt"
	"time"

	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/rig"
	"github.com/strongkeep/strongkeep/test/bench/wrk"
)

// What must not slow a request down: so many entities and policies.
const (
	crowd         = 100_000
	crowdPolicies = 10_000
	crowdBound    = 0.9 // of the requests per second without them
)

func identityBenchmarks() []benchmark { return []benchmark{{"identity-100k", crowded}} }

// crowded measures reading a secret, by the token of an entity, and logging in;
// then makes the entities and policies, and measures again.
func crowded(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	s, err := b.StartDev(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Process.Stop(10 * time.Second)
	requests, err := entityRequests(ctx, s)
	if err != nil {
		return nil, s.Process.Explain(err)
	}
	before, err := speed(ctx, s, b, requests)
	if err != nil {
		return nil, s.Process.Explain(err)
	}
	b.Say("  making %d entities with an alias each and %d policies", crowd, crowdPolicies)
	if err := fillCrowd(ctx, s); err != nil {
		return nil, s.Process.Explain(err)
	}
	after, err := speed(ctx, s, b, requests)
	if err != nil {
		return nil, s.Process.Explain(err)
	}
	var figures []figure.Figure
	for i, r := range requests {
		figures = append(figures, figure.AtLeast(crowdBound, "identity-100k-"+r.name, after[i], "req/s", before[i]))
	}
	return figures, nil
}

// entityRequest is a request of somebody who has an entity.
type entityRequest struct {
	name string
	args []string // of fixed.lua
}

func entityRequests(ctx context.Context, s *rig.Server) ([]entityRequest, error) {
	login, err := approleLogin(ctx, s)
	if err != nil {
		return nil, err
	}
	const policy = `path "secret/data/bench/{{identity.entity.name}}" { capabilities = ["create", "read", "update"] }`
	if err := s.Client.Sys().PutPolicyWithContext(ctx, "own", policy); err != nil {
		return nil, err
	}
	l := s.Client.Logical()
	if _, err := l.WriteWithContext(ctx, "auth/approle/role/bench", map[string]any{"token_policies": "default,own"}); err != nil {
		return nil, err
	}
	secret, err := l.WriteWithContext(ctx, "auth/approle/role/bench/secret-id", nil)
	if err != nil {
		return nil, err
	}
	made, err := l.WriteWithContext(ctx, "auth/approle/login", map[string]any{"role_id": "bench", "secret_id": secret.Data["secret_id"]})
	if err != nil {
		return nil, err
	}
	if _, err := l.WriteWithContext(ctx, "identity/entity/id/"+made.Auth.EntityID, map[string]any{"name": "app"}); err != nil {
		return nil, err
	}
	if _, err := s.Client.KVv2(rig.Mounted).Put(ctx, "bench/app", rig.SecretValue(0)); err != nil {
		return nil, err
	}
	return []entityRequest{
		{"read", []string{"GET", "/v1/secret/data/bench/app", made.Auth.ClientToken, ""}},
		{"login", login},
	}, nil
}

// speed is how many of each request are answered in a second.
func speed(ctx context.Context, s *rig.Server, b *rig.Rig, requests []entityRequest) ([]float64, error) {
	var all []float64
	for _, r := range requests {
		work := wrk.Load{URL: s.URL, Connections: 64, Duration: b.Duration / 5, Script: wrk.Fixed, Args: r.args}
		if _, err := wrk.Run(ctx, b, work); err != nil {
			return nil, err
		}
		work.Duration = b.Duration
		used := rig.CPUTime(s.Process.PID())
		o, err := wrk.Run(ctx, b, work)
		if err != nil {
			return nil, err
		}
		b.Say("  %s: %.0f req/s, %s of CPU each", r.name, o.PerSecond(), perRequest(rig.CPUTime(s.Process.PID())-used, o))
		all = append(all, o.PerSecond())
	}
	return all, nil
}

func fillCrowd(ctx context.Context, s *rig.Server) error {
	methods, err := s.Client.Sys().ListAuthWithContext(ctx)
	if err != nil {
		return err
	}
	accessor, l := methods["approle/"].Accessor, s.Client.Logical()
	err = rig.Each(ctx, crowd, func(ctx context.Context, i int) error {
		_, err := l.WriteWithContext(ctx, "identity/entity-alias", map[string]any{
			"name": fmt.Sprint("somebody-", i), "mount_accessor": accessor, "custom_metadata": map[string]any{"n": i},
		})
		return err
	})
	if err != nil {
		return err
	}
	return rig.Each(ctx, crowdPolicies, func(ctx context.Context, i int) error {
		text := fmt.Sprintf(`path "secret/data/{{identity.entity.name}}/%d/*" { capabilities = ["read"] }`, i)
		return s.Client.Sys().PutPolicyWithContext(ctx, fmt.Sprint("policy-", i), text)
	})
}
