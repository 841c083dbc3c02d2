package keyring

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/key"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

type tx struct {
	*store.Txn
	events *[]engine.Event
}

func (t tx) Emit(e engine.Event) { *t.events = append(*t.events, e) }

func begin(t *testing.T) (tx, *[]engine.Event) {
	t.Helper()
	s := mem.New(mem.Config{})
	t.Cleanup(func() { _ = s.Close() })
	events := new([]engine.Event)
	return tx{store.Begin(s), events}, events
}

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func rotating(t *testing.T, period time.Duration) *key.Key {
	t.Helper()
	k, err := key.New(key.Rules{Type: key.AES256GCM96, AutoRotate: period}, key.Source{Random: rand.Reader, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"a", "A_1", "a.b-c", "_", strings.Repeat("x", maxName)} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "a.", "-a", "a/b", "a b", "a\n", "é", strings.Repeat("x", maxName+1)} {
		if err := CheckName(name); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// The index follows the key through every change, and Apply says when the
// worker must hear of it.
func TestIndex(t *testing.T) {
	tx, events := begin(t)
	ctx := context.Background()
	apply := func(old, made *key.Key) bool {
		t.Helper()
		wake, err := (&Change{Name: "k", Old: old, Made: made, Operation: "x"}).Apply(tx)
		if err != nil {
			t.Fatal(err)
		}
		return wake
	}
	due := func(at time.Time) (names []string, later []time.Time) {
		t.Helper()
		names, later, err := DueBy(ctx, tx, at)
		if err != nil {
			t.Fatal(err)
		}
		return names, later
	}
	plain, daily := rotating(t, 0), rotating(t, 24*time.Hour)
	if apply(nil, plain) {
		t.Error("a key that does not rotate wakes the worker")
	}
	if names, later := due(now.Add(1000 * time.Hour)); len(names)+len(later) != 0 {
		t.Errorf("%v, %v", names, later)
	}
	if !apply(plain, daily) {
		t.Error("a key that rotates does not wake the worker")
	}
	if names, later := due(now); len(names) != 0 || !slices.Equal(later, []time.Time{now.Add(24 * time.Hour).Truncate(time.Hour)}) {
		t.Errorf("%v, %v", names, later)
	}
	if names, later := due(now.Add(24 * time.Hour)); !slices.Equal(names, []string{"k"}) || len(later) != 0 {
		t.Errorf("%v, %v", names, later)
	}
	same := daily.Clone()
	same.Exportable = true
	if apply(daily, same) {
		t.Error("a change of something else wakes the worker")
	}
	if apply(same, nil) {
		t.Error("a key that is gone wakes the worker")
	}
	if names, later := due(now.Add(1000 * time.Hour)); len(names)+len(later) != 0 {
		t.Errorf("a key that is gone is due: %v, %v", names, later)
	}
	if k, err := Load(ctx, tx, "k"); k != nil || err != nil {
		t.Errorf("%v, %v", k, err)
	}
	if len(*events) != 4 || (*events)[0].Type != "transit/x" || (*events)[0].Path != "keys/k" {
		t.Errorf("%v", *events)
	}
	tx.Put("due/canary/k", []byte{1})
	if _, _, err := DueBy(ctx, tx, now); !errs.Is(err, errs.Internal) {
		t.Errorf("a damaged index: %v", err)
	}
}

func TestNamed(t *testing.T) {
	tx, _ := begin(t)
	req := &engine.Request{Params: map[string]string{"name": "k"}}
	if _, err := Named(t.Context(), tx, req, "not here"); !errs.Is(err, errs.Invalid) || err.Error() != "not here" {
		t.Errorf("%v", err)
	}
	tx.Put(Folder+"k", []byte{9})
	if _, err := Named(t.Context(), tx, req, ""); !errs.Is(err, errs.Internal) {
		t.Errorf("a damaged key: %v", err)
	}
	if is, err := Exists(t.Context(), tx, req); !is || err != nil {
		t.Errorf("%v, %v", is, err)
	}
}

func TestDisableUpsert(t *testing.T) {
	tx, _ := begin(t)
	for _, want := range []bool{false, true, false} {
		if want {
			DisableUpsert(tx, true)
		}
		if got, err := UpsertDisabled(t.Context(), tx); got != want || err != nil {
			t.Errorf("%v, %v", got, err)
		}
		DisableUpsert(tx, false)
	}
}
