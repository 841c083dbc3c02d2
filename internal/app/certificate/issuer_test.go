package certificate

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/redact"
)

// Whoever takes the CA's key off the machine must not find the server dead
// when the leaf is due for renewal, a month before it ends.
func TestLeafServesUntilItsEnd(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := &Issuer{Dir: t.TempDir(), Names: []string{"localhost"}, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	first := s.leaf
	key := filepath.Join(s.Dir, "ca-key.pem")
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	now = now.Add(leafLife * 3 / 4)
	if leaf, err := s.Certificate(nil); err != nil || leaf != first {
		t.Fatalf("without the CA's key: %v", err)
	}
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
	now = now.Add(renewalPause)
	renewed, err := s.Certificate(nil)
	if err != nil || renewed == first || renewed.Leaf.NotAfter.Sub(now) != leafLife {
		t.Fatalf("with the key back: %v", err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	now = now.Add(leafLife)
	if _, err := s.Certificate(nil); err == nil {
		t.Error("an expired certificate is served")
	}
}

// sharing is an issuer of a server of its own, with the CA that comes of a key.
func sharing(t *testing.T, dir string, key byte) *Issuer {
	t.Helper()
	ca, err := NewAuthority(redact.New(bytes.Repeat([]byte{key}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	s := &Issuer{Dir: dir, Names: []string{"localhost"}, Now: time.Now, Log: slog.New(slog.DiscardHandler), Shared: ca}
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	return s
}

// believes reports whether who has the CA of one issuer takes the certificate of another.
func believes(t *testing.T, ca, served *Issuer) bool {
	t.Helper()
	raw, err := os.ReadFile(ca.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(raw) {
		t.Fatalf("%q is no certificate", raw)
	}
	leaf, err := served.Certificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "localhost"})
	return err == nil
}

// Servers with one key have one CA, to the bit; it is in no file but ca.pem. With another key it is another.
func TestSharedAuthority(t *testing.T) {
	one, two, other := sharing(t, t.TempDir(), 1), sharing(t, t.TempDir(), 1), sharing(t, t.TempDir(), 2)
	if !believes(t, one, two) || !believes(t, two, one) || believes(t, one, other) || believes(t, other, two) {
		t.Error("who believes whom is wrong")
	}
	if files, err := os.ReadDir(one.Dir); err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
	// What clients have must be what the next program makes of the same key.
	if sum := sha256.Sum256(one.Shared.pair.Certificate[0]); hex.EncodeToString(sum[:]) != "67a3ebe4576a7e147809f526a0fbfd8f458cdf145bf12be19c244ba5d6c6e12b" {
		t.Errorf("the CA is another: %x", sum)
	}
	again := sharing(t, one.Dir, 2) // the key of the cluster was changed
	if !believes(t, other, again) || !believes(t, one, other) {
		t.Error("a shared CA of before is not replaced")
	}
	alone := &Issuer{Dir: one.Dir, Names: []string{"localhost"}, Now: time.Now, Log: slog.New(slog.DiscardHandler)} // on another storage
	if err := alone.Open(); err != nil || !believes(t, alone, alone) || believes(t, other, alone) {
		t.Errorf("without others there is no CA of its own: %v", err)
	}
}

// A server that has a CA of its own keeps it: clients have it.
func TestOwnAuthorityStays(t *testing.T) {
	s := &Issuer{Dir: t.TempDir(), Names: []string{"localhost"}, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	if now := sharing(t, s.Dir, 1); !believes(t, s, now) || believes(t, sharing(t, t.TempDir(), 1), now) {
		t.Error("its clients do not believe it any more")
	}
}
