package mount

import (
	"context"
	"encoding/hex"
	"io"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// guardKey is rewritten by every change of the table, so that two changes that
// were both decided on the same table cannot both commit.
const guardKey = "mount/guard"

// Add stores a new mount in tx and runs its engine's Setup there. It fills ID
// and Accessor. Kinds: Invalid (type or path), Exist (the path is taken).
func (r *Registry) Add(ctx context.Context, tx engine.Tx, e *Entry) error {
	table, err := r.guarded(ctx, tx)
	if err != nil {
		return err
	}
	if taken := table.conflict(e.Namespace, e.Path); taken != nil {
		return errs.Newf(errs.Exist, "path is already in use at %s", shown(taken))
	}
	if err := r.name(e); err != nil {
		return err
	}
	eng, _, err := r.Build(e)
	if err != nil {
		return err
	}
	defer func() { _ = eng.Close() }() // Reload makes the one that serves
	if s, ok := eng.(engine.Setter); ok {
		if err := s.Setup(ctx, Confine(tx, e.Storage())); err != nil {
			return errs.Newf(errs.KindOf(err), "setting up %q: %w", e.Path, err)
		}
	}
	tx.Put(EntryPrefix+e.ID, Encode(e))
	return nil
}

// shown is the path as sys/mounts or sys/auth shows it.
func shown(m *Mount) string {
	if m.Class == Auth || m.Class == System {
		return strings.TrimPrefix(m.Path, AuthPrefix)
	}
	return m.Path
}

func (r *Registry) name(e *Entry) error {
	id, err := uuid.NewRandomFromReader(r.cfg.Random)
	if err != nil {
		return errs.Newf(errs.Internal, "making a mount ID: %w", err)
	}
	suffix := make([]byte, 4)
	if _, err := io.ReadFull(r.cfg.Random, suffix); err != nil {
		return errs.Newf(errs.Internal, "making a mount accessor: %w", err)
	}
	prefix := e.Type
	if e.Class == Auth || e.Path == AuthPrefix+"token/" {
		prefix = "auth_" + e.Type
	}
	e.ID, e.Accessor = id.String(), prefix+"_"+hex.EncodeToString(suffix)
	return nil
}

// Update stores what change makes of a mount's entry (tuning, description,
// options, a new path). change is given the entry as it stands and may refuse by
// an error; it replaces maps and lists instead of changing them. Kinds: Exist
// (the new path is taken), NotExist.
func (r *Registry) Update(ctx context.Context, tx engine.Tx, id string, change func(*Entry) error) error {
	table, err := r.guarded(ctx, tx)
	if err != nil {
		return err
	}
	m := table.ByID(id)
	if m == nil {
		return errs.New(errs.NotExist, "the mount was removed meanwhile")
	}
	e := m.Entry
	if err := change(&e); err != nil {
		return err
	}
	if taken := table.conflict(e.Namespace, e.Path); taken != nil && taken.ID != e.ID {
		return errs.Newf(errs.Exist, "path is already in use at %s", shown(taken))
	}
	tx.Put(EntryPrefix+e.ID, Encode(&e))
	return nil
}

// Remove deletes the mount in tx and leaves a purge key, after which Purge
// deletes its data. Tokens that an auth mount gave die with its entry: the
// gate refuses a token whose mount is gone.
func (r *Registry) Remove(ctx context.Context, tx engine.Tx, m *Mount) error {
	if m.Fixed() {
		return errs.Newf(errs.Invalid, "cannot unmount %q: it is part of the system", m.Path)
	}
	if _, err := r.guarded(ctx, tx); err != nil {
		return err
	}
	tx.Delete(EntryPrefix + m.ID)
	tx.Put(PurgePrefix+m.ID, []byte(m.Path))
	return nil
}

// guarded is Fresh for a change of the table.
func (r *Registry) guarded(ctx context.Context, tx engine.Tx) (*Table, error) {
	table, err := r.Fresh(ctx, tx)
	if err != nil {
		return nil, err
	}
	stamp := make([]byte, 8)
	if _, err := io.ReadFull(r.cfg.Random, stamp); err != nil {
		return nil, errs.Newf(errs.Internal, "stamping the mount table: %w", err)
	}
	tx.Put(guardKey, stamp)
	return table, nil
}

// Fresh returns a table that has all changes before tx, and makes tx conflict
// with every later one: the running one is behind between a commit and the
// Reload that follows it. What tx itself changes is not in it.
func (r *Registry) Fresh(ctx context.Context, tx engine.Tx) (*Table, error) {
	stored, err := tx.Get(ctx, guardKey)
	if err != nil {
		return nil, err
	}
	own := stored.Revision == ^store.Revision(0) // tx has been here before
	if table := r.Table(); own || table.guard == stored.Revision {
		return table, nil
	}
	if err := r.Reload(ctx); err != nil {
		return nil, err
	}
	return r.Table(), nil
}

// Purge deletes the data of removed mounts, in transactions of bounded size.
// It is run after a removal and at every unseal, and picks up where a crash left it.
// It commits through s: deleting is background work, which others may do by now.
func (r *Registry) Purge(ctx context.Context, s store.Store) error {
	ids, err := s.List(ctx, PurgePrefix, "", 0)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := r.PurgeFolder(ctx, s, DataPrefix+id+"/"); err != nil {
			return errs.Newf(errs.KindOf(err), "deleting the data of removed mount %s: %w", id, err)
		}
		if _, err := s.Apply(ctx, store.Delete(PurgePrefix+id)); err != nil {
			return err
		}
	}
	return nil
}

// purgeBatch leaves room for the check that fences.
const purgeBatch = store.MaxChanges - 1

// PurgeFolder deletes everything below folder, which ends in "/", in
// transactions of bounded size, through s.
func (r *Registry) PurgeFolder(ctx context.Context, s store.Store, folder string) error {
	for {
		names, err := s.List(ctx, folder, "", purgeBatch)
		if err != nil || len(names) == 0 {
			return err
		}
		changes := make([]store.Change, 0, len(names))
		for _, name := range names {
			if !strings.HasSuffix(name, "/") {
				changes = append(changes, store.Delete(folder+name))
			} else if err := r.PurgeFolder(ctx, s, folder+name); err != nil {
				return err
			}
		}
		if _, err := s.Apply(ctx, changes...); err != nil {
			return err
		}
	}
}

func names(types map[string]engine.Factory) string {
	all := make([]string, 0, len(types))
	for name := range types {
		all = append(all, name)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
