package unsealed

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/index"
)

func indexOf(t *testing.T, v *Vault) string {
	t.Helper()
	text, err := v.Indexes.Index(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Whoever brings the index of what one node showed sees it on the other, or is told that
// it is not to be seen yet.
func TestIndex(t *testing.T) {
	p := newPair(t, nil)
	ctx := t.Context()
	p.commit(func(tx *Tx) error { tx.Put("data/x", []byte("1")); return nil })
	written := indexOf(t, p.v)
	if err := p.other.v.Indexes.CatchUp(ctx, []string{written}, true); err != nil {
		t.Fatal(err)
	}
	if state, err := api.ParseReplicationState(written, nil); err != nil || state.LocalIndex == 0 || state.ClusterID != p.v.Indexes.Vault {
		t.Errorf("the official client reads %+v, %v", state, err)
	}

	p.other.fault.Mute()
	p.commit(func(tx *Tx) error { tx.Delete("data/x"); return nil })
	newer := indexOf(t, p.v)
	if merged := api.MergeReplicationStates([]string{written}, newer); len(merged) != 1 || merged[0] != newer {
		t.Errorf("the official client keeps %q of %q and %q", merged, written, newer)
	}
	if err := p.other.v.Indexes.CatchUp(ctx, []string{written}, false); err != nil {
		t.Error("what is shown already:", err)
	}
	err := p.other.v.Indexes.CatchUp(ctx, []string{written, newer}, false)
	if !errors.Is(err, index.ErrBehind) || engine.StatusOf(err) != 412 || !errs.Is(err, errs.Unavailable) {
		t.Error("what cannot be shown yet:", err)
	}
	waiting := make(chan error)
	go func() { waiting <- p.other.v.Indexes.CatchUp(ctx, []string{newer, written}, true) }()
	p.other.fault.Unmute()
	if err := <-waiting; err != nil {
		t.Error("a patient client:", err)
	}
}

// What is read past a watch that lags is in the index too: entries, their absence, names.
func TestIndexOfReads(t *testing.T) {
	p := newPair(t, nil)
	ctx := t.Context()
	rev := func(text string) uint64 {
		state, err := api.ParseReplicationState(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		return state.LocalIndex
	}
	p.other.fault.Mute()
	before := rev(indexOf(t, p.other.v))
	put := p.commit(func(tx *Tx) error { tx.Put("data/x", []byte("1")); return nil })
	if _, err := p.other.v.Store.Get(ctx, "data/x"); err != nil {
		t.Fatal(err)
	}
	if got := rev(indexOf(t, p.other.v)); got < uint64(put) || got <= before {
		t.Errorf("an entry of revision %d was shown: the index is %d, was %d", put, got, before)
	}
	gone := p.commit(func(tx *Tx) error { tx.Delete("data/x"); return nil })
	// Also by who reads: a role that lists others, say. That the index is no newer than what was shown is
	// tested in package index (TestShown): here the nodes write meanwhile who they are.
	if names, err := p.other.v.Reads.List(ctx, "data/", "", 0); err != nil || len(names) != 0 {
		t.Error(names, err)
	}
	if got := rev(indexOf(t, p.other.v)); got < uint64(gone) {
		t.Errorf("names of revision %d were shown: the index is %d", gone, got)
	}
}

func TestNoIndex(t *testing.T) {
	p := newPair(t, nil)
	code := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for what, text := range map[string]string{
		"empty": "", "no base64": "v1:x:1:1:", "another version": code("v2:" + p.v.Indexes.Vault + ":1:1:"), "too short": code("v1:" + p.v.Indexes.Vault + ":1"),
		"no number": code("v1:" + p.v.Indexes.Vault + ":x:1:"), "below zero": code("v1:" + p.v.Indexes.Vault + ":-1:1:"), "too large": code("v1:" + p.v.Indexes.Vault + ":18446744073709551615:1:"),
	} {
		if err := p.v.Indexes.CatchUp(t.Context(), []string{text}, true); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "X-Vault-Index") {
			t.Errorf("%s: %v", what, err)
		}
	}
	other := code("v1:7b4c2a8e-0000-4000-8000-000000000000:1:1:")
	if err := p.v.Indexes.CatchUp(t.Context(), []string{other}, true); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "another vault") {
		t.Error(err)
	}
	future := code("v1:" + p.v.Indexes.Vault + ":9000000000000000000:1:")
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := p.v.Indexes.CatchUp(ctx, []string{future}, true); !errors.Is(err, index.ErrBehind) {
		t.Error("an index of the future:", err)
	}

	b := newBench(t, nil) // one node is all there is
	if text := indexOf(t, b.v); text != "" {
		t.Error("an index:", text)
	}
	if err := b.v.Indexes.CatchUp(t.Context(), []string{future, ""}, false); err != nil {
		t.Error(err)
	}
}
