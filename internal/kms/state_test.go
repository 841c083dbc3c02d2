package kms

import (
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/keystore"
)

type named struct {
	keystore.Key
	name, id string
}

func (n named) Name() string  { return n.name }
func (n named) KeyID() string { return n.id }

// Guards what lies in every etcd: a key id never changes.
func TestKeyIDGolden(t *testing.T) {
	v := keystore.Version{ID: "3", Made: time.Unix(1_700_000_000, 0)}
	got := keyID("prod", named{name: "transit", id: "transit/kube"}, "transit_1/kube", v)
	if got != golden {
		t.Errorf("the key id has changed to %q: nothing that is encrypted would be decrypted", got)
	}
}

const golden = "sk1-7e63ed710eaabd3a8555e7c307a35a9d"

// Whatever differs, the key id does; and no two parts run together.
// A version may be one anew of a key that was made long ago: it ripens from then on, and is
// what it was.
func TestSince(t *testing.T) {
	made := time.Unix(1_700_000_000, 0)
	r := rules{delay: time.Minute}
	v := keystore.Version{ID: "1", Made: made, Since: made.Add(time.Hour), Wraps: true}
	if got, want := r.ripe(&version{Version: v}), made.Add(time.Hour+time.Minute); !got.Equal(want) {
		t.Errorf("ripe at %v, want %v", got, want)
	}
	before := v
	before.Since = made.Add(time.Second)
	if keyID("p", named{name: "k", id: "i"}, "l", v) != keyID("p", named{name: "k", id: "i"}, "l", before) {
		t.Error("its key id is another")
	}
}

func TestKeyIDsAreUnique(t *testing.T) {
	seen := map[string]string{}
	at := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		what, plugin, kind, key, lineage, version string
		made                                      time.Time
	}{
		{"first", "p", "k", "i", "l", "1", at},
		{"other plugin", "q", "k", "i", "l", "1", at},
		{"other kind", "p", "m", "i", "l", "1", at},
		{"other key", "p", "k", "j", "l", "1", at},
		{"other lineage", "p", "k", "i", "m", "1", at},
		{"other version", "p", "k", "i", "l", "2", at},
		{"made anew", "p", "k", "i", "l", "1", at.Add(time.Second)},
		{"no time", "p", "k", "i", "l", "1", time.Time{}},
		{"moved bytes", "pk", "", "i", "l", "1", at},
		{"moved bytes again", "p", "ki", "", "l", "1", at},
		{"and again", "p", "k", "i", "l1", "", at},
	} {
		id := keyID(c.plugin, named{name: c.kind, id: c.key}, c.lineage, keystore.Version{ID: c.version, Made: c.made})
		if was, ok := seen[id]; ok {
			t.Errorf("%q has the key id of %q", c.what, was)
		}
		seen[id] = c.what
	}
}

func TestChoose(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	r := rules{name: "p", key: named{}, delay: 3 * time.Minute}
	old, young, ripe := now.Add(-time.Hour), now.Add(-time.Minute), now.Add(-3*time.Minute)
	v := func(made time.Time, wraps bool) version {
		return version{Version: keystore.Version{Made: made, Wraps: wraps}}
	}
	for name, c := range map[string]struct {
		versions     []version
		active, want int
	}{
		"one, new":                      {[]version{v(young, true)}, -1, 0},
		"one of before":                 {[]version{v(old, true), v(young, true)}, -1, 0},
		"ripe":                          {[]version{v(old, true), v(ripe, true)}, -1, 1},
		"ripe, while another is active": {[]version{v(old, true), v(ripe, true)}, 0, 1},
		"young, while another is":       {[]version{v(old, true), v(young, true)}, 0, 0},
		"all young":                     {[]version{v(young, true), v(young, true)}, -1, 0},
		"never back":                    {[]version{v(old, true), v(young, true)}, 1, 1},
		"must not wrap any more":        {[]version{v(old, false), v(young, true)}, 0, 1},
		"the active one must not":       {[]version{v(old, true), v(old, false), v(young, true)}, 1, 2},
		"none may":                      {[]version{v(old, false)}, 0, -1},
		"only an older one may":         {[]version{v(old, true), v(old, false)}, 1, -1},
		"the middle one is ripe":        {[]version{v(old, true), v(ripe, true), v(young, true)}, 0, 1},
	} {
		if got := r.choose(&state{versions: c.versions, active: c.active}, now); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// A version that others are seen to write with is one whose time has come, also where
// the clock is behind theirs; and nothing older takes its place.
func TestFloor(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	r := rules{name: "p", key: named{}, delay: 3 * time.Minute}
	h := keystore.History{Lineage: "l", Versions: []keystore.Version{{ID: "1", Made: now.Add(-time.Hour), Wraps: true}, {ID: "2", Made: now, Wraps: true}, {ID: "3", Made: now, Wraps: true}}}
	s := r.next(nil, h, now)
	if s.current().ID != "1" || r.oldest(s, now.Add(time.Minute), time.Minute) != 0 {
		t.Fatalf("version %q is to be active before anything is seen", s.current().ID)
	}
	s.floor = s.versions[1].keyID
	s = r.next(s, h, now.Add(time.Second))
	if s.current().ID != "2" || r.choose(s, now) != 1 {
		t.Errorf("version %q is to be active where another writes with 2", s.current().ID)
	}
	if i := r.oldest(s, now.Add(time.Hour), time.Minute); i != 1 {
		t.Errorf("version %q may take its place", s.versions[i].ID)
	}
}

// A clock that is set back does not turn the key back, and forgets nothing.
func TestNeverBack(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	r := rules{name: "p", key: named{}, delay: 3 * time.Minute}
	for name, made := range map[string]time.Time{"the store says when": now.Add(-time.Hour), "the store does not": {}} {
		h := keystore.History{Lineage: "l", Versions: []keystore.Version{{ID: "1", Made: made, Wraps: true}, {ID: "2", Made: made, Wraps: true}}}
		s := r.next(nil, h, now)
		if s.current().ID != "2" {
			t.Fatalf("%s: version %q is active", name, s.current().ID)
		}
		s.looked = now
		early := now.Add(-2 * time.Hour)
		s = r.next(s, h, early)
		if best := r.choose(s, early); s.current().ID != "2" || best != 1 || s.lost != nil || !s.looked.Equal(now) {
			t.Errorf("%s: two hours earlier version %q is active, %q is to be, lost %v", name, s.current().ID, s.versions[best].ID, s.lost)
		}
	}
}
