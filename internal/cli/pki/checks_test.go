package pki

import (
	"crypto/x509"
	"encoding/json"
	"testing"
	"time"
)

func TestIssuersNearTheirEnd(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		life, left time.Duration
		want       severity
	}{
		{3650 * day, 400 * day, fine}, {3650 * day, 100 * day, informational}, {3650 * day, 40 * day, warning},
		{3650 * day, 20 * day, critical}, {3650 * day, -day, critical},
		{30 * day, 20 * day, fine}, {30 * day, 8 * day, informational}, {30 * day, 2 * day, critical},
	} {
		end := now.Add(test.left)
		i := &issuer{name: "x", cert: &x509.Certificate{RawSubject: []byte("a"), RawIssuer: []byte("b"), NotAfter: end, NotBefore: end.Add(-test.life)}}
		if f := checkIssuer(i, now); f.Severity != test.want {
			t.Errorf("%v left of %v: %v, not %v", test.left, test.life, f, test.want)
		}
		if i.revoked = true; checkIssuer(i, now).Severity != fine {
			t.Error("a revoked issuer need not be renewed")
		}
	}
}

func TestCRLsThatAreNotRenewed(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for left, want := range map[time.Duration]severity{70 * time.Hour: fine, 11 * time.Hour: fine, 5 * time.Hour: warning, 0: critical, -time.Hour: critical} {
		crl := &x509.RevocationList{NextUpdate: now.Add(left), ThisUpdate: now.Add(left - 72*time.Hour)}
		if f := checkCRL("x", crl, 12*time.Hour, now); f.Severity != want {
			t.Errorf("%v left: %v, not %v", left, f, want)
		}
	}
}

func TestWideRolesAndLargeStores(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	n := func(s string) json.Number { return json.Number(s) }
	for name, test := range map[string]struct {
		role map[string]any
		want severity
	}{
		"bounded":  {map[string]any{"max_ttl": n("3600"), "ttl": n("0")}, fine},
		"any name": {map[string]any{"max_ttl": n("3600"), "allow_any_name": true}, warning},
		"globs":    {map[string]any{"max_ttl": n("3600"), "allow_glob_domains": true}, informational},
		"no max":   {map[string]any{"max_ttl": n("0")}, informational},
		"long":     {map[string]any{"max_ttl": n("99999999")}, warning},
		"late end": {map[string]any{"not_after": "2036-01-01T00:00:00Z"}, warning},
	} {
		worst := fine
		for _, f := range checkRole("x", test.role, now) {
			worst = max(worst, f.Severity)
		}
		if worst != test.want {
			t.Errorf("%s: %v, not %v", name, worst, test.want)
		}
	}
	for count, want := range map[int]severity{0: fine, manyCerts: warning, tooManyCerts: critical} {
		if f := checkStore(count); f.Severity != want {
			t.Errorf("%d: %v", count, f)
		}
	}
}
