package storetest

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Options say where a store differs. The zero Options are those of a base
// store in memory.
type Options struct {
	// Reopen closes s and opens the same data again; nil if nothing survives.
	Reopen func(t *testing.T, s store.Store) store.Store
	// Forgetful opens an empty store that remembers at most 64 commits for its
	// watches; nil leaves the tests of forgetting out.
	Forgetful func(t *testing.T) store.Store
	// Unordered is set if names come in a fixed order that is not alphabetical.
	Unordered bool
	// Valueless is set if the events of a watch carry no values.
	Valueless bool
}

// suite is what a test of the suite gets.
type suite struct {
	*testing.T
	Options
	open  func(*testing.T) store.Store
	store store.Store
	ctx   context.Context
}

// Run runs the suite. open returns an empty store, and closes it in t.Cleanup
// if it must be closed; the suite closes what it opens, too.
func Run(t *testing.T, open func(t *testing.T) store.Store, o Options) {
	t.Helper()
	for _, group := range []struct {
		name  string
		tests map[string]func(*suite)
	}{
		{"Apply", applyTests()},
		{"List", listTests()},
		{"Watch", watchTests()},
		{"Concurrent", concurrentTests()},
		{"Life", lifeTests()},
		{"Snapshot", snapshotTests()},
	} {
		t.Run(group.name, func(t *testing.T) {
			for name, test := range group.tests {
				t.Run(name, func(t *testing.T) {
					s := &suite{T: t, Options: o, open: open, ctx: patience(t)}
					s.store = s.fresh(open)
					test(s)
				})
			}
		})
	}
}

// patience returns a context that ends a test that hangs.
func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func (s *suite) fresh(open func(*testing.T) store.Store) store.Store {
	s.Helper()
	st := open(s.T)
	s.Cleanup(func() { _ = st.Close() })
	return st
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) wantKind(err error, kind errs.Kind, what string) {
	s.Helper()
	if !errs.Is(err, kind) {
		s.Errorf("%s: %v, want kind %q", what, err, kind)
	}
}

// apply applies changes that must succeed.
func (s *suite) apply(changes ...store.Change) store.Revision {
	s.Helper()
	rev, err := s.store.Apply(s.ctx, changes...)
	s.must(err)
	return rev
}

func (s *suite) put(key, value string) store.Revision {
	s.Helper()
	return s.apply(store.Put(key, []byte(value)))
}

func (s *suite) get(key string) store.Entry {
	s.Helper()
	e, err := s.store.Get(s.ctx, key)
	s.must(err)
	return e
}

// holds checks that key stands at value since rev; rev 0 means that it is not there.
func (s *suite) holds(key, value string, rev store.Revision) {
	s.Helper()
	e := s.get(key)
	if e.Key != key || e.Revision != rev || e.Exists() != (rev != 0) || !bytes.Equal(e.Value, []byte(value)) {
		s.Errorf("%s is %q of revision %d under the key %q, want %q of revision %d", key, e.Value, e.Revision, e.Key, value, rev)
	}
}

func (s *suite) list(folder, after string, limit int) []string {
	s.Helper()
	names, err := s.store.List(s.ctx, folder, after, limit)
	s.must(err)
	return names
}
