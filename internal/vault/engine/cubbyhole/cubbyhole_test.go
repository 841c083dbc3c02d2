package cubbyhole

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
)

const canary = enginetest.Canary

func TestConformance(t *testing.T) {
	other := engine.Caller{TokenKey: "tokenkey2", Root: true, Sudo: true}
	enginetest.Run(t, enginetest.Suite{Factory: New, Steps: []enginetest.Step{
		{Op: engine.Update, Path: "a/b", Body: `{"x":"` + canary + `"}`},
		{Op: engine.Update, Path: "a/b", Body: `{"x":"` + canary + `"}`},
		{Op: engine.Update, Path: "c", Body: `{"x":"` + canary + `"}`},
		{Op: engine.Read, Path: "a/b", Reveals: true},
		{Op: engine.Read, Path: "a/b", Caller: &other},
		{Op: engine.Update, Path: "a/b", Caller: &other, Body: `{"x":"y"}`},
		{Op: engine.List, Path: "a/"},
		{Op: engine.Delete, Path: "a/b"},
		{Op: engine.Update, Path: "a", Body: `{}`, Fails: errs.Invalid},
		{Op: engine.Read, Path: "a/b", Caller: &engine.Caller{Root: true}, Fails: errs.Unauthenticated},
	}})
}

// as makes a request somebody's.
func as(token string) func(*engine.Request) {
	return func(r *engine.Request) { r.Caller = engine.Caller{TokenKey: token, Root: true, Sudo: true} }
}

func do(t *testing.T, h *enginetest.Harness, token string, op engine.Operation, path, body string) string {
	t.Helper()
	res, err := h.Do(op, path, body, as(token))
	if err != nil {
		t.Fatalf("%s %s: %v", op, path, err)
	}
	if res == nil {
		return ""
	}
	return string(res.Data)
}

// Only the token itself reaches its entries, whatever it is allowed otherwise.
func TestTokensAreApart(t *testing.T) {
	h := enginetest.New(t, New)
	do(t, h, "one", engine.Update, "response", `{"x": 1.0}`)
	do(t, h, "two", engine.Update, "response", `{"x":2}`)
	do(t, h, "one", engine.Update, "deep/er", `{"x":3}`)
	for _, c := range []struct {
		token string
		op    engine.Operation
		path  string
		want  string
	}{
		{"one", engine.Read, "response", `{"x": 1.0}`},
		{"two", engine.Read, "response", `{"x":2}`},
		{"three", engine.Read, "response", ""},
		{"three", engine.Read, "one/response", ""},
		{"two", engine.Read, "deep/er", ""},
		{"one", engine.List, "", `{"keys":["deep/","response"]}`},
		{"two", engine.List, "", `{"keys":["response"]}`},
		{"three", engine.List, "", ""},
		{"on", engine.List, "e", ""},
		{"two", engine.Delete, "deep/er", ""},
		{"one", engine.Read, "deep/er", `{"x":3}`},
		{"one", engine.List, "deep", `{"keys":["er"]}`},
	} {
		if got := do(t, h, c.token, c.op, c.path, ""); got != c.want {
			t.Errorf("%s: %s %q is %s, want %s", c.token, c.op, c.path, got, c.want)
		}
	}
	if err := h.TokenGone("one"); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"two": "\x01\x01", "two/response": "\x01" + `{"x":2}`}
	if got := h.Stored(t); !maps.Equal(got, want) {
		t.Errorf("after one is gone the store holds %q, want %q", got, want)
	}
	if h.Events() != nil {
		t.Error("a cubbyhole is nobody's business, but it emits events")
	}
}

func TestUnauthenticatedNever(t *testing.T) {
	h := enginetest.New(t, New)
	for _, op := range []engine.Operation{engine.Read, engine.Update, engine.Delete, engine.List} {
		for _, path := range []string{"a", ""} {
			_, err := h.Do(op, path, `{"x":"y"}`, as(""))
			if !errs.Is(err, errs.Unauthenticated) || err.Error() != "permission denied" {
				t.Errorf("%s %q: %v, want permission denied", op, path, err)
			}
		}
		if _, err := h.Do(op, "a", `{"x":"y"}`, as("one/a")); !errs.Is(err, errs.Internal) {
			t.Errorf("%s by a key with a slash: %v, want Internal", op, err)
		}
	}
	if err := h.TokenGone(""); err != nil || len(h.Stored(t)) != 0 {
		t.Errorf("%v, stored %v", err, h.Stored(t))
	}
}

