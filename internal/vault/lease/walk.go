package lease

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/expiry"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Page is a part of a long list: at most Limit names (0 = all) behind After.
type Page struct {
	After string
	Limit int
}

// List returns the names below prefix ("" or ending in "/"): folders, and last
// segments of lease IDs. They come in a fixed order of no meaning.
func (m *Manager) List(ctx context.Context, r Reader, ns engine.Namespace, prefix string, p Page) ([]string, error) {
	return r.List(ctx, folderKey(namespaceID(ns), prefix), p.After, p.Limit)
}

// page is how many names are read at once.
const page = 256

// walk calls each with the IDs of all leases below prefix, page by page; each
// may end them. It goes on after each that it did not end.
func (m *Manager) walk(ctx context.Context, ns engine.Namespace, prefix string, each func(ids []string) error) error {
	folder := folderKey(namespaceID(ns), prefix)
	for after := ""; ; {
		names, err := m.cfg.Store.List(ctx, folder, after, page)
		if err != nil || len(names) == 0 {
			return err
		}
		var ids []string
		for _, name := range names {
			if !strings.HasSuffix(name, "/") {
				ids = append(ids, prefix+name)
			} else if err := m.walk(ctx, ns, prefix+name, each); err != nil {
				return err
			}
		}
		if len(ids) > 0 {
			if err := each(ids); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		after = names[len(names)-1]
	}
}

// below calls each for the leases below path, which may also be a lease ID.
func (m *Manager) below(ctx context.Context, ns engine.Namespace, path string, each func(ids []string) error) error {
	path = strings.TrimSuffix(path, "/")
	if path == "" {
		return errs.New(errs.Invalid, "the prefix is empty: name at least a mount")
	}
	rec, err := find(ctx, m.cfg.Store, ns, path)
	if err != nil {
		return err
	}
	if rec != nil {
		return each([]string{path})
	}
	return m.walk(ctx, ns, path+"/", each)
}

// queueBatch is how many leases one commit queues; each is four changes.
const queueBatch = 64

// RevokePrefix queues every lease below path, in transactions of its own. It
// returns when none of them is valid any more, and how many there were; after
// an error those already queued stay so, and to call it again goes on.
func (m *Manager) RevokePrefix(ctx context.Context, ns engine.Namespace, path string) (n int, err error) {
	mounts := map[string]bool{}
	n, err = m.noteAll(ctx, ns, path, func(tx expiry.Writer, rec *Record) {
		mounts[rec.MountID] = true
		m.queue(tx, rec)
	})
	for id := range mounts {
		m.cfg.Wake(kindPrefix + id)
	}
	return n, err
}

// noteAll calls note for every lease below path, in transactions of its own; after a conflict once more.
func (m *Manager) noteAll(ctx context.Context, ns engine.Namespace, path string, note func(expiry.Writer, *Record)) (n int, err error) {
	err = m.below(ctx, ns, path, func(ids []string) error {
		for len(ids) > 0 {
			batch := ids[:min(queueBatch, len(ids))]
			ids = ids[len(batch):]
			if err := m.noteBatch(ctx, ns, batch, note); err != nil {
				return err
			}
			n += len(batch)
		}
		return nil
	})
	return n, err
}

func (m *Manager) noteBatch(ctx context.Context, ns engine.Namespace, ids []string, note func(expiry.Writer, *Record)) error {
	for range conflicts {
		tx := store.Begin(m.cfg.Store)
		for _, id := range ids {
			rec, err := find(ctx, tx, ns, id)
			if err != nil {
				return err
			}
			if rec != nil {
				note(tx, rec)
			}
		}
		_, err := tx.Commit(ctx)
		if !errs.Is(err, errs.Conflict) {
			return err
		}
	}
	return errs.New(errs.Unavailable, "too many others change the leases; try again")
}

// EndPrefix ends every lease below path before it returns; sync=true of
// RevokePrefix. With force a lease that its engine cannot end is given up: what
// it stands for may live on. Without it, the first failures are the error, and
// all that is left is queued. The expirer leaves them to the caller for as long as a call of an engine may
// take: two who drop one user are in each other's way.
func (m *Manager) EndPrefix(ctx context.Context, ns engine.Namespace, path string, force bool) error {
	if _, err := m.noteAll(ctx, ns, path, m.intend); err != nil {
		return err
	}
	if force {
		m.breaks.forget()
	}
	return m.below(ctx, ns, path, func(ids []string) error {
		return m.endAll(ctx, ids, func(ctx context.Context, id string) error {
			if force {
				return m.giveUp(ctx, short(id))
			}
			return m.endNow(ctx, short(id))
		})
	})
}

// endAll calls end for all IDs, parallel at a time, and stops after failures.
func (m *Manager) endAll(ctx context.Context, ids []string, end func(context.Context, string) error) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		all   error
		slots = make(chan struct{}, parallel)
	)
	for _, id := range ids {
		slots <- struct{}{}
		mu.Lock()
		stop := all != nil
		mu.Unlock()
		if stop || ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := end(ctx, id); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if all == nil {
					all = err
				}
			}
		})
	}
	wg.Wait()
	if all == nil {
		all = ctx.Err()
	}
	return all
}

