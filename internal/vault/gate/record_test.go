package gate

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/devices"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// sys/seal and sys/rotate do their work outside the transaction: without a
// durable line of the request they must not do it.
func TestSystemActsAreOnRecordFirst(t *testing.T) {
	b := newBench(t)
	acted := false
	b.lab.on("update known/act", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
		acted = true
		return nil, nil
	})
	b.audit.breakWith(errors.New("no space left"))
	if _, err := b.do(engine.Update, "sys/known/act", b.root); !errs.Is(err, errs.Unavailable) || acted {
		t.Errorf("without an audit line: %v, acted %v", err, acted)
	}
	b.audit.breakWith(nil)
	if _, err := b.do(engine.Update, "sys/known/act", b.root); err != nil || !acted {
		t.Errorf("with an audit line: %v, acted %v", err, acted)
	}
}

// A request whose handler panicked was made all the same, and must have both lines.
func TestPanicIsOnRecord(t *testing.T) {
	b := newBench(t)
	b.lab.on("read ro/x", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
		panic("canary-of-a-panic")
	})
	if _, err := b.do(engine.Read, "lab/ro/x", b.root); !errs.Is(err, errs.Internal) || strings.Contains(err.Error(), "canary") {
		t.Errorf("the caller got %v", err)
	}
	if got, want := strings.Join(b.audit.of("lab/ro/x"), "|"), "request read|response read internal error"; got != want {
		t.Errorf("lines are %q, want %q", got, want)
	}
}

// A device that was disabled and enabled anew before the gate looked has
// another key, and must not go on with the old one.
func TestDeviceEnabledAnewHasItsNewKey(t *testing.T) {
	b := newBench(t)
	v := b.gate.open.Load()
	all, err := devices.All(t.Context(), v.store)
	if err != nil {
		t.Fatal(err)
	}
	d := all["memory/"]
	before, err := v.audit.Hash("memory/", "value")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.NewKey(b.gate.cfg.Random); err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(*tx) error{
		func(tx *tx) error { devices.Remove(tx, d.Path); return nil },
		func(tx *tx) error { return devices.Add(t.Context(), tx, d) },
	} {
		tx := begin(v.store)
		if err := change(tx); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.syncDevices(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, err := v.audit.Hash("memory/", "value"); err != nil || after == before {
		t.Errorf("the device hashes as before: %v", err)
	}
}

// Two devices enabled at once may turn out to write to one target. The second
// must not stay stored: the vault could never be unsealed with it.
func TestDeviceThatCannotBeEnabledIsTakenBack(t *testing.T) {
	b := newBench(t)
	b.lab.on("update known/act", func(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
		d := devices.Device{Spec: audit.Spec{Path: "two/", Type: "memory"}}
		if err := d.NewKey(b.gate.cfg.Random); err != nil {
			return nil, err
		}
		return nil, devices.Add(ctx, tx, d)
	})
	if _, err := b.do(engine.Update, "sys/known/act", b.root); !errs.Is(err, errs.Exist) {
		t.Errorf("enabling a second device for one target: %v, want Exist", err)
	}
	v := b.gate.open.Load()
	if all, err := devices.All(t.Context(), v.store); err != nil || len(all) != 1 {
		t.Errorf("%d devices are stored (%v), want one", len(all), err)
	}
	if err := v.syncDevices(t.Context()); err != nil {
		t.Errorf("the devices that are stored: %v", err)
	}
}
