package scan

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
)

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func aCopy(cluster, kind, name string) consumer.Copy {
	c := consumer.Copy{UID: "uid", Source: types.NamespacedName{Namespace: "a", Name: "db"}, Tool: "Kyverno", Keys: []string{"k"}}
	c.Cluster, c.Kind, c.Namespace, c.Name = cluster, corev1.SchemeGroupVersion.WithKind(kind), "b", name
	return c
}

// A search that has a lasting reason to be done again is done once a minute, and not
// at each look.
func TestDue(t *testing.T) {
	away := []consumer.Unreached{{Cluster: "east", Err: errors.New("away")}}
	for name, c := range map[string]struct {
		ended bool
		graph consumer.Graph
		held  bool
		again bool // after the minute
	}{
		"all was searched":     {true, consumer.Graph{}, false, false},
		"held for a copy":      {true, consumer.Graph{}, true, true},
		"not all may be read":  {true, consumer.Graph{Unsearched: []string{"secrets"}}, false, true},
		"a cluster is away":    {true, consumer.Graph{Unreached: away}, false, true},
		"the API server fails": {false, consumer.Graph{}, false, true},
		"unknown for good":     {true, consumer.Graph{Unknown: []string{"pods"}}, false, false},
	} {
		var m Memory
		if !m.Begin(7, c.held, start) {
			t.Errorf("%s: not due at first", name)
		}
		if c.ended {
			m.End(7, true, &c.graph)
		}
		for after := time.Duration(0); after < Every; after += 10 * time.Second {
			if m.Begin(7, c.held, start.Add(after)) {
				t.Errorf("%s: due again after %s", name, after)
			}
		}
		if got := m.Begin(7, c.held, start.Add(Every)); got != c.again {
			t.Errorf("%s: due after a minute: %v", name, got)
		}
		if !m.Begin(8, c.held, start.Add(time.Second)) {
			t.Errorf("%s: the next turn is not searched", name)
		}
	}
}

// Between two searches nothing is taken for searched that was not.
func TestBetween(t *testing.T) {
	var m Memory
	m.Begin(7, false, start)
	if m.End(7, false, &consumer.Graph{}) == "" {
		t.Error("a search that failed is one")
	}
	m.End(7, true, &consumer.Graph{Unsearched: []string{"secrets"}, Unreached: []consumer.Unreached{{Cluster: "east"}}})
	g := consumer.Graph{Unknown: []string{"pods"}}
	if why := m.End(7, false, &g); why == "" || !slices.Equal(g.Unknown, []string{"pods", "secrets"}) {
		t.Errorf("%q, unknown %q", why, g.Unknown)
	}
	if why := m.End(7, false, &consumer.Graph{Unreached: []consumer.Unreached{{Cluster: "east"}}}); why != "" {
		t.Errorf("a cluster that is away still is said to be so elsewhere: %q", why)
	}
	m.End(7, true, &consumer.Graph{})
	if why := m.End(7, false, &consumer.Graph{}); why != "" {
		t.Error(why)
	}
}

// What was found is the same after it was in a status.
func TestKnown(t *testing.T) {
	all := []consumer.Copy{aCopy("", "Secret", "x"), aCopy("east", "ConfigMap", "y")}
	var m Memory
	if got := m.Known(7, false, Status(all)); !reflect.DeepEqual(got, all) {
		t.Errorf("%+v", got)
	}
	m.End(7, true, &consumer.Graph{Copies: all[:1]})
	if got := m.Known(7, true, nil); len(got) != 1 {
		t.Errorf("a status that was not written counts more than what was found: %+v", got)
	}
	if got := m.Known(7, false, Status(all)); len(got) != 2 {
		t.Errorf("%+v", got)
	}
	if got := m.Known(8, true, nil); len(got) != 0 {
		t.Errorf("those of the turn before: %+v", got)
	}
}
