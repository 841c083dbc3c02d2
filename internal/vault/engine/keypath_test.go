package engine

import (
	"context"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestCheckKeyPath(t *testing.T) {
	for _, ok := range []string{
		"a", "a/b", "my-app/config", "a b", "ünïcode/鍵", "100%", "%2", "a%2eb", "...", ".hidden", "a/..b", "\uFFFD",
		strings.Repeat("x", MaxKeyPart), strings.Repeat("x", MaxKeyPart) + "/" + strings.Repeat("y", MaxKeyPath-MaxKeyPart-1),
	} {
		if err := CheckKeyPath(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for path, want := range map[string]string{
		"":                                "missing path",
		"a/":                              "must not end in a slash",
		"/":                               "must not end in a slash",
		"/a":                              "empty segment",
		"a//b":                            "empty segment",
		".":                               `segment "."`,
		"..":                              `segment ".."`,
		"a/../b":                          `segment ".."`,
		"a/./b":                           `segment "."`,
		"a%2fb":                           "%2f",
		"a%2Fb":                           "%2f",
		"%%2f":                            "%2f",
		"a\xffb":                          "UTF-8",
		"a\x00b":                          "printable",
		"a\nb":                            "printable",
		"a\u202eb":                        "printable",
		strings.Repeat("x", MaxKeyPart+1): "513 bytes",
		strings.Repeat("x/", 512) + "x":   "1025 bytes",
	} {
		err := CheckKeyPath(path)
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an Invalid error with %q", path, err, want)
		}
	}
}

func TestCheckFolder(t *testing.T) {
	for path, want := range map[string]string{"": "", "/": "", "a": "a/", "a/": "a/", "a/b": "a/b/"} {
		if got, err := CheckFolder(path); got != want || err != nil {
			t.Errorf("%q: %q, %v, want %q", path, got, err, want)
		}
	}
	for _, path := range []string{"//", "a//", "../", "a/./"} {
		if _, err := CheckFolder(path); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v, want Invalid", path, err)
		}
	}
}

func FuzzCheckKeyPath(f *testing.F) {
	for _, seed := range []string{"a/b", "a//b", "..", "%2f", "\xff", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if CheckKeyPath(path) != nil {
			return
		}
		if !utf8.ValidString(path) || len(path) > MaxKeyPath || strings.Contains(strings.ToLower(path), "%2f") {
			t.Errorf("accepted %q", path)
		}
		for _, part := range strings.Split(path, "/") {
			if part == "" || part == "." || part == ".." || len(part) > MaxKeyPart {
				t.Errorf("accepted %q with the segment %q", path, part)
			}
		}
		if folder, err := CheckFolder(path); err != nil || folder != path+"/" {
			t.Errorf("CheckFolder(%q) = %q, %v", path, folder, err)
		}
	})
}

// names is a Tx that lists and does nothing else.
type names []string

func (names) Get(context.Context, string) (Entry, error) { return Entry{}, nil }
func (names) Put(string, []byte)                         {}
func (names) Delete(string)                              {}
func (names) Emit(Event)                                 {}
func (n names) List(context.Context, string, string, int) ([]string, error) {
	return n, nil
}

func TestListFolder(t *testing.T) {
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
		b, err := ParseBody([]byte(c.body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := ListFolder(t.Context(), all, "", &Request{Body: b})
		got := ""
		if res != nil {
			got = string(res.Data)
		}
		if got != c.want || err != nil {
			t.Errorf("%s: %s, %v, want %s", c.body, got, err, c.want)
		}
	}
	if !slices.Equal(all, names{"c", "a/", "b", "a"}) {
		t.Error("ListFolder changed the store's slice")
	}
	b, _ := ParseBody([]byte(`{"limit":"many"}`))
	if _, err := ListFolder(t.Context(), all, "", &Request{Body: b}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a limit that is no number: %v, want Invalid", err)
	}
}
