package providertest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Tagged is a secret with tags, as searches need it.
type Tagged struct {
	Secret
	Tags map[string]string
}

// many is how many secrets Searched has in the folder "many": more than any
// store gives on one page.
const many = 250

// Searched returns the secrets that the suite of searches needs beside Planted.
func Searched() []Tagged {
	list := []Tagged{
		{Secret{"team/a/db", `{"n":"a-db","c":"` + Canary + `"}`}, map[string]string{"team": "a", "env": "prod"}},
		{Secret{"team/a/cache", `{"n":"a-cache"}`}, map[string]string{"team": "a", "env": "test"}},
		{Secret{"team/b/db", `{"n":"b-db"}`}, map[string]string{"team": "b", "env": "prod"}},
		{Secret{"team/plain", `{"n":"plain"}`}, nil},
		{Secret{"teams/other", `{"n":"other"}`}, map[string]string{"team": "a"}},
	}
	for i := range many {
		list = append(list, Tagged{Secret{fmt.Sprintf("many/s-%03d", i), fmt.Sprintf(`{"n":"%d"}`, i)}, map[string]string{"many": "yes"}})
	}
	return list
}

// Search says what the suite must know of a backend that has Planted and
// Searched, each with its tags.
type Search struct {
	// Path writes a folder of the suite, such as "team", as find.path takes it; nil: as it is.
	Path func(folder string) string
	// NoTags: the store has none, and a search by tags is Unsupported.
	NoTags bool
	// SecondPage makes the backend fail every page of a search after the first,
	// until heal is called. nil: the store has no pages.
	SecondPage func() (heal func())
}

func (s Search) path(folder string) string {
	if s.Path == nil {
		return folder
	}
	return s.Path(folder)
}

// RunFinder runs the suite of searches.
func RunFinder(t *testing.T, h Harness, s Search) {
	f, ok := h.Open(t).(provider.Finder)
	if !ok {
		t.Fatal("the store is no provider.Finder")
	}
	r := finding{t, h, s, f}
	r.queries()
	t.Run("tags", func(t *testing.T) { finding{t, h, s, f}.tags() })
	t.Run("pages", func(t *testing.T) { finding{t, h, s, f}.pages() })
	t.Run("bad expressions", func(t *testing.T) { finding{t, h, s, f}.refusals() })
}

type finding struct {
	*testing.T
	h Harness
	s Search
	f provider.Finder
}

// expect searches and compares the keys, and what is read for them.
func (r finding) expect(name string, q provider.Query, want ...string) {
	r.Helper()
	found, err := r.f.Find(r.Context(), q)
	if err != nil {
		r.Errorf("%s: %v", name, err)
		return
	}
	var got, keys []string
	for _, f := range found {
		got = append(got, f.Key)
	}
	for _, key := range want {
		keys = append(keys, r.h.key(key))
	}
	slices.Sort(keys)
	if !slices.Equal(got, keys) {
		r.Errorf("%s: found %.300q, want %.300q in this order", name, got, keys)
		return
	}
	r.values(name, found, want)
}

// values checks a few of the matches against what Read gives for them.
func (r finding) values(name string, found []provider.Found, want []string) {
	r.Helper()
	stored := map[string]string{}
	for _, s := range Searched() {
		stored[r.h.key(s.Key)] = s.Value
	}
	st := r.h.Open(r.T)
	for i, f := range found {
		if i > 3 && i < len(want)-2 {
			continue
		}
		read, err := st.Read(r.Context(), provider.Request{Key: f.Key})
		if err != nil {
			r.Errorf("%s: reading what was found at %q: %v", name, f.Key, err)
			continue
		}
		if f.Value != nil && (!f.Value.Data.Equal(read.Data) || f.Value.Version != read.Version) {
			r.Errorf("%s: the value found at %q is not the one read there", name, f.Key)
		}
		part, err := read.Property("n")
		wanted, _ := provider.Value{Data: redact.FromString(stored[f.Key])}.Property("n")
		if err != nil || !part.Equal(wanted) {
			r.Errorf("%s: %q reads another secret (%v)", name, f.Key, err)
		}
	}
}

func (r finding) queries() {
	team := r.s.path("team")
	r.Run("queries", func(t *testing.T) {
		r := finding{t, r.h, r.s, r.f}
		r.expect("a folder", provider.Query{Path: team}, "team/a/cache", "team/a/db", "team/b/db", "team/plain")
		r.expect("a folder in one", provider.Query{Path: r.s.path("team/a")}, "team/a/cache", "team/a/db")
		r.expect("a name in a folder", provider.Query{Path: team, Name: "db$"}, "team/a/db", "team/b/db")
		r.expect("a name anywhere", provider.Query{Name: "plain$"}, "team/plain")
		r.expect("a name is searched for in the whole key", provider.Query{Path: team, Name: "a.(db|cache)$"}, "team/a/cache", "team/a/db")
		r.expect("no such name", provider.Query{Path: team, Name: "^nothing-has-this-name$"})
		r.expect("no such folder", provider.Query{Path: r.s.path("absent")})
	})
}

func (r finding) tags() {
	team := r.s.path("team")
	prod := provider.TagsOf(map[string]string{"env": "prod"})
	if r.s.NoTags {
		if _, err := r.f.Find(r.Context(), provider.Query{Path: team, Tags: prod}); !errs.Is(err, errs.Unsupported) {
			r.Errorf("tags where there are none: %v (%v), want unsupported", err, errs.KindOf(err))
		}
		return
	}
	r.expect("one tag", provider.Query{Path: team, Tags: prod}, "team/a/db", "team/b/db")
	r.expect("two tags", provider.Query{Path: team, Tags: provider.TagsOf(map[string]string{"env": "prod", "team": "a"})}, "team/a/db")
	r.expect("a tag anywhere", provider.Query{Tags: provider.TagsOf(map[string]string{"team": "a"})}, "team/a/cache", "team/a/db", "teams/other")
	r.expect("tag and name", provider.Query{Name: "cache", Tags: provider.TagsOf(map[string]string{"team": "a"})}, "team/a/cache")
	r.expect("a tag's value in full", provider.Query{Path: team, Tags: provider.TagsOf(map[string]string{"env": "pro"})})
	r.expect("no such tag", provider.Query{Path: team, Tags: provider.TagsOf(map[string]string{"nope": ""})})
}

func (r finding) pages() {
	var all []string
	for i := range many {
		all = append(all, fmt.Sprintf("many/s-%03d", i))
	}
	q := provider.Query{Path: r.s.path("many")}
	r.expect("many", q, all...)
	if r.s.SecondPage == nil {
		return
	}
	heal := r.s.SecondPage()
	if found, err := r.f.Find(r.Context(), q); err == nil {
		r.Errorf("the second page fails: %d matches and no error: a short list looks like deletions", len(found))
	} else if errs.Is(err, errs.NotExist) {
		r.Errorf("the second page fails: %v, which looks like a deletion", err)
	}
	heal()
	r.expect("many, after a failure", q, all...)
}

func (r finding) refusals() {
	for _, bad := range []string{"(", `\p{Nope}`, strings.Repeat("a", 5000)} {
		if _, err := r.f.Find(r.Context(), provider.Query{Name: bad}); !errs.Is(err, errs.Invalid) {
			r.Errorf("expression %.20q: %v (%v), want invalid", bad, err, errs.KindOf(err))
		}
	}
}
