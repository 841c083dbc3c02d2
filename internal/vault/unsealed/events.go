package unsealed

import (
	"encoding/json"
	"maps"
	"time"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/events"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Publish tells subscribers what t announced. t was committed at revision, m is
// the mount it belongs to, in ns.
func (v *Vault) Publish(t *Tx, m *mount.Mount, ns engine.Namespace, revision store.Revision, at time.Time) {
	for i, e := range t.events {
		told := event(m, ns, e, uint64(revision), at)
		if i < len(t.announced) {
			told.ID = t.announced[i].ID // every node tells the same
		}
		v.Events.Publish(told)
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

// EventsKey holds what the last commit announced, for subscribers of other nodes: it is written
// with the commit, and each node hears of each version by the watch.
const EventsKey = "core/events"

// announcement is its value, as JSON.
type announcement struct {
	Node   string         `json:"node"` // that has told its own subscribers
	Events []events.Event `json:"events"`
}

// Announce puts what t announced into t, for other nodes. It is called right before the commit.
func (v *Vault) Announce(t *Tx, m *mount.Mount, ns engine.Namespace, at time.Time) error {
	if v.follower == nil || len(t.events) == 0 || t.Writes() == 0 {
		return nil
	}
	a := announcement{Node: v.node.ID}
	for _, e := range t.events {
		a.Events = append(a.Events, event(m, ns, e, 0, at))
	}
	t.announced = a.Events
	value, err := json.Marshal(a)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding events: %w", err)
	}
	t.Put(EventsKey, value)
	return nil
}

// retell publishes what another node announced at revision.
func (v *Vault) retell(value []byte, revision store.Revision) {
	var a announcement
	if err := json.Unmarshal(value, &a); err != nil {
		v.cfg.Log.Warn("events of another node cannot be read; its subscribers have them", "revision", uint64(revision))
		return
	}
	if a.Node == v.node.ID {
		return
	}
	for _, e := range a.Events {
		e.Revision = uint64(revision)
		v.Events.Publish(e)
	}
}
