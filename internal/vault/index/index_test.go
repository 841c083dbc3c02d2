package index

import (
	"context"
	"encoding/base64"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

// at is a node that has taken up so much and takes up no more.
type at store.Revision

func (a at) Seen() store.Revision { return store.Revision(a) }

func (a at) Await(ctx context.Context, _ store.Revision) error {
	<-ctx.Done()
	return ctx.Err()
}

func code(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// Only so many wait for what is not there yet, which anybody can ask for, and not for long.
func TestManyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &Book{Vault: "vault", Node: at(4)}
		future := []string{code("v1:vault:5:5:")}
		waited := make(chan error, maxWaiting+1)
		for range maxWaiting {
			go func() { waited <- b.CatchUp(t.Context(), future, true) }()
		}
		synctest.Wait()
		if len(waited) != 0 {
			t.Errorf("%d do not wait", len(waited))
		}
		began := time.Now()
		if err := b.CatchUp(t.Context(), future, true); !errors.Is(err, ErrBehind) || time.Since(began) != 0 {
			t.Error("one too many waits:", err)
		}
		for range maxWaiting {
			if err := <-waited; !errors.Is(err, ErrBehind) {
				t.Error(err)
			}
		}
		if time.Since(began) != Patience || b.waiting.Load() != 0 {
			t.Errorf("waited %v, %d still wait", time.Since(began), b.waiting.Load())
		}
		if err := b.CatchUp(t.Context(), []string{code("v1:vault:4:4:")}, true); err != nil {
			t.Error("what is there already:", err)
		}
	})
}

// telling is a store that says where it stood, as that in etcd does.
type telling struct{ store.Store }

func (s telling) Get(ctx context.Context, key string) (store.Entry, error) {
	e, err := s.Store.Get(ctx, key)
	if err == nil {
		e.AsOf, err = s.Apply(ctx)
	}
	return e, err
}

// What is there says itself how new it is, whatever else was written since; of what is not there, and of
// names, only the store knows.
func TestShown(t *testing.T) {
	base := mem.New(mem.Config{})
	defer base.Close()
	write := func(c store.Change) store.Revision {
		t.Helper()
		rev, err := base.Apply(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return rev
	}
	s := &Shown{Store: telling{base}}
	b := &Book{Vault: "vault", Shown: s, Node: at(0)}
	want := func(what string, rev store.Revision) {
		t.Helper()
		text, err := b.Index(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := b.parse(text); err != nil || got != rev {
			t.Errorf("%s: the index is %d, want %d (%v)", what, got, rev, err)
		}
	}
	put := write(store.Put("data/x", nil))
	write(store.Put("data/y", nil))
	if _, err := s.Get(t.Context(), "data/x"); err != nil {
		t.Fatal(err)
	}
	want("an entry", put)
	gone := write(store.Delete("data/y"))
	if _, err := s.Get(t.Context(), "data/y"); err != nil {
		t.Fatal(err)
	}
	want("an absence", gone)
	next := write(store.Put("data/z", nil))
	want("nothing new", gone)
	if _, err := s.List(t.Context(), "data/", "", 0); err != nil {
		t.Fatal(err)
	}
	want("names", next)
	write(store.Put("data/z", nil))
	want("names that were covered", next)
}

func FuzzIndex(f *testing.F) {
	b := &Book{Vault: "7b4c2a8e-0000-4000-8000-000000000000"}
	f.Add(code("v1:" + b.Vault + ":12:12:"))
	f.Add("x")
	f.Fuzz(func(t *testing.T, text string) {
		rev, err := b.parse(text)
		if err != nil && !errs.Is(err, errs.Invalid) || err != nil && rev != 0 {
			t.Errorf("%d, %v", rev, err)
		}
	})
}
