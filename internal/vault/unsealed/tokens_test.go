package unsealed

import (
	"slices"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// How long a token goes on is what its mount says, and its method, which may refuse.
func TestTokenLimits(t *testing.T) {
	b := newBench(t, nil)
	auth := b.v.Mounts.Table().ByPath(namespace.Root, "auth/lab/")
	refused := errs.New(errs.Denied, "the user is gone")
	of := func(mount string) (token.Limits, error) {
		return b.v.TokenLimits(t.Context(), b.v.Begin(), &engine.Request{}, &token.Entry{MountID: mount, Role: "r", TTL: time.Minute})
	}
	mounts := token.Limits{Default: time.Hour, Max: 24 * time.Hour}
	if got, err := of(""); err != nil || got != mounts {
		t.Errorf("of the token method: %+v, %v", got, err)
	}
	if got, err := of(auth.ID); err != nil || got != mounts {
		t.Errorf("of a method that leaves it as it is: %+v, %v", got, err)
	}
	if _, err := of("removed"); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("of a mount that was removed: %v", err)
	}
	var asked *engine.Auth
	b.labs["auth/lab/"].renew = func(a *engine.Auth) (*engine.Auth, error) {
		asked = a
		return &engine.Auth{Params: engine.TokenParams{TTL: 1, MaxTTL: 2, Period: 3}}, nil
	}
	want := mounts
	want.TTL, want.MaxTTL, want.Period = 1, 2, 3
	if got, err := of(auth.ID); err != nil || got != want || asked.Role != "r" || asked.Params.TTL != time.Minute {
		t.Errorf("of a method that knows better: %+v, %v; asked for %+v", got, err, asked)
	}
	b.labs["auth/lab/"].renew = func(*engine.Auth) (*engine.Auth, error) { return nil, refused }
	if _, err := of(auth.ID); !errs.Is(err, errs.Denied) {
		t.Errorf("of a method that refuses: %v", err)
	}
}

func TestMissingPolicies(t *testing.T) {
	b := newBench(t, nil)
	ns := b.namespaces("a/")
	b.policy(ns["a/"], "there", `path "x" { capabilities = ["read"] }`)
	for in, want := range map[string][]string{
		"a/": {`Policy "gone" does not exist`},
		"":   {`Policy "gone" does not exist`, `Policy "there" does not exist`},
	} {
		got, err := b.v.MissingPolicies(t.Context(), b.v.Begin(), ns[in], []string{"gone", "there"})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("in %q: %q, %v", in, got, err)
		}
	}
}

// Engines that keep something per token hear of its end, in the same transaction.
func TestEnginesHearOfATokensEnd(t *testing.T) {
	b := newBench(t, nil)
	var made token.Created
	b.commit(func(tx *Tx) (err error) {
		made, err = b.v.Tokens.Create(t.Context(), tx, token.Spec{Orphan: true, Policies: []string{"p"}, Path: "test", Default: time.Hour, Max: time.Hour})
		return err
	})
	b.commit(func(tx *Tx) error { return b.v.Tokens.Revoke(t.Context(), tx, made.Entry.Key, token.Tree) })
	for path, l := range b.labs {
		l.mu.Lock()
		if !slices.Contains(l.gone, made.Entry.Key) {
			t.Errorf("%s was not told", path)
		}
		l.mu.Unlock()
	}
}
