package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

func open(t testing.TB, keys ...string) store.Store {
	t.Helper()
	s := mem.New(mem.Config{})
	t.Cleanup(func() { _ = s.Close() })
	for _, key := range keys {
		if _, err := s.Apply(t.Context(), store.Put(key, []byte("stored "+key))); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// counting counts what reaches the store.
type counting struct {
	store.Store
	gets, applies int
	broken        error
}

func (c *counting) Get(ctx context.Context, key string) (store.Entry, error) {
	c.gets++
	if c.broken != nil {
		return store.Entry{}, c.broken
	}
	return c.Store.Get(ctx, key)
}

func (c *counting) Apply(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	c.applies++
	return c.Store.Apply(ctx, changes...)
}

func text(t *testing.T, txn *store.Txn, key string) string {
	t.Helper()
	e, err := txn.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if e.Key != key {
		t.Errorf("the entry of %q says %q", key, e.Key)
	}
	if !e.Exists() {
		return "-"
	}
	return string(e.Value)
}

func TestTxnSeesItsOwnWrites(t *testing.T) {
	s := open(t, "f/a", "f/b")
	txn := store.Begin(s)
	for _, step := range []struct {
		do   func()
		key  string
		want string
	}{
		{func() {}, "f/a", "stored f/a"},
		{func() { txn.Put("f/a", []byte("1")) }, "f/a", "1"},
		{func() { txn.Put("f/a", []byte("2")) }, "f/a", "2"},
		{func() { txn.Delete("f/a") }, "f/a", "-"},
		{func() { txn.Put("f/a", nil) }, "f/a", ""},
		{func() { txn.Delete("f/b") }, "f/b", "-"},
		{func() { txn.Put("f/new", []byte("n")) }, "f/new", "n"},
		{func() {}, "f/absent", "-"},
	} {
		step.do()
		if got := text(t, txn, step.key); got != step.want {
			t.Errorf("%s is %q, want %q", step.key, got, step.want)
		}
	}
	if txn.Writes() != 3 {
		t.Errorf("%d writes, want 3", txn.Writes())
	}
	if e, err := s.Get(t.Context(), "f/new"); err != nil || e.Exists() {
		t.Errorf("the store shows what is not committed: %v, %v", e, err)
	}
	rev, err := txn.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if e, _ := s.Get(t.Context(), "f/new"); e.Revision != rev || string(e.Value) != "n" {
		t.Errorf("after Commit: %+v, want revision %d", e, rev)
	}
	if e, _ := s.Get(t.Context(), "f/b"); e.Exists() {
		t.Error("a deleted key is still there")
	}
}

func TestTxnConflicts(t *testing.T) {
	for name, c := range map[string]struct {
		body     func(txn *store.Txn)
		foreign  store.Change
		conflict bool
	}{
		"read and written, changed meanwhile": {
			func(txn *store.Txn) { text(t, txn, "f/a"); txn.Put("f/a", nil) }, store.Put("f/a", []byte("x")), true},
		"read and deleted, changed meanwhile": {
			func(txn *store.Txn) { text(t, txn, "f/a"); txn.Delete("f/a") }, store.Put("f/a", []byte("x")), true},
		"only read, changed meanwhile": {
			func(txn *store.Txn) { text(t, txn, "f/a"); txn.Put("f/b", nil) }, store.Put("f/a", []byte("x")), true},
		"only read, deleted meanwhile": {
			func(txn *store.Txn) { text(t, txn, "f/a"); txn.Put("f/b", nil) }, store.Delete("f/a"), true},
		"read as absent, made meanwhile": {
			func(txn *store.Txn) { text(t, txn, "f/new"); txn.Put("f/b", nil) }, store.Put("f/new", nil), true},
		"written unread, changed meanwhile": {
			func(txn *store.Txn) { txn.Put("f/a", nil) }, store.Put("f/a", []byte("x")), false},
		"read behind an own write, changed meanwhile": {
			func(txn *store.Txn) { txn.Put("f/a", nil); text(t, txn, "f/a") }, store.Put("f/a", []byte("x")), false},
		"another key changed": {
			func(txn *store.Txn) { text(t, txn, "f/a"); txn.Put("f/b", nil) }, store.Put("f/z", nil), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, "f/a")
			txn := store.Begin(s)
			c.body(txn)
			rev, err := s.Apply(t.Context(), c.foreign)
			if err != nil {
				t.Fatal(err)
			}
			_, err = txn.Commit(t.Context())
			if c.conflict {
				if !errs.Is(err, errs.Conflict) {
					t.Errorf("Commit: %v, want a conflict", err)
				}
				if now, _ := s.Apply(t.Context()); now != rev {
					t.Error("a conflict wrote something")
				}
			} else if err != nil {
				t.Errorf("Commit: %v", err)
			}
		})
	}
}

