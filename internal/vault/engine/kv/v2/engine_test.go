package v2

import (
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

// mount is a harness with short words for what these tests do all day.
type mount struct {
	*enginetest.Harness
	t testing.TB
}

func newMount(t testing.TB) mount { return mount{enginetest.New(t, New), t} }

// ok sends a request that must succeed and returns Data as text, "" for none.
func (m mount) ok(op engine.Operation, path, body string) string {
	m.t.Helper()
	res := m.answer(op, path, body)
	if res == nil {
		return ""
	}
	if res.Status != 0 || res.Raw != nil {
		m.t.Fatalf("%s %s %s: status %d, raw %v", op, path, body, res.Status, res.Raw)
	}
	return string(res.Data)
}

func (m mount) answer(op engine.Operation, path, body string) *engine.Response {
	m.t.Helper()
	res, err := m.Do(op, path, body)
	if err != nil {
		m.t.Fatalf("%s %s %s: %v", op, path, body, err)
	}
	return res
}

// want sends a request and compares Data.
func (m mount) want(op engine.Operation, path, body, want string) {
	m.t.Helper()
	if got := m.ok(op, path, body); got != want {
		m.t.Errorf("%s %s %s:\n got %s\nwant %s", op, path, body, got, want)
	}
}

// gone sends a read that must answer 404 with a body.
func (m mount) gone(op engine.Operation, path, body, want string) {
	m.t.Helper()
	res := m.answer(op, path, body)
	if res == nil || res.Status != 404 || string(res.Data) != want {
		m.t.Errorf("%s %s %s:\n got %+v\nwant a 404 with %s", op, path, body, res, want)
	}
}

// refused sends a request that must fail with a text and change nothing.
func (m mount) refused(op engine.Operation, path, body string, kind errs.Kind, text string) {
	m.t.Helper()
	before := m.Stored(m.t)
	res, err := m.Do(op, path, body)
	if !errs.Is(err, kind) || !strings.Contains(err.Error(), text) {
		m.t.Errorf("%s %s: %+v, %v, want %q of kind %q", op, path, res, err, text, kind)
	}
	if err != nil && strings.Contains(err.Error(), canary) {
		m.t.Errorf("%s %s: the error holds the canary: %v", op, path, err)
	}
	after := m.Stored(m.t)
	if len(before) != len(after) {
		m.t.Errorf("%s %s: the refused request changed the store", op, path)
	}
	for key, value := range before {
		if after[key] != value {
			m.t.Errorf("%s %s: the refused request changed %q", op, path, key)
		}
	}
}

func TestConformance(t *testing.T) {
	secret := `{"data":{"password":"` + canary + `"}}`
	enginetest.Run(t, enginetest.Suite{Factory: New, Steps: []enginetest.Step{
		{Op: read, Path: "config"},
		{Op: update, Path: "config", Body: `{"max_versions":3}`},
		{Op: update, Path: "data/a/b", Body: secret},
		{Op: update, Path: "data/a/b", Body: secret},
		{Op: patch, Path: "data/a/b", Body: secret},
		{Op: read, Path: "data/a/b", Reveals: true},
		{Op: read, Path: "data/a/b", Body: `{"version":"1"}`, Reveals: true},
		{Op: read, Path: "subkeys/a/b"},
		{Op: update, Path: "data/a/b", Body: `{"data":"` + canary + `"}`, Fails: errs.Invalid},
		{Op: update, Path: "data/a/b", Body: `{"data":{},"options":{"cas":"` + canary + `"}}`, Fails: errs.Invalid},
		{Op: del, Path: "data/a/b"},
		{Op: read, Path: "data/a/b"},
		{Op: update, Path: "undelete/a/b", Body: `{"versions":[3]}`},
		{Op: update, Path: "delete/a/b", Body: `{"versions":[2]}`},
		{Op: update, Path: "destroy/a/b", Body: `{"versions":[1]}`},
		{Op: update, Path: "metadata/a/b", Body: `{"custom_metadata":{"owner":"me"}}`},
		{Op: update, Path: "metadata/new", Body: `{"max_versions":1}`},
		{Op: patch, Path: "metadata/a/b", Body: `{"custom_metadata":{"owner":null}}`},
		{Op: read, Path: "metadata/a/b"},
		{Op: list, Path: "metadata/"},
		{Op: list, Path: "metadata/a/"},
		{Op: del, Path: "metadata/a/b"},
		{Op: read, Path: "a/b"}, {Op: update, Path: "a/b", Body: `{"password":"` + canary + `"}`}, {Op: patch, Path: "a"}, {Op: del, Path: "a"}, {Op: list, Path: "a/"},
	}})
}

// §2.2, last sentences of "Bad roots": 404 with a warning that tells what to do.
func TestPathsOfVersion1(t *testing.T) {
	m := newMount(t)
	for op, want := range map[engine.Operation]string{read: "mnt/data/", update: "mnt/data/", del: "mnt/data/", list: "mnt/metadata/"} {
		for _, path := range []string{"my-app", "", "my-app/x/", "Data/x"} {
			res := m.answer(op, path, `{"x":"`+canary+`"}`)
			if res.Status != 404 || len(res.Warnings) != 1 || res.Data != nil ||
				!strings.HasPrefix(res.Warnings[0], "Invalid path for a versioned K/V secrets engine") || !strings.Contains(res.Warnings[0], want) {
				t.Errorf("%s %q: %+v", op, path, res)
			}
		}
	}
	if len(m.Stored(t)) != 0 {
		t.Error("something was stored")
	}
}

// §1.1 row 19, §2.1: LIST below data/ is an unsupported operation.
func TestUnsupported(t *testing.T) {
	m := newMount(t)
	for _, c := range []struct {
		op   engine.Operation
		path string
	}{{list, "data/"}, {list, "subkeys/a"}, {read, "delete/a"}, {del, "config"}, {patch, "destroy/a"}, {list, "config"}} {
		m.refused(c.op, c.path, "", errs.Unsupported, "")
	}
}

func TestBadKeys(t *testing.T) {
	m := newMount(t)
	m.ok(update, "data/a", `{"data":{"x":1}}`)
	for key, text := range map[string]string{
		"": "missing path", "/": "slash", "a/": "must not end in a slash", "a//b": "empty segment", "/a": "empty segment", ".": "segment", "..": "segment",
		"a/../b": "segment", "a%2fb": "%2f", "\xff": "UTF-8", "a\nb": "printable", strings.Repeat("x", 513): "513 bytes", strings.Repeat("x/", 600) + "x": "1201 bytes",
	} {
		for _, path := range []string{"data/", "metadata/", "subkeys/"} {
			m.refused(read, path+key, "", errs.Invalid, text)
		}
		m.refused(update, "data/"+key, `{"data":{"x":"`+canary+`"}}`, errs.Invalid, text)
		m.refused(patch, "data/"+key, `{"data":{"x":"`+canary+`"}}`, errs.Invalid, text)
		m.refused(del, "data/"+key, "", errs.Invalid, text)
		m.refused(update, "metadata/"+key, `{}`, errs.Invalid, text)
		m.refused(patch, "metadata/"+key, `{}`, errs.Invalid, text)
		m.refused(del, "metadata/"+key, "", errs.Invalid, text)
		for _, path := range []string{"delete/", "undelete/", "destroy/"} {
			m.refused(update, path+key, `{"versions":[1]}`, errs.Invalid, text)
		}
	}
	for _, folder := range []string{"//", "a//", "../", "a/./b/"} {
		m.refused(list, "metadata/"+folder, "", errs.Invalid, "")
	}
	long := strings.Repeat("k", 512) + "/" + strings.Repeat("k", 511)
	m.ok(update, "data/"+long, `{"data":{"x":1}}`)
	if got := m.ok(read, "data/"+long, ""); !strings.HasPrefix(got, `{"data":{"x":1},`) {
		t.Errorf("the longest key: %s", got)
	}
}

// Keys that look like each other's versions or folders must stay apart.
func TestKeysDoNotMix(t *testing.T) {
	m := newMount(t)
	for _, key := range []string{"foo", "foo/1", "foo/1/1", "config", "meta/foo", "ver/foo/1"} {
		m.ok(update, "data/"+key, `{"data":{"key":"`+key+`"}}`)
	}
	m.ok(update, "data/foo", `{"data":{"key":"foo"}}`)
	m.ok(update, "destroy/foo/1", `{"versions":[1]}`)
	m.ok(del, "metadata/foo/1/1", "")
	for _, key := range []string{"foo", "config", "meta/foo", "ver/foo/1"} {
		if got := m.ok(read, "data/"+key, ""); !strings.HasPrefix(got, `{"data":{"key":"`+key+`"}`) {
			t.Errorf("%s: %s", key, got)
		}
	}
	m.want(list, "metadata/", "", `{"keys":["config","foo","foo/","meta/","ver/"]}`)
	m.want(list, "metadata/foo", "", `{"keys":["1"]}`)
}

func TestEvents(t *testing.T) {
	m := newMount(t)
	steps := []struct {
		op         engine.Operation
		path, body string
		kind       string // "" = no event
		versions   string // current, oldest
	}{
		{update, "config", `{"max_versions":2}`, "config-write", ""},
		{update, "data/a/b", `{"data":{"x":"` + canary + `"}}`, "data-write", "1 0"},
		{patch, "data/a/b", `{"data":{"x":"` + canary + `"}}`, "data-patch", "2 1"},
		{update, "data/a/b", `{"data":{"x":"` + canary + `"}}`, "data-write", "3 2"},
		{read, "data/a/b", "", "", ""},
		{del, "data/a/b", "", "data-delete", "3 2"},
		{del, "data/a/b", "", "", ""},
		{update, "undelete/a/b", `{"versions":"3"}`, "undelete", "3 2"},
		{update, "undelete/a/b", `{"versions":"3"}`, "", ""},
		{update, "delete/a/b", `{"versions":"2"}`, "delete", "3 2"},
		{update, "delete/a/b", `{"versions":"2"}`, "", ""},
		{update, "destroy/a/b", `{"versions":"2"}`, "destroy", "3 2"},
		{update, "destroy/a/b", `{"versions":"2"}`, "", ""},
		{update, "metadata/a/b", `{"custom_metadata":{"x":"y"}}`, "metadata-write", "3 2"},
		{patch, "metadata/a/b", `{"max_versions":1}`, "metadata-patch", "3 2"},
		{patch, "metadata/none", `{"max_versions":1}`, "", ""},
		{patch, "data/none", `{"data":{}}`, "", ""},
		{del, "metadata/a/b", "", "metadata-delete", "3 2"},
		{del, "metadata/a/b", "", "", ""},
		{list, "metadata/", "", "", ""},
	}
	for _, s := range steps {
		m.answer(s.op, s.path, s.body)
		events := m.Events()
		if s.kind == "" {
			if len(events) != 0 {
				t.Errorf("%s %s emitted %v, want nothing", s.op, s.path, events)
			}
			continue
		}
		if len(events) != 1 {
			t.Fatalf("%s %s emitted %v, want one event", s.op, s.path, events)
		}
		e := events[0]
		data := "data/a/b"
		if s.path == "config" {
			data = "config"
		}
		if e.Type != "kv-v2/"+s.kind || e.Path != s.path || e.Metadata["path"] != s.path || e.Metadata["data_path"] != data ||
			e.Metadata["operation"] != s.kind || e.Metadata["modified"] != "true" ||
			strings.TrimSpace(e.Metadata["current_version"]+" "+e.Metadata["oldest_version"]) != s.versions {
			t.Errorf("%s %s emitted %+v", s.op, s.path, e)
		}
	}
}

// Two writers at once: the second runs again and makes the next version.
func TestWriteThroughConflict(t *testing.T) {
	m := newMount(t)
	m.ok(update, "data/a", `{"data":{}}`)
	m.Conflict()
	if got := m.ok(update, "data/a", `{"data":{}}`); !strings.HasSuffix(got, `"version":2}`) {
		t.Errorf("after a conflict: %s", got)
	}
}

func stamp(m mount) string { return m.Now().Format(time.RFC3339Nano) }
