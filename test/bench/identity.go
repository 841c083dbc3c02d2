package main

import (
	"context"
	"fmt"
	"time"
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
func crowded(ctx context.Context, b *bench) ([]figure, error) {
	s, err := b.startDev(ctx)
	if err != nil {
		return nil, err
	}
	defer s.process.Stop(10 * time.Second)
	requests, err := s.entityRequests(ctx)
	if err != nil {
		return nil, s.process.Explain(err)
	}
	before, err := s.speed(ctx, b, requests)
	if err != nil {
		return nil, s.process.Explain(err)
	}
	b.say("  making %d entities with an alias each and %d policies", crowd, crowdPolicies)
	if err := s.fillCrowd(ctx); err != nil {
		return nil, s.process.Explain(err)
	}
	after, err := s.speed(ctx, b, requests)
	if err != nil {
		return nil, s.process.Explain(err)
	}
	var figures []figure
	for i, r := range requests {
		figures = append(figures, atLeast(crowdBound, "identity-100k-"+r.name, after[i], "req/s", before[i]))
	}
	return figures, nil
}

// entityRequest is a request of somebody who has an entity.
type entityRequest struct {
	name string
	args []string // of fixed.lua
}

func (s *server) entityRequests(ctx context.Context) ([]entityRequest, error) {
	login, err := approleLogin(ctx, s)
	if err != nil {
		return nil, err
	}
	const policy = `path "secret/data/bench/{{identity.entity.name}}" { capabilities = ["create", "read", "update"] }`
	if err := s.client.Sys().PutPolicyWithContext(ctx, "own", policy); err != nil {
		return nil, err
	}
	l := s.client.Logical()
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
	if _, err := s.client.KVv2(mounted).Put(ctx, "bench/app", secretValue(0)); err != nil {
		return nil, err
	}
	return []entityRequest{
		{"read", []string{"GET", "/v1/secret/data/bench/app", made.Auth.ClientToken, ""}},
		{"login", login},
	}, nil
}

// speed is how many of each request are answered in a second.
func (s *server) speed(ctx context.Context, b *bench, requests []entityRequest) ([]float64, error) {
	var all []float64
	for _, r := range requests {
		work := load{url: s.url, connections: 64, duration: b.duration / 5, script: fixed, secrets: r.args}
		if _, err := b.wrk(ctx, work); err != nil {
			return nil, err
		}
		work.duration = b.duration
		used := cpuTime(s.process.PID())
		o, err := b.wrk(ctx, work)
		if err != nil {
			return nil, err
		}
		b.say("  %s: %.0f req/s, %s of CPU each", r.name, o.perSecond(), perRequest(cpuTime(s.process.PID())-used, o))
		all = append(all, o.perSecond())
	}
	return all, nil
}

func (s *server) fillCrowd(ctx context.Context) error {
	methods, err := s.client.Sys().ListAuthWithContext(ctx)
	if err != nil {
		return err
	}
	accessor, l := methods["approle/"].Accessor, s.client.Logical()
	err = each(ctx, crowd, func(ctx context.Context, i int) error {
		_, err := l.WriteWithContext(ctx, "identity/entity-alias", map[string]any{
			"name": fmt.Sprint("somebody-", i), "mount_accessor": accessor, "custom_metadata": map[string]any{"n": i},
		})
		return err
	})
	if err != nil {
		return err
	}
	return each(ctx, crowdPolicies, func(ctx context.Context, i int) error {
		text := fmt.Sprintf(`path "secret/data/{{identity.entity.name}}/%d/*" { capabilities = ["read"] }`, i)
		return s.client.Sys().PutPolicyWithContext(ctx, fmt.Sprint("policy-", i), text)
	})
}
