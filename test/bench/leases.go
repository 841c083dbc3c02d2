package main

import (
	"context"
	"fmt"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/fill"
	"github.com/strongkeep/strongkeep/test/bench/rig"
	"github.com/strongkeep/strongkeep/test/bench/wrk"
)

const (
	manyLeases  = 1_000_000
	leaseStart  = 2.0 // s, from the start of the process to the first good answer
	liveLeases  = 100_000
	leaseRSS    = 150.0 // MB resident
	leaseStarts = 3     // starts of the vault with many leases
)

func leaseBenchmarks() []benchmark {
	return []benchmark{{"leases-100k", leasesInMemory}, {"leases-1m", leasesOnDisk}}
}

// leasesInMemory measures what the process holds of physical memory while so
// many leases live: opened, and then after logins (each the lease of a token)
// and renewals over 64 connections.
func leasesInMemory(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	v, id, err := leased(ctx, b, liveLeases)
	if err != nil {
		return nil, err
	}
	defer func() { v.Process.Stop(10 * time.Second) }()
	if _, err := v.startWith(ctx, b, v.findLease(id)); err != nil {
		return nil, v.Process.Explain(err)
	}
	opened, err := resident(v.Process.PID())
	if err != nil {
		return nil, err
	}
	worked, err := v.work(ctx, b, id)
	if err != nil {
		return nil, v.Process.Explain(err)
	}
	b.Say("  %.0f MB resident when opened, %.0f MB after work", opened, worked)
	return []figure.Figure{figure.Within(leaseRSS, "leases-100k-rss", max(opened, worked), "MB")}, nil
}

// work logs in and renews for a while and returns what is resident then.
func (v *stored) work(ctx context.Context, b *rig.Rig, id string) (float64, error) {
	login, err := approleLogin(ctx, &v.Server)
	if err != nil {
		return 0, err
	}
	most := 0.0
	lookup := []string{"POST", "/v1/sys/leases/lookup", v.Client.Token(), fmt.Sprintf(`{"lease_id":%q}`, id)}
	for _, args := range [][]string{login, lookup} {
		o, err := wrk.Run(ctx, b, wrk.Load{URL: v.URL, Connections: 64, Duration: b.Duration / 2, Script: wrk.Fixed, Args: args})
		if err != nil {
			return 0, err
		}
		now, err := resident(v.Process.PID())
		if err != nil {
			return 0, err
		}
		b.Say("  after %d of %s: %.0f MB", o.Requests, args[1], now)
		most = max(most, now)
	}
	return most, nil
}

// leasesOnDisk measures starts: nothing of so many leases may have to be read
// before the first of them is found.
func leasesOnDisk(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	v, id, err := leased(ctx, b, manyLeases)
	if err != nil {
		return nil, err
	}
	defer func() { v.Process.Stop(10 * time.Second) }()
	var slowest time.Duration
	for range leaseStarts {
		took, err := v.startWith(ctx, b, v.findLease(id))
		if err != nil {
			return nil, v.Process.Explain(err)
		}
		held, err := resident(v.Process.PID())
		if err != nil {
			return nil, err
		}
		b.Say("  %d ms to the first lease looked up, %.0f MB resident", took.Milliseconds(), held)
		slowest = max(slowest, took)
		v.Process.Stop(0) // kill -9: the next has something to recover
	}
	return []figure.Figure{figure.Within(leaseStart, "leases-1m-start", slowest.Seconds(), "s")}, nil
}

// leased is a stopped vault with so many leases of a database engine, and the ID
// of one of them.
func leased(ctx context.Context, b *rig.Rig, count int) (*stored, string, error) {
	v, err := newStoredAt(ctx, b, fmt.Sprintf("leases-%d", count))
	if err != nil {
		return nil, "", err
	}
	id, err := v.mountDatabase(ctx)
	v.Process.Stop(30 * time.Second)
	if err != nil {
		return nil, "", v.Process.Explain(err)
	}
	began := time.Now()
	last, err := fill.Leases(ctx, fill.Config{
		DataDir: v.Data, KeyFile: v.keyFile, MountID: id, Mount: "database/", Path: "creds/app", Count: count,
		Token: redact.FromString(v.Client.Token()),
	})
	if err != nil {
		return nil, "", errs.Newf(errs.KindOf(err), "filling the store: %w", err)
	}
	b.Say("  %d leases made in %.0f s", count, time.Since(began).Seconds())
	return v, last, nil
}

// mountDatabase returns the mount's ID.
func (v *stored) mountDatabase(ctx context.Context) (string, error) {
	if err := v.Client.Sys().MountWithContext(ctx, "database", &vault.MountInput{Type: "database"}); err != nil {
		return "", err
	}
	m, err := v.Client.Sys().GetMountWithContext(ctx, "database")
	if err != nil {
		return "", err
	}
	return m.UUID, nil
}

// findLease is the first good answer: the lease is there and lives.
func (v *stored) findLease(id string) func(context.Context) error {
	return func(ctx context.Context) error {
		found, err := v.Client.Sys().LookupWithContext(ctx, id)
		if err != nil {
			return err
		}
		if found == nil || found.Data["id"] != id {
			return errWrong
		}
		return nil
	}
}

// resident is how much physical memory a process holds, in MB of 10^6 bytes.
func resident(pid int) (float64, error) {
	m, err := rig.MemoryOf(pid)
	return m.Resident, err
}
