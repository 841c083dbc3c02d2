package gather

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const canary = "canary-55e0"

// source reads by read, and searches by the path alone, each of which is a case.
func source(count *atomic.Int64) Source {
	reads := read(count)
	return Source{
		Now: time.Now,
		Read: func(ctx context.Context, ref v1.SecretStoreRef, req provider.Request) (provider.Value, error) {
			if n, ok := strings.CutPrefix(req.Key, "n/"); ok {
				count.Add(1)
				if n == "deleted" {
					return provider.Value{}, errs.New(errs.NotExist, "its latest version was deleted")
				}
				return provider.Value{Data: redact.FromString(`{"` + n + `":"` + canary + `"}`), Version: "3"}, nil
			}
			if strings.HasPrefix(req.Key, "big/") {
				return provider.Value{Data: redact.FromString(strings.Repeat("x", 1<<20))}, nil
			}
			return reads(ctx, ref, req)
		},
		Find: func(_ context.Context, ref v1.SecretStoreRef, q provider.Query) ([]provider.Found, time.Time, error) {
			count.Add(1)
			keys := map[string][]string{
				"nn": {"n/a", "n/b"}, "gone": {"n/a", "n/deleted"}, "only gone": {"n/deleted"}, "down": {"down"},
			}[q.Path]
			switch q.Path {
			case "denied":
				return nil, time.Time{}, errs.New(errs.Denied, `capability "list"`)
			case "404":
				return nil, time.Time{}, errs.New(errs.NotExist, "no such mount")
			case "many":
				return make([]provider.Found, maxFound+1), time.Time{}, nil
			case "big":
				for i := range 17 {
					keys = append(keys, fmt.Sprint("big/", i))
				}
			case "at once":
				v := provider.Value{Data: redact.FromString("b25jZQ=="), Version: "1"}
				return []provider.Found{{Key: "x/y", Value: &v}}, time.Unix(5, 0), nil
			case "query":
				if q.Name != "^x" || q.Tags != provider.TagsOf(map[string]string{"t": "v"}) || ref.Name != "other" {
					return nil, time.Time{}, errs.Newf(errs.Invalid, "another query: %+v of %s", q, ref.Name)
				}
				keys = []string{"app"}
			}
			var found []provider.Found
			for _, key := range keys {
				found = append(found, provider.Found{Key: key})
			}
			return found, time.Unix(7, 0), nil
		},
	}
}

// facts/external-secrets.md §1.2: dataFrom.find and rewrite.
func TestFind(t *testing.T) {
	whole := func(name string) string { return `{"` + name + `":"` + canary + `"}` }
	for name, c := range map[string]struct {
		spec    string
		want    map[string]string
		missing int
	}{
		"a folder":              {"dataFrom: [{find: {path: nn}}]", map[string]string{"n_a": whole("a"), "n_b": whole("b")}, 0},
		"unicode":               {"dataFrom: [{find: {path: nn, conversionStrategy: Unicode}}]", map[string]string{"n_U002f_a": whole("a"), "n_U002f_b": whole("b")}, 0},
		"values come along":     {"dataFrom: [{find: {path: at once, decodingStrategy: Auto}}]", map[string]string{"x_y": "once"}, 0},
		"deleted ones are not":  {"dataFrom: [{find: {path: gone}}]", map[string]string{"n_a": whole("a")}, 0},
		"rewritten":             {`dataFrom: [{find: {path: nn}, rewrite: [{regexp: {source: "n/(.*)", target: "key-$1"}}]}]`, map[string]string{"key-a": whole("a"), "key-b": whole("b")}, 0},
		"merged":                {`dataFrom: [{find: {path: nn}, rewrite: [{merge: {}}]}]`, map[string]string{"a": canary, "b": canary}, 0},
		"decoded after rewrite": {`dataFrom: [{find: {path: at once, decodingStrategy: Base64}, rewrite: [{transform: {template: "{{ .value | base }}"}}]}]`, map[string]string{"y": "once"}, 0},
		"extract, rewritten":    {`dataFrom: [{extract: {key: odd}, rewrite: [{regexp: {source: "^a.b$", target: "x$0"}}, {transform: {template: '{{ .value | replace "/" "1" | replace ":" "2" }}'}}]}]`, map[string]string{"xa1b": "1", "xa2b": "2"}, 0},
		"beside data":           {"dataFrom: [{find: {path: nn}}]\ndata: [{secretKey: n_a, remoteRef: {key: text}}]", map[string]string{"n_a": "plain", "n_b": whole("b")}, 0},
		"one finds nothing":     {"dataFrom: [{find: {path: nothing}}, {find: {path: nn}}]", map[string]string{"n_a": whole("a"), "n_b": whole("b")}, 1},
		"nothing, Delete":       {"target: {deletionPolicy: Delete}\ndataFrom: [{find: {path: nothing}}]", map[string]string{}, 1},
		"only deleted, Merge":   {"target: {deletionPolicy: Merge}\ndataFrom: [{find: {path: only gone}}]", map[string]string{}, 1},
		"the whole query":       {"dataFrom: [{find: {path: query, name: {regexp: ^x}, tags: {t: v}}, sourceRef: {storeRef: {name: other}}}]", map[string]string{"app": `{"k":"from other"}`}, 0},
	} {
		var count atomic.Int64
		got, err := Values(t.Context(), parse(t, c.spec), source(&count))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(got.Data) != len(c.want) || len(got.Missing) != c.missing {
			t.Errorf("%s: %d values, missing %q; want %d and %d", name, len(got.Data), got.Missing, len(c.want), c.missing)
		}
		for k, v := range c.want {
			if got.Data[k].RevealString() != v {
				t.Errorf("%s: %s is %q, want %q", name, k, got.Data[k].Reveal(), v)
			}
		}
	}
}

