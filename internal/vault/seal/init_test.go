package seal

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

func TestInitRefuses(t *testing.T) {
	s := newStore(t)
	b := newBarrier(t, s)
	for _, in := range []InitConfig{{Shares: 3, Threshold: 4}, {Shares: 5}, {Threshold: 3}, {Shares: 5, Threshold: 1}, {Shares: 300, Threshold: 3}, {Shares: -1, Threshold: -1}} {
		_, err := b.Init(t.Context(), in)
		wantKind(t, fmt.Sprintf("%d of %d", in.Threshold, in.Shares), err, errs.Invalid, "")
	}
	if e, _ := s.Get(t.Context(), ConfigKey); e.Exists() {
		t.Error("a refused initialisation wrote something")
	}
	initialize(t, b, InitConfig{Shares: 1, Threshold: 1})
	_, err := b.Init(t.Context(), InitConfig{})
	wantKind(t, "a second initialisation", err, errs.Exist, "already initialized")
}

// Guards against two winners: the loser's shares would open nothing.
func TestInitAtOnceHasOneWinner(t *testing.T) {
	s := newStore(t)
	nodes := []*Barrier{newBarrier(t, s), newBarrier(t, s), newBarrier(t, s)}
	won := make(chan []redact.Secret, 24)
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			res, err := nodes[i%3].Init(context.Background(), InitConfig{Shares: 3, Threshold: 2})
			switch {
			case err == nil:
				won <- res.Shares
			case !errs.Is(err, errs.Exist):
				t.Errorf("a loser got %v", err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d initialisations won", len(won))
	}
	shares := <-won
	for _, b := range nodes {
		b.Seal()
		if st := submit(t, b, shares[2], shares[0]); st.Sealed {
			t.Error("the winner's shares do not open the vault on every node")
		}
	}
}

// Guards a crash between a vault and its first token: they are one commit.
func TestInitSetsUpInTheSameCommit(t *testing.T) {
	s := newStore(t)
	b := newBarrier(t, s)
	var kept *Keyring
	setup := func(_ context.Context, keys *Keyring) ([]store.Change, error) {
		kept = keys
		v, err := keys.Seal([]byte("path"), []byte("root token"))
		return []store.Change{store.Put("first", v).If(0)}, err
	}
	refuse := func(context.Context, *Keyring) ([]store.Change, error) {
		return nil, errs.New(errs.Invalid, "no such mount type")
	}
	_, err := b.Init(t.Context(), InitConfig{Setup: refuse})
	wantKind(t, "a setup that fails", err, errs.Invalid, "setting up the new vault: no such mount type")
	if st := status(t, b); st.Initialized {
		t.Error("a failed setup left a vault")
	}
	initialize(t, b, InitConfig{Setup: setup})
	first, err := s.Get(t.Context(), "first")
	if err != nil {
		t.Fatal(err)
	}
	config, err := s.Get(t.Context(), ConfigKey)
	if err != nil || first.Revision != config.Revision {
		t.Errorf("two commits: %d and %d, %v", first.Revision, config.Revision, err)
	}
	mustOpen(t, b, first.Value, "root token")
	if !kept.Sealed() {
		t.Error("the keyring of the setup outlives it")
	}

	half := newStore(t)
	if _, err := half.Apply(t.Context(), store.Put("first", []byte("x"))); err != nil {
		t.Fatal(err)
	}
	_, err = newBarrier(t, half).Init(t.Context(), InitConfig{Setup: setup})
	wantKind(t, "a store that is not empty", err, errs.Internal, "empty the storage")
}

func TestInitOverAHalfOfAVault(t *testing.T) {
	s := newStore(t)
	if _, err := s.Apply(t.Context(), store.Put(KeyringKey, []byte("x"))); err != nil {
		t.Fatal(err)
	}
	_, err := newBarrier(t, s).Init(t.Context(), InitConfig{})
	wantKind(t, "a keyring without configuration", err, errs.Internal, "restore it from a backup")
}

// badWrapper fails in one way.
type badWrapper struct{ wrap, unwrap func() ([]byte, error) }

func (badWrapper) Name() string  { return "bad" }
func (badWrapper) KeyID() string { return "bad-1" }
func (w badWrapper) Wrap(context.Context, []byte, redact.Secret) ([]byte, error) {
	return w.wrap()
}
func (w badWrapper) Unwrap(context.Context, []byte, []byte) (redact.Secret, error) {
	b, err := w.unwrap()
	return redact.New(b), err
}

// Guards against a vault that is made and cannot be opened by its own key.
func TestInitChecksItsWrappers(t *testing.T) {
	good := func() ([]byte, error) { return []byte("blob"), nil }
	denied := func() ([]byte, error) { return nil, errs.New(errs.Denied, "no decrypt permission") }
	down := func() ([]byte, error) { return nil, errs.New(errs.Unavailable, "unreachable") }
	for name, c := range map[string]struct {
		w    badWrapper
		kind errs.Kind
		say  string
	}{
		"cannot wrap":         {badWrapper{down, good}, errs.Unavailable, "wrapping the root key by bad key"},
		"cannot unwrap":       {badWrapper{good, denied}, errs.Denied, "no decrypt permission"},
		"unwraps other bytes": {badWrapper{good, good}, errs.Internal, "something else"},
	} {
		s := newStore(t)
		_, err := newBarrier(t, s, c.w).Init(t.Context(), InitConfig{})
		wantKind(t, name, err, c.kind, c.say)
		if e, _ := s.Get(t.Context(), ConfigKey); e.Exists() {
			t.Errorf("%s: the vault was made all the same", name)
		}
	}
}
