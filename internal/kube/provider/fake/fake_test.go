package fake

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/providertest"
	"github.com/strongkeep/strongkeep/internal/redact"
)

func TestConformance(t *testing.T) {
	var s Settings
	for _, p := range providertest.Planted() {
		s.Data = append(s.Data, Entry{Key: p.Key, Value: p.Value})
	}
	providertest.Run(t, providertest.Harness{Provider: Provider{}, Settings: s})
}

// The store has no pages, no tags, and no backend that could fail.
func TestFinder(t *testing.T) {
	var s Settings
	for _, p := range providertest.Planted() {
		s.Data = append(s.Data, Entry{Key: p.Key, Value: p.Value})
	}
	for _, p := range providertest.Searched() {
		s.Data = append(s.Data, Entry{Key: p.Key, Value: `{"n":"older"}`, Version: "9"}, Entry{Key: p.Key, Value: p.Value, Version: "10"})
	}
	providertest.RunFinder(t, providertest.Harness{Provider: Provider{}, Settings: s}, providertest.Search{
		NoTags: true, Path: func(folder string) string { return folder + "/" },
	})
}

// There is no backend that could fail, and no versions.
func TestWriter(t *testing.T) {
	var s Settings
	for _, key := range []string{"push-foreign", "push-leaks"} {
		s.Data = append(s.Data, Entry{Key: key, Value: `{"mine":"1"}`})
	}
	providertest.RunWriter(t, providertest.Harness{Provider: Provider{}, Settings: s}, providertest.Writing{Put: func(string, string) {}})
	st, err := open(t, `{"data":[]}`)
	if err != nil {
		t.Fatal(err)
	}
	w := provider.Write{Place: provider.Place{Key: "pushed/x"}, Value: redact.FromString("v")}
	if err := st.(provider.Writer).Write(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	found, err := st.(provider.Finder).Find(t.Context(), provider.Query{Path: "pushed"})
	if err != nil || len(found) != 1 || found[0].Value.Data.RevealString() != "v" {
		t.Errorf("a search finds %+v (%v)", found, err)
	}
}

func open(t *testing.T, settings string) (provider.Store, error) {
	t.Helper()
	return Provider{}.Open(t.Context(), provider.Config{Settings: json.RawMessage(settings)})
}

func TestVersions(t *testing.T) {
	st, err := open(t, `{"data":[{"key":"a","value":"one","version":"1"},{"key":"a","value":"ten","version":"10"},
		{"key":"a","value":"nine","version":"9"},{"key":"b","value":"named","version":"x"},{"key":"b","value":"bare"},
		{"key":"m","valueMap":{"k":"v"}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ key, version, want, wantVersion string }{
		{"a", "", "ten", "10"}, {"a", "1", "one", "1"}, {"b", "", "bare", ""}, {"b", "x", "named", "x"}, {"m", "", `{"k":"v"}`, ""},
	} {
		v, err := st.Read(t.Context(), provider.Request{Key: c.key, Version: c.version})
		if err != nil || v.Data.RevealString() != c.want || v.Version != c.wantVersion {
			t.Errorf("%s version %q: %q version %q (%v), want %q version %q", c.key, c.version, v.Data.Reveal(), v.Version, err, c.want, c.wantVersion)
		}
	}
	if _, err := st.Read(t.Context(), provider.Request{Key: "a", Metadata: true}); !errs.Is(err, errs.Unsupported) {
		t.Errorf("metadata: %v, want unsupported", err)
	}
}

func TestBadSettings(t *testing.T) {
	for settings, want := range map[string]string{
		`{"data":[{"value":"x"}]}`:                         "data[0]: key is missing",
		`{"data":[{"key":"a"},{"key":"a"}]}`:               "is there twice",
		`{"data":[{"key":"a","value":"x","valueMap":{}}]}`: "both value and valueMap",
		`{"data":[{"key":7}]}`:                             "spec.provider.fake",
		`[]`:                                               "spec.provider.fake",
	} {
		if _, err := open(t, settings); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want invalid with %q", settings, err, want)
		}
	}
}

func TestCheck(t *testing.T) {
	for settings, want := range map[string]errs.Kind{
		`{"data":[],"validationResult":1}`: errs.Unsupported,
		`{"data":[],"validationResult":2}`: errs.Invalid,
	} {
		st, err := open(t, settings)
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Check(t.Context()); !errs.Is(err, want) {
			t.Errorf("%s: %v, want %v", settings, err, want)
		}
	}
}