func TestFindRefusals(t *testing.T) {
	for spec, want := range map[string]struct {
		kind  errs.Kind
		words string
	}{
		"dataFrom: [{find: {path: nothing}}]":                                                 {errs.NotExist, "dataFrom[0]: find: the store has no secret that matches; the Secret is left as it is"},
		"dataFrom: [{find: {path: denied}}]":                                                  {errs.Denied, `dataFrom[0]: find: capability "list"`},
		"target: {deletionPolicy: Delete}\ndataFrom: [{find: {path: denied}}]":                {errs.Denied, "capability"},
		"target: {deletionPolicy: Delete}\ndataFrom: [{find: {path: down}}]":                  {errs.Unavailable, `key "down": sealed`},
		"target: {deletionPolicy: Delete}\ndataFrom: [{find: {path: '404'}}]":                 {errs.Unavailable, "no such mount"},
		"dataFrom: [{find: {path: many}}]":                                                    {errs.TooLarge, "narrow find.path"},
		"dataFrom: [{find: {path: big}}]":                                                     {errs.TooLarge, "16 MiB"},
		"dataFrom: [{find: {path: nn, decodingStrategy: Base64}}]":                            {errs.Invalid, `dataFrom[0]: key "n_a": the value is not Base64`},
		"dataFrom: [{find: {path: nn}, extract: {key: app}}]":                                 {errs.Invalid, "both extract and find"},
		`dataFrom: [{find: {path: nn}, rewrite: [{regexp: {source: x, target: x}}]}]`:         {errs.Invalid, `rewrite makes "n/a", which cannot be a key`},
		`dataFrom: [{find: {path: nn}, rewrite: [{regexp: {source: "./.", target: same}}]}]`:  {errs.Invalid, `dataFrom[0]: rewrite[0]: keys "n/a" and "n/b" both become "same"`},
		`dataFrom: [{extract: {key: app}, rewrite: [{merge: {}}]}]`:                           {errs.Invalid, "is not a JSON object"},
		"target: {deletionPolicy: Delete}\ndataFrom: [{extract: {key: app, property: nope}}]": {errs.Invalid, "nope"},
	} {
		var count atomic.Int64
		_, err := Values(t.Context(), parse(t, spec), source(&count))
		if !errs.Is(err, want.kind) || !strings.Contains(err.Error(), want.words) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v (%v), want %v with %q", spec, err, errs.KindOf(err), want.kind, want.words)
		}
	}
}

// Two names that become one are both named, for every strategy.
func TestConversionClash(t *testing.T) {
	for _, c := range []struct {
		a, b     string
		strategy v1.ConversionStrategy
		words    string
	}{
		{"a/b", "a_b", v1.ConversionDefault, `keys "a/b" and "a_b" both become "a_b": set conversionStrategy Unicode`},
		{"a/b", "a_U002f_b", v1.ConversionUnicode, `keys "a/b" and "a_U002f_b" both become "a_U002f_b": use rewrite`},
	} {
		s := source(new(atomic.Int64))
		s.Find = func(context.Context, v1.SecretStoreRef, provider.Query) ([]provider.Found, time.Time, error) {
			v := provider.Value{Data: redact.FromString(canary)}
			return []provider.Found{{Key: c.a, Value: &v}, {Key: c.b, Value: &v}}, time.Time{}, nil
		}
		es := parse(t, "dataFrom: [{find: {}}]")
		es.Spec.DataFrom[0].Find.ConversionStrategy = c.strategy
		if _, err := Values(t.Context(), es, s); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%v, want %q", err, c.words)
		}
	}
}

// What was found counts among the versions that the Secret is made of, and its
// search among when reading began.
func TestFindIsNoted(t *testing.T) {
	got, err := Values(t.Context(), parse(t, "dataFrom: [{find: {path: nn}}, {find: {path: at once}}]"), source(new(atomic.Int64)))
	if err != nil {
		t.Fatal(err)
	}
	for key, version := range map[string]string{"n/a": "3", "n/b": "3", "x/y": "1"} {
		if got.Versions[Want{v1.SecretStoreRef{Name: "main"}, provider.Request{Key: key}}] != version {
			t.Errorf("versions %v, want %s of %s", got.Versions, version, key)
		}
	}
}

func TestStoresAndSearches(t *testing.T) {
	spec := &parse(t, `data: [{secretKey: a, remoteRef: {key: x}, sourceRef: {storeRef: {name: other}}}]
dataFrom: [{find: {path: p}}, {find: {path: p}}, {find: {path: p, name: {regexp: x}}}, {find: {tags: {a: b}}, sourceRef: {storeRef: {name: third, kind: ClusterSecretStore}}}]`).Spec
	if got := Searches(spec); len(got) != 3 || got[0].Path != "p" || got[1].Name != "x" || got[2].Tags != provider.TagsOf(map[string]string{"a": "b"}) {
		t.Errorf("searches %+v", got)
	}
	want := []v1.SecretStoreRef{{Name: "other"}, {Name: "main"}, {Name: "third", Kind: v1.KindClusterSecretStore}}
	if got := Stores(spec); !slices.Equal(got, want) {
		t.Errorf("stores %v, want %v", got, want)
	}
}
