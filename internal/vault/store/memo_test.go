package store_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/strongkeep/strongkeep/internal/vault/store"
)

func TestDecodeRemembers(t *testing.T) {
	calls := 0
	decode := func(b []byte) (*string, error) { calls++; s := string(b); return &s, nil }
	e := store.Entry{Key: "a", Value: []byte("v"), Revision: 1}

	for range 2 {
		if v, err := store.Decode(e, decode); err != nil || *v != "v" {
			t.Fatalf("%v, %v", v, err)
		}
	}
	if calls != 2 {
		t.Errorf("decoded %d times without a memo, want 2", calls)
	}

	calls = 0
	cached := e.WithMemo(new(store.Memo))
	first, _ := store.Decode(cached, decode)
	copied := cached
	second, _ := store.Decode(copied, decode)
	if calls != 1 || first != second {
		t.Errorf("decoded %d times with a memo, same result: %v", calls, first == second)
	}
	if _, err := store.Decode(e, decode); err != nil || calls != 2 {
		t.Error("WithMemo changed the entry it was called on")
	}
}

func TestDecodeDoesNotRememberErrors(t *testing.T) {
	e := store.Entry{Key: "a"}.WithMemo(new(store.Memo))
	broken := errors.New("broken")
	if _, err := store.Decode(e, func([]byte) (int, error) { return 0, broken }); !errors.Is(err, broken) {
		t.Fatalf("err is %v", err)
	}
	if v, err := store.Decode(e, func([]byte) (int, error) { return 7, nil }); v != 7 || err != nil {
		t.Errorf("%d, %v after an error", v, err)
	}
}

// Guards against a panic of a request when two callers ask for different types.
func TestDecodeToOtherType(t *testing.T) {
	e := store.Entry{Key: "a"}.WithMemo(new(store.Memo))
	number := func([]byte) (int, error) { return 1, nil }
	text := func([]byte) (string, error) { return "one", nil }
	nothing := func([]byte) (error, error) { return nil, nil }
	for range 2 {
		if v, _ := store.Decode(e, number); v != 1 {
			t.Errorf("number is %v", v)
		}
		if v, _ := store.Decode(e, text); v != "one" {
			t.Errorf("text is %v", v)
		}
		if v, err := store.Decode(e, nothing); v != nil || err != nil {
			t.Errorf("nothing is %v, %v", v, err)
		}
	}
}

func TestDecodeConcurrently(t *testing.T) {
	e := store.Entry{Value: []byte("v")}.WithMemo(new(store.Memo))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if v, err := store.Decode(e, func(b []byte) (string, error) { return string(b), nil }); v != "v" || err != nil {
					t.Errorf("%q, %v", v, err)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkDecodeRemembered(b *testing.B) {
	e := store.Entry{Value: []byte("v")}.WithMemo(new(store.Memo))
	decode := func(v []byte) (*string, error) { s := string(v); return &s, nil }
	b.ReportAllocs()
	for b.Loop() {
		if _, err := store.Decode(e, decode); err != nil {
			b.Fatal(err)
		}
	}
}
