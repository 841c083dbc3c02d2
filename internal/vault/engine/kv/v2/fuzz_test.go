package v2

import (
	"maps"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// A key is refused as Invalid without a trace, or what was written under it is
// read back, listed, and removed with nothing left.
func FuzzKeys(f *testing.F) {
	for _, seed := range []string{"a", "a/b", "a//b", "../x", "a%2fb", "\xff", "", "config", "a/", "ver/a/1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		m := newMount(t)
		_, err := m.Do(update, "data/"+key, `{"data":{"x":"`+canary+`"}}`)
		if err != nil {
			if !errs.Is(err, errs.Invalid) || len(m.Stored(t)) != 0 || strings.Contains(err.Error(), canary) {
				t.Errorf("%q: %v, stored %v", key, err, m.Stored(t))
			}
			return
		}
		for stored := range m.Stored(t) {
			if len(stored) > store.MaxKey/2+64 {
				t.Errorf("%q is stored at %d bytes", key, len(stored))
			}
		}
		if got := m.ok(read, "data/"+key, ""); !strings.HasPrefix(got, `{"data":{"x":"`+canary+`"}`) {
			t.Errorf("%q: read %s", key, got)
		}
		folder, name := "", key
		if i := strings.LastIndexByte(key, '/'); i >= 0 {
			folder, name = key[:i+1], key[i+1:]
		}
		listed, err := engine.ParseBody([]byte(m.ok(list, "metadata/"+folder, "")))
		if err != nil {
			t.Fatal(err)
		}
		want := engine.NewObject().Strs("keys", []string{name}).Value()
		if string(listed.Raw()) != string(want) {
			t.Errorf("%q: listed %s, want %s", key, listed.Raw(), want)
		}
		m.ok(del, "metadata/"+key, "")
		if left := m.Stored(t); len(left) != 0 {
			t.Errorf("%q: left %v", key, left)
		}
	})
}

// custom_metadata is refused as Invalid, or comes back as it was sent.
func FuzzCustomMetadata(f *testing.F) {
	for _, seed := range []string{`{"a":"b"}`, `{}`, `null`, `{"a":1}`, `{"":""}`, `[]`, `{"é":"\u0000"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		b, err := engine.ParseBody([]byte(`{"custom_metadata":` + raw + `}`))
		if err != nil || b.Len() != 1 {
			return
		}
		m := &metadata{}
		if err := m.setCustom(b.Field("custom_metadata"), false); err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%s: kind of %v", raw, err)
			}
			return
		}
		again, err := decodeMetadata(m.encode())
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		want := map[string]string{}
		if b.Has("custom_metadata") {
			d := b.Decode()
			want = d.StringMap("custom_metadata")
		}
		shown := engine.NewBody(map[string]jsontext.Value{"f": again.customJSON})
		d := shown.Decode()
		if got := d.StringMap("f"); !maps.Equal(got, want) && len(got)+len(want) > 0 {
			t.Errorf("%s came back as %v", raw, got)
		}
	})
}

// Any body on any write: a refusal of the request that shows nothing and
// leaves nothing, or success.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{`{"data":{"a":1},"options":{"cas":"0"}}`, `{"versions":[1,"2"]}`, `{"max_versions":5,"delete_version_after":"1d","custom_metadata":{"a":null}}`, `{"version":"1","depth":2}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		m := newMount(t)
		m.ok(update, "data/a", `{"data":{"x":{"y":"z"}}}`)
		for _, path := range []string{"data/a", "metadata/a", "delete/a", "undelete/a", "destroy/a", "config", "subkeys/a"} {
			for _, op := range []engine.Operation{update, patch, read, list} {
				before := m.Stored(t)
				_, err := m.Do(op, path, body)
				if err == nil {
					continue
				}
				if k := errs.KindOf(err); k != errs.Invalid && k != errs.Unsupported && k != errs.TooLarge {
					t.Fatalf("%s %s: %v", op, path, err)
				}
				if !maps.Equal(before, m.Stored(t)) {
					t.Fatalf("%s %s: refused, but changed the store", op, path)
				}
			}
		}
	})
}
