package token

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
)

func TestRevokeBelow(t *testing.T) {
	w := newWorld(t)
	root := w.root()
	login := w.create(Spec{TTL: hour, Path: "auth/approle/login"})
	child := w.create(Spec{Creator: login.Entry, TTL: hour})
	orphan := w.create(Spec{Creator: login.Entry, Orphan: true, TTL: hour})
	batch := w.create(Spec{TTL: hour, Type: Batch, Path: "auth/approle/login"})
	similar := w.create(Spec{TTL: hour, Path: "auth/approle2/login"})
	elsewhere := w.create(Spec{TTL: hour, Path: "auth/approle/login", Namespace: "team1"})
	var many []Created
	for range 3*sweepBatch + 5 {
		many = append(many, w.create(Spec{TTL: hour, Path: "auth/approle/login"}))
	}
	w.extra = 20 // others keep much for each
	n, err := w.m.RevokeBelow(t.Context(), w.store, "", "/auth/approle/", made)
	if err != nil || n != len(many)+1 {
		t.Errorf("%d ended, %v; want %d", n, err, len(many)+1)
	}
	for _, c := range append(many, login, child) {
		if w.valid(c) {
			t.Errorf("%s lives", c.Entry.Path)
		}
	}
	for name, c := range map[string]Created{"root": root, "orphan": orphan, "batch": batch, "similar": similar, "elsewhere": elsewhere} {
		if !w.valid(c) {
			t.Errorf("%s was revoked", name)
		}
	}
	w.sweep()
	if n, err := w.m.RevokeBelow(t.Context(), w.store, "", "auth/token", made); err != nil || n != 1 || !w.valid(root) || w.valid(orphan) {
		t.Errorf("auth/token: %d, %v; root %v, orphan %v", n, err, w.valid(root), w.valid(orphan))
	}
	if n, err := w.m.RevokeBelow(t.Context(), w.store, "team1", "auth/approle/login", made); err != nil || n != 1 || w.valid(elsewhere) {
		t.Errorf("team1: %d, %v", n, err)
	}
}

// A store that fails in the middle leaves some tokens ended, and says so; other
// commits in between do no harm.
func TestRevokeBelowFails(t *testing.T) {
	w := newWorld(t)
	for range 2 * sweepBatch {
		w.create(Spec{TTL: hour, Path: "auth/approle/login"})
	}
	faulty := fault.New(w.store)
	faulty.Add(fault.Rule{Op: fault.Apply, Err: errs.New(errs.Conflict, "somebody else was there"), Times: 3})
	faulty.Add(fault.Rule{Op: fault.Apply, Skip: 1, Err: errs.New(errs.Unavailable, "the disk is full")})
	n, err := w.m.RevokeBelow(t.Context(), faulty, "", "auth/approle", made)
	if !errs.Is(err, errs.Unavailable) || n == 0 || n >= 2*sweepBatch {
		t.Errorf("%d ended, %v", n, err)
	}
	if rest, err := w.m.RevokeBelow(t.Context(), w.store, "", "auth/approle", made); err != nil || n+rest != 2*sweepBatch {
		t.Errorf("%d and then %d ended, %v", n, rest, err)
	}
}

func made(e *Entry) string { return e.Path }
