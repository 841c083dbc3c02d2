package unsealed

import (
	"maps"
	"time"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/events"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Publish tells subscribers what t announced. t was committed at revision, m is
// the mount it belongs to, in ns.
func (v *Vault) Publish(t *Tx, m *mount.Mount, ns engine.Namespace, revision store.Revision, at time.Time) {
	for _, e := range t.events {
		v.Events.Publish(event(m, ns, e, uint64(revision), at))
	}
}

// event is what subscribers hear of a change within m.
func event(m *mount.Mount, ns engine.Namespace, e engine.Event, revision uint64, at time.Time) events.Event {
	metadata := maps.Clone(e.Metadata)
	if within, ok := metadata["data_path"]; ok {
		metadata["data_path"] = m.Path + within
	}
	return events.Event{
		ID: uuid.NewString(), Type: e.Type, Path: m.Path + e.Path, Namespace: ns.Path, Time: at, Revision: revision,
		Metadata: metadata, Mount: m.Path, MountClass: string(m.Class), MountAccessor: m.Accessor,
		Plugin: m.Type, PluginVersion: m.Options["version"],
	}
}
