package provider

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestTags(t *testing.T) {
	if TagsOf(nil) != "" || TagsOf(map[string]string{"b": "2", "a": "1"}) != TagsOf(map[string]string{"a": "1", "b": "2"}) {
		t.Error("equal tags are not equal")
	}
	for name, c := range map[string]struct {
		want, have map[string]string
		in         bool
	}{
		"none wanted":    {nil, nil, true},
		"one of two":     {map[string]string{"a": "1"}, map[string]string{"a": "1", "b": "2"}, true},
		"another value":  {map[string]string{"a": "1"}, map[string]string{"a": "2"}, false},
		"absent":         {map[string]string{"a": "1"}, map[string]string{"b": "1"}, false},
		"empty, absent":  {map[string]string{"a": ""}, nil, false},
		"quotes and all": {map[string]string{`a"`: "\n\x00"}, map[string]string{`a"`: "\n\x00"}, true},
	} {
		if got := TagsOf(c.want).In(c.have); got != c.in {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestMatcher(t *testing.T) {
	for expr, keys := range map[string]map[string]bool{
		"":            {"": true, "any": true},
		"^app/.*-db$": {"app/x-db": true, "app/x-db2": false, "my/app/x-db": false},
		"b":           {"abc": true, "ac": false},
	} {
		match, err := Query{Name: expr}.Matcher()
		if err != nil {
			t.Fatal(err)
		}
		for key, want := range keys {
			if match(key) != want {
				t.Errorf("%q matches %q: %v", expr, key, !want)
			}
		}
	}
	for _, bad := range []string{"(", "a{1001}", strings.Repeat("a", maxExpression+1)} {
		if _, err := (Query{Name: bad}).Matcher(); !errs.Is(err, errs.Invalid) {
			t.Errorf("%.10q: %v, want invalid", bad, err)
		}
	}
}
