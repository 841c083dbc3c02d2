package chaos

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/strongkeep/strongkeep/test/chaos/check"
	"github.com/strongkeep/strongkeep/test/chaos/history"
	"github.com/strongkeep/strongkeep/test/chaos/schedule"
	"github.com/strongkeep/strongkeep/test/chaos/workload"
	"github.com/strongkeep/strongkeep/test/chaos/world"
)

// Runner runs schedules, one after the other, in a world that it makes anew when it was broken
// and each WorldLife schedules. It is for one goroutine; several runners may run at once.
type Runner struct {
	kind     schedule.World
	programs world.Programs
	dir      string // for worlds
	world    *world.World
	used     int // schedules that the world has seen
	worlds   int
	turns    turns
}

// Result of a schedule.
type Result struct {
	Schedule schedule.Schedule
	Report   check.Report
	Ops      []history.Op
	Recovery time.Duration // from the end of the faults until all nodes had answered and written
}

const (
	worldLife = 25          // schedules
	startup   = time.Minute // of a world
	// recovery is in what time all nodes answer again by themselves after the last fault. On
	// an idle machine it is seconds; a machine that does other things besides may take longer.
	recovery = 2 * time.Minute
)

// base is where worlds lie: in memory, since what syncs do is up to the harness.
const base = "/dev/shm"

var sweep sync.Once

// NewRunner makes a runner of the schedules of a kind of world, and removes what runs left that were killed.
func NewRunner(kind schedule.World, programs world.Programs) (*Runner, error) {
	sweep.Do(sweepDead)
	dir, err := os.MkdirTemp(base, fmt.Sprintf("strongkeep-chaos-%d-", os.Getpid()))
	return &Runner{kind: kind, programs: programs, dir: dir}, err
}

// sweepDead removes the files of runs whose process is gone. Their processes, mounts and
// networks went with it.
func sweepDead() {
	left, _ := filepath.Glob(filepath.Join(base, "strongkeep-chaos-*"))
	for _, dir := range left {
		var pid int
		if _, err := fmt.Sscanf(filepath.Base(dir), "strongkeep-chaos-%d-", &pid); err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = os.RemoveAll(dir)
		}
	}
}

// Close ends the world and removes its files.
func (r *Runner) Close() error {
	r.end()
	return os.RemoveAll(r.dir)
}

func (r *Runner) end() {
	if r.world != nil {
		r.world.Close()
		r.world = nil
	}
}

// Logs is where the logs of the present world lie.
func (r *Runner) Logs() string {
	if r.world == nil {
		return ""
	}
	return r.world.Dir
}

// Run runs a schedule. An error is one of the harness, not of what it looks at.
func (r *Runner) Run(ctx context.Context, s schedule.Schedule) (Result, error) {
	if err := r.ready(ctx); err != nil {
		return Result{}, fmt.Errorf("starting a world: %w", err)
	}
	log := history.New()
	stall := history.Watch(log)
	defer stall.Close()
	load := workload.New(workload.Config{
		World: r.world, Log: log, Seed: s.Seed, Name: fmt.Sprintf("s%d-%d-%d", s.Seed, r.worlds, r.used), Leases: !s.Has(schedule.Skew),
	})
	r.world.Seal = load.Seal
	answered, err := r.fail(ctx, s, load)
	if err != nil {
		return Result{}, err
	}
	result := Result{Schedule: s}
	bound, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	broken := ""
	result.Recovery, err = load.Recover(bound)
	answered()
	if err != nil {
		broken = fmt.Sprintf("%v after the faults: %v", recovery, err)
	} else if err := load.Verify(); err != nil {
		broken = err.Error()
	}
	load.Ended(ctx, leaseEnd(broken))
	result.Ops = log.Ops()
	result.Report = check.History(result.Ops, check.Config{Stall: stall.Within, Cut: broken != ""})
	if broken != "" {
		result.Report.Violations = append(result.Report.Violations, check.Violation{Promise: check.Recovered, Detail: broken})
	}
	taken, err := r.turns.read(r.world.Nodes)
	result.Report.Violations = append(result.Report.Violations, check.Turns(taken)...)
	r.used++
	return result, err
}

// leaseEnd is for how long the ends of leases are waited for. Where nodes do not answer, none comes.
func leaseEnd(broken string) time.Duration {
	if broken != "" {
		return 0
	}
	return recovery
}

// ready makes a world if there is none that will do.
func (r *Runner) ready(ctx context.Context) error {
	if r.world != nil && r.used < worldLife {
		return nil
	}
	r.Renew()
	r.worlds++
	dir := filepath.Join(r.dir, "world"+strconv.Itoa(r.worlds))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startup)
	defer cancel()
	var err error
	r.world, err = world.Start(ctx, r.kind, dir, r.programs)
	return err
}

// Renew has the next schedule begin in a world of its own; what a world leaves that served is
// removed.
func (r *Runner) Renew() {
	dir := r.Logs()
	r.end()
	if dir != "" {
		_ = os.RemoveAll(dir)
	}
	r.used, r.turns = 0, turns{}
}

// event is the begin or the end of a fault.
type event struct {
	at time.Duration
	do func() error
}

// fail has clients work while faults come and go. It returns at the end of the faults; answered
// waits for the clients' last answers, and is not nil without an error.
func (r *Runner) fail(ctx context.Context, s schedule.Schedule, load *workload.Load) (answered func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	var clients sync.WaitGroup
	clients.Go(func() { load.Run(ctx) })
	defer func() {
		cancel()
		if err != nil {
			clients.Wait()
		}
	}()
	began := time.Now()
	for _, e := range r.events(ctx, s) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Until(began.Add(e.at))):
		}
		if err := e.do(); err != nil {
			return nil, fmt.Errorf("having a fault happen: %w", err)
		}
	}
	return clients.Wait, nil
}

// events are the begins and ends of all faults in order, and that all is well at the end.
func (r *Runner) events(ctx context.Context, s schedule.Schedule) []event {
	var all []event
	for _, f := range s.Faults {
		var end func() error
		all = append(all,
			event{f.At, func() (err error) { end, err = r.world.Begin(ctx, f); return err }},
			event{f.At + f.For, func() error { return end() }})
	}
	slices.SortStableFunc(all, func(a, b event) int { return int(a.at - b.at) })
	return append(all, event{s.Length, r.world.Heal})
}

// turns are what nodes said that they took, in a world.
type turns struct {
	all  []check.Turn
	seen map[string]int64 // how far each log was read
}

// read takes up what the logs have since the last time, and returns all of it.
func (t *turns) read(nodes []*world.Machine) ([]check.Turn, error) {
	if t.seen == nil {
		t.seen = map[string]int64{}
	}
	for _, m := range nodes {
		f, err := os.Open(m.Log)
		if err != nil {
			return nil, err
		}
		raw, err := io.ReadAll(io.NewSectionReader(f, t.seen[m.Log], 1<<40))
		_ = f.Close()
		if err != nil {
			return nil, err
		}
		raw = raw[:bytes.LastIndexByte(raw, '\n')+1] // the rest comes later
		t.seen[m.Log] += int64(len(raw))
		for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
			turn := check.Turn{Node: m.Name}
			if n, err := fmt.Sscanf(lines.Text(), "turn %d %s", &turn.N, &turn.By); n == 2 && err == nil {
				t.all = append(t.all, turn)
			}
		}
	}
	return t.all, nil
}
