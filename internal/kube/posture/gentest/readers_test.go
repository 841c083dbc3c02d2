package gentest_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/gentest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
)

// Of every Secret exactly those who were planted are found.
func TestReaders(t *testing.T) {
	g := gentest.New(gentest.Small())
	f := g.Finder()
	for _, name := range g.Names() {
		var got, want []string
		for _, r := range f.Readers(name) {
			got = append(got, r.Subject.String())
		}
		for s := range g.Truth.Readers[name] {
			want = append(want, s.String())
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v get at it, planted were %v", name, got, want)
		}
	}
}

// The same Config makes the same cluster, and another seed another.
func TestSeed(t *testing.T) {
	one, again := gentest.New(gentest.Small()), gentest.New(gentest.Small())
	if text(t, one) != text(t, again) {
		t.Error("another cluster the second time")
	}
	c := gentest.Small()
	c.Seed++
	if text(t, one) == text(t, gentest.New(c)) {
		t.Error("the same cluster with another seed")
	}
}

func text(t *testing.T, g *gentest.Cluster) string {
	t.Helper()
	raw, err := json.Marshal(g.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// The sizes that were asked for are there; what was planted comes on top.
func TestSizes(t *testing.T) {
	c := gentest.Large()
	c.Plants = nil
	g := gentest.New(c)
	got := []int{len(g.Secrets), len(g.Pods), len(g.RBAC.Roles), len(g.RBAC.RoleBindings) + len(g.RBAC.ClusterRoleBindings), len(g.Services), len(g.Namespaces)}
	if want := []int{10_000, 5_000, 2_000, 3_000, 800, 60}; !slices.Equal(got, want) {
		t.Errorf("Secrets, pods, Roles, bindings, services, namespaces: %v, want %v", got, want)
	}
}

// What is made once before the first is asked about.
func BenchmarkFinder(b *testing.B) {
	g := gentest.New(gentest.Large())
	for b.Loop() {
		g.Finder()
	}
}

// The first Secret that is asked about, from the snapshot: at most 50 ms are promised.
func BenchmarkFirst(b *testing.B) {
	g := gentest.New(gentest.Large())
	names := g.Names()
	for i := 0; b.Loop(); i++ {
		g.Finder().Readers(names[i*37%len(names)])
	}
}

// One more Secret of the large cluster.
func BenchmarkReadersOfOne(b *testing.B) {
	g := gentest.New(gentest.Large())
	f := g.Finder()
	names := g.Names()
	for i := 0; b.Loop(); i++ {
		f.Readers(names[i%len(names)])
	}
}

// All Secrets of the large cluster: at most 5 s are promised.
func BenchmarkReadersOfAll(b *testing.B) {
	g := gentest.New(gentest.Large())
	var names []path.Name
	for b.Loop() {
		f := g.Finder()
		names = g.Names()
		for _, n := range names {
			f.Readers(n)
		}
	}
	b.ReportMetric(float64(len(names)), "secrets")
}
