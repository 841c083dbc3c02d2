package identity

import (
	"crypto/x509"
	"os"
	"strings"
	"testing"
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
	info, err := os.Stat(a.pairFile())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	if _, err := New(redact.FromString("short"), t.TempDir(), "a", "h", clock); !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), "short") {
		t.Error(err)
	}
}