func TestRefusals(t *testing.T) {
	h := enginetest.New(t, New)
	for _, c := range []struct {
		op         engine.Operation
		path, body string
		kind       errs.Kind
		text       string
	}{
		{engine.Update, "a", "", errs.Invalid, "missing data fields"},
		{engine.Update, "a", "{}", errs.Invalid, "missing data fields"},
		{engine.Update, "a", `{"x":"` + strings.Repeat("x", MaxData) + `"}`, errs.TooLarge, "over the limit"},
		{engine.Update, "", `{"x":1}`, errs.Invalid, "missing path"},
		{engine.Update, "../two/a", `{"x":1}`, errs.Invalid, "segment"},
		{engine.Update, "a//b", `{"x":1}`, errs.Invalid, "empty segment"},
		{engine.Read, "a/", "", errs.Invalid, "slash"},
		{engine.Delete, "a/", "", errs.Invalid, "slash"},
		{engine.List, "../", "", errs.Invalid, "segment"},
		{engine.Patch, "a", `{"x":1}`, errs.Unsupported, ""},
	} {
		_, err := h.Do(c.op, c.path, c.body)
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s %q: %v, want %q of kind %q", c.op, c.path, err, c.text, c.kind)
		}
	}
	if len(h.Stored(t)) != 0 {
		t.Error("a refused request stored something")
	}
}

// A token cannot keep more than its removal can take away in one transaction.
func TestMaxEntries(t *testing.T) {
	h := enginetest.New(t, New)
	for i := range MaxEntries {
		do(t, h, "one", engine.Update, fmt.Sprintf("d%d/a", i), `{"x":1}`)
	}
	_, err := h.Do(engine.Update, "more", `{"x":1}`, as("one"))
	if !errs.Is(err, errs.Exhausted) || !strings.Contains(err.Error(), "delete some") {
		t.Errorf("one too many: %v", err)
	}
	do(t, h, "one", engine.Update, "d0/a", `{"x":2}`) // replacing is not adding
	do(t, h, "two", engine.Update, "more", `{"x":1}`)
	do(t, h, "one", engine.Delete, "d0/a", "")
	do(t, h, "one", engine.Delete, "d0/a", "")
	do(t, h, "one", engine.Update, "more", `{"x":1}`)
	if _, err := h.Do(engine.Update, "d0/a", `{"x":1}`, as("one")); !errs.Is(err, errs.Exhausted) {
		t.Errorf("deleting twice made room for two: %v", err)
	}
	for range 2 {
		if err := h.TokenGone("one"); err != nil {
			t.Fatal(err)
		}
	}
	if got := h.Stored(t); len(got) != 2 {
		t.Errorf("left: %v, want only what two has", got)
	}
}

// Deleting the last entry leaves nothing at all.
func TestEmptyLeavesNothing(t *testing.T) {
	h := enginetest.New(t, New)
	do(t, h, "one", engine.Update, "a", `{"x":1}`)
	do(t, h, "one", engine.Update, "a/b", `{"x":1}`)
	do(t, h, "one", engine.Delete, "a", "")
	if got := do(t, h, "one", engine.List, "", ""); got != `{"keys":["a/"]}` {
		t.Errorf("listed %s", got)
	}
	do(t, h, "one", engine.Delete, "a/b", "")
	if got := h.Stored(t); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func FuzzDecodeCount(f *testing.F) {
	f.Add(encodeCount(1))
	f.Add(encodeCount(300))
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, entry []byte) {
		n, err := decodeCount(entry)
		if err != nil {
			if !errs.Is(err, errs.Internal) {
				t.Errorf("kind of %v", err)
			}
			return
		}
		if back, err := decodeCount(encodeCount(n)); back != n || err != nil {
			t.Errorf("%d became %d, %v", n, back, err)
		}
	})
}
