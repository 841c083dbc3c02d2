package chaos_test

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/test/chaos"
	"github.com/strongkeep/strongkeep/test/chaos/check"
	"github.com/strongkeep/strongkeep/test/chaos/schedule"
)

// mutant is a server that breaks a promise, and what goes wrong while it does.
type mutant struct {
	edits    []edit
	faults   []schedule.Fault
	promises []check.Promise // of which one is found broken
}

// edit replaces old, which is there once, in a file of the repository.
type edit struct{ file, old, broken string }

// each is the fault at each node in turn.
func each(kind schedule.Kind, length time.Duration) []schedule.Fault {
	var all []schedule.Fault
	for node := range schedule.External.Nodes() {
		f := at(kind, length)
		f.A = node
		all = append(all, f)
	}
	return all
}

func at(kind schedule.Kind, length time.Duration) schedule.Fault {
	return schedule.Fault{Kind: kind, At: 500 * time.Millisecond, For: length, Delay: 200 * time.Millisecond}
}

var mutants = map[schedule.World]map[string]mutant{
	schedule.External: onEtcd, schedule.Cluster: onEtcd, schedule.Embedded: onPebble,
}

var onPebble = map[string]mutant{
	"a commit is not synced": {
		[]edit{{"internal/vault/store/pebble/committer.go", "c.db.Apply(batch, pebble.Sync)", "c.db.Apply(batch, pebble.NoSync)"}},
		[]schedule.Fault{at(schedule.PowerNode, time.Second), at(schedule.PowerAgain, 4*time.Second)}, []check.Promise{check.Acknowledged, check.Linearizable, check.Recovered},
	},
	"a commit does not look at what was read": {
		[]edit{{"internal/vault/store/pebble/committer.go", "if !ch.Guarded {", "if !ch.Guarded || c != nil {"}},
		[]schedule.Fault{at(schedule.SlowAudit, 5*time.Second), at(schedule.KillAgain, 2*time.Second)}, []check.Promise{check.Linearizable, check.Acknowledged, check.Invented},
	},
	"a lease is answered before what it stands for is made": {
		[]edit{{"internal/vault/gate/lease.go", "err = safeAfter(ctx, res)", "go func() { _ = safeAfter(ctx, res) }()"}},
		[]schedule.Fault{at(schedule.KillNode, time.Second)}, []check.Promise{check.LeaseHeld},
	},
}

var onEtcd = map[string]mutant{
	"an index is not waited for": {
		[]edit{{"internal/vault/follow/follow.go", "if seen >= rev {", "if seen >= rev || rev > 0 {"}},
		each(schedule.SlowNet, 5*time.Second), []check.Promise{check.Indexed, check.Linearizable, check.Revoked, check.Alive},
	},
	"what is in memory is believed for an hour": {
		[]edit{{"internal/vault/store/etcd/config.go", "MaxSilenceShared = 900 * time.Millisecond", "MaxSilenceShared = time.Hour"}},
		each(schedule.CutNode, 4*time.Second), []check.Promise{check.Fresh, check.Revoked},
	},
	"a commit does not look at what was read": {
		[]edit{{"internal/vault/store/etcd/etcd.go", "if c.Guarded {", "if c.Guarded && s == nil {"}},
		each(schedule.StepDown, time.Second), []check.Promise{check.Linearizable, check.Acknowledged, check.Invented},
	},
	"a commit that failed is acknowledged": {
		[]edit{{"internal/vault/store/etcd/etcd.go", `return 0, failure("committing", err)`, "return 1, nil"}},
		[]schedule.Fault{{Kind: schedule.KillEtcds, At: 500 * time.Millisecond, For: 5500 * time.Millisecond}}, []check.Promise{check.Acknowledged, check.Linearizable, check.Recovered},
	},
	"a lease that ended while its account was made is not looked at": {
		[]edit{{"internal/vault/gate/lease.go", "return c.vault.Leases.Confirm(ctx, c.leased)", "return nil"}},
		each(schedule.FreezeNode, 5*time.Second), []check.Promise{check.LeaseOver},
	},
	"background work is not fenced, and goes on": {
		[]edit{
			{"internal/vault/leader/fence.go", "append(slices.Clip(changes), store.Check(Key, f.term))...", "changes..."},
			{"internal/vault/leader/leader.go", "case errs.Is(err, errs.Conflict), time.Since(last) >= e.cfg.TTL:", "case last.IsZero():"},
			{"internal/vault/leader/leader.go", "if err := e.cfg.Fit(); err != nil {", "if err := e.cfg.Fit(); err != nil && last.IsZero() {"},
		},
		each(schedule.FreezeNode, 5*time.Second), []check.Promise{check.OneLeader},
	},
}

// inCluster are the faults of a cluster of the nodes' own that do what others do to nodes on an etcd.
var inCluster = map[schedule.Kind]schedule.Kind{
	schedule.SlowNet: schedule.SlowPeers, schedule.CutNode: schedule.PartNode, schedule.KillEtcds: schedule.KillMost,
}

// TestMutants shows that the harness finds what it is there to find, in WORLD (default external).
// Each schedule has one fault, of those of the mutant in turn, until one shows it.
func TestMutants(t *testing.T) {
	if os.Getenv("STRONGKEEP_MUTANTS") == "" {
		t.Skip("SKIPPED: it builds the server for each; make chaos-mutants")
	}
	kind := schedule.World(cmp.Or(os.Getenv("WORLD"), string(schedule.External)))
	if mutants[kind] == nil {
		t.Fatalf("WORLD=%s has no mutants", kind)
	}
	for name, m := range mutants[kind] {
		t.Run(name, func(t *testing.T) {
			r, err := chaos.NewRunner(kind, programs(t, []schedule.World{kind}, m.overlay(t)))
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}()
			for i := range 4 * len(m.faults) {
				f := m.faults[i%len(m.faults)]
				if like, ok := inCluster[f.Kind]; ok && kind == schedule.Cluster {
					f.Kind = like
				}
				s := schedule.Schedule{World: kind, Seed: uint64(1_000_000 + i), Length: schedule.Length, Faults: []schedule.Fault{f}}
				result, err := r.Run(context.Background(), s)
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range result.Report.Violations {
					if slices.Contains(m.promises, v.Promise) {
						t.Logf("schedule %d: %s", i+1, brief(v.String()))
						return
					}
					t.Logf("schedule %d, not what it was made for: %s", i+1, brief(v.String()))
				}
			}
			t.Error("no schedule showed it")
		})
	}
}

// overlay is a file for go build -overlay with the mutant in it.
func (m mutant) overlay(t *testing.T) string {
	t.Helper()
	dir, replace := t.TempDir(), map[string]string{}
	for _, e := range m.edits {
		source, err := filepath.Abs(filepath.Join("..", "..", e.file))
		if err != nil {
			t.Fatal(err)
		}
		from := source
		if changed, ok := replace[source]; ok {
			from = changed
		}
		raw, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(raw), e.old); n != 1 {
			t.Fatalf("%s has %q %d times: the mutant must be found anew", e.file, e.old, n)
		}
		replace[source] = filepath.Join(dir, strings.ReplaceAll(e.file, "/", "_"))
		if err := os.WriteFile(replace[source], []byte(strings.Replace(string(raw), e.old, e.broken, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return list
}
