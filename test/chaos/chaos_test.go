package chaos_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
func programs(t *testing.T, overlay string) world.Programs {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED without root: nodes on networks and disks of their own")
	}
	for _, device := range []string{"/dev/net/tun", "/dev/fuse"} {
		if _, err := os.Stat(device); err != nil {
			t.Skip("SKIPPED: ", err)
		}
	}
	etcd, err := build.Ensure(t.Context(), build.Etcd, os.Stderr)
	if err != nil {
		t.Fatal("building etcd:", err)
	}
	if built := os.Getenv("CHAOS_NODE"); built != "" && overlay == "" { // built before, for many runs
		return world.Programs{Etcd: etcd["etcd"], Node: built}
	}
	node := filepath.Join(t.TempDir(), "node")
	args := []string{"build", "-o", node}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	if out, err := exec.CommandContext(t.Context(), "go", append(args, "./cmd/node")...).CombinedOutput(); err != nil {
		t.Fatalf("building the node: %v\n%s", err, out)
	}
	return world.Programs{Etcd: etcd["etcd"], Node: node}
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

// TestSchedules runs SCHEDULES schedules (default 6), those of the seeds from SEED on, WORLDS at once.
func TestSchedules(t *testing.T) {
	p := programs(t, "")
	first, count := number(t, "SEED", 1), number(t, "SCHEDULES", 6)
	seeds := make(chan uint64)
	go func() {
		defer close(seeds)
		for i := range count {
			seeds <- first + i
		}
	}()
	tally := &tally{began: time.Now()}
	var all sync.WaitGroup
	for range number(t, "WORLDS", 1) {
		all.Go(func() { work(t, p, seeds, tally) })
	}
	all.Wait()
	t.Logf("%s", tally)
	if tally.done == 0 {
		t.Error("no schedule was run")
	}
}

func work(t *testing.T, p world.Programs, seeds <-chan uint64, tally *tally) {
	r, err := chaos.NewRunner(p)
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
		s := schedule.New(seed)
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
			t.Errorf("%s\n%s\nhistory and logs: %s\nagain: make chaos SCHEDULES=1 SEED=%d", s, strings.Join(text, "\n"), at, seed)
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
