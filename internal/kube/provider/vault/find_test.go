package vault

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/providertest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/vaulttest"
)

// The suite of searches against a server with pages and one without, in pages
// that do and do not end where the folder does.
func TestFinder(t *testing.T) {
	for name, c := range map[string]struct {
		page    int
		noPages bool
		version string
	}{
		"pages": {page: 100}, "full pages": {page: 125}, "one page": {}, "full page of a server without": {page: 250, noPages: true}, "KV v1": {version: "v1"},
	} {
		t.Run(name, func(t *testing.T) {
			server := vaulttest.New()
			server.NoPages = c.noPages
			var broken atomic.Bool
			server.Answer = func(method, path string, _ []byte) (int, any, bool) {
				return http.StatusInternalServerError, "broken on purpose", broken.Load() && strings.Contains(path, "after=")
			}
			server.Start(t)
			settings := Settings{Server: server.URL, Path: "secret", Auth: tokenAuth()}
			for _, p := range providertest.Planted() {
				server.Put(p.Key, p.Value)
				server.PutV1(p.Key, p.Value)
			}
			for _, p := range providertest.Searched() {
				server.Put(p.Key, p.Value)
				server.PutV1(p.Key, p.Value)
				server.PutMeta(p.Key, p.Tags)
			}
			search := providertest.Search{NoTags: c.version == "v1"}
			if c.version == "v1" {
				settings.Path, settings.Version = "kv1", "v1"
			}
			if c.page > 0 && !c.noPages {
				search.SecondPage = func() func() {
					broken.Store(true)
					return func() { broken.Store(false) }
				}
			}
			providertest.RunFinder(t, providertest.Harness{
				Provider: Provider{page: c.page}, Cluster: cluster{"team/vault#token": "root"}, Settings: settings,
			}, search)
		})
	}
}

func (f *fixture) find(ctx context.Context, q provider.Query) ([]string, error) {
	found, err := f.store.Find(ctx, q)
	var keys []string
	for _, x := range found {
		keys = append(keys, x.Key)
	}
	return keys, err
}

// Where a search begins, by mount and path, and that what it finds is what Read
// reads, also where names look like the mount or like "data".
func TestFindPaths(t *testing.T) {
	for _, c := range []struct {
		mount, path string
		want        []string
	}{
		{"secret", "", []string{"a/data/x", "a/x", "data/y", "secret/data/secret/y", "top"}},
		{"secret", "a", []string{"a/data/x", "a/x"}},
		{"secret", "/a/", []string{"a/data/x", "a/x"}},
		{"secret", "secret/a", []string{"a/data/x", "a/x"}},
		{"secret", "secret/data/a", []string{"a/data/x", "a/x"}},
		{"secret", "a/data", []string{"a/data/x"}},
		{"secret", "to", nil},
		{"", "secret", []string{"secret/data/a/data/x", "secret/a/x", "secret/data/data/y", "secret/secret/y", "secret/top"}},
		{"", "secret/a", []string{"secret/data/a/data/x", "secret/a/x"}},
		{"", "secret/data/a", []string{"secret/data/a/data/x", "secret/data/a/x"}},
	} {
		f := newFixture(t, vaulttest.New(), func(s *Settings) { s.Path = c.mount })
		for _, p := range providertest.Planted() {
			f.Forget(p.Key)
		}
		values := map[string]string{}
		for _, key := range []string{"a/x", "a/data/x", "data/y", "secret/y", "top"} {
			values[key] = `{"at":"` + key + `"}`
			f.Put(key, values[key])
		}
		got, err := f.find(t.Context(), provider.Query{Path: c.path})
		if err != nil || len(got) != len(c.want) {
			t.Errorf("mount %q path %q: %q (%v), want %q", c.mount, c.path, got, err, c.want)
			continue
		}
		for _, key := range got {
			if !slices.Contains(c.want, key) {
				t.Errorf("mount %q path %q: %q, want %q", c.mount, c.path, got, c.want)
			}
			value, err := f.read(t, key)
			name := strings.TrimPrefix(strings.TrimPrefix(strings.TrimSuffix(value, `"}`), `{"at":"`), "/")
			if err != nil || !strings.HasSuffix(key, name) || values[name] == "" {
				t.Errorf("mount %q: key %q reads %s (%v)", c.mount, key, value, err)
			}
		}
	}
	f := newFixture(t, vaulttest.New(), func(s *Settings) { s.Path = "" })
	for _, bad := range []string{"", "a/../b", "a//b"} {
		if _, err := f.find(t.Context(), provider.Query{Path: bad}); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "find.path") {
			t.Errorf("path %q: %v, want invalid", bad, err)
		}
	}
}

