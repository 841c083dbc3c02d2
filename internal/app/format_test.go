package app

import (
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/format"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// A newer version that holds its format back can be taken away again; once it has switched, the
// one before refuses to start, says why, and changes nothing.
func TestDowngrade(t *testing.T) {
	dir := t.TempDir()
	var shares []redact.Secret
	run := func(p format.Program, hold bool) (format.Record, error) {
		s, err := NewServer(t.Context(), ServerConfig{DataDir: dir, Listen: "127.0.0.1:0", Format: p, HoldFormat: hold, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return format.Record{}, err
		}
		if shares == nil {
			made, err := s.Gate().Init(t.Context(), seal.InitConfig{Shares: 1, Threshold: 1})
			if err != nil {
				return format.Record{}, errors.Join(err, s.Close())
			}
			shares = made.Shares
		}
		_, err = s.Gate().Unseal(t.Context(), redact.FromString(hex.EncodeToString(shares[0].Reveal())))
		rec, readErr := format.Read(t.Context(), s.raw)
		return rec, errors.Join(err, readErr, s.Close())
	}
	two := format.Program{Version: "0.2.0", Newest: 2, Oldest: 1, Reader: 2}
	for _, step := range []struct {
		name    string
		program format.Program
		hold    bool
		written int
	}{
		{"the present", format.This, false, 1}, {"a newer, held back", two, true, 1}, {"the present again", format.This, false, 1}, {"a newer", two, false, 2}, {"it again", two, false, 2},
	} {
		if rec, err := run(step.program, step.hold); err != nil || rec.Written != step.written {
			t.Fatalf("%s: %+v, %v", step.name, rec, err)
		}
	}
	before := stands(t, dir)
	_, err := run(format.This, false)
	if !errs.Is(err, errs.Unsupported) || !strings.Contains(err.Error(), `switched on by version "0.2.0"`) {
		t.Error("the version before starts:", err)
	}
	if _, err := run(format.Program{Version: "0.5.0", Newest: 5, Oldest: 3, Reader: 5}, false); !errs.Is(err, errs.Unsupported) || !strings.Contains(err.Error(), "a version between") {
		t.Error("one that is too new starts:", err)
	}
	if after := stands(t, dir); after != before {
		t.Error("a server that refused has written to the store:", before, after)
	}
	if rec, err := run(two, false); err != nil || rec.Written != 2 {
		t.Error(rec, err)
	}
}

// stands is the revision of the store in dir.
func stands(t *testing.T, dir string) store.Revision {
	t.Helper()
	c := ServerConfig{DataDir: dir, Log: slog.New(slog.DiscardHandler)}
	if err := c.complete(); err != nil {
		t.Fatal(err)
	}
	s, err := stores()[c.Storage].open(t.Context(), &c)
	if err != nil {
		t.Fatal(err)
	}
	rev, err := s.Apply(t.Context())
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	return rev
}
