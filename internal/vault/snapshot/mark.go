package snapshot

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Where a store says, in the base store and in the clear, what became of it. None of
// these is part of a snapshot.
const (
	FillingKey = "core/filling" // a Mark: it is being filled, and no vault yet
	MovedKey   = "core/moved"   // a Mark: the vault lives elsewhere now
	OriginKey  = "core/origin"  // an Origin: where it was filled from
)

func isMark(key string) bool { return key == FillingKey || key == MovedKey || key == OriginKey }

// Mark says that a store is being filled, or was moved.
type Mark struct {
	ID   string    `json:"id"` // of one move, a UUID: the same in both stores
	Time time.Time `json:"time"`
	By   string    `json:"by"` // restore or migrate
}

// Origin says what a store was filled from.
type Origin struct {
	ID   string    `json:"id"` // of the filling, a UUID: the vault's epoch
	Time time.Time `json:"time"`
	By   string    `json:"by"` // restore or migrate
	// Of a restored one: what it was made of, and what is to be done when it is
	// opened for the first time.
	Snapshot *Header `json:"snapshot,omitempty"`
	SHA256   string  `json:"sha256,omitempty"`
	MAC      string  `json:"mac,omitempty"`
	Hold     bool    `json:"hold,omitempty"` // leases are to be held
}

func (m Mark) change(key string) store.Change {
	raw, _ := json.Marshal(m) // it has nothing that could fail
	return store.Put(key, raw)
}

func (o *Origin) change() store.Change {
	raw, _ := json.Marshal(o) // it has nothing that could fail
	return store.Put(OriginKey, raw)
}

// readMark returns the mark at key, nil if there is none.
func readMark(ctx context.Context, s store.Store, key string) (*Mark, error) {
	e, err := s.Get(ctx, key)
	if err != nil || !e.Exists() {
		return nil, err
	}
	var m Mark
	if err := json.Unmarshal(e.Value, &m); err != nil {
		return nil, errs.Newf(errs.Internal, "the entry %s of the store is damaged", key)
	}
	return &m, nil
}

// ReadOrigin returns what a store was filled from, nil if it was not, and the revision
// of that entry.
func ReadOrigin(ctx context.Context, s store.Store) (*Origin, store.Revision, error) {
	e, err := s.Get(ctx, OriginKey)
	if err != nil || !e.Exists() {
		return nil, 0, err
	}
	var o Origin
	if err := json.Unmarshal(e.Value, &o); err != nil {
		return nil, 0, errs.Newf(errs.Internal, "the entry %s of the store is damaged", OriginKey)
	}
	return &o, e.Revision, nil
}

// Identity returns the ID of the vault in a store, and that of its epoch, which tells it
// from what it was before it was restored or moved: revisions of one say nothing of the
// other. The epoch is "" if it never was, both are where there is no vault yet.
func Identity(ctx context.Context, s store.Store) (id, epoch string, err error) {
	config, err := s.Get(ctx, seal.ConfigKey)
	if err != nil || !config.Exists() {
		return "", "", err
	}
	if id, err = vaultID(config.Value); err != nil {
		return "", "", err
	}
	o, _, err := ReadOrigin(ctx, s)
	if err != nil || o == nil {
		return id, "", err
	}
	return id, o.ID, nil
}

// Usable returns Invalid if no vault may be opened in the store: it is half filled, or
// the vault was moved elsewhere. A server asks before it starts.
func Usable(ctx context.Context, s store.Store) error {
	filling, err := readMark(ctx, s, FillingKey)
	if err != nil {
		return err
	}
	if filling != nil {
		return errs.Newf(errs.Invalid, "the store is half filled: a %s began at %s and did not end; run the same command again, it begins anew", filling.By, filling.Time.Format(time.RFC3339))
	}
	moved, err := readMark(ctx, s, MovedKey)
	if err != nil {
		return err
	}
	if moved != nil {
		return errs.Newf(errs.Invalid, "the vault was moved out of this store at %s (move %s): start the server with the configuration of the store it was moved to", moved.Time.Format(time.RFC3339), moved.ID)
	}
	return nil
}

func newMark(by string, now time.Time) Mark {
	return Mark{ID: uuid.NewString(), Time: now.UTC().Truncate(time.Second), By: by}
}