// giveUp ends a lease, and removes it if its engine cannot.
func (m *Manager) giveUp(ctx context.Context, short string) error {
	for range conflicts {
		tx := store.Begin(m.cfg.Store)
		rec, err := load(ctx, tx, short)
		if err != nil || rec == nil {
			return err
		}
		if cause := m.tryOnce(ctx, tx, rec); cause != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			tx.Undo()
			rec.remove(tx)
			m.cfg.Ended(rec)
			m.cfg.Log.Warn("a lease was given up by revoke-force; what it stands for may live on",
				"mount", rec.MountID, "role", rec.Role, "error", shown(cause))
		}
		_, err = tx.Commit(context.WithoutCancel(ctx))
		if !errs.Is(err, errs.Conflict) {
			return err
		}
	}
	return errs.New(errs.Unavailable, "too many others change the lease; try again")
}

// tryOnce is end, unless the same role has just failed several times.
func (m *Manager) tryOnce(ctx context.Context, tx *store.Txn, rec *Record) error {
	if _, open := m.breaks.open(rec, m.now()); open {
		return errs.New(errs.Unavailable, "other leases of this role could not be ended a moment ago")
	}
	return m.end(ctx, tx, rec)
}

// shortsOf calls each with the short IDs of all leases of a mount, due soonest
// first, page by page. What each ends or moves is not met again.
func (m *Manager) shortsOf(ctx context.Context, r Reader, mountID string, each func(shorts []string) error) error {
	kind := kindPrefix + mountID
	for after := ""; ; {
		names, err := r.List(ctx, expiry.Folder(kind), after, page)
		if err != nil || len(names) == 0 {
			return err
		}
		shorts := make([]string, 0, len(names))
		for _, name := range names {
			ref, err := expiry.Parse(kind, name)
			if err != nil {
				return err
			}
			shorts = append(shorts, ref.ID)
		}
		if err := each(shorts); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		after = names[len(names)-1]
	}
}

// EndMount ends all leases of a mount, before it is removed. An error says that
// some are left; they are revoked or queued.
func (m *Manager) EndMount(ctx context.Context, mountID string) error {
	return m.shortsOf(ctx, m.cfg.Store, mountID, func(shorts []string) error {
		return m.endAll(ctx, shorts, m.endNow)
	})
}

// Drop removes the records of the leases of a mount that is gone: those that
// came in between EndMount and its removal. What they stand for lives on. It is
// background work, and commits through s.
func (m *Manager) Drop(ctx context.Context, s store.Store, mountID string) error {
	return m.shortsOf(ctx, s, mountID, func(shorts []string) error {
		m.cfg.Log.Error("leases of a removed mount are given up; what they stand for may live on", "mount", mountID, "leases", len(shorts))
		return m.endAll(ctx, shorts, func(ctx context.Context, short string) error {
			tx := store.Begin(s)
			rec, err := load(ctx, tx, short)
			if err != nil || rec == nil {
				return err
			}
			rec.remove(tx)
			if _, err = tx.Commit(ctx); err == nil {
				m.cfg.Ended(rec)
			}
			return err
		})
	})
}

// errEnough ends a walk early.
var errEnough = errors.New("enough")

// Irrevocable calls each for the irrevocable leases of a mount that belong to
// the namespace, until it returns false.
func (m *Manager) Irrevocable(ctx context.Context, r Reader, ns engine.Namespace, mountID string, each func(*Record) bool) error {
	err := m.stuck(ctx, r, mountID, func(short string) error {
		rec, err := load(ctx, r, short)
		if err != nil || rec == nil || rec.Namespace != namespaceID(ns) {
			return err
		}
		if !each(rec) {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func (m *Manager) stuck(ctx context.Context, r Reader, mountID string, each func(short string) error) error {
	folder := stuckPrefix + mountID + "/"
	for after := ""; ; {
		names, err := r.List(ctx, folder, after, page)
		if err != nil || len(names) == 0 {
			return err
		}
		for _, name := range names {
			if err := each(name); err != nil {
				return err
			}
		}
		after = names[len(names)-1]
	}
}

// Tidy has the irrevocable leases of a mount tried again now, and removes marks
// that lead to no lease. It returns how many it queued.
func (m *Manager) Tidy(ctx context.Context, mountID string) (n int, err error) {
	m.breaks.forget()
	err = m.stuck(ctx, m.cfg.Store, mountID, func(short string) error {
		tx := store.Begin(m.cfg.Store)
		rec, err := load(ctx, tx, short)
		switch {
		case err != nil:
			return err
		case rec == nil:
			tx.Delete(stuckPrefix + mountID + "/" + short)
		default:
			m.queue(tx, rec)
			n++
		}
		if _, err = tx.Commit(ctx); errs.Is(err, errs.Conflict) {
			return nil // it is being tried as we speak
		}
		return err
	})
	m.cfg.Wake(kindPrefix + mountID)
	return n, err
}
