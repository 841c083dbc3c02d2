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

func at(places ...string) map[place]bool {
	out := map[place]bool{}
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
