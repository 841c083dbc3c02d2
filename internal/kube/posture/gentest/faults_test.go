package gentest_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/checktest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/gentest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

var checks = app.Checks()

// ask asks all checks about g.
func ask(g *gentest.Cluster) *check.Report {
	return check.Run(checks, check.NewInput(g.Snapshot, gentest.Now().Add(time.Hour), check.Settings{}), nil, nil)
}

// lines are the findings, each with its check.
func lines(r *check.Report) []string {
	var out []string
	for i := range r.Results {
		for j := range r.Results[i].Findings {
			out = append(out, r.Results[i].ID+" "+checktest.Line(&r.Results[i].Findings[j].Finding))
		}
	}
	slices.Sort(out)
	return out
}

// faults are those that were planted, as lines.
func faults(g *gentest.Cluster) []string {
	var out []string
	for _, f := range g.Truth.Faults {
		out = append(out, f.Check+" "+checktest.Line(&check.Finding{Rule: f.Rule, Object: f.Object, Field: f.Field}))
	}
	slices.Sort(out)
	return out
}

// compare tells what was found and not planted, and the other way.
func compare(t *testing.T, got, want []string) {
	t.Helper()
	count := map[string]int{}
	for _, l := range got {
		count[l]++
	}
	for _, l := range want {
		count[l]--
	}
	told := 0
	for _, l := range slices.Sorted(maps.Keys(count)) {
		if count[l] == 0 {
			continue
		}
		if told++; told > 40 {
			t.Fatal("and more")
		}
		if count[l] > 0 {
			t.Errorf("found, and not planted: %s", l)
		} else {
			t.Errorf("planted, and not found: %s", l)
		}
	}
}

// sizes are the clusters that faults are planted in. With n of each.
func sizes(n int) map[string]gentest.Config {
	small, large := gentest.Small(), gentest.Large()
	small.Sound, small.Plants = true, []gentest.Plant{gentest.Faults(n)}
	large.Sound, large.Plants = true, []gentest.Plant{gentest.Faults(4 * n)}
	out := map[string]gentest.Config{"small": small}
	if !testing.Short() {
		out["large"] = large
	}
	return out
}

// In a cluster that is as the checklist wants it nothing is found, and every question is
// answered with yes.
func TestNoFaults(t *testing.T) {
	for name, c := range sizes(0) {
		t.Run(name, func(t *testing.T) {
			g := gentest.New(c)
			r := ask(g)
			compare(t, lines(r), nil)
			for i := range r.Results {
				if one := &r.Results[i]; one.Answer != check.Yes {
					t.Errorf("%s says %s (%s), needs %v", one.ID, one.Answer, one.Summary, one.Needs)
				}
			}
		})
	}
}

// Every planted fault is found, by the check and at the place that it was planted for, and
// nothing else.
func TestPlantedFaults(t *testing.T) {
	for name, c := range sizes(3) {
		t.Run(name, func(t *testing.T) {
			g := gentest.New(c)
			r := ask(g)
			compare(t, lines(r), faults(g))
			by := map[string]bool{}
			for _, f := range g.Truth.Faults {
				by[f.Check] = true
			}
			for i := range r.Results {
				if one := &r.Results[i]; by[one.ID] && one.Answer == check.Yes {
					t.Errorf("%s says yes, with %d findings", one.ID, len(one.Findings))
				}
			}
			for _, id := range []string{"SEC-03", "SEC-04", "SEC-05", "SEC-06", "SEC-07", "SEC-08", "SEC-09", "SEC-11", "SEC-12", "SEC-13", "SEC-14"} {
				if !by[id] {
					t.Errorf("no fault is planted for %s", id)
				}
			}
		})
	}
}

// kms is a provider, and so on.
func provider(kind, version string, keys int) snapshot.EncryptionProvider {
	return snapshot.EncryptionProvider{Kind: kind, APIVersion: version, Keys: keys}
}

// encrypts sets the providers of Secrets.
func encrypts(g *gentest.Cluster, providers ...snapshot.EncryptionProvider) {
	g.Control.Encryption = &snapshot.Encryption{Place: "encryption.yaml", Rules: []snapshot.Rule{{Resources: []string{"secrets"}, Providers: providers}}}
}

