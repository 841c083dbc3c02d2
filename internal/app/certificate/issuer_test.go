package certificate

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
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
