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
// the mount it belongs to, in ns. Where there are other nodes it does nothing: each node tells
// its subscribers what the watch brings, so that this one too tells of a commit whose answer
// was lost, and all of them in the order of the commits.
func (v *Vault) Publish(t *Tx, m *mount.Mount, ns engine.Namespace, revision store.Revision, at time.Time) {
	if v.follower != nil {
		return
	}
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

// EventsKey holds what the last commit announced, for subscribers of all nodes: it is written
// with the commit, and each node hears of each version by the watch.
const EventsKey = "core/events"

// announcement is its value, as JSON.
type announcement struct {
	Events []events.Event `json:"events"`
}

// Announce puts what t announced into t, for all nodes. It is called right before the commit.
func (v *Vault) Announce(t *Tx, m *mount.Mount, ns engine.Namespace, at time.Time) error {
	if v.follower == nil || len(t.events) == 0 || t.Writes() == 0 {
		return nil
	}
	var a announcement
	for _, e := range t.events {
		a.Events = append(a.Events, event(m, ns, e, 0, at))
	}
	value, err := json.Marshal(a)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding events: %w", err)
	}
	t.Put(EventsKey, value)
	return nil
}

// retell publishes what a node, perhaps this one, announced at revision.
func (v *Vault) retell(value []byte, revision store.Revision) {
	var a announcement
	if err := json.Unmarshal(value, &a); err != nil {
		v.cfg.Log.Error("what was announced cannot be read: subscribers are told that events were lost", "revision", uint64(revision))
		v.Events.Lose()
		return
	}
	for _, e := range a.Events {
		e.Revision = uint64(revision)
		v.Events.Publish(e)
	}
}
