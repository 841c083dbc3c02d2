package kms_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kms"
)

// ahead makes a node that has not seen a version, and what another made under it.
func ahead(t *testing.T, s *store) (behind *kms.Plugin, sealed kms.Sealed) {
	t.Helper()
	behind = run(t, s)
	s.turn("2", time.Now().Add(-time.Hour))
	sealed = encrypt(t, run(t, s))
	if sealed.KeyID == status(t, behind) {
		t.Fatal("nobody is ahead")
	}
	return behind, sealed
}

// A node that has not seen a version yet asks for it when it must decrypt: once for
// all who want it at the same time, and never again.
func TestDecryptOfANodeAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Now())
		behind, sealed := ahead(t, s)
		s.change(func() { s.slow = 2 * time.Second })
		before := s.questions()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { opens(t, behind, sealed) })
		}
		all.Wait()
		if n := s.questions() - before; n != 1 {
			t.Errorf("a hundred of a version that was not known asked for it %d times", n)
		}
		before = s.count()
		opens(t, behind, sealed)
		if n := s.count() - before; n != 1 {
			t.Errorf("a version that was learnt takes %d calls", n)
		}
	})
}

// A client that goes does not take the answer from those who stay.
func TestDecryptWhileTheFirstCallerGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Now())
		behind, sealed := ahead(t, s)
		s.change(func() { s.slow = 2 * time.Second })
		var all sync.WaitGroup
		first, leave := context.WithCancel(t.Context())
		all.Go(func() {
			if _, err := behind.Decrypt(first, sealed); !errs.Is(err, errs.Unavailable) {
				t.Errorf("a call that was cancelled: %v", err)
			}
		})
		synctest.Wait() // until it waits for the store
		all.Go(func() { opens(t, behind, sealed) })
		synctest.Wait()
		begun := time.Now()
		leave()
		synctest.Wait()
		if time.Since(begun) != 0 {
			t.Error("time has passed")
		}
		all.Wait()
	})
}

// A version that was learnt for a Decrypt is not active before its time.
func TestLearntIsNotActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Now())
		p := run(t, s)
		id := status(t, p)
		s.turn("2", time.Now())
		sealed, err := s.WrapAs(t.Context(), "2", nil, seed)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = p.Decrypt(t.Context(), kms.Sealed{Ciphertext: sealed, KeyID: id, Annotations: map[string][]byte{kms.Annotation: []byte("2")}})
		if a := p.About(); a.Waiting != "2" {
			t.Fatalf("a version that was asked about is not known: %+v", a)
		}
		pass(3*time.Minute - time.Second)
		if status(t, p) != id || encrypt(t, p).KeyID != id {
			t.Error("a version that Decrypt asked about is active before its time")
		}
		pass(31 * time.Second)
		if status(t, p) == id {
			t.Error("it is never active")
		}
	})
}
