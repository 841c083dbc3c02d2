package unsealed

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
)

// knowing adds the identity store to what the vault is put together with.
func (b *bench) knowing() {
	types := b.cfg.Types
	b.cfg.Types = func(v *Vault) Types {
		all := types(v)
		all.Systems["identity"] = all.Systems["system"]
		return all
	}
}

// A vault that was made before there were identities gets the store when it is
// unsealed, once, unless something else is mounted there.
func TestIdentityIsMountedAtUnseal(t *testing.T) {
	b := newBench(t, nil)
	if b.v.Mounts.Table().ByPath(namespace.Root, "identity/") != nil {
		t.Fatal("the test begins with an identity store")
	}
	b.knowing()
	var ids []string
	for range 2 {
		b.close()
		b.open()
		m := b.v.Mounts.Table().ByPath(namespace.Root, "identity/")
		if m == nil || m.Class != mount.System {
			t.Fatalf("%+v", m)
		}
		ids = append(ids, m.ID)
	}
	if ids[0] != ids[1] {
		t.Error("mounted twice")
	}
}

func TestIdentityFindsItsPlaceTaken(t *testing.T) {
	for _, taken := range []string{"identity/", "identity/below/"} {
		b := newBench(t, nil)
		b.commit(func(tx *Tx) error {
			return b.v.Mounts.Add(t.Context(), tx, &mount.Entry{Class: mount.Secret, Path: taken, Type: "lab"})
		})
		b.close()
		b.knowing()
		var lines bytes.Buffer
		b.cfg.Log = slog.New(slog.NewTextHandler(&lines, nil))
		b.open() // a vault must open although the place is taken
		if m := b.v.Mounts.Table().ByPath(namespace.Root, taken); m == nil || m.Class != mount.Secret {
			t.Errorf("%s: %+v", taken, m)
		}
		if taken != "identity/" && !strings.Contains(lines.String(), "sys/remount") {
			t.Errorf("%s: the log does not say what to do:\n%s", taken, &lines)
		}
	}
}