// Guards against a decision on two states of one key: what was read stays read.
func TestTxnReadsRepeat(t *testing.T) {
	s := &counting{Store: open(t, "f/a")}
	txn := store.Begin(s)
	first := text(t, txn, "f/a")
	if _, err := s.Apply(t.Context(), store.Put("f/a", []byte("changed"))); err != nil {
		t.Fatal(err)
	}
	if again := text(t, txn, "f/a"); again != first {
		t.Errorf("read %q, then %q", first, again)
	}
	if s.gets != 1 {
		t.Errorf("%d reads of the store, want 1", s.gets)
	}
}

func TestTxnWithoutWrites(t *testing.T) {
	s := &counting{Store: open(t, "f/a")}
	txn := store.Begin(s)
	text(t, txn, "f/a")
	if rev, err := txn.Commit(t.Context()); rev != 0 || err != nil || s.applies != 0 {
		t.Errorf("Commit of a read-only transaction: %d, %v, %d applies", rev, err, s.applies)
	}
}

func TestTxnErrorIsNoRead(t *testing.T) {
	s := &counting{Store: open(t, "f/a"), broken: errors.New("broken")}
	txn := store.Begin(s)
	if _, err := txn.Get(t.Context(), "f/a"); !errors.Is(err, s.broken) {
		t.Fatalf("err is %v", err)
	}
	s.broken = nil
	if got := text(t, txn, "f/a"); got != "stored f/a" {
		t.Errorf("after an error: %q", got)
	}
}

func TestTxnChangesAreOrdered(t *testing.T) {
	s := open(t)
	txn := store.Begin(s)
	var want []string
	for i := range 40 { // beyond the number of keys that are scanned
		key := fmt.Sprintf("f/%d", (i*7)%40)
		txn.Put(key, nil)
		want = append(want, "w"+key)
	}
	for i := range 40 {
		key := fmt.Sprintf("r/%d", (i*3)%40)
		text(t, txn, key)
		text(t, txn, key)
		want = append(want, "r"+key)
	}
	txn.Delete("f/0")
	var got []string
	for _, c := range txn.Changes() {
		switch {
		case c.Op == store.OpCheck:
			got = append(got, "r"+c.Key)
		default:
			got = append(got, "w"+c.Key)
		}
		if c.Key == "f/0" && c.Op != store.OpDelete {
			t.Error("the last write of a key is not the one that counts")
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("changes %q\nwant    %q", got, want)
	}
}

func TestTxnList(t *testing.T) {
	for name, c := range map[string]struct {
		body   func(txn *store.Txn)
		folder string
		after  string
		limit  int
		want   string
	}{
		"untouched":                     {func(*store.Txn) {}, "f/", "", 0, "a b sub/"},
		"added":                         {func(x *store.Txn) { x.Put("f/aa", nil) }, "f/", "", 0, "a aa b sub/"},
		"added again":                   {func(x *store.Txn) { x.Put("f/b", nil) }, "f/", "", 0, "a b sub/"},
		"added below":                   {func(x *store.Txn) { x.Put("f/new/x", nil) }, "f/", "", 0, "a b new/ sub/"},
		"added below an old folder":     {func(x *store.Txn) { x.Put("f/sub/z", nil) }, "f/", "", 0, "a b sub/"},
		"key beside a folder":           {func(x *store.Txn) { x.Put("f/sub", nil) }, "f/", "", 0, "a b sub sub/"},
		"removed":                       {func(x *store.Txn) { x.Delete("f/a") }, "f/", "", 0, "b sub/"},
		"one of a folder removed":       {func(x *store.Txn) { x.Delete("f/sub/x") }, "f/", "", 0, "a b sub/"},
		"all of a folder removed":       {func(x *store.Txn) { x.Delete("f/sub/x"); x.Delete("f/sub/deep/y") }, "f/", "", 0, "a b"},
		"removed and one added":         {func(x *store.Txn) { x.Delete("f/sub/x"); x.Delete("f/sub/deep/y"); x.Put("f/sub/q", nil) }, "f/", "", 0, "a b sub/"},
		"removed, then put":             {func(x *store.Txn) { x.Delete("f/a"); x.Put("f/a", nil) }, "f/", "", 0, "a b sub/"},
		"put, then removed":             {func(x *store.Txn) { x.Put("f/new", nil); x.Delete("f/new") }, "f/", "", 0, "a b sub/"},
		"behind a name":                 {func(x *store.Txn) { x.Put("f/c", nil) }, "f/", "a", 0, "b c sub/"},
		"behind an added name":          {func(x *store.Txn) { x.Put("f/c", nil) }, "f/", "c", 0, "sub/"},
		"behind a removed name":         {func(x *store.Txn) { x.Delete("f/a") }, "f/", "a", 0, "b sub/"},
		"limited":                       {func(x *store.Txn) { x.Put("f/c", nil); x.Delete("f/a") }, "f/", "", 2, "b c"},
		"behind and limited":            {func(x *store.Txn) { x.Put("f/c", nil) }, "f/", "a", 1, "b"},
		"behind the last":               {func(x *store.Txn) { x.Put("f/c", nil) }, "f/", "zz", 3, ""},
		"whole store":                   {func(x *store.Txn) { x.Put("new/x", nil); x.Delete("g/z") }, "", "", 0, "f/ new/ top"},
		"a folder only the txn has":     {func(x *store.Txn) { x.Put("new/x", nil) }, "new/", "", 0, "x"},
		"writes elsewhere do not count": {func(x *store.Txn) { x.Put("g/x", nil); x.Delete("top") }, "f/", "", 0, "a b sub/"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, "f/a", "f/b", "f/sub/x", "f/sub/deep/y", "g/z", "top")
			txn := store.Begin(s)
			c.body(txn)
			names, err := txn.List(t.Context(), c.folder, c.after, c.limit)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("listed %q, want %q", got, c.want)
			}
		})
	}
}

