package v1

import (
	"encoding/hex"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
)

const (
	read, update, patch, del, list = engine.Read, engine.Update, engine.Patch, engine.Delete, engine.List

	canary = enginetest.Canary
)

func TestConformance(t *testing.T) {
	enginetest.Run(t, enginetest.Suite{Factory: New, Steps: []enginetest.Step{
		{Op: update, Path: "a/b", Body: `{"password":"` + canary + `"}`},
		{Op: update, Path: "a/b", Body: `{"password":"` + canary + `","ttl":"1h"}`},
		{Op: read, Path: "a/b", Reveals: true},
		{Op: read, Path: "none"},
		{Op: list, Path: "a/"},
		{Op: update, Path: "a/b", Fails: errs.Invalid},
		{Op: del, Path: "a/b"},
		{Op: patch, Path: "a/b", Fails: errs.Unsupported},
	}})
}

func do(t *testing.T, h *enginetest.Harness, op engine.Operation, path, body string) *engine.Response {
	t.Helper()
	res, err := h.Do(op, path, body)
	if err != nil {
		t.Fatalf("%s %s: %v", op, path, err)
	}
	return res
}

// §2.2 KV v1: read returns the data and lease_duration = the mount's default
// (2764800 s), or the field ttl or lease; no lease id.
func TestReadTTL(t *testing.T) {
	h := enginetest.New(t, New)
	for body, want := range map[string]time.Duration{
		`{"x":"y"}`:                    2764800 * time.Second,
		`{"x":"y","ttl":"1h"}`:         time.Hour,
		`{"x":"y","lease":60}`:         time.Minute,
		`{"ttl":"30","lease":"1h"}`:    30 * time.Second,
		`{"ttl":null,"lease":"1h"}`:    time.Hour,
		`{"ttl":0}`:                    0,
		`{"ttl":"soon"}`:               2764800 * time.Second,
		`{"ttl":-5}`:                   2764800 * time.Second,
		`{"ttl":{"a":1},"lease":"1h"}`: 2764800 * time.Second,
		`{"ttl":""}`:                   2764800 * time.Second,
	} {
		if res := do(t, h, update, "a", body); res != nil {
			t.Errorf("a write answers %+v, want nothing, which is 204", res)
		}
		res := do(t, h, read, "a", "")
		if string(res.Data) != body || res.Lease == nil || res.Lease.TTL != want || res.Lease.Tracked {
			t.Errorf("%s: read %s, lease %+v, want %v", body, res.Data, res.Lease, want)
		}
	}
}

func TestMountTTL(t *testing.T) {
	h := enginetest.New(t, New, enginetest.WithTTLs(engine.TTLs{Default: time.Minute, Max: time.Hour}))
	do(t, h, update, "a", `{"x":1}`)
	if res := do(t, h, read, "a", ""); res.Lease.TTL != time.Minute {
		t.Errorf("lease %v, want the mount's", res.Lease.TTL)
	}
}

func TestDataKeepsItsBytes(t *testing.T) {
	h := enginetest.New(t, New)
	const data = `{"z":1.0, "a":12345678901234567890,"n":null}`
	do(t, h, update, "a", "\n"+data+" ")
	if got := string(do(t, h, read, "a", "").Data); got != data {
		t.Errorf("read %s, want %s", got, data)
	}
}

func TestRefusals(t *testing.T) {
	h := enginetest.New(t, New)
	do(t, h, update, "a", `{"x":1}`)
	before := h.Stored(t)
	for _, c := range []struct {
		op         engine.Operation
		path, body string
		kind       errs.Kind
		text       string
	}{
		{update, "a", ``, errs.Invalid, "missing data fields"}, // §2.2
		{update, "a", `{}`, errs.Invalid, "missing data fields"},
		{update, "", `{"x":1}`, errs.Invalid, "missing path"},
		{update, "b/", `{"x":1}`, errs.Invalid, "slash"},
		{update, "a//b", `{"x":1}`, errs.Invalid, "empty segment"},
		{update, "a/../b", `{"x":1}`, errs.Invalid, "segment"},
		{update, "a%2fb", `{"x":1}`, errs.Invalid, "%2f"},
		{update, "\xff", `{"x":1}`, errs.Invalid, "UTF-8"},
		{update, "a", `{"x":"` + strings.Repeat("x", MaxData) + `"}`, errs.TooLarge, "over the limit"},
		{read, "a/", ``, errs.Invalid, "slash"},
		{read, "", ``, errs.Invalid, "missing path"},
		{del, "a/", ``, errs.Invalid, "slash"},
		{list, "//", ``, errs.Invalid, ""},
		{list, "", `{"limit":"x"}`, errs.Invalid, "limit"},
		{patch, "a", `{"x":1}`, errs.Unsupported, ""},
	} {
		_, err := h.Do(c.op, c.path, c.body)
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s %q: %v, want %q of kind %q", c.op, c.path, err, c.text, c.kind)
		}
	}
	if after := h.Stored(t); !maps.Equal(before, after) {
		t.Errorf("refused requests changed the store: %v", after)
	}
}

