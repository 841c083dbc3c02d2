package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

func TestValidate(t *testing.T) {
	many := func(n int) (c []store.Change) {
		for i := range n {
			c = append(c, store.Put(fmt.Sprintf("k%d", i), nil))
		}
		return c
	}
	put := func(key string) []store.Change { return []store.Change{store.Put(key, nil)} }
	ok := errs.Kind(255)
	for name, c := range map[string]struct {
		changes []store.Change
		want    errs.Kind
	}{
		"nothing":                      {nil, ok},
		"each operation":               {[]store.Change{store.Put("a", nil), store.Delete("b"), store.Check("c", 0)}, ok},
		"most changes":                 {many(store.MaxChanges), ok},
		"one more":                     {many(store.MaxChanges + 1), errs.TooLarge},
		"longest key":                  {put(strings.Repeat("k", store.MaxKey)), ok},
		"longer key":                   {put(strings.Repeat("k", store.MaxKey+1)), errs.TooLarge},
		"longest value":                {[]store.Change{store.Put("a", make([]byte, store.MaxValue+store.Overhead))}, ok},
		"longer value":                 {[]store.Change{store.Put("a", make([]byte, store.MaxValue+store.Overhead+1))}, errs.TooLarge},
		"too many bytes":               {[]store.Change{store.Put("a", make([]byte, store.MaxValue)), store.Put("b", make([]byte, store.MaxValue/2))}, errs.TooLarge},
		"empty key":                    {put(""), errs.Invalid},
		"slash":                        {put("/"), errs.Invalid},
		"slash first":                  {put("/a"), errs.Invalid},
		"slash last":                   {put("a/"), errs.Invalid},
		"empty segment":                {put("a//b"), errs.Invalid},
		"no operation":                 {[]store.Change{{Key: "a"}}, errs.Invalid},
		"unknown operation":            {[]store.Change{{Op: store.OpCheck + 1, Key: "a"}}, errs.Invalid},
		"check without guard":          {[]store.Change{{Op: store.OpCheck, Key: "a"}}, errs.Invalid},
		"same key twice":               {[]store.Change{store.Put("a", nil), store.Delete("a")}, errs.Invalid},
		"same key checked and written": {[]store.Change{store.Check("a", 1), store.Delete("a")}, errs.Invalid},
		"same key twice among many":    {append(many(100), store.Delete("k99")), errs.Invalid},
	} {
		err := store.Validate(c.changes)
		if c.want == ok && err != nil || c.want != ok && !errs.Is(err, c.want) {
			t.Errorf("%s: %v, want kind %v", name, err, c.want)
		}
	}
}

func TestErrorsNameNoKeyAndNoValue(t *testing.T) {
	const canary = "canary-51c2"
	for _, changes := range [][]store.Change{
		{store.Put(canary+"/", nil)},
		{store.Put(canary, []byte(canary)), store.Delete(canary)},
		{store.Put("a//"+canary, []byte(canary))},
		{store.Put(canary+strings.Repeat("k", store.MaxKey), nil)},
	} {
		if err := store.Validate(changes); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("the error is missing or shows what it should not: %v", err)
		}
	}
}

func TestCheckFolder(t *testing.T) {
	for folder, ok := range map[string]bool{"": true, "a/": true, "a/b/": true, "a": false, "a/b": false} {
		if err := store.CheckFolder(folder); (err == nil) != ok {
			t.Errorf("%q: %v", folder, err)
		}
	}
}

func TestIfLeavesTheOriginal(t *testing.T) {
	plain := store.Put("a", nil)
	guarded := plain.If(7)
	if plain.Guarded || !guarded.Guarded || guarded.Expect != 7 {
		t.Errorf("plain %+v, guarded %+v", plain, guarded)
	}
}

func BenchmarkValidate(b *testing.B) {
	changes := []store.Change{store.Put("sys/token/1", nil), store.Put("sys/accessor/1", nil), store.Put("lease/1", nil), store.Check("sys/x", 1)}
	b.ReportAllocs()
	for b.Loop() {
		if err := store.Validate(changes); err != nil {
			b.Fatal(err)
		}
	}
}

func TestBorrowedStaysOpen(t *testing.T) {
	s := open(t, "f/a")
	if err := store.Borrow(s).Close(); err != nil {
		t.Fatal(err)
	}
	if e, err := s.Get(t.Context(), "f/a"); err != nil || !e.Exists() {
		t.Errorf("after closing what was borrowed: %+v, %v", e, err)
	}
}
