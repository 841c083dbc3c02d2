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
	r := &snapshot.Stored{Place: "r.json", Cluster: "c1", Time: checktest.Ago(time.Hour), Digest: "sha256:aa", KeyID: "k", Current: true, Values: 3, Under: map[string]int{"kms-v2/strongkeep": 3}}
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
		{Name: "API servers differ", Answer: check.Unknown, Needs: []string{"one configuration"}, Snapshot: seen(stored(func(r *snapshot.Stored) { r.Differ = "2 different files" }), nil)},
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
