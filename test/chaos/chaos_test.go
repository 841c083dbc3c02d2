package chaos_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/test/chaos"
	"github.com/strongkeep/strongkeep/test/chaos/schedule"
	"github.com/strongkeep/strongkeep/test/chaos/world"
	"github.com/strongkeep/strongkeep/test/cluster/build"
)

// programs builds what runs; overlay replaces sources of the node (go build -overlay), "" = none.
func programs(t *testing.T, kinds []schedule.World, overlay string) world.Programs {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED without root: nodes on networks and disks of their own")
	}
	for _, device := range []string{"/dev/net/tun", "/dev/fuse"} {
		if _, err := os.Stat(device); err != nil {
			t.Skip("SKIPPED: ", err)
		}
	}
	var p world.Programs
	if slices.Contains(kinds, schedule.External) {
		etcd, err := build.Ensure(t.Context(), build.Etcd, os.Stderr)
		if err != nil {
			t.Fatal("building etcd:", err)
		}
		p.Etcd = etcd["etcd"]
	}
	if p.Node = os.Getenv("CHAOS_NODE"); p.Node != "" && overlay == "" { // built before, for many runs
		return p
	}
	p.Node = filepath.Join(t.TempDir(), "node")
	args := []string{"build", "-o", p.Node}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	if out, err := exec.CommandContext(t.Context(), "go", append(args, "./cmd/node")...).CombinedOutput(); err != nil {
		t.Fatalf("building the node: %v\n%s", err, out)
	}
	return p
}

// worlds are those that WORLD names, and how many schedules of each are run if SCHEDULES does not say.
func worlds(t *testing.T) map[schedule.World]uint64 {
	t.Helper()
	short := map[schedule.World]uint64{schedule.External: 6, schedule.Cluster: 3, schedule.Embedded: 3}
	name := schedule.World(os.Getenv("WORLD"))
	if name == "" {
		return short
	}
	if short[name] == 0 {
		t.Fatalf("WORLD=%s is none of %v", name, slices.Sorted(maps.Keys(short)))
	}
	return map[schedule.World]uint64{name: short[name]}
}

// number reads a variable of make chaos.
func number(t *testing.T, name string, or uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return or
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestSchedules runs SCHEDULES schedules of WORLD (default: some of each), those of the seeds from SEED
// on, WORLDS at once.
func TestSchedules(t *testing.T) {
	kinds := worlds(t)
	names := slices.Sorted(maps.Keys(kinds))
	p := programs(t, names, "")
	for _, kind := range names {
		t.Run(string(kind), func(t *testing.T) { run(t, kind, p, number(t, "SCHEDULES", kinds[kind])) })
	}
}

func run(t *testing.T, kind schedule.World, p world.Programs, count uint64) {
	first, seeds := number(t, "SEED", 1), make(chan uint64)
	go func() {
		defer close(seeds)
		for i := range count {
			seeds <- first + i
		}
	}()
	tally := &tally{began: time.Now()}
	var all sync.WaitGroup
	for range number(t, "WORLDS", 1) {
		all.Go(func() { work(t, kind, p, seeds, tally) })
	}
	all.Wait()
	t.Logf("%s", tally)
	if tally.done == 0 {
		t.Error("no schedule was run")
	}
	if tally.leased > 0 && tally.ops["lease ok"] == 0 {
		t.Error("no lease was given")
	}
}

func work(t *testing.T, kind schedule.World, p world.Programs, seeds <-chan uint64, tally *tally) {
	r, err := chaos.NewRunner(kind, p)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	for seed := range seeds {
		s := schedule.New(kind, seed)
		result, err := r.Run(context.Background(), s)
		if err != nil {
			t.Errorf("the harness itself, at %s\n%v; its logs: %s", s, err, save(t, seed, r.Logs(), nil))
			r.Renew()
			continue
		}
		tally.add(result)
		if len(result.Report.Violations) > 0 {
			at := save(t, seed, r.Logs(), &result)
			text := make([]string, len(result.Report.Violations))
			for i, v := range result.Report.Violations {
				text[i] = brief(v.String())
			}
			t.Errorf("%s\n%s\nhistory and logs: %s\nagain: make chaos WORLD=%s SCHEDULES=1 SEED=%d", s, strings.Join(text, "\n"), at, kind, seed)
			r.Renew()
		}
	}
}

func brief(s string) string {
	if lines := strings.SplitN(s, "\n", 8); len(lines) == 8 {
		return strings.Join(lines[:7], "\n") + "\n    …"
	}
	return s
}

// save keeps what shows a fault, below CHAOS_KEEP or the system's directory for such.
func save(t *testing.T, seed uint64, logs string, result *chaos.Result) string {
	dir, err := os.MkdirTemp(os.Getenv("CHAOS_KEEP"), fmt.Sprintf("chaos-seed-%d-", seed))
	if err != nil {
		t.Error(err)
		return ""
	}
	files, _ := filepath.Glob(filepath.Join(logs, "*.log"))
	for _, f := range files {
		if raw, err := os.ReadFile(f); err == nil {
			_ = os.WriteFile(filepath.Join(dir, filepath.Base(f)), raw, 0o600)
		}
	}
	if result == nil {
		return dir
	}
	var text strings.Builder
	fmt.Fprintln(&text, result.Schedule)
	for _, v := range result.Report.Violations {
		fmt.Fprintln(&text, v)
	}
	for _, o := range result.Ops {
		fmt.Fprintln(&text, o)
	}
	if err := os.WriteFile(filepath.Join(dir, "history.txt"), []byte(text.String()), 0o600); err != nil {
		t.Error(err)
	}
	return dir
}

// tally is what all schedules together were.
type tally struct {
	began time.Time

	mu        sync.Mutex
	done      int
	leased    int // of those in which clients ask for leases
	broken    int
	undecided int
	ops       map[string]int
	faults    map[schedule.Kind]int
	slowest   time.Duration
	slowSeed  uint64
}

func (c *tally) add(r chaos.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done++
	if len(r.Report.Violations) > 0 {
		c.broken++
	}
	if !r.Schedule.Has(schedule.Skew) {
		c.leased++
	}
	c.undecided += len(r.Report.Undecided)
	if c.ops == nil {
		c.ops, c.faults = map[string]int{}, map[schedule.Kind]int{}
	}
	for _, o := range r.Ops {
		c.ops[fmt.Sprintf("%s %s", o.Kind, o.Outcome)]++
	}
	for _, f := range r.Schedule.Faults {
		c.faults[f.Kind]++
	}
	if r.Recovery > c.slowest {
		c.slowest, c.slowSeed = r.Recovery, r.Schedule.Seed
	}
	_, _ = fmt.Fprintf(os.Stderr, "chaos: seed %d: %d operations, %d violations, recovered after %.1fs (%d done in %.0fs)\n",
		r.Schedule.Seed, len(r.Ops), len(r.Report.Violations), r.Recovery.Seconds(), c.done, time.Since(c.began).Seconds())
}

func (c *tally) String() string {
	return fmt.Sprintf("%d schedules in %.0fs, %d broke a promise, %d keys undecided, slowest recovery %v (seed %d)\noperations: %v\nfaults: %v",
		c.done, time.Since(c.began).Seconds(), c.broken, c.undecided, c.slowest.Round(time.Millisecond), c.slowSeed, c.ops, c.faults)
}