func TestListAndDelete(t *testing.T) {
	h := enginetest.New(t, New)
	for _, key := range []string{"b", "a", "a/x", "data/q"} {
		do(t, h, update, key, `{"k":"`+key+`"}`)
	}
	keys := func(path, body, want string) {
		t.Helper()
		got := ""
		if res := do(t, h, list, path, body); res != nil {
			got = string(res.Data)
		}
		if got != want {
			t.Errorf("LIST %q %s: %s, want %s", path, body, got, want)
		}
	}
	keys("", "", `{"keys":["a","a/","b","data/"]}`)
	keys("a", "", `{"keys":["x"]}`)
	keys("a/", "", `{"keys":["x"]}`)
	keys("", `{"after":"a","limit":1}`, `{"keys":["a/"]}`)
	keys("none/", "", "")
	do(t, h, del, "a/x", "")
	do(t, h, del, "none", "")
	keys("a/", "", "")
	if res := do(t, h, read, "a/x", ""); res != nil {
		t.Errorf("read after delete: %+v", res)
	}
	if got := string(do(t, h, read, "data/q", "").Data); got != `{"k":"data/q"}` {
		t.Errorf("data/q holds %s", got)
	}
}

func TestEvents(t *testing.T) {
	h := enginetest.New(t, New)
	do(t, h, update, "a/b", `{"x":"`+canary+`"}`)
	do(t, h, del, "a/b", "")
	do(t, h, del, "a/b", "")
	events := h.Events()
	if len(events) != 2 {
		t.Fatalf("events %v, want a write and one delete", events)
	}
	for i, operation := range []string{"write", "delete"} {
		want := map[string]string{"operation": operation, "path": "a/b", "data_path": "a/b", "modified": "true"}
		if e := events[i]; e.Type != "kv-v1/"+operation || e.Path != "a/b" || !maps.Equal(e.Metadata, want) {
			t.Errorf("event %+v", e)
		}
	}
}

// The gate learns whether a POST creates or updates.
func TestExists(t *testing.T) {
	h := enginetest.New(t, New)
	for _, want := range []engine.Operation{engine.Create, engine.Update} {
		var req *engine.Request
		if _, err := h.Do(update, "a", `{"x":1}`, func(r *engine.Request) { req = r }); err != nil || req.Operation != want {
			t.Errorf("a POST is %s, %v, want %s", req.Operation, err, want)
		}
	}
}

// The stored bytes of format 1.
func TestGoldenRecord(t *testing.T) {
	for want, r := range map[string]record{
		"01" + "8080809ec5a4e909" + hex.EncodeToString([]byte(`{}`)): {ttl: 2764800 * time.Second, data: []byte(`{}`)},
		"01" + "01" + hex.EncodeToString([]byte(`{"a":1}`)):          {ttl: noTTL, data: []byte(`{"a":1}`)},
	} {
		got := hex.EncodeToString(r.encode())
		if got != want {
			t.Errorf("encoded %s, want %s", got, want)
		}
		back, err := decodeRecord(r.encode())
		if err != nil || back.ttl != r.ttl || string(back.data) != string(r.data) {
			t.Errorf("decoded %+v, %v", back, err)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(record{ttl: noTTL, data: []byte(`{"a":1}`)}.encode())
	f.Add(record{ttl: time.Hour, data: []byte(`{}`)}.encode())
	f.Add([]byte{1, 1})
	f.Fuzz(func(t *testing.T, entry []byte) {
		r, err := decodeRecord(entry)
		if err != nil {
			if !errs.Is(err, errs.Internal) {
				t.Errorf("kind of %v", err)
			}
			return
		}
		back, err := decodeRecord(r.encode())
		if err != nil || back.ttl != r.ttl || string(back.data) != string(r.data) {
			t.Errorf("%+v became %+v, %v", r, back, err)
		}
	})
}

func FuzzKeys(f *testing.F) {
	for _, seed := range []string{"a", "a/b", "a//b", "../x", "a%2fb", "\xff", "", "a/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		h := enginetest.New(t, New)
		if _, err := h.Do(update, key, `{"x":"y"}`); err != nil {
			if !errs.Is(err, errs.Invalid) || len(h.Stored(t)) != 0 {
				t.Errorf("%q: %v, stored %v", key, err, h.Stored(t))
			}
			return
		}
		if res := do(t, h, read, key, ""); res == nil || string(res.Data) != `{"x":"y"}` {
			t.Errorf("%q: read %+v", key, res)
		}
		do(t, h, del, key, "")
		if left := h.Stored(t); len(left) != 0 {
			t.Errorf("%q: left %v", key, left)
		}
	})
}
