package v2

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// The examples of RFC 7396, appendix A, whose target is an object, and what
// this implementation promises beyond it.
func TestMergePatch(t *testing.T) {
	for _, c := range []struct{ target, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{"a":"foo"}`, `{"a":{"x":null,"y":1}}`, `{"a":{"y":1}}`},

		{`{"z":1.0,"b": [ 1 ],"a":1e400}`, `{"b":null}`, `{"z":1.0,"a":1e400}`},
		{`{"z":1,"a":2}`, `{"a":12345678901234567890,"c":{},"b":1}`, `{"z":1,"a":12345678901234567890,"c":{},"b":1}`},
		{`{"\u0061":1}`, `{"a":null}`, `{}`},
		{`{"o":{ "x" : 1 }}`, `{"o":{}}`, `{"o":{"x":1}}`},
		{`{"o":{ "x" : 1 }}`, `{}`, `{"o":{ "x" : 1 }}`},
		{`{"l":[1]}`, `{"l":[{"x":null}]}`, `{"l":[{"x":null}]}`},
	} {
		got, err := mergePatch(jsontext.Value(c.target), jsontext.Value(c.patch))
		if string(got) != c.want || err != nil {
			t.Errorf("%s patched with %s is %s, %v, want %s", c.target, c.patch, got, err, c.want)
		}
	}
}

func TestMergePatchRefuses(t *testing.T) {
	for _, bad := range []string{`{"` + canary + `":`, ``, `{"a":` + canary + `}`} {
		for _, pair := range [][2]string{{bad, `{}`}, {`{}`, bad}} {
			_, err := mergePatch(jsontext.Value(pair[0]), jsontext.Value(pair[1]))
			if !errs.Is(err, errs.Internal) || strings.Contains(err.Error(), canary) {
				t.Errorf("%q with %q: %v, want an Internal error that quotes nothing", pair[0], pair[1], err)
			}
		}
	}
}

// evanphx/json-patch is the judge: what it makes of a patch, as values, is what
// ours must make of it.
func FuzzMergePatch(f *testing.F) {
	f.Add(`{"a":{"b":1},"c":[1]}`, `{"a":{"b":null},"d":{"e":null}}`)
	f.Add(`{"a":null}`, `{"b":null}`)
	f.Add(`{}`, `{"a":{"a":{"a":{}}}}`)
	f.Add(`{"":"é"}`, `{"\u0000":1e9}`)
	f.Fuzz(func(t *testing.T, target, patch string) {
		for _, raw := range []string{target, patch} {
			if b, err := engine.ParseBody([]byte(raw)); err != nil || b.Raw() == nil {
				return
			}
		}
		got, err := mergePatch(jsontext.Value(target), jsontext.Value(patch))
		if err != nil {
			t.Fatal(err)
		}
		judged, err := jsonpatch.MergePatch([]byte(target), []byte(patch))
		if err != nil {
			t.Skip("SKIPPED: ", err)
		}
		if b, err := engine.ParseBody(got); err != nil || b.Raw() == nil {
			t.Fatalf("%s is no body: %v", got, err)
		}
		if a, b := decoded(t, got), decoded(t, judged); !reflect.DeepEqual(a, b) {
			t.Errorf("%s with %s\nis  %s\nnot %s", target, patch, got, judged)
		}
	})
}

func decoded(t *testing.T, raw []byte) any {
	t.Helper()
	var v any
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return v
}

// Whatever the data: subkeys has its names and none of its values.
func FuzzSubkeys(f *testing.F) {
	f.Add(`{"a":{"b":1},"c":[1]}`, int64(0))
	f.Add(`{"a":{"b":{"c":{}}}}`, int64(2))
	f.Fuzz(func(t *testing.T, data string, depth int64) {
		b, err := engine.ParseBody([]byte(data))
		if err != nil || b.Raw() == nil || depth < 0 {
			return
		}
		tree, err := parseTree(b.Raw())
		if err != nil {
			t.Fatal(err)
		}
		got, err := engine.ParseBody(tree.appendSubkeys(nil, depth))
		if err != nil || got.Len() != b.Len() {
			t.Fatalf("%s: %s, %v", data, got.Raw(), err)
		}
		noValues(t, got.Raw())
	})
}

// noValues checks that there is nothing in raw but objects and null.
func noValues(t *testing.T, raw jsontext.Value) {
	t.Helper()
	err := engine.Members(raw, func(_ string, v jsontext.Value) error {
		switch v.Kind() {
		case 'n':
		case '{':
			noValues(t, v)
		default:
			t.Errorf("a value is shown: %s", v)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A patch of the deepest nesting costs one pass, not one per level.
func BenchmarkMergePatchDeep(b *testing.B) {
	deep := strings.Repeat(`{"x":`, 199) + `"` + strings.Repeat("v", 100_000) + `"` + strings.Repeat(`}`, 199)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := mergePatch(jsontext.Value(deep), jsontext.Value(deep)); err != nil {
			b.Fatal(err)
		}
	}
}
