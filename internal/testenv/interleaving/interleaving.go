package interleaving

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

// Config says what goes wrong, and how often.
type Config struct {
	Seed    [2]uint64
	Pauses  func(what string) int // one in so many pauses before such a step
	Longest time.Duration         // of a pause
	Dies    int                   // one process in so many dies before a step
	Check   func()                // what must hold after each step; nil = nothing
}

// Model is one schedule, in a bubble of its own time. Its fields are for whoever makes a step.
type Model struct {
	*testing.T
	Random *rand.Rand
	Store  *mem.Store
	Calm   bool // nothing goes wrong any more

	cfg     Config
	drawn   int
	mu      sync.Mutex
	waiting []*step
	trail   []string
	paused  time.Duration
}

// step is somebody who is about to make one.
type step struct {
	what  string
	by    *Process
	goOn  chan struct{}
	until time.Time // it is paused
}

// Process is one of those that work over the store.
type Process struct {
	Name string
	Dead bool
	m    *Model
}

// Tx is a transaction that announces nothing.
type Tx struct{ *store.Txn }

// Emit implements engine.Tx.
func (Tx) Emit(engine.Event) {}

// maxPaused is for how long processes pause in one schedule, all together.
const maxPaused = 40 * time.Minute

// outside is the name of the outside system, which does not die.
const outside = "server"

// New returns a schedule with an empty store, which ends with the test.
func New(t *testing.T, cfg Config) *Model {
	m := &Model{T: t, Random: rand.New(rand.NewPCG(cfg.Seed[0], cfg.Seed[1])), Store: mem.New(mem.Config{}), cfg: cfg}
	t.Cleanup(func() { _ = m.Store.Close() })
	return m
}

// Begin begins a transaction.
func (m *Model) Begin() Tx { return Tx{store.Begin(m.Store)} }

// Commit stores what change writes, before anybody works.
func (m *Model) Commit(change func(Tx) error) {
	m.Helper()
	t := m.Begin()
	if err := change(t); err != nil {
		m.Fatal(err)
	}
	if _, err := t.Commit(m.Context()); err != nil {
		m.Fatal(err)
	}
}

// Join adds a process.
func (m *Model) Join(name string) *Process { return &Process{Name: name, m: m} }

// Odds draws a number below n; 0 once nothing goes wrong any more.
func (m *Model) Odds(n int) int {
	if m.Calm {
		return 0
	}
	return m.Random.IntN(n)
}

// Late has the outside system do something when nobody waits any more, whatever has become of who asked.
func (m *Model) Late(what string, do func()) {
	server := m.Join(outside)
	go func() {
		server.Step(what)
		do()
	}()
}

// Step waits until it is the turn of p. A process that is dead makes no step, and ends there.
func (p *Process) Step(what string) {
	s := &step{what: what, by: p, goOn: make(chan struct{})}
	p.m.mu.Lock()
	p.m.waiting = append(p.m.waiting, s)
	p.m.mu.Unlock()
	<-s.goOn
	if p.Dead {
		runtime.Goexit()
	}
}

// Config is what an engine of p has of the vault. Names and passwords that are drawn differ.
func (p *Process) Config() engine.Config {
	run := func(ctx context.Context, change func(context.Context, engine.Tx) error) error {
		for {
			p.Step("read")
			tx := p.m.Begin()
			if err := change(ctx, tx); err != nil || tx.Writes() == 0 {
				return err
			}
			p.Step("commit")
			if _, err := tx.Commit(context.WithoutCancel(ctx)); !errs.Is(err, errs.Conflict) {
				return err
			}
		}
	}
	return engine.Config{
		Update: run, Duty: run, Wake: func() {}, Now: time.Now, Log: slog.New(slog.DiscardHandler), Random: names{p.m},
		Password: func(context.Context, string) (redact.Secret, error) {
			p.m.drawn++
			return redact.FromString(fmt.Sprint("p", p.m.drawn)), nil
		},
	}
}

// names draws such that differ.
type names struct{ m *Model }

var _ io.Reader = names{}

func (n names) Read(p []byte) (int, error) {
	n.m.drawn++
	return copy(p, fmt.Sprintf("%0*d", len(p), n.m.drawn)), nil
}

// ready are those who wait and are not paused, in one order in whichever they came.
func (m *Model) ready() (all []*step) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.waiting {
		if m.Calm || !time.Now().Before(s.until) {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *step) int {
		return cmp.Or(cmp.Compare(a.by.Name, b.by.Name), cmp.Compare(a.what, b.what))
	})
	return all
}

// Turn lets one step be made; false: nobody waits to make one.
func (m *Model) Turn() bool {
	synctest.Wait()
	ready := m.ready()
	if len(ready) == 0 {
		return false
	}
	s := ready[m.Random.IntN(len(ready))]
	if !m.Calm && m.paused < maxPaused && m.Random.IntN(m.cfg.Pauses(s.what)) == 0 {
		long := time.Duration(m.Random.Int64N(int64(m.cfg.Longest)))
		m.paused += long
		s.until = time.Now().Add(long)
		m.Note("%s pauses for %v before: %s", s.by.Name, long, s.what)
		return true
	}
	if !m.Calm && m.Random.IntN(m.cfg.Dies) == 0 && s.by.Name != outside {
		m.Note("%s dies before: %s", s.by.Name, s.what)
		s.by.Dead = true
	} else {
		m.Note("%s: %s", s.by.Name, s.what)
	}
	m.mu.Lock()
	m.waiting = slices.DeleteFunc(m.waiting, func(w *step) bool { return w == s })
	m.mu.Unlock()
	close(s.goOn)
	synctest.Wait()
	if m.cfg.Check != nil {
		m.cfg.Check()
	}
	return true
}

// Turns lets at most n steps be made; where nobody waits, up to idle passes instead.
func (m *Model) Turns(n int, idle time.Duration) {
	synctest.Wait()
	for range n {
		if !m.Turn() {
			time.Sleep(time.Duration(m.Random.Int64N(int64(idle))))
		}
	}
}

// Calmly has nothing go wrong from here on, and what is under way come to its end.
func (m *Model) Calmly() {
	m.Calm = true
	m.drain()
	m.Note("all is well from here on")
}

// Finish runs do, which must succeed once nothing goes wrong any more.
func (m *Model) Finish(do func(ctx context.Context) error) {
	done := make(chan error, 1)
	go func() { done <- do(context.Background()) }()
	m.drain()
	if err := <-done; err != nil {
		m.Broken("in the end it fails: %v", err)
	}
}

func (m *Model) drain() {
	for m.Turn() {
	}
}

// Note adds a line to what Broken tells.
func (m *Model) Note(format string, args ...any) {
	m.trail = append(m.trail, fmt.Sprintf(format, args...))
}

// Broken ends the test, which has found something, and tells the steps.
func (m *Model) Broken(format string, args ...any) {
	m.Errorf(format, args...)
	m.Fatalf("the steps were:\n%s", strings.Join(m.trail, "\n"))
}
