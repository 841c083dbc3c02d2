package saving

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/pebble"
	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/rig"
)

// What is measured, and its bounds. Rates are entries per second, of commands as processes
// of their own, from their start to their end.
const (
	entries     = 1_000_000
	valueSize   = 250  // bytes, sealed: of usual secrets
	saveRatio   = 0.25 // of the raw reading's rate: a snapshot is read, written, synced, and read back
	restoreRate = 0.08 // likewise: it is read three times, written, and the store read again
	memory      = 250  // MB, of either
)

// Measure saves and restores a store of a million entries.
func Measure(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	from := filepath.Join(b.Dir, "snapshot-from")
	if err := fill(ctx, filepath.Join(from, "store")); err != nil {
		return nil, err
	}
	raw, err := read(ctx, filepath.Join(from, "store"))
	if err != nil {
		return nil, err
	}
	b.Say("  %.0f entries/s are read raw", raw)
	file := filepath.Join(b.Dir, "vault.snapshot")
	save, saveMB, err := run(ctx, b, from, "save", file)
	if err != nil {
		return nil, err
	}
	restore, restoreMB, err := run(ctx, b, filepath.Join(b.Dir, "snapshot-to"), "restore", "-unsigned", file)
	if err != nil {
		return nil, err
	}
	b.Say("  saved in %.0f MB, restored in %.0f MB", saveMB, restoreMB)
	return []figure.Figure{
		figure.AtLeast(saveRatio, "snapshot-save", save, "entries/s", raw),
		figure.AtLeast(restoreRate, "snapshot-restore", restore, "entries/s", raw),
		figure.Within(memory, "snapshot-rss", max(saveMB, restoreMB), "MB"),
	}, nil
}

// run runs a command on the store in a folder, and returns its rate and its memory.
func run(ctx context.Context, b *rig.Rig, dir string, args ...string) (rate, mb float64, err error) {
	config := filepath.Join(b.Dir, "snapshot.yaml")
	if err := os.WriteFile(config, []byte("data_dir: "+dir+"\n"), 0o600); err != nil {
		return 0, 0, errs.Newf(errs.Unavailable, "writing a configuration: %w", err)
	}
	args = append([]string{"snapshot", args[0], "-config=" + config}, args[1:]...)
	cmd := exec.CommandContext(ctx, b.Binary, args...)
	began := time.Now()
	mb, err = rig.PeakOf(cmd)
	return entries / time.Since(began).Seconds(), mb, err
}

// fill makes the store.
func fill(ctx context.Context, dir string) (err error) {
	s, err := pebble.Open(pebble.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	changes := []store.Change{store.Put(seal.ConfigKey, []byte(`{"vault_id":"0b2f7c1e-52a4-4a3b-9d3e-6b1f7e0c9a11"}`))}
	for i := range entries {
		value := fmt.Appendf(bytes.Repeat([]byte{byte(i)}, valueSize-16), "%016d", i)
		changes = append(changes, store.Put(fmt.Sprintf("data/%022d/%022d", i%100, i), value))
		if len(changes) >= store.MaxChanges || i == entries-1 {
			if _, err := s.Apply(ctx, changes...); err != nil {
				return err
			}
			changes = nil
		}
	}
	return nil
}

// read returns how many entries are read in a second, by the store's own iteration.
func read(ctx context.Context, dir string) (rate float64, err error) {
	s, err := pebble.Open(pebble.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	began := time.Now()
	snap, err := s.Snapshot(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	for n := 0; ; n++ {
		e, err := snap.Next(ctx)
		if err != nil {
			return 0, err
		}
		if e.Key == "" {
			if n != entries+1 {
				return 0, errs.Newf(errs.Internal, "%d entries were read", n)
			}
			return float64(n) / time.Since(began).Seconds(), nil
		}
	}
}