// counted is a counter of the API server, of Secrets.
func counted(way, prefix string, n float64) snapshot.Transformation {
	return snapshot.Transformation{Resource: "secrets", Type: way, Prefix: prefix, Status: "OK", Count: n}
}

// Faults of the control plane, one at a time: there is one of it.
func TestFaultsOfControl(t *testing.T) {
	const server = " APIServer kube-apiserver"
	clear := []string{"SEC-01 StoredInClear" + server, "SEC-02 NoEncryption" + server}
	for name, c := range map[string]struct {
		change func(*gentest.Cluster)
		want   []string
	}{
		"no encryption":      {func(g *gentest.Cluster) { encrypts(g) }, clear},
		"identity first":     {func(g *gentest.Cluster) { encrypts(g, provider("identity", "", 0), provider("kms", "v2", 0)) }, clear},
		"a key in a file":    {func(g *gentest.Cluster) { encrypts(g, provider("secretbox", "", 1)) }, []string{"SEC-02 LocalKey" + server}},
		"an old kind of KMS": {func(g *gentest.Cluster) { encrypts(g, provider("kms", "v1", 0)) }, []string{"SEC-02 KMSv1" + server}},
		"a key that is left": {func(g *gentest.Cluster) { encrypts(g, provider("kms", "v2", 0), provider("aescbc", "", 1)) }, []string{"SEC-02 LocalKeyLeft" + server + " at aescbc"}},
		"another is in force": {func(g *gentest.Cluster) {
			g.Control.Transformations = []snapshot.Transformation{counted("to_storage", "identity", 5)}
		}, []string{"SEC-01 NotInForce" + server, "SEC-02 NotInForce" + server}},
		"an API server without": {func(g *gentest.Cluster) { g.Control.Servers = append(g.Control.Servers, snapshot.Server{Name: "two"}) }, []string{"SEC-01 StoredInClear" + server, "SEC-02 NoEncryption" + server, "SEC-10 NotEnabled" + server, "SEC-08 ExtendedTokens" + server + " at service-account-extend-token-expiration"}},
		"one that logs nowhere": {func(g *gentest.Cluster) { delete(g.Control.Servers[0].Flags, "audit-log-path") }, []string{"SEC-10 NotEnabled" + server}},
		"nothing refuses":       {func(g *gentest.Cluster) { g.Admissions[0].Enforced = false }, []string{"SEC-12 NothingRefuses Cluster cluster"}},
		"some were read in clear": {func(g *gentest.Cluster) {
			encrypts(g, provider("kms", "v2", 0), provider("identity", "", 0))
			g.Control.Encryption.Since = gentest.Now().Add(-1000 * 24 * time.Hour)
			g.Control.Transformations = []snapshot.Transformation{counted("from_storage", "identity", 3), counted("to_storage", "k8s:enc:kms:v2:kms:", 9)}
		}, []string{"SEC-01 ReadInClear" + server + " at apiserver_storage_transformation_operations_total"}},
		"a log of bodies": {func(g *gentest.Cluster) {
			g.Control.AuditPolicy = []byte(strings.Replace(gentest.AuditPolicy, "- level: Metadata", "- level: RequestResponse\n  resources: [{group: \"\", resources: [secrets]}]\n- level: Metadata", 1))
		}, []string{"SEC-10 Leak Policy audit-policy at secrets"}},
		"a log without": {func(g *gentest.Cluster) {
			g.Control.AuditPolicy = []byte(strings.Replace(gentest.AuditPolicy, "- level: Metadata", "- level: None\n  resources: [{group: \"\", resources: [pods/exec]}]\n- level: Metadata", 1))
		}, []string{"SEC-10 Blind Policy audit-policy at pods/exec"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := gentest.New(sizes(0)["small"])
			c.change(g)
			compare(t, lines(ask(g)), c.want)
		})
	}
	t.Run("those from before", func(t *testing.T) {
		g := gentest.New(sizes(0)["small"])
		encrypts(g, provider("kms", "v2", 0), provider("identity", "", 0))
		g.Control.Encryption.Since = gentest.Now().Add(24 * time.Hour)
		var want []string
		for i := range g.Namespaces {
			want = append(want, "SEC-01 NotRewritten Namespace "+g.Namespaces[i].Name)
		}
		compare(t, lines(ask(g)), want)
	})
}
