package app

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/vault/server"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// A client that sends its body, or reads its answer, a byte a minute must not
// hold a connection and its buffers for ever.
func TestSlowClientsAreCutOff(t *testing.T) {
	s, err := NewServer(t.Context(), ServerConfig{Dev: true, Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	h := s.http
	if h.ReadHeaderTimeout <= 0 || h.ReadTimeout <= 0 || h.ReadTimeout > server.RequestTimeout {
		t.Errorf("a request may be sent for %v, its header for %v; the gate waits %v", h.ReadTimeout, h.ReadHeaderTimeout, server.RequestTimeout)
	}
	if h.WriteTimeout <= h.ReadTimeout+server.RequestTimeout {
		t.Errorf("an answer is cut off after %v, before a slow request may have been served", h.WriteTimeout)
	}
}

// ending is a store that comes to an end.
type ending struct {
	store.Store
	down chan struct{}
}

var errEnded = errors.New("the store is no more")

func (e ending) Broken() <-chan struct{} { return e.down }
func (e ending) Err() error              { return errEnded }

// A server whose store cannot be used any more ends, so that it is started anew.
func TestEndsWithItsStore(t *testing.T) {
	s, err := NewServer(t.Context(), ServerConfig{Dev: true, Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	down := make(chan struct{})
	s.raw = ending{s.raw, down}
	served := make(chan error)
	go func() { served <- s.Serve(t.Context()) }()
	close(down)
	if err := <-served; !errors.Is(err, errEnded) {
		t.Error("it ends with", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A development vault that is sealed, or whose storage lasts, can be opened
// with what its start printed.
func TestDevelopmentVaultCanBeUnsealedAgain(t *testing.T) {
	s, err := NewServer(t.Context(), ServerConfig{Dev: true, Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	s.Gate().Seal()
	if _, err := s.Gate().Unseal(t.Context(), s.DevUnsealKey()); err != nil || !s.Gate().Open() {
		t.Errorf("unsealing with the key that was printed: %v", err)
	}
}

// The Terraform provider parses the version and gates resources on it (§2.5).
func TestVersionThatClientsSee(t *testing.T) {
	core, metadata, ok := strings.Cut(apiVersion(), "+")
	if core != APIVersion || !ok || strings.Contains(metadata, "ent") || strings.Contains(metadata, "+") {
		t.Errorf("clients see %q", apiVersion())
	}
}