// A transaction must show what a store would show in which its writes are
// made: compare with a store in which they are.
func TestTxnLikeAStore(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	key := func() string {
		return strings.Repeat("d/", random.IntN(3)) + string(rune('a'+random.IntN(5)))
	}
	for round := range 60 {
		base, model := open(t), open(t)
		for range 12 {
			k := key()
			for _, s := range []store.Store{base, model} {
				if _, err := s.Apply(t.Context(), store.Put(k, []byte(k))); err != nil {
					t.Fatal(err)
				}
			}
		}
		txn := store.Begin(base)
		written := map[string]bool{}
		for range 1 + random.IntN(20) {
			k := key()
			change := store.Put(k, []byte(fmt.Sprint(round)))
			if random.IntN(2) == 0 {
				change = store.Delete(k)
				txn.Delete(k)
			} else {
				txn.Put(k, change.Value)
			}
			written[k] = true
			if _, err := model.Apply(t.Context(), change); err != nil {
				t.Fatal(err)
			}
		}
		compareViews(t, txn, model, random)
		if txn.Writes() != len(written) {
			t.Errorf("%d writes, want %v", txn.Writes(), slices.Collect(maps.Keys(written)))
		}
		if _, err := txn.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		compareViews(t, store.Begin(base), model, random)
	}
}

func compareViews(t *testing.T, txn *store.Txn, model store.Store, random *rand.Rand) {
	t.Helper()
	for depth := range 3 {
		folder := strings.Repeat("d/", depth)
		for c := 'a'; c < 'f'; c++ {
			want, err := model.Get(t.Context(), folder+string(c))
			if err != nil {
				t.Fatal(err)
			}
			got, err := txn.Get(t.Context(), folder+string(c))
			if err != nil || got.Exists() != want.Exists() || string(got.Value) != string(want.Value) {
				t.Fatalf("%s is %q (%v), want %q", got.Key, got.Value, err, want.Value)
			}
		}
		after, limit := string(rune('a' + random.IntN(6)))[:random.IntN(2)], random.IntN(4)
		want, err := model.List(t.Context(), folder, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		got, err := txn.List(t.Context(), folder, after, limit)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("List(%q, %q, %d) is %q (%v), want %q", folder, after, limit, got, err, want)
		}
	}
}

func BenchmarkTxn(b *testing.B) {
	s := open(b, "f/a", "f/b")
	value := make([]byte, 300)
	b.ReportAllocs()
	for b.Loop() {
		txn := store.Begin(s)
		_, _ = txn.Get(b.Context(), "f/a")
		_, _ = txn.Get(b.Context(), "f/b")
		txn.Put("f/a", value)
		txn.Put("f/c", value)
		if _, err := txn.Commit(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTxnRead(b *testing.B) {
	s := open(b, "f/a", "f/b")
	b.ReportAllocs()
	for b.Loop() {
		txn := store.Begin(s)
		_, _ = txn.Get(b.Context(), "f/a")
		_, _ = txn.Get(b.Context(), "f/b")
	}
}
