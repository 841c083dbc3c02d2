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

// crowded measures reading a secret, by the token of an entity, and logging in,
// in a vault with so many entities and policies and, before and after, in one
// without: each a new one, since logins leave tokens behind, which make the next
// login dearer whoever else is there.
func crowded(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	var without, with []float64
	for _, full := range []bool{false, true, false} {
		got, err := inCrowd(ctx, b, full)
		if err != nil {
			return nil, err
		}
		switch {
		case full:
			with = got
		case without == nil:
			without = got
		default:
			for i := range without {
				without[i] = (without[i] + got[i]) / 2
			}
		}
	}
	return []figure.Figure{
		figure.AtLeast(crowdBound, "identity-100k-read", with[0], "req/s", without[0]),
		figure.AtLeast(crowdBound, "identity-100k-login", with[1], "req/s", without[1]),
	}, nil
}

// inCrowd returns reads and logins per second of a new vault, with the crowd or
// without.
func inCrowd(ctx context.Context, b *rig.Rig, full bool) ([]float64, error) {
	s, err := b.StartDev(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Process.Stop(10 * time.Second)
	requests, err := entityRequests(ctx, s)
	if err != nil {
		return nil, s.Process.Explain(err)
	}
	if full {
		b.Say("  making %d entities with an alias each and %d policies", crowd, crowdPolicies)
		if err := fillCrowd(ctx, s); err != nil {
			return nil, s.Process.Explain(err)
		}
	}
	got, err := speed(ctx, s, b, requests)
	if err != nil {
		return nil, s.Process.Explain(err)
	}
	return got, nil
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
	return []entityRequest{ // in the order of the figures
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
