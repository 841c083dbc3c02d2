package gate

import (
	"context"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
)

// A write under way when its mount is removed and purged must not leave data
// that no purge ever comes by.
func TestWriteToAMountRemovedMeanwhile(t *testing.T) {
	b := newBench(t)
	v := b.vault
	m := v.Mounts.Table().ByPath(engine.Namespace{}, "lab/")
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
	if names, err := v.Store.List(t.Context(), m.Storage(), "", 0); err != nil || len(names) != 0 {
		t.Errorf("left behind: %v (%v)", names, err)
	}
}

func (b *bench) unmount(m *mount.Mount) {
	b.t.Helper()
	v := b.vault
	tx := v.Begin()
	if err := v.Mounts.Remove(b.t.Context(), tx, m); err != nil {
		b.t.Error(err)
	}
	if _, err := tx.Commit(b.t.Context()); err != nil {
		b.t.Error(err)
	}
	if err := v.Mounts.Reload(b.t.Context()); err != nil {
		b.t.Error(err)
	}
	if err := v.Mounts.Purge(b.t.Context(), v.Store); err != nil {
		b.t.Error(err)
	}
}
