package sec01_test

import (
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/checktest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec01"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// stored is a report that counts.
func stored(change func(*snapshot.Stored)) *snapshot.Stored {
	r := &snapshot.Stored{Place: "r.json", Cluster: "c1", Time: checktest.Ago(time.Hour), Digest: "sha256:aa", KeyID: "k", Current: true, Values: 3, Under: map[string]int{"kms-v2/strongkeep": 3}, Configuration: snapshot.Same}
	if change != nil {
		change(r)
	}
	return r
}

// A report answers what nothing else does, and only where it is of this cluster, of its
// running etcd and fresh; it never takes a no back.
func TestReported(t *testing.T) {
	seen := func(r *snapshot.Stored, change func(*snapshot.Snapshot)) snapshot.Snapshot {
		s := snapshot.Snapshot{
			Live: true, Coverage: snapshot.Coverage{"secrets": {}}, Namespaces: []snapshot.Namespace{{Meta: snapshot.Meta{Name: "kube-system", UID: "c1"}}},
			Control: snapshot.Control{Stored: r},
		}
		if change != nil {
			change(&s)
		}
		return s
	}
	// Without a report: new ones are encrypted, and one is older.
	partly := func(s *snapshot.Snapshot) {
		s.Secrets = []snapshot.Secret{secret("shop", "old", checktest.Ago(20*checktest.Day))}
		s.Control.Encryption = config(t, began, "secrets: aescbc identity")
	}
	off := func(s *snapshot.Snapshot) { s.Control.Servers = []snapshot.Server{{Name: "api-1"}} }
	clear := func(r *snapshot.Stored) { r.Clear, r.Names = 1, []string{"shop/db"} }
	in, none := "InClearInStorage APIServer kube-apiserver at etcd", "StoredInClear APIServer kube-apiserver"
	checktest.Run(t, sec01.Check(), []checktest.Case{
		{Name: "fresh", Answer: check.Yes, Snapshot: seen(stored(nil), nil)},
		{Name: "what was not rewritten by time is", Answer: check.Yes, Snapshot: seen(stored(nil), partly)},
		{Name: "some in clear", Answer: check.Partly, Findings: []string{in}, Snapshot: seen(stored(clear), nil)},
		{Name: "some in clear, whatever the rest says", Answer: check.Partly, Findings: []string{in}, Snapshot: seen(stored(clear), func(s *snapshot.Snapshot) { s.Control.Managed, s.Control.Version = "eks", "v1.31.2-eks-7f9249a" })},
		{Name: "written in clear", Answer: check.No, Findings: []string{none}, Snapshot: seen(stored(nil), off)},
		{Name: "written and lying in clear", Answer: check.No, Findings: []string{none, in}, Snapshot: seen(stored(clear), off)},
		{Name: "API servers differ", Answer: check.Unknown, Needs: []string{"one configuration"}, Snapshot: seen(stored(func(r *snapshot.Stored) { r.Configuration, r.Why = snapshot.Differs, "2 different files" }), nil)},
		{Name: "old", Answer: check.Unknown, Snapshot: seen(stored(func(r *snapshot.Stored) { r.Time = checktest.Ago(27 * time.Hour) }), nil)},
		{Name: "old, and accepted", Answer: check.Yes, Settings: check.Settings{Report: 48 * time.Hour}, Snapshot: seen(stored(func(r *snapshot.Stored) { r.Time = checktest.Ago(27 * time.Hour) }), nil)},
		{Name: "from the future", Answer: check.Unknown, Snapshot: seen(stored(func(r *snapshot.Stored) { r.Time = checktest.Ago(-time.Hour) }), nil)},
		{Name: "a snapshot, or another etcd", Answer: check.Unknown, Snapshot: seen(stored(func(r *snapshot.Stored) { r.Current = false }), nil)},
		{Name: "another cluster", Answer: check.Unknown, Snapshot: seen(stored(func(r *snapshot.Stored) { r.Cluster = "c2" }), nil)},
		{Name: "no value", Answer: check.Unknown, Snapshot: seen(stored(func(r *snapshot.Stored) { r.Values = 0 }), nil)},
		{Name: "which cluster is not known", Answer: check.Unknown, Snapshot: seen(stored(nil), func(s *snapshot.Snapshot) { s.Namespaces = nil })},
		{Name: "files", Answer: check.Unknown, Snapshot: seen(stored(nil), func(s *snapshot.Snapshot) { s.Live = false })},
		{Name: "what does not count changes nothing", Answer: check.Partly, Findings: []string{"NotRewritten Namespace shop"}, Snapshot: seen(stored(func(r *snapshot.Stored) { r.Cluster = "c2" }), partly)},
	})
}

// A report says nothing of what came behind it: what was read or written in clear by a process
// that began later, of a configuration that was taken up later, or of API servers that it did
// not ask.
func TestReportedBefore(t *testing.T) {
	aes, before, after := "k8s:enc:aescbc:v1:", checktest.Ago(2*time.Hour), checktest.Ago(30*time.Minute)
	found := []string{"NotRewritten Namespace shop", "ReadInClear APIServer kube-apiserver at apiserver_storage_transformation_operations_total"}
	unasked := func(r *snapshot.Stored) { r.Configuration, r.Why = "not checked", "there are more API servers" }
	// What is known without the report: an API server that writes encrypted, and has read some in clear.
	seen := func(r *snapshot.Stored, started time.Time, change func(*snapshot.Control), counted ...snapshot.Transformation) snapshot.Snapshot {
		s := snapshot.Snapshot{
			Live: true, Coverage: snapshot.Coverage{"secrets": {}}, Namespaces: []snapshot.Namespace{{Meta: snapshot.Meta{Name: "kube-system", UID: "c1"}}},
			Secrets: []snapshot.Secret{secret("shop", "old", checktest.Ago(20*checktest.Day))}, Control: snapshot.Control{Stored: r, Started: started, Transformations: counted},
		}
		if change != nil {
			change(&s.Control)
		}
		return s
	}
	given := func(c *snapshot.Control) {
		e := config(t, began, "secrets: aescbc identity")
		c.Encryption, c.InForce, c.Reloaded = e, e.Hash, checktest.Ago(90*time.Minute)
	}
	several := func(c *snapshot.Control) {
		for _, name := range []string{"a", "b", "c"} {
			c.Servers = append(c.Servers, snapshot.Server{Name: name, Flags: map[string]string{"encryption-provider-config": "/e.yaml"}})
		}
	}
	reads, writes := counter("from_storage", "identity", 500), counter("to_storage", aes, 3)
	all := []snapshot.Transformation{counter("from_storage", aes, 2), writes}
	one := []string{"one configuration"}
	checktest.Run(t, sec01.Check(), []checktest.Case{
		{Name: "read in clear by a process of before", Answer: check.Yes, Snapshot: seen(stored(nil), before, given, reads, writes)},
		{Name: "written in clear by it too, before the file", Answer: check.Yes, Snapshot: seen(stored(nil), before, given, reads, writes, counter("to_storage", "identity", 2))},
		{Name: "read in clear by a process of after", Answer: check.Partly, Findings: found, Snapshot: seen(stored(nil), after, given, reads, writes)},
		{Name: "written in clear by a process of after", Answer: check.Partly, Findings: found[:1], Snapshot: seen(stored(nil), after, given, writes, counter("to_storage", "identity", 2))},
		{Name: "since when it runs is not known", Answer: check.Partly, Findings: found, Snapshot: seen(stored(nil), time.Time{}, given, reads, writes)},
		{Name: "read in clear, and nothing else known", Answer: check.Unknown, Needs: []string{"a report"}, Snapshot: seen(stored(nil), after, nil, reads)},
		{Name: "one of three was asked", Answer: check.Unknown, Needs: one, Snapshot: seen(stored(unasked), before, several, all...)},
		{Name: "all three were asked", Answer: check.Yes, Snapshot: seen(stored(nil), before, several, all...)},
		{Name: "one of three was asked, and nothing else known", Answer: check.Unknown, Needs: one, Snapshot: seen(stored(unasked), before, several)},
		{Name: "a report of a program that does not say", Answer: check.Unknown, Needs: one, Snapshot: seen(stored(func(r *snapshot.Stored) { r.Configuration = "" }), before, nil)},
		{Name: "not asked, and the file is in force", Answer: check.Yes, Snapshot: seen(stored(unasked), before, given, writes)},
		{Name: "not asked, and another file is in force", Answer: check.Unknown, Needs: one, Snapshot: seen(stored(unasked), before, func(c *snapshot.Control) { given(c); c.InForce = "sha256:other" }, writes)},
		{Name: "not asked, and an old Secret by the counters", Answer: check.Partly, Findings: found[:1], Snapshot: seen(stored(unasked), before, func(c *snapshot.Control) { c.Reloaded = began }, writes)},
		{Name: "another configuration since", Answer: check.Unknown, Needs: one, Snapshot: seen(stored(nil), before, func(c *snapshot.Control) { c.Reloaded = after })},
		{Name: "another configuration since, and it is the file", Answer: check.Yes, Snapshot: seen(stored(nil), before, func(c *snapshot.Control) { given(c); c.Reloaded = after }, writes)},
	})
}
