package snapshot_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

const (
	vaultID = "0b2f7c1e-52a4-4a3b-9d3e-6b1f7e0c9a11"
	otherID = "1c3a8d2f-63b5-4b4c-8e4f-7c2a8f1d0b22"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// keys derive what their byte says.
type keys byte

func (k keys) Derive(label string) (redact.Secret, error) {
	return redact.New(append(bytes.Repeat([]byte{byte(k)}, 32), label...)), nil
}

// sample is a store with a vault of n entries, beside its seal configuration.
func sample(t testing.TB, n int) *mem.Store {
	t.Helper()
	s := mem.New(mem.Config{})
	fillWith(t, s, n)
	return s
}

func fillWith(t testing.TB, s store.Store, n int) {
	t.Helper()
	apply(t, s, store.Put(seal.ConfigKey, []byte(`{"vault_id":"`+vaultID+`"}`)))
	for i := 0; i < n; i += 500 {
		var changes []store.Change
		for j := i; j < min(i+500, n); j++ {
			changes = append(changes, store.Put(fmt.Sprintf("data/f%d/n%06d", j%7, j), bytes.Repeat([]byte{byte(j)}, j%300)))
		}
		apply(t, s, changes...)
	}
}

func apply(t testing.TB, s store.Store, changes ...store.Change) {
	t.Helper()
	if _, err := s.Apply(context.Background(), changes...); err != nil {
		t.Fatal(err)
	}
}

func save(t testing.TB, s store.Store, k snapshot.Keys) []byte {
	t.Helper()
	var b bytes.Buffer
	info, err := snapshot.Write(t.Context(), &b, snapshot.Source{Store: s, Keys: k, Version: "1.2.3", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if info.Bytes != int64(b.Len()) {
		t.Fatalf("%d bytes are said to be %d", b.Len(), info.Bytes)
	}
	return b.Bytes()
}

// all are the entries of a store, but for what the package keeps there.
func all(t testing.TB, s store.Store) map[string]string {
	t.Helper()
	snap, err := s.(store.Snapshotter).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = snap.Close() }()
	found := map[string]string{}
	for {
		e, err := snap.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		switch e.Key {
		case "":
			return found
		case snapshot.FillingKey, snapshot.MovedKey, snapshot.OriginKey:
		default:
			found[e.Key] = string(e.Value)
		}
	}
}

func wantSame(t testing.TB, got, want store.Store) {
	t.Helper()
	g, w := all(t, got), all(t, want)
	if len(g) != len(w) {
		t.Fatalf("%d entries, want %d", len(g), len(w))
	}
	for key, value := range w {
		if g[key] != value {
			t.Fatalf("entry %q differs", key)
		}
	}
}

func wantKind(t testing.TB, err error, kind errs.Kind, says ...string) {
	t.Helper()
	if !errs.Is(err, kind) {
		t.Errorf("%v; want kind %q", err, kind)
		return
	}
	for _, word := range says {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}
