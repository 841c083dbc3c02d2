package gate

import (
	"context"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
)

// A write under way when its mount is removed and purged must not leave data
// that no purge ever comes by.
func TestWriteToAMountRemovedMeanwhile(t *testing.T) {
	b := newBench(t)
	v := b.gate.open.Load()
	m := v.mounts.Table().ByPath(engine.Namespace{}, "lab/")
	runs := 0
	b.lab.on("create kv/x", func(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
		if runs++; runs == 1 {
			b.unmount(m)
		}
		tx.Put("kv/x", []byte("v"))
		return nil, nil
	})
	if _, err := b.do(engine.Update, "lab/kv/x", b.root); !errs.Is(err, errs.NotExist) {
		t.Errorf("the write: %v, want NotExist", err)
	}
	if runs != 1 {
		t.Errorf("the engine of a removed mount ran %d times", runs)
	}
	if names, err := v.store.List(t.Context(), m.Storage(), "", 0); err != nil || len(names) != 0 {
		t.Errorf("left behind: %v (%v)", names, err)
	}
}

func (b *bench) unmount(m *mount.Mount) {
	b.t.Helper()
	v := b.gate.open.Load()
	tx := begin(v.store)
	if err := v.mounts.Remove(b.t.Context(), tx, m); err != nil {
		b.t.Error(err)
	}
	if _, err := tx.Commit(b.t.Context()); err != nil {
		b.t.Error(err)
	}
	if err := v.mounts.Reload(b.t.Context()); err != nil {
		b.t.Error(err)
	}
	if err := v.mounts.Purge(b.t.Context()); err != nil {
		b.t.Error(err)
	}
}

// While something cannot be deleted, each further change of a mount must not
// leave one more goroutine that tries.
func TestOneGoroutinePurges(t *testing.T) {
	b := newBench(t)
	v := b.gate.open.Load()
	b.fault.Add(fault.Rule{Op: fault.List, Prefix: mount.PurgePrefix, Err: errs.New(errs.Unavailable, "down")})
	c := call{vault: v, gate: b.gate, req: &Request{Time: time.Now()}, mount: &mount.Mount{Entry: mount.Entry{Class: mount.System}}}
	for range 20 {
		tx := begin(v.store)
		tx.Put(mount.EntryPrefix+"x", nil)
		if err := c.committed(t.Context(), tx, 1); err != nil {
			t.Fatal(err)
		}
	}
	var stacks strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&stacks, 2); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(stacks.String(), "gate.(*vault).purge("); n > 1 {
		t.Errorf("%d goroutines purge", n)
	}
}
