package pushsecret

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func by(name string, second int64) owner {
	return owner{types.NamespacedName{Namespace: "ns", Name: name}, types.UID(name), metav1.NewTime(time.Unix(second, 0))}
}

func at(places ...string) wanted {
	out := wanted{}
	for i := 0; i < len(places); i += 2 {
		out[place{places[i], places[i+1]}] = true
	}
	return out
}

// The older holds what two want; a property and the whole are the same place; who
// waits is told when it is free.
func TestClaims(t *testing.T) {
	var told []string
	c := &claims{changed: func(key types.NamespacedName) { told = append(told, key.Name) }}
	heard := func(want ...string) {
		t.Helper()
		slices.Sort(told)
		if !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		told = nil
	}
	older, newer, third := by("older", 1), by("newer", 2), by("third", 2)
	if held := c.set(newer, at("x", "a", "y", "")); len(held) != 0 {
		t.Errorf("%v is held by nobody", held)
	}
	heard()
	if held := c.set(older, at("x", "b", "z", "")); len(held) != 0 {
		t.Errorf("another property of the same secret is held: %v", held)
	}
	heard("newer")
	if held := c.set(older, at("x", "", "z", "")); len(held) != 0 {
		t.Errorf("the older one is held up: %v", held)
	}
	heard("newer")
	held := c.set(newer, at("x", "a", "y", ""))
	if o, ok := held[place{"x", "a"}]; !ok || o.key != older.key || len(held) != 1 {
		t.Errorf("%v, want x held by the older", held)
	}
	heard() // nothing new
	held = c.set(third, at("x", "a"))
	if o := held[place{"x", "a"}]; o.key != older.key {
		t.Errorf("%v, want the oldest of all", held)
	}
	heard("newer", "older")
	c.drop(older.key)
	heard("newer", "third")
	if held := c.set(newer, at("x", "a")); len(held) != 0 {
		t.Errorf("%v, want the first by UID of the same second", held)
	}
	heard()
	c.drop(newer.key)
	c.drop(third.key)
	if len(c.at) != 0 || len(c.of) != 0 {
		t.Errorf("%d and %d entries are left", len(c.at), len(c.of))
	}
}

// What a SecretStore leads to holds up nobody of another namespace: its author may have
// no right there. What both want by a ClusterSecretStore does.
func TestClaimsOfNamespaces(t *testing.T) {
	squatter, victim := by("squatter", 1), by("victim", 2)
	squatter.key.Namespace = "elsewhere"
	p := place{"x", "a"}
	for _, c := range []struct {
		theirs, ours wanted
		held         bool
	}{
		{wanted{p: false}, wanted{p: false}, false},
		{wanted{p: false}, wanted{p: true}, false},
		{wanted{p: true}, wanted{p: false}, false},
		{wanted{p: true}, wanted{p: true}, true},
		{wanted{{"x", ""}: true}, wanted{p: true}, true},
		{wanted{{"x", ""}: false, {"x", "b"}: true}, wanted{p: true}, false},
	} {
		claims := &claims{}
		claims.set(squatter, c.theirs)
		if held := claims.set(victim, c.ours); len(held) > 0 != c.held {
			t.Errorf("theirs %v, ours %v: held %v", c.theirs, c.ours, held)
		}
		if rival := claims.rival(victim.key, p, c.ours[p]); rival != c.held {
			t.Errorf("theirs %v, ours %v: a rival is %v", c.theirs, c.ours, rival)
		}
	}
	var told []types.NamespacedName
	c := &claims{changed: func(key types.NamespacedName) { told = append(told, key) }}
	c.set(victim, wanted{p: true})
	c.set(squatter, wanted{p: false})
	told = nil
	c.set(squatter, wanted{p: true}) // by another store
	if len(told) != 1 || told[0] != victim.key {
		t.Errorf("told %v of a rival that became one", told)
	}
}

// Who is woken amid a push is pushed again, whatever came of that one.
func TestWokenAmidAPush(t *testing.T) {
	var m memories
	key := types.NamespacedName{Name: "p"}
	for name, end := range map[string]func(before memory){
		"failed":    func(before memory) { m.failed(key, before, "seen", time.Minute, time.Time{}) },
		"succeeded": func(before memory) { m.succeeded(key, before, "seen") },
	} {
		before := m.get(key)
		end(before)
		if got := m.get(key); got.seen != "seen" {
			t.Errorf("%s: %+v", name, got)
		}
		before = m.get(key)
		m.wake(key)
		m.patched(key, "7")
		end(before)
		if got := m.get(key); got.seen != "" || got.status != "7" {
			t.Errorf("%s, and woken meanwhile: %+v", name, got)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		failures int
		kind     errs.Kind
		want     time.Duration
	}{
		{1, errs.Unavailable, time.Second}, {3, errs.Conflict, 4 * time.Second}, {99, errs.Unavailable, 5 * time.Minute},
		{1, errs.Invalid, 30 * time.Second}, {2, errs.Unsupported, time.Minute}, {99, errs.TooLarge, 5 * time.Minute},
	} {
		if got := retryAfter(c.failures, errs.New(c.kind, "x")); got != c.want {
			t.Errorf("%d failures of kind %v: %v, want %v", c.failures, c.kind, got, c.want)
		}
	}
}

// A condition tells of a few errors, each once, and is tried again as the most
// hopeful of them.
func TestJoined(t *testing.T) {
	if joined(nil) != nil {
		t.Error("no errors are one")
	}
	list := []error{errs.New(errs.Invalid, "a"), errs.New(errs.Invalid, "a"), errs.New(errs.Unavailable, "down")}
	for i := range 9 {
		list = append(list, errs.Newf(errs.Denied, "e%d", i))
	}
	err := joined(list)
	if want := fmt.Sprintf("a; down; e0; e1; and %d more", len(list)-maxTold); err.Error() != want || errs.KindOf(err) != errs.Unavailable {
		t.Errorf("%q (%v), want %q", err, errs.KindOf(err), want)
	}
}

func BenchmarkClaims(b *testing.B) {
	c := &claims{}
	for i := range 10_000 {
		c.set(by(fmt.Sprint(i), int64(i)), at(fmt.Sprint("x", i), ""))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.set(by(fmt.Sprint(i%10_000), int64(i%10_000)), at(fmt.Sprint("x", i%10_000), ""))
	}
}
