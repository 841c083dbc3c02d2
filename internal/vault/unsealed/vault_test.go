package unsealed

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/devices"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
)

// A new vault is written by who asked for it, in one go; Setup writes nothing.
func TestSetupWritesNothing(t *testing.T) {
	b := newBench(t, nil)
	before, err := b.raw.Apply(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.close()
	changes, root, err := Setup(t.Context(), &b.cfg, b.log, b.raw, b.cfg.Barrier.Keyring())
	if err == nil || !errs.Is(err, errs.Exist) {
		t.Errorf("setting up in a store with a vault: %d changes, root %v, %v", len(changes), !root.Empty(), err)
	}
	if after, err := b.raw.Apply(t.Context()); err != nil || after != before {
		t.Errorf("%d commits, %v", after-before, err)
	}
	b.open()
	for _, path := range []string{"sys/", "auth/token/", "cubbyhole/", "lab/", "auth/lab/"} {
		if b.v.Mounts.Table().ByPath(namespace.Root, path) == nil {
			t.Errorf("a new vault has no %s", path)
		}
	}
	if e, err := b.v.Tokens.Lookup(t.Context(), b.v.Store, b.root.RevealString()); err != nil || !e.Root() {
		t.Errorf("the root token: %+v, %v", e, err)
	}
	b.close() // for the cleanup: closing twice is not asked for
}

// What fails at the opening leaves nothing running and nothing enabled, and the
// next try opens the vault.
func TestWhatFailsAtTheOpening(t *testing.T) {
	down := errs.New(errs.Unavailable, "down")
	for name, c := range map[string]struct {
		spoil func(*bench) (mend func())
		says  string
	}{
		"the decorators": {func(b *bench) func() {
			open := b.cfg.Open
			b.cfg.Open = func(store.Store, *seal.Keyring) (store.Store, error) { return nil, down }
			return func() { b.cfg.Open = open }
		}, "opening the vault: "},
		"the mounts": {func(b *bench) func() {
			return b.spoil(fault.Rule{Op: fault.List, Prefix: mount.EntryPrefix, Err: down})
		}, "opening the vault: "},
		"the devices": {func(b *bench) func() {
			return b.spoil(fault.Rule{Op: fault.List, Prefix: devices.Prefix, Err: down})
		}, "enabling the audit devices: "},
		"the settings": {func(b *bench) func() {
			b.cfg.Settings = func(context.Context, store.Store) error { return down }
			return func() { b.cfg.Settings = nil }
		}, "reading the settings: "},
		"the quotas": {func(b *bench) func() { return b.spoil(fault.Rule{Op: fault.List, Prefix: "quota", Err: down}) }, "reading the quotas: "},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			b.close()
			mend := c.spoil(b)
			v, err := Open(t.Context(), &b.cfg, b.log, b.raw, b.cfg.Barrier.Keyring())
			if v != nil || !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
			if _, err := b.log.Hash("memory/", "x"); err == nil {
				t.Error("the audit device is enabled")
			}
			mend()
			b.open()
		})
	}
}

// spoil has the store of the next vault fail by r.
func (b *bench) spoil(r fault.Rule) (mend func()) {
	open := b.cfg.Open
	b.cfg.Open = func(raw store.Store, _ *seal.Keyring) (store.Store, error) {
		f := fault.New(store.Borrow(raw))
		f.Add(r)
		return f, nil
	}
	return func() { b.cfg.Open = open }
}

// Close waits for the requests inside, and lets none in any more.
func TestCloseWaits(t *testing.T) {
	v := &Vault{}
	if !v.Enter() {
		t.Fatal("a new vault lets nobody in")
	}
	shut := make(chan bool)
	go func() { v.shut(); close(shut) }()
	for v.inside.TryRLock() { // until it waits
		v.inside.RUnlock()
		runtime.Gosched()
	}
	select {
	case <-shut:
		t.Error("closed over a request inside")
	default:
	}
	v.Leave()
	<-shut
	if v.Enter() {
		t.Error("closed, and it lets somebody in")
	}
	b := newBench(t, nil)
	b.v.AskSeal()
	if !b.v.SealAsked() {
		t.Error("nobody will know that it is to be sealed")
	}
}

// Mounts that work are at it while the vault is open, unless all is held.
func TestWorkOfMounts(t *testing.T) {
	for _, held := range []bool{false, true} {
		b := newBench(t, func(c *Config) { c.HoldLeases = held })
		l := b.labs["lab/"]
		l.cfg.Wake()
		b.close() // waits for the work that began
		l.mu.Lock()
		if held && l.work != 0 {
			t.Errorf("%d calls of Work while all is held", l.work)
		}
		l.mu.Unlock()
	}
}

// A device that the operator names stays stored and off; the others are on.
func TestSkippedDevices(t *testing.T) {
	b := newBench(t, nil)
	b.close()
	var lines strings.Builder
	b.cfg.SkipAudit, b.cfg.Log = []string{"memory"}, slog.New(slog.NewTextHandler(&lines, nil))
	b.open()
	if _, err := b.v.Audit.Hash("memory/", "x"); err == nil {
		t.Error("the device is on")
	}
	if stored, err := devices.All(t.Context(), b.v.Store); err != nil || len(stored) != 1 {
		t.Errorf("stored are %d, %v", len(stored), err)
	}
	if !strings.Contains(lines.String(), "audit disable") {
		t.Errorf("the log does not say what to do:\n%s", &lines)
	}
}

