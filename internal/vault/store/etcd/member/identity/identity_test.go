package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// All nodes make the same CA of one key, and of another key another one; certificates are
// made anew a third before their end.
func TestIdentity(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	made := func(key string) *Identity {
		t.Helper()
		i, err := New(redact.FromString(key), t.TempDir(), "a", "127.0.0.1", clock)
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	one := strings.Repeat("k", KeySize)
	a, b, other := made(one), made(one), made(strings.Repeat("l", KeySize))
	if !a.cert.Equal(b.cert) || a.cert.Equal(other.cert) {
		t.Error("the CA does not depend on the key, and on nothing else")
	}
	trusts := func(pool *x509.CertPool, i *Identity) bool {
		_, err := i.current.Load().Leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, DNSName: "127.0.0.1", KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		return err == nil
	}
	if !trusts(a.pool, b) || trusts(a.pool, other) {
		t.Error("who has the key is trusted, and nobody else")
	}
	first := a.current.Load().Leaf
	now = now.Add(certLife - certRenew - time.Hour)
	if err := a.Renew(); err != nil || !a.current.Load().Leaf.Equal(first) {
		t.Error("a certificate that lasts was made anew", err)
	}
	now = now.Add(2 * time.Hour)
	if err := a.Renew(); err != nil || a.current.Load().Leaf.Equal(first) || !trusts(b.pool, a) {
		t.Error("a certificate was not made anew", err)
	}
	now = now.Add(-20 * 24 * time.Hour) // others' clocks are behind
	if !trusts(b.pool, a) {
		t.Error("a node whose clock is behind trusts nobody")
	}
	info, err := os.Stat(a.pairFile())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	if _, err := New(redact.FromString("short"), t.TempDir(), "a", "h", clock); !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), "short") {
		t.Error(err)
	}
}

// A certificate that was made while the clock was wrong, by years in either direction, is
// made anew soon after the clock is right, also in the file that etcd reads.
func TestClock(t *testing.T) {
	for what, wrong := range map[string]time.Duration{"ahead": 10 * 365 * 24 * time.Hour, "behind": -10 * 365 * 24 * time.Hour} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var off atomic.Int64
				off.Store(int64(wrong))
				clock := func() time.Time { return time.Now().Add(30*365*24*time.Hour + time.Duration(off.Load())) } // of a bubble: it begins in 2000
				i, err := New(redact.FromString(strings.Repeat("k", KeySize)), t.TempDir(), "a", "127.0.0.1", clock)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var keeping sync.WaitGroup
				keeping.Go(func() { i.Keep(ctx, slog.New(slog.DiscardHandler)) })
				off.Store(0)
				time.Sleep(keepEvery + time.Second)
				synctest.Wait()
				cancel()
				keeping.Wait()
				_, err = i.current.Load().Leaf.Verify(x509.VerifyOptions{Roots: i.pool, CurrentTime: clock(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
				onDisk, err2 := tls.LoadX509KeyPair(i.pairFile(), i.pairFile())
				if err != nil || err2 != nil || !onDisk.Leaf.Equal(i.current.Load().Leaf) {
					t.Error(err, err2)
				}
			})
		})
	}
}