// What may not be listed or looked at is an error that says which capability
// lacks, and never a short list.
func TestFindDenied(t *testing.T) {
	f := newFixture(t, vaulttest.New(), nil)
	f.Put("a/b/x", `{}`)
	f.Deny("secret/metadata/a/b")
	if got, err := f.find(t.Context(), provider.Query{}); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), `"list" on "secret/metadata/a/b/"`) {
		t.Errorf("%q (%v), want denied", got, err)
	}
	f.Allow("secret/metadata/a/b")
	f.Deny("secret/metadata/a/b/x")
	q := provider.Query{Tags: provider.TagsOf(map[string]string{"t": "v"})}
	if got, err := f.find(t.Context(), q); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), `"read" on "secret/metadata/a/b/x"`) {
		t.Errorf("%q (%v), want denied", got, err)
	}
}

// A server that gives folders without end, or names that lead elsewhere, is not
// followed.
func TestFindHostileServers(t *testing.T) {
	var wide []string
	for i := range 40 {
		wide = append(wide, fmt.Sprintf("f%d/", i))
	}
	for name, c := range map[string]struct {
		keys []string
		want errs.Kind
	}{
		"folders without end": {[]string{"a/"}, errs.TooLarge},
		"a tree":              {wide, errs.TooLarge},
		"up":                  {[]string{"../"}, errs.Invalid},
		"elsewhere":           {[]string{"a/../../sys/x"}, errs.Invalid},
		"nameless":            {[]string{""}, errs.Invalid},
		"slash":               {[]string{"/"}, errs.Invalid},
	} {
		server := vaulttest.New()
		server.Answer = func(_, path string, _ []byte) (int, any, bool) {
			return http.StatusOK, map[string]any{"keys": c.keys}, strings.Contains(path, "list=true")
		}
		f := newFixture(t, server, nil)
		if got, err := f.find(t.Context(), provider.Query{}); !errs.Is(err, c.want) {
			t.Errorf("%s: %d found, %v (%v), want %v", name, len(got), err, errs.KindOf(err), c.want)
		}
	}
	f := newFixture(t, vaulttest.New(), nil)
	for i := range maxNames + 1 {
		f.PutQuietly(fmt.Sprint("n", i), `{}`)
	}
	if _, err := f.find(t.Context(), provider.Query{}); !errs.Is(err, errs.TooLarge) || !strings.Contains(err.Error(), "longer find.path") {
		t.Errorf("too many: %v", err)
	}
	server := vaulttest.New()
	server.Answer = func(_, path string, _ []byte) (int, any, bool) {
		return http.StatusNotFound, "no handler for route", strings.Contains(path, "list=true")
	}
	if _, err := newFixture(t, server, nil).find(t.Context(), provider.Query{}); !errs.Is(err, errs.Invalid) {
		t.Errorf("no such mount: %v (%v), want invalid: it is not an empty folder", err, errs.KindOf(err))
	}
}

func FuzzFolder(f *testing.F) {
	f.Add("secret", "secret/data/app", true)
	f.Add("", "a/../../b", false)
	f.Add("kv", "kv/", true)
	f.Add("", "x", true)
	f.Fuzz(func(t *testing.T, mount, path string, two bool) {
		mount = strings.Trim(mount, "/")
		if mount != "" && checkSegments(mount) != nil {
			return
		}
		s := &store{settings: Settings{Path: mount, Version: map[bool]string{true: "v2", false: "v1"}[two]}}
		at, err := s.folder(path)
		if err != nil {
			return
		}
		if !strings.HasSuffix(at.list, "/") || at.prefix != "" && !strings.HasSuffix(at.prefix, "/") ||
			mount != "" && !strings.HasPrefix(at.list, mount+"/") || strings.Contains("/"+at.list, "/../") {
			t.Errorf("mount %q path %q: %+v", mount, path, at)
		}
		// What stands there is read where it was listed.
		key := s.exact(at, at.prefix+"x")
		read, err := dataPath(mount, s.settings.Version, key)
		if err != nil {
			t.Fatalf("mount %q path %q: key %q: %v", mount, path, key, err)
		}
		if two {
			read = metadataPath(mount, read)
		}
		if read != at.list+"x" {
			t.Errorf("mount %q path %q: listed at %q, read at %q", mount, path, at.list+"x", read)
		}
	})
}
