package trace_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/gentest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/trace"
)

func graph(t testing.TB, clusters ...trace.Cluster) *trace.Graph {
	t.Helper()
	g, err := trace.New(trace.Config{Clusters: clusters, Now: gentest.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// holders are those of a credential, in order.
func holders(c *trace.Credential) string {
	var out []string
	for _, r := range c.Holders() {
		out = append(out, r.String())
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// Every planted copy is found, and no other: whatever the Secrets of a cluster have
// in common besides.
func TestPlantedCopies(t *testing.T) {
	for name, config := range map[string]gentest.Config{"small": gentest.Small(), "large": gentest.Large()} {
		if testing.Short() && name == "large" {
			continue
		}
		made := gentest.New(config)
		g := graph(t, trace.Cluster{Snapshot: made.Snapshot})
		var got, want []string
		for _, c := range g.Credentials() {
			if len(c.Holders()) > 1 {
				got = append(got, holders(c))
			}
		}
		for _, c := range made.Truth.Copies {
			var one []string
			for _, h := range c.Holders {
				one = append(one, h.String())
			}
			slices.Sort(one)
			if len(one) > 1 {
				want = append(want, strings.Join(one, "; "))
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d credentials with copies, %d were planted; the first of both: %.300q and %.300q", name, len(got), len(want), got, want)
		}
	}
}

// Exactly the planted ones are used by nothing.
func TestPlantedUnused(t *testing.T) {
	made := gentest.New(gentest.Small())
	g := graph(t, trace.Cluster{Snapshot: made.Snapshot})
	unused := map[string]bool{}
	for _, n := range made.Truth.Unused {
		unused[n.String()] = true
	}
	for i := range made.Secrets {
		s := &made.Secrets[i]
		n := path.Name{Namespace: s.Namespace, Name: s.Name}
		list, ok := g.Resolve("", n)
		if !ok {
			t.Fatalf("%s is not there", n)
		}
		// What is only in this Secret tells whether the Secret is used.
		for _, c := range list {
			if len(c.Holders()) > 1 || s.Release != nil {
				continue
			}
			if got := g.Trace(c).Unused == "yes"; got != unused[n.String()] {
				t.Errorf("%s: unused %v, planted %v", n, got, unused[n.String()])
			}
		}
	}
}

// Readers of a credential are those of all its copies.
func TestReadersOfCopies(t *testing.T) {
	made := gentest.New(gentest.Small())
	g := graph(t, trace.Cluster{Snapshot: made.Snapshot})
	for _, planted := range made.Truth.Copies {
		want := map[string]bool{}
		for _, h := range planted.Holders {
			if h.Kind == "Secret" {
				for s := range made.Truth.Readers[path.Name{Namespace: h.Namespace, Name: h.Name}] {
					want[s.String()] = true
				}
			}
		}
		list, _ := g.Resolve("", planted.Secret)
		for _, c := range list {
			if len(c.Holders()) != len(planted.Holders) || len(planted.Holders) == 1 {
				continue
			}
			r := g.Trace(c).Readers[0]
			if r.Count+r.Builtin < len(want) {
				t.Errorf("%s: %d get at it or at a copy, planted were at least %d", planted.Secret, r.Count+r.Builtin, len(want))
			}
		}
	}
}

// Every credential of 200 services of 15 teams in four environments is somebody's: the
// team's whose namespace it is in, and the owner's whom the workload that uses it names.
func TestOwners(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED under -short: owners in a cluster of 200 services")
	}
	size := gentest.Large()
	size.Plants = nil
	made := gentest.New(size)
	owners := map[string]string{} // by namespace/service
	for i := range made.Workloads {
		if w := &made.Workloads[i]; strings.HasSuffix(w.Name, "7") {
			w.Labels["owner"] = "person-" + w.Namespace + "-" + w.Name
			owners[w.Namespace+"/"+w.Name] = w.Labels["owner"]
		}
	}
	g := graph(t, trace.Cluster{Snapshot: made.Snapshot})
	teams, environments, services, owned := map[string]int{}, map[string]int{}, map[string]bool{}, map[string]bool{}
	for _, c := range g.Credentials() {
		r := g.Trace(c)
		namespace, secret, _ := strings.Cut(r.Name, "/")
		service := namespace + "/" + secret[:strings.LastIndex(secret, "-")]
		team, environment, _ := strings.Cut(namespace, "-")
		want := trace.Owner{Team: team, Environment: environment}
		if r.Unused == "no" {
			want.Owner = owners[service]
		}
		if r.Owner != want {
			t.Fatalf("%s (used: %s): %+v, want %+v", r.Name, r.Unused, r.Owner, want)
		}
		teams[team]++
		environments[environment]++
		services[service] = true
		if want.Owner != "" {
			owned[want.Owner] = true
		}
	}
	if len(teams) != 15 || len(environments) != 4 || len(services) != 800 || len(owned) != len(owners) || len(owned) != 80 {
		t.Errorf("%d teams, %d environments, %d services in them, %d owners of %d", len(teams), len(environments), len(services), len(owned), len(owners))
	}
}

func BenchmarkNew(b *testing.B) {
	made := gentest.New(gentest.Large())
	for b.Loop() {
		graph(b, trace.Cluster{Snapshot: made.Snapshot})
	}
}

// One credential of the large cluster: at most 100 ms are promised.
func BenchmarkTrace(b *testing.B) {
	made := gentest.New(gentest.Large())
	g := graph(b, trace.Cluster{Snapshot: made.Snapshot})
	all := g.Credentials()
	g.Trace(all[0])
	for i := 0; b.Loop(); i++ {
		g.Trace(all[i*37%len(all)])
	}
}

// All of the large cluster, as inventory asks.
func BenchmarkTraceAll(b *testing.B) {
	made := gentest.New(gentest.Large())
	for b.Loop() {
		g := graph(b, trace.Cluster{Snapshot: made.Snapshot})
		for _, c := range g.Credentials() {
			g.Trace(c)
		}
	}
}
