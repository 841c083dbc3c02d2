package versions_test

import (
	"slices"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/facts"
	. "github.com/strongkeep/strongkeep/internal/kube/consumer/finder/versions"
)

var (
	oldValue, newValue, constant = facts.Sum{1}, facts.Sum{2}, facts.Sum{3}
	a, b, east                   = Place{"", "a"}, Place{"", "b"}, Place{"east", "a"}
)

func one(s ...facts.Sum) []facts.Sum { return s }

func TestValues(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*Values)
		at   Place
		hold []facts.Sum
		want string
	}{
		"vouched, anywhere":             {func(v *Values) { v.Vouch(one(newValue), "7", Unsure) }, east, one(newValue), "7"},
		"claimed, there":                {func(v *Values) { v.Claim(a, one(newValue), "7") }, a, one(newValue), "7"},
		"claimed, elsewhere":            {func(v *Values) { v.Claim(a, one(newValue), "7") }, b, one(newValue), ""},
		"claimed, in another cluster":   {func(v *Values) { v.Claim(a, one(newValue), "7") }, east, one(newValue), ""},
		"claimed for a cluster":         {func(v *Values) { v.Claim(Place{Cluster: "east"}, one(newValue), "7") }, east, one(newValue), "7"},
		"claims that differ":            {func(v *Values) { v.Claim(a, one(newValue), "7"); v.Claim(a, one(newValue), "6") }, a, one(newValue), ""},
		"claimed against what is known": {func(v *Values) { v.Vouch(one(oldValue), "6", Unsure); v.Claim(a, one(oldValue), "7") }, a, one(oldValue), "6"},
		"nothing known":                 {func(*Values) {}, a, one(newValue), ""},
	} {
		v := New(&Memory{}, "location")
		c.do(v)
		if got := v.Of(c.at, c.hold); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// The old value never becomes that of the new version, and one that stays the same
// says nothing of a copy that has the old one beside it.
func TestPreviousValue(t *testing.T) {
	var m Memory
	before := New(&m, "location")
	before.Vouch(one(oldValue, constant), "6", Unsure)
	now := New(&m, "location")
	now.Vouch(one(newValue, constant), "7", Unsure)
	if got := now.Of(a, one(constant, oldValue)); got != "6" {
		t.Errorf("a copy of the old one is of %q", got)
	}
	if got := now.Of(a, one(constant)); got != "" {
		t.Errorf("a value that does not change is of %q", got)
	}
	if got := now.Of(a, one(constant, newValue)); got != "7" {
		t.Errorf("a copy of the new one is of %q", got)
	}
	now.Vouch(one(oldValue), "7", Unsure) // by whoever could be wrong
	if got := now.Of(a, one(oldValue)); got != "" {
		t.Errorf("the old value is of %q", got)
	}
	if got := New(&m, "another").Of(a, one(newValue)); got != "" {
		t.Errorf("at another location it is of %q", got)
	}
}

// What a value is of does not depend on the order in which it is heard, but where
// versions cannot be put in one.
func TestWords(t *testing.T) {
	type said struct {
		version string
		word    Word
	}
	for name, c := range map[string]struct {
		said []said
		want string
	}{
		"it came with a version":                       {[]said{{"6", Changed}}, "6"},
		"it was there before":                          {[]said{{"6", Unchanged}}, ""},
		"it came, and stays with the next":             {[]said{{"6", Changed}, {"7", Unchanged}}, ""},
		"it came, and is there with the next":          {[]said{{"6", Changed}, {"7", Unsure}}, ""},
		"it came again, with another that lags behind": {[]said{{"5", Changed}, {"5", Unsure}, {"7", Changed}}, "7"},
		"it went back":                                 {[]said{{"9", Unsure}, {"11", Changed}}, "11"},
		"it was always there, until it came":           {[]said{{"5", Unsure}, {"6", Unsure}, {"8", Changed}}, "8"},
		"it came to one Secret, another had it":        {[]said{{"6", Changed}, {"6", Unchanged}}, ""},
		"it came to one Secret, another was made anew": {[]said{{"6", Changed}, {"6", Unsure}}, "6"},
		"no number": {[]said{{"x", Changed}, {"y", Changed}}, ""},
	} {
		for range 2 {
			v := New(&Memory{}, "location")
			for range 2 { // said again, it is the same
				for _, s := range c.said {
					v.Vouch(one(newValue), s.version, s.word)
				}
			}
			if got := v.Of(a, one(newValue)); got != c.want {
				t.Errorf("%s, %v: %q, want %q", name, c.said, got, c.want)
			}
			slices.Reverse(c.said)
		}
	}
}
