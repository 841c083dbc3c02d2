package keypath

import (
	"context"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

func TestCheck(t *testing.T) {
	for _, ok := range []string{
		"a", "a/b", "my-app/config", "a b", "ünïcode/鍵", "100%", "%2", "a%2eb", "...", ".hidden", "a/..b", "\uFFFD",
		strings.Repeat("x", MaxPart), strings.Repeat("x", MaxPart) + "/" + strings.Repeat("y", MaxPath-MaxPart-1),
	} {
		if err := Check(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for path, want := range map[string]string{
		"":                              "missing path",
		"a/":                            "must not end in a slash",
		"/":                             "must not end in a slash",
		"/a":                            "empty segment",
		"a//b":                          "empty segment",
		".":                             `segment "."`,
		"..":                            `segment ".."`,
		"a/../b":                        `segment ".."`,
		"a/./b":                         `segment "."`,
		"a%2fb":                         "%2f",
		"a%2Fb":                         "%2f",
		"%%2f":                          "%2f",
		"a\xffb":                        "UTF-8",
		"a\x00b":                        "printable",
		"a\nb":                          "printable",
		"a\u202eb":                      "printable",
		strings.Repeat("x", MaxPart+1):  "513 bytes",
		strings.Repeat("x/", 512) + "x": "1025 bytes",
	} {
		err := Check(path)
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an Invalid error with %q", path, err, want)
		}
	}
}

func TestFolder(t *testing.T) {
	for path, want := range map[string]string{"": "", "/": "", "a": "a/", "a/": "a/", "a/b": "a/b/"} {
		if got, err := Folder(path); got != want || err != nil {
			t.Errorf("%q: %q, %v, want %q", path, got, err, want)
		}
	}
	for _, path := range []string{"//", "a//", "../", "a/./"} {
		if _, err := Folder(path); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v, want Invalid", path, err)
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"a/b", "a//b", "..", "%2f", "\xff", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if Check(path) != nil {
			return
		}
		if !utf8.ValidString(path) || len(path) > MaxPath || strings.Contains(strings.ToLower(path), "%2f") {
			t.Errorf("accepted %q", path)
		}
		for _, part := range strings.Split(path, "/") {
			if part == "" || part == "." || part == ".." || len(part) > MaxPart {
				t.Errorf("accepted %q with the segment %q", path, part)
			}
		}
		if folder, err := Folder(path); err != nil || folder != path+"/" {
			t.Errorf("Folder(%q) = %q, %v", path, folder, err)
		}
	})
}

// names is a Tx that lists and does nothing else.
type names []string

func (names) Get(context.Context, string) (engine.Entry, error) { return engine.Entry{}, nil }
func (names) Put(string, []byte)                                {}
func (names) Delete(string)                                     {}
func (names) Emit(engine.Event)                                 {}
func (n names) List(context.Context, string, string, int) ([]string, error) {
	return n, nil
}

func TestList(t *testing.T) {
	all := names{"c", "a/", "b", "a"}
	for _, c := range []struct{ body, want string }{
		{``, `{"keys":["a","a/","b","c"]}`},
		{`{"limit":2}`, `{"keys":["a","a/"]}`},
		{`{"limit":"2","after":"a"}`, `{"keys":["a/","b"]}`},
		{`{"after":"aa"}`, `{"keys":["b","c"]}`},
		{`{"limit":-1}`, `{"keys":["a","a/","b","c"]}`},
		{`{"limit":99}`, `{"keys":["a","a/","b","c"]}`},
		{`{"after":"c"}`, ``},
	} {
		b, err := engine.ParseBody([]byte(c.body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := List(t.Context(), all, "", &engine.Request{Body: b})
		got := ""
		if res != nil {
			got = string(res.Data)
		}
		if got != c.want || err != nil {
			t.Errorf("%s: %s, %v, want %s", c.body, got, err, c.want)
		}
	}
	if !slices.Equal(all, names{"c", "a/", "b", "a"}) {
		t.Error("List changed the store's slice")
	}
	b, _ := engine.ParseBody([]byte(`{"limit":"many"}`))
	if _, err := List(t.Context(), all, "", &engine.Request{Body: b}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a limit that is no number: %v, want Invalid", err)
	}
}
