package token

import (
	"context"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// conflicts bounds how often a commit of RevokeBelow is tried again.
const conflicts = 100

// RevokeBelow ends every service token of a namespace ("" = the root) that was
// made by a request at path or below it, "auth/approle" say, with all that hang
// below these, and returns how many. It looks at every token of the namespace,
// in many commits: if it fails, some have ended. Tokens without an end are left
// alone, as they hold no lease in Vault either: revoke them one by one. Batch
// tokens are stored nowhere and end by their time. at tells where a token was
// made: Entry.Path, but for those of a mount that moved since.
func (m *Manager) RevokeBelow(ctx context.Context, s store.Store, namespace, path string, at func(*Entry) string) (n int, err error) {
	path = strings.Trim(path, "/")
	below := func(e *Entry) bool { return within(at(e), path) }
	folder, after := accessorFolder(namespace), ""
	for {
		names, err := s.List(ctx, folder, after, sweepBatch)
		if err != nil {
			return n, errs.Newf(errs.KindOf(err), "listing tokens: %w", err)
		}
		ended, err := m.revokeBelow(ctx, s, folder, names, below)
		n += ended
		if err != nil || len(names) < sweepBatch {
			return n, err
		}
		after = names[len(names)-1]
	}
}

// revokeBelow ends those of some tokens that below says yes to.
func (m *Manager) revokeBelow(ctx context.Context, s store.Store, folder string, names []string, below func(*Entry) bool) (n int, err error) {
	for len(names) > 0 && err == nil {
		var done, ended int
		for range conflicts {
			tx := store.Begin(s)
			if done, ended, err = m.endBelow(ctx, tx, folder, names, below); err == nil && tx.Writes() > 0 {
				_, err = tx.Commit(context.WithoutCancel(ctx))
			}
			if !errs.Is(err, errs.Conflict) {
				break
			}
		}
		if err == nil {
			n, names = n+ended, names[done:]
		}
	}
	return n, err
}

// endBelow ends as many as fit one commit, and returns how many it looked at.
func (m *Manager) endBelow(ctx context.Context, tx BulkTx, folder string, names []string, below func(*Entry) bool) (done, ended int, err error) {
	for i, name := range names {
		if i > 0 && tx.Writes() > sweepWrites {
			return i, ended, nil
		}
		stored, err := tx.Get(ctx, folder+name)
		if err != nil {
			return i, ended, err
		}
		_, key, err := decodeAccessor(stored.Value)
		if err != nil {
			continue // gone meanwhile, or damaged: it leads nowhere
		}
		e, err := load(ctx, tx, idPrefix+key)
		if err != nil {
			return i, ended, err
		}
		if e == nil || e.severed || e.Expires.IsZero() || !below(e) {
			continue
		}
		if err := m.remove(ctx, tx, e, Tree); err != nil {
			return i, ended, err
		}
		ended++
	}
	return len(names), ended, nil
}

// within reports whether p is path or lies below it.
func within(p, path string) bool {
	rest, ok := strings.CutPrefix(p, path)
	return ok && (path == "" || rest == "" || rest[0] == '/')
}
