package claim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func by(name string, second int64) Owner {
	return Owner{types.NamespacedName{Namespace: "ns", Name: name}, types.UID(name), metav1.NewTime(time.Unix(second, 0))}
}

func at(places ...string) Wanted {
	out := Wanted{}
	for i := 0; i < len(places); i += 2 {
		out[Place{places[i], places[i+1]}] = true
	}
	return out
}

// The older holds what two want; a property and the whole are the same Place; who
// waits is told when it is free.
func TestClaims(t *testing.T) {
	var told []string
	c := &Claims{Changed: func(key types.NamespacedName) { told = append(told, key.Name) }}
	heard := func(want ...string) {
		t.Helper()
		slices.Sort(told)
		if !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		told = nil
	}
	older, newer, third := by("older", 1), by("newer", 2), by("third", 2)
	if held := c.Set(newer, at("x", "a", "y", "")); len(held) != 0 {
		t.Errorf("%v is held by nobody", held)
	}
	heard()
	if held := c.Set(older, at("x", "b", "z", "")); len(held) != 0 {
		t.Errorf("another property of the same secret is held: %v", held)
	}
	heard("newer")
	if held := c.Set(older, at("x", "", "z", "")); len(held) != 0 {
		t.Errorf("the older one is held up: %v", held)
	}
	heard("newer")
	held := c.Set(newer, at("x", "a", "y", ""))
	if o, ok := held[Place{"x", "a"}]; !ok || o.Key != older.Key || len(held) != 1 {
		t.Errorf("%v, want x held by the older", held)
	}
	heard() // nothing new
	held = c.Set(third, at("x", "a"))
	if o := held[Place{"x", "a"}]; o.Key != older.Key {
		t.Errorf("%v, want the oldest of all", held)
	}
	heard("newer", "older")
	c.Drop(older.Key)
	heard("newer", "third")
	if held := c.Set(newer, at("x", "a")); len(held) != 0 {
		t.Errorf("%v, want the first by UID of the same second", held)
	}
	heard()
	c.Drop(newer.Key)
	c.Drop(third.Key)
	if len(c.at) != 0 || len(c.of) != 0 {
		t.Errorf("%d and %d entries are left", len(c.at), len(c.of))
	}
}

// What a SecretStore leads to holds up nobody of another namespace: its author may have
// no right there. What both want by a ClusterSecretStore does.
func TestClaimsOfNamespaces(t *testing.T) {
	squatter, victim := by("squatter", 1), by("victim", 2)
	squatter.Key.Namespace = "elsewhere"
	p := Place{"x", "a"}
	for _, c := range []struct {
		theirs, ours Wanted
		held         bool
	}{
		{Wanted{p: false}, Wanted{p: false}, false},
		{Wanted{p: false}, Wanted{p: true}, false},
		{Wanted{p: true}, Wanted{p: false}, false},
		{Wanted{p: true}, Wanted{p: true}, true},
		{Wanted{{"x", ""}: true}, Wanted{p: true}, true},
		{Wanted{{"x", ""}: false, {"x", "b"}: true}, Wanted{p: true}, false},
	} {
		Claims := &Claims{}
		Claims.Set(squatter, c.theirs)
		if held := Claims.Set(victim, c.ours); len(held) > 0 != c.held {
			t.Errorf("theirs %v, ours %v: held %v", c.theirs, c.ours, held)
		}
		if rival := Claims.Rival(victim.Key, p, c.ours[p]); rival != c.held {
			t.Errorf("theirs %v, ours %v: a rival is %v", c.theirs, c.ours, rival)
		}
	}
	var told []types.NamespacedName
	c := &Claims{Changed: func(key types.NamespacedName) { told = append(told, key) }}
	c.Set(victim, Wanted{p: true})
	c.Set(squatter, Wanted{p: false})
	told = nil
	c.Set(squatter, Wanted{p: true}) // by another store
	if len(told) != 1 || told[0] != victim.Key {
		t.Errorf("told %v of a rival that became one", told)
	}
}

func BenchmarkClaims(b *testing.B) {
	c := &Claims{}
	for i := range 10_000 {
		c.Set(by(fmt.Sprint(i), int64(i)), at(fmt.Sprint("x", i), ""))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.Set(by(fmt.Sprint(i%10_000), int64(i%10_000)), at(fmt.Sprint("x", i%10_000), ""))
	}
}
