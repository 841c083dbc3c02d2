package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/app/certificate"
	"github.com/strongkeep/strongkeep/internal/testenv/buffer"
)

// keyPair makes files of a certificate of its own, by the server's own issuer.
func keyPair(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	s := &certificate.Issuer{Dir: dir, Names: []string{"localhost"}, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca-key.pem")
}

// What can be taken up is: level and certificates, also under other names. What cannot is named,
// what is wrong changes nothing.
func TestReload(t *testing.T) {
	cert, key := keyPair(t, t.TempDir())
	other, otherKey := keyPair(t, t.TempDir())
	var log buffer.Buffer
	next := ServerConfig{DataDir: t.TempDir(), Listen: "127.0.0.1:0", TLSCert: cert, TLSKey: key}
	c := next
	c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c.Reread = func() (ServerConfig, error) { return next, nil }
	s, err := NewServer(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	serial := func() string {
		pair, err := s.http.TLSConfig.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.String()
	}
	first := serial()

	s.Reload()
	if text := log.String(); strings.Contains(text, "next start") || !strings.Contains(text, "the certificate is read again") {
		t.Error("nothing has changed:", text)
	}

	next.LogLevel, next.TLSCert, next.TLSKey, next.CacheBytes, next.TLSNames = "debug", other, otherKey, 1<<20, []string{"a.example.com"}
	s.Reload()
	if s.cfg.level.Level() != slog.LevelDebug || s.cfg.started.Level() != slog.LevelDebug {
		t.Error("the level is", s.cfg.level.Level())
	}
	if serial() == first {
		t.Error("the certificate is the old one")
	}
	if text := log.String(); !strings.Contains(text, "next start only") || !strings.Contains(text, "cache_bytes") || !strings.Contains(text, "tls_names") || strings.Contains(text, "settings=\"[log_level") {
		t.Error("what is not taken up is not named:", text)
	}

	second := serial()
	next.LogLevel, next.TLSCert = "loud", cert
	s.Reload()
	if s.cfg.level.Level() != slog.LevelDebug || serial() != second || !strings.Contains(log.String(), "the configuration stays as it was") {
		t.Error("a wrong configuration is taken up:", log.String())
	}
	next.LogLevel, next.TLSCert, next.TLSKey = "info", cert, otherKey // which do not fit
	s.Reload()
	if serial() != second || !strings.Contains(log.String(), "the certificate stays the one that was loaded") {
		t.Error("a certificate with another's key is taken up:", log.String())
	}
	next.TLSKey = key
	if err := os.Remove(otherKey); err != nil {
		t.Fatal(err)
	}
	s.Reload()
	if serial() != first || s.cfg.level.Level() != slog.LevelInfo {
		t.Error("what was put right is not taken up:", log.String())
	}
}

// What a running server logs follows its level, also when its settings are completed once more.
func TestCompletedOnce(t *testing.T) {
	c := ServerConfig{DataDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}
	if err := c.complete(); err != nil {
		t.Fatal(err)
	}
	level, started := c.level, c.started
	if err := c.complete(); err != nil {
		t.Fatal(err)
	}
	if c.level != level || c.started != started {
		t.Error("the level is another one")
	}
}