// A device whose options no longer fit keeps the vault shut, unless it is best-effort.
func TestDeviceThatNoLongerFits(t *testing.T) {
	b := newBench(t, nil)
	d := devices.Device{Spec: audit.Spec{Path: "odd/", Type: "no-such-type"}}
	if err := d.NewKey(b.cfg.Random); err != nil {
		t.Fatal(err)
	}
	b.commit(func(tx *Tx) error { return devices.Add(t.Context(), tx, d) })
	b.close()
	if _, err := Open(t.Context(), &b.cfg, b.log, b.raw, b.cfg.Barrier.Keyring()); err == nil || !strings.Contains(err.Error(), "-skip-audit-devices=odd") {
		t.Errorf("opened with a device of no type: %v", err)
	}
	b.cfg.SkipAudit = []string{"odd/"}
	b.open()
}

// Settings are read when the vault opens and when they change, and at no other time.
func TestSettings(t *testing.T) {
	read := 0
	b := newBench(t, func(c *Config) {
		c.Settings = func(context.Context, store.Store) error { read++; return nil }
	})
	if read != 1 {
		t.Errorf("read %d times at the opening", read)
	}
	for key, want := range map[string]int{SettingsPrefix + "x": 1, "other/x": 0} {
		before := read
		if err := b.takeUp(func(tx *Tx) error { tx.Put(key, []byte("v")); return nil }); err != nil {
			t.Fatal(err)
		}
		if got := read - before; got != want {
			t.Errorf("%s changed: read %d times, want %d", key, got, want)
		}
	}
}

// What cannot be taken up is told, and is stored all the same.
func TestTakeUpThatFails(t *testing.T) {
	b := newBench(t, nil)
	b.fault.Add(fault.Rule{Op: fault.List, Prefix: mount.EntryPrefix, Err: errs.New(errs.Unavailable, "down"), Times: 1})
	err := b.takeUp(func(tx *Tx) error {
		return b.v.Mounts.Add(t.Context(), tx, &mount.Entry{Class: mount.Secret, Path: "new/", Type: "lab"})
	})
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "the change is stored") {
		t.Errorf("%v", err)
	}
	b.close()
	b.open()
	if b.v.Mounts.Table().ByPath(namespace.Root, "new/") == nil {
		t.Error("it was not stored")
	}
}

// Commit runs again after a conflict, and gives the errors of change as they are.
func TestCommit(t *testing.T) {
	b := newBench(t, nil)
	runs := 0
	b.commit(func(tx *Tx) error {
		if runs++; runs < 3 {
			if _, err := tx.Get(t.Context(), "n"); err != nil {
				return err
			}
			b.commit(func(other *Tx) error { other.Put("n", []byte{byte(runs)}); return nil })
		}
		tx.Put("n", []byte("mine"))
		return nil
	})
	if e, err := b.v.Store.Get(t.Context(), "n"); runs != 3 || err != nil || string(e.Value) != "mine" {
		t.Errorf("%d runs, %q, %v", runs, e.Value, err)
	}
	refused := errors.New("refused")
	if err := b.v.Commit(t.Context(), func(*Tx) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("%v", err)
	}
	endless := 0
	err := b.v.Commit(t.Context(), func(tx *Tx) error {
		endless++
		if _, err := tx.Get(t.Context(), "n"); err != nil {
			return err
		}
		tx.Put("n", []byte("x"))
		_, err := b.v.Store.Apply(t.Context(), store.Put("n", []byte{byte(endless)}))
		return err
	})
	if !errs.Is(err, errs.Unavailable) || endless != MaxRuns {
		t.Errorf("after %d runs: %v", endless, err)
	}
}

// Who writes by a route that only reads is a bug, and must not pass for a write.
func TestReadsPanicAtWrites(t *testing.T) {
	b := newBench(t, nil)
	b.commit(func(tx *Tx) error { tx.Put("folder/k", []byte("v")); return nil })
	if e, err := b.v.Reads.Get(t.Context(), "folder/k"); err != nil || string(e.Value) != "v" {
		t.Errorf("%q, %v", e.Value, err)
	}
	if names, err := b.v.Reads.List(t.Context(), "folder/", "", 0); err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
	for name, write := range map[string]func(engine.Tx){
		"put":    func(tx engine.Tx) { tx.Put("folder/k", nil) },
		"delete": func(tx engine.Tx) { tx.Delete("folder/k") },
		"emit":   func(tx engine.Tx) { tx.Emit(engine.Event{}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s passes", name)
				}
			}()
			write(b.v.Reads)
		}()
	}
}

// Subscribers hear of a commit by the paths that clients use.
func TestPublish(t *testing.T) {
	b := newBench(t, nil)
	sub, err := b.v.Events.Subscribe("lab/*", "", 8)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	tx := b.v.Begin()
	metadata := map[string]string{"data_path": "data/x", "kept": "as it is"}
	tx.Emit(engine.Event{Type: "lab/write", Path: "x", Metadata: metadata})
	m := b.v.Mounts.Table().ByPath(namespace.Root, "lab/")
	b.v.Publish(tx, m, namespace.Root, 7, time.Now())
	heard, err := sub.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if heard.Path != "lab/x" || heard.Metadata["data_path"] != "lab/data/x" || heard.Metadata["kept"] != "as it is" || heard.Revision != 7 {
		t.Errorf("%+v", heard.Event)
	}
	if metadata["data_path"] != "data/x" {
		t.Error("the engine's own map was changed")
	}
}
