package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
)

const canary = "canary-51d0"

func body(t testing.TB, raw string) Body {
	t.Helper()
	b, err := ParseBody([]byte(raw))
	if err != nil {
		t.Fatalf("parsing %s: %v", raw, err)
	}
	return b
}

func TestParseBodyKeepsBytes(t *testing.T) {
	b := body(t, " \t{ \"data\" :\n{\"n\": 1.0, \"big\":12345678901234567890,\"z\":1,\"a\":\"\\u0061\"} , \"null\":null, \"l\":[ ]}\r\n")
	if got, want := string(b.Field("data")), `{"n": 1.0, "big":12345678901234567890,"z":1,"a":"\u0061"}`; got != want {
		t.Errorf("data is %s, want the bytes as they came: %s", got, want)
	}
	if b.Has("null") || b.Field("null") != nil || !b.IsNull("null") {
		t.Error("a null field must count as absent, but be known as null")
	}
	if b.Has("absent") || b.IsNull("absent") || b.IsNull("data") {
		t.Error("absent fields are not null, nor is data")
	}
	names := b.Names()
	slices.Sort(names)
	if strings.Join(names, " ") != "data l null" || b.Len() != 3 {
		t.Errorf("names %q, length %d", names, b.Len())
	}
	if raw := b.Raw(); raw[0] != '{' || raw[len(raw)-1] != '}' {
		t.Errorf("raw has blanks around it: %q", raw)
	}
}

func TestParseBodyEmpty(t *testing.T) {
	for _, raw := range []string{"", " \r\n\t", "null", " null\n"} { // null is what the official client sends for a nil map
		if b := body(t, raw); b.Len() != 0 || b.Raw() != nil {
			t.Errorf("%q is not the zero Body: %+v", raw, b)
		}
	}
	if b := body(t, "{}"); b.Len() != 0 || string(b.Raw()) != "{}" {
		t.Errorf("{} became %+v", b)
	}
}

func TestParseBodyRefuses(t *testing.T) {
	for name, c := range map[string]struct{ raw, text string }{
		"array":               {`["` + canary + `"]`, "must be a JSON object"},
		"string":              {`"` + canary + `"`, "must be a JSON object"},
		"byte order mark":     {"\ufeff{}", "must be a JSON object"},
		"cut":                 {`{"a":"` + canary, "malformed"},
		"bare word":           {`{"a":` + canary + `}`, "malformed, at byte 5"},
		"no colon":            {`{"` + canary + `" 1}`, "malformed"},
		"number as name":      {`{1:2}`, "malformed"},
		"trailing comma":      {`{"a":1,}`, "malformed"},
		"trailing object":     {`{"a":1}{"b":"` + canary + `"}`, "more after the object, from byte 7"},
		"trailing word":       {`{} ` + canary, "more after the object"},
		"form feed behind":    {"{}\f", "more after the object"},
		"duplicate":           {`{"` + canary + `":1,"` + canary + `":2}`, "appears twice"},
		"escaped duplicate":   {`{"a":1,"\u0061":2}`, "appears twice"},
		"duplicate deep down": {`{"a":{"b":[{"` + canary + `":1,"` + canary + `":2}]}}`, "appears twice"},
		"invalid UTF-8":       {"{\"a\":\"" + canary + "\xff\"}", "not valid UTF-8"},
		"lone surrogate":      {`{"a":"\ud800"}`, "malformed"},
		"control character":   {"{\"a\":\"\x01\"}", "malformed"},
		"too deep":            {`{"a":` + strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1) + `}`, "nested deeper than 200"},
		"endlessly deep":      {`{"a":` + strings.Repeat(`{"a":`, 100_000), "nested deeper than 200"},
		"leading zero":        {`{"a":01}`, "malformed"},
	} {
		_, err := ParseBody([]byte(c.raw))
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.text) || !strings.HasPrefix(err.Error(), "error parsing JSON: ") {
			t.Errorf("%s: %v, want an Invalid error with %q", name, err, c.text)
		} else if strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the error quotes the body: %v", name, err)
		}
	}
	wide := func(n int) []byte { return []byte(`{"a":[` + strings.Repeat("1,", n-1) + `1]}`) }
	// The name, both brackets and the values.
	if _, err := ParseBody(wide(MaxTokens - 3)); err != nil {
		t.Errorf("%d tokens must be allowed: %v", MaxTokens, err)
	}
	if _, err := ParseBody(wide(MaxTokens - 2)); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "names and values") {
		t.Errorf("one token more: %v", err)
	}
	deepest := `{"a":` + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth) + `}`
	if _, err := ParseBody([]byte(deepest)); err != nil {
		t.Errorf("%d levels must be allowed: %v", MaxDepth, err)
	}
}

// A decoder goes back to the pool; what it read must not be seen by the next.
func TestParseBodyTwice(t *testing.T) {
	first := body(t, `{"a":"one"}`)
	if _, err := ParseBody([]byte(`{"a":`)); err == nil {
		t.Fatal("half an object was accepted")
	}
	second := body(t, `{"a":"two"}`)
	if string(first.Field("a")) != `"one"` || string(second.Field("a")) != `"two"` {
		t.Errorf("bodies share state: %s and %s", first.Field("a"), second.Field("a"))
	}
}

func TestMembersStopsAtError(t *testing.T) {
	stop, calls := fmt.Errorf("stop"), 0
	err := Members(jsontext.Value(`{"a":1,"b":2}`), func(string, jsontext.Value) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
	if err := Members(jsontext.Value(`[1]`), nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("an array: %v, want Invalid", err)
	}
}

func TestNewBody(t *testing.T) {
	b := NewBody(map[string]jsontext.Value{"b": jsontext.Value(`"2"`), "a\"": jsontext.Value(`[1]`), "n": nil})
	if got, want := string(b.Raw()), `{"a\"":[1],"b":"2","n":null}`; got != want {
		t.Errorf("raw %s, want %s", got, want)
	}
	if !b.IsNull("n") || !b.Has("b") {
		t.Error("fields are lost")
	}
}

// Whatever ParseBody accepts, encoding/json must accept, with the same members.
func FuzzParseBody(f *testing.F) {
	for _, seed := range []string{``, `{}`, `{"a":1.0,"b":[{"c":null}]}`, `{"a":1}x`, `{"a":"\u00e9\ud83d\ude00"}`, `{"a":1,"a":2}`, "{\"\xff\":1}", `[[[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := ParseBody(raw)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("kind of %v", err)
			}
			return
		}
		if b.Raw() == nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatalf("accepted what is not JSON: %v", err)
		}
		got := map[string]json.RawMessage{}
		for _, name := range b.Names() {
			got[name] = json.RawMessage(b.fields[name])
		}
		if !maps.EqualFunc(got, want, func(a, b json.RawMessage) bool { return string(a) == string(b) }) {
			t.Errorf("members %q, want %q", got, want)
		}
		again, err := ParseBody(NewBody(b.fields).Raw())
		if err != nil || again.Len() != b.Len() {
			t.Errorf("rebuilt body: %v", err)
		}
	})
}

func BenchmarkParseBody(b *testing.B) {
	raw := []byte(`{"data":{"username":"app","password":"correct horse battery staple","n":[1,2,{"x":null}]},"options":{"cas":3}}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := ParseBody(raw); err != nil {
			b.Fatal(err)
		}
	}
}
