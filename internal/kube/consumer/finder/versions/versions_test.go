package versions_test

import (
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
		"vouched, anywhere":             {func(v *Values) { v.Vouch(one(newValue), "7") }, east, one(newValue), "7"},
		"claimed, there":                {func(v *Values) { v.Claim(a, one(newValue), "7") }, a, one(newValue), "7"},
		"claimed, elsewhere":            {func(v *Values) { v.Claim(a, one(newValue), "7") }, b, one(newValue), ""},
		"claimed, in another cluster":   {func(v *Values) { v.Claim(a, one(newValue), "7") }, east, one(newValue), ""},
		"claimed for a cluster":         {func(v *Values) { v.Claim(Place{Cluster: "east"}, one(newValue), "7") }, east, one(newValue), "7"},
		"claims that differ":            {func(v *Values) { v.Claim(a, one(newValue), "7"); v.Claim(a, one(newValue), "6") }, a, one(newValue), ""},
		"claimed against what is known": {func(v *Values) { v.Vouch(one(oldValue), "6"); v.Claim(a, one(oldValue), "7") }, a, one(oldValue), "6"},
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
	before.Vouch(one(oldValue, constant), "6")
	now := New(&m, "location")
	now.Vouch(one(newValue, constant), "7")
	if got := now.Of(a, one(constant, oldValue)); got != "6" {
		t.Errorf("a copy of the old one is of %q", got)
	}
	if got := now.Of(a, one(constant)); got != "" {
		t.Errorf("a value that does not change is of %q", got)
	}
	if got := now.Of(a, one(constant, newValue)); got != "7" {
		t.Errorf("a copy of the new one is of %q", got)
	}
	now.Vouch(one(oldValue), "7") // by whoever could be wrong
	if got := now.Of(a, one(oldValue)); got != "" {
		t.Errorf("the old value is of %q", got)
	}
	if got := New(&m, "another").Of(a, one(newValue)); got != "" {
		t.Errorf("at another location it is of %q", got)
	}
}
