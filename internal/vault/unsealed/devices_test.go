package unsealed

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/devices"
)

// A device that was disabled and enabled anew before the vault looked has
// another key, and must not go on with the old one.
func TestDeviceEnabledAnewHasItsNewKey(t *testing.T) {
	b := newBench(t, nil)
	all, err := devices.All(t.Context(), b.v.Store)
	if err != nil {
		t.Fatal(err)
	}
	d := all["memory/"]
	before, err := b.v.Audit.Hash("memory/", "value")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.NewKey(b.cfg.Random); err != nil {
		t.Fatal(err)
	}
	b.commit(func(tx *Tx) error { devices.Remove(tx, d.Path); return nil })
	if err := b.takeUp(func(tx *Tx) error { return devices.Add(t.Context(), tx, d) }); err != nil {
		t.Fatal(err)
	}
	if after, err := b.v.Audit.Hash("memory/", "value"); err != nil || after == before {
		t.Errorf("the device hashes as before: %v", err)
	}
}

// Two devices enabled at once may turn out to write to one target. The second
// must not stay stored: the vault could never be unsealed with it.
func TestDeviceThatCannotBeEnabledIsTakenBack(t *testing.T) {
	b := newBench(t, nil)
	d := devices.Device{Spec: audit.Spec{Path: "two/", Type: "memory"}}
	if err := d.NewKey(b.cfg.Random); err != nil {
		t.Fatal(err)
	}
	if err := b.takeUp(func(tx *Tx) error { return devices.Add(t.Context(), tx, d) }); !errs.Is(err, errs.Exist) {
		t.Errorf("enabling a second device for one target: %v, want Exist", err)
	}
	if all, err := devices.All(t.Context(), b.v.Store); err != nil || len(all) != 1 {
		t.Errorf("%d devices are stored (%v), want one", len(all), err)
	}
	b.close()
	b.open()
}
