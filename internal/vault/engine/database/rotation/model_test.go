package rotation

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
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
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

// The model: nodes with a rotator each, over one store and one database, of which one step at a
// time is made, whichever the seed says. A step is a read or commit in the store, or what the
// database does for one call. Between any two the node may stop for minutes or for good; the
// database may refuse, not do what it was asked, do it and not say so, or do it much later.

// model is one schedule.
type model struct {
	*testing.T
	random  *rand.Rand
	store   *mem.Store
	subject Subject
	self    bool
	calm    bool // nothing goes wrong any more

	password string // in force in the database
	drawn    int
	mu       sync.Mutex
	waiting  []*step
	trail    []string
	paused   time.Duration
}

// step is somebody who is about to make one.
type step struct {
	what  string
	by    *member
	goOn  chan struct{}
	until time.Time // it is paused
}

// member is one process.
type member struct {
	*Rotator
	m    *model
	name string
	dead bool
}

func (m *model) note(format string, args ...any) {
	m.trail = append(m.trail, fmt.Sprintf(format, args...))
}

// step waits until it is its turn. A process that is dead makes none.
func (n *member) step(what string) {
	s := &step{what: what, by: n, goOn: make(chan struct{})}
	n.m.mu.Lock()
	n.m.waiting = append(n.m.waiting, s)
	n.m.mu.Unlock()
	<-s.goOn
	if n.dead {
		runtime.Goexit()
	}
}

func (m *model) join(name string) *member {
	n := &member{m: m, name: name}
	run := func(ctx context.Context, change func(context.Context, engine.Tx) error) error {
		for {
			n.step("read")
			tx := modelTx{store.Begin(m.store)}
			if err := change(ctx, tx); err != nil || tx.Writes() == 0 {
				return err
			}
			n.step("commit")
			_, err := tx.Commit(context.WithoutCancel(ctx))
			if !errs.Is(err, errs.Conflict) {
				return err
			}
		}
	}
	n.Rotator = New(engine.Config{
		Update: run, Duty: run, Wake: func() {}, Now: time.Now, Log: slog.New(slog.DiscardHandler), Random: zeros{m},
		Password: func(context.Context, string) (redact.Secret, error) {
			m.drawn++
			return redact.FromString(fmt.Sprint("p", m.drawn)), nil
		},
	}, func(ctx context.Context, tx engine.Tx, s Subject) (*Target, error) {
		e, err := tx.Get(ctx, "state")
		if err != nil || !e.Exists() {
			return nil, err
		}
		state := &State{}
		if err := json.Unmarshal(e.Value, state); err != nil {
			return nil, err
		}
		return &Target{
			Subject: s, State: state, Connection: "db", Server: &modelServer{n, state}, Username: "u", SelfManaged: m.self,
			Save: func(tx engine.Tx) error {
				raw, err := json.Marshal(state)
				tx.Put("state", raw)
				return err
			},
		}, nil
	})
	return n
}

type modelTx struct{ *store.Txn }

func (modelTx) Emit(engine.Event) {}

// zeros draws names that differ.
type zeros struct{ m *model }

func (z zeros) Read(p []byte) (int, error) {
	z.m.drawn++
	return copy(p, fmt.Sprintf("%0*d", len(p), z.m.drawn)), nil
}

// modelServer logs in as a connection does: with each password that may be in force.
type modelServer struct {
	by    *member
	state *State
}

func (s *modelServer) Version() string { return "1" }
func (s *modelServer) Reset()          {}

func (s *modelServer) Use(ctx context.Context, _ time.Duration, f func(context.Context, driver.Database) error) error {
	if !s.by.m.subject.Root {
		return f(ctx, modelSession{s.by, "", true})
	}
	var err error
	for _, password := range append([]string{s.state.Password}, s.state.Others()...) {
		if err = f(ctx, modelSession{s.by, password, false}); !driver.IsPassword(err) {
			return err
		}
	}
	return err
}

func (s *modelServer) Open(_, password string) (driver.Database, error) {
	return modelSession{s.by, password, false}, nil
}

func (s *modelServer) Login(ctx context.Context, _, password string) error {
	return modelSession{s.by, password, false}.Ping(ctx)
}

type modelSession struct {
	by    *member
	with  string
	admin bool // another user, who may change the password
}

var (
	errGone    = errs.New(errs.Unavailable, "no answer")
	errRefused = errs.New(errs.Invalid, "refused")
)

func (s modelSession) login() error {
	if !s.admin && s.with != s.by.m.password {
		return errs.Newf(errs.Invalid, "logging in: %w", driver.ErrPassword)
	}
	return nil
}

func (s modelSession) Ping(context.Context) error {
	s.by.step("login " + s.with)
	if !s.by.m.calm && s.by.m.random.IntN(12) == 0 {
		return errGone
	}
	return s.login()
}

func (s modelSession) Update(_ context.Context, a *driver.Account) error {
	m, to := s.by.m, a.Password.RevealString()
	s.by.step("set " + to)
	set := func() { m.password = to }
	odds := 0
	if !m.calm {
		odds = m.random.IntN(20)
	}
	if err := s.login(); err != nil {
		return err
	}
	switch odds {
	case 1:
		return errRefused
	case 2:
		return errGone
	case 3:
		set()
		return errGone
	case 4:
		set()
		return errRefused // half done
	case 5: // the server does it when nobody waits any more, whatever has become of who asked
		server := &member{m: m, name: "server"}
		go func() {
			server.step("set late " + to)
			set()
		}()
		return errGone
	}
	set()
	s.by.step("answer to set " + to)
	return nil
}

func (modelSession) Create(context.Context, *driver.Account) error { return nil }
func (modelSession) Delete(context.Context, *driver.Account) error { return nil }
func (modelSession) Close()                                        {}

// stored is the state as it is.
func (m *model) stored() *State {
	e, err := m.store.Get(m.Context(), "state")
	if err != nil {
		m.Fatal(err)
	}
	s := &State{}
	if err := json.Unmarshal(e.Value, s); err != nil {
		m.Fatal(err)
	}
	return s
}

// request is rotate-role or rotate-root on a node.
func (n *member) request() {
	ctx := context.Background()
	for {
		n.step("request reads")
		tx := modelTx{store.Begin(n.m.store)}
		t, err := n.load(ctx, tx, n.m.subject)
		if err != nil {
			n.m.Error(err)
			return
		}
		was := t.State.Due
		if err := n.Start(ctx, t, time.Now()); err != nil {
			return
		}
		Requeue(tx, n.m.subject, was, t.State.Due)
		if err := t.Save(tx); err != nil {
			n.m.Error(err)
			return
		}
		n.step("request commits")
		if _, err := tx.Commit(ctx); err == nil {
			_ = n.CarryOut(ctx, t)
			return
		} else if !errs.Is(err, errs.Conflict) {
			n.m.Error(err)
			return
		}
	}
}

// ready are those who wait and are not paused, in one order in whichever they came.
func (m *model) ready() (all []*step) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.waiting {
		if m.calm || !time.Now().Before(s.until) {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *step) int {
		return cmp.Or(cmp.Compare(a.by.name, b.by.name), cmp.Compare(a.what, b.what))
	})
	return all
}

// turn lets one step be made; false: nobody waits to make one.
func (m *model) turn() bool {
	synctest.Wait()
	ready := m.ready()
	if len(ready) == 0 {
		return false
	}
	s := ready[m.random.IntN(len(ready))]
	odds := 25
	if strings.HasPrefix(s.what, "set ") {
		odds = 3 // the worst of times
	}
	if !m.calm && m.paused < 40*time.Minute && m.random.IntN(odds) == 0 {
		long := time.Duration(m.random.Int64N(int64(5 * time.Minute)))
		m.paused += long
		s.until = time.Now().Add(long)
		m.note("%s pauses for %v before: %s", s.by.name, long, s.what)
		return true
	}
	if !m.calm && m.random.IntN(60) == 0 && s.by.name != "server" {
		m.note("%s dies before: %s", s.by.name, s.what)
		s.by.dead = true
	} else {
		m.note("%s: %s", s.by.name, s.what)
	}
	m.mu.Lock()
	m.waiting = slices.DeleteFunc(m.waiting, func(w *step) bool { return w == s })
	m.mu.Unlock()
	close(s.goOn)
	synctest.Wait()
	if now := m.stored(); m.password != now.Password && !slices.Contains(now.Others(), m.password) {
		m.fail("the database has the password %s, which is nowhere stored", m.password)
	}
	return true
}

func (m *model) fail(format string, args ...any) {
	m.Errorf(format, args...)
	m.Fatalf("the steps were:\n%s", strings.Join(m.trail, "\n"))
}

// drain makes all steps there are.
func (m *model) drain() {
	for m.turn() {
	}
}

func (m *model) run() {
	nodes := []*member{m.join("a"), m.join("b"), m.join("c")}
	for range 14 {
		for i, n := range nodes {
			if n.dead {
				nodes[i] = m.join(n.name)
			}
		}
		n := nodes[m.random.IntN(len(nodes))]
		if m.random.IntN(2) == 0 {
			go n.request()
		} else {
			go func() { _, _ = n.Work(context.Background()) }() // what fails is tried again
		}
		synctest.Wait()
		for range m.random.IntN(40) {
			if !m.turn() {
				time.Sleep(time.Duration(m.random.Int64N(int64(2 * time.Minute))))
			}
		}
	}
	m.calm = true
	m.drain()
	m.note("all is well from here on")
	last := m.join("last")
	for range 40 {
		done := make(chan error, 1)
		go func() {
			_, err := last.Work(context.Background())
			done <- err
		}()
		m.drain()
		if err := <-done; err != nil {
			m.fail("in the end Work fails: %v", err)
		}
		time.Sleep(5 * time.Minute)
	}
	now := m.stored()
	if now.Password != m.password || len(now.Others()) != 0 {
		m.fail("in the end %s is stored, %q may be in force besides, and the database has %s", now.Password, now.Others(), m.password)
	}
}

// Whatever happens to nodes, store and database, the password in force is always stored, and in
// the end it is the one that readers are given.
func TestAnyInterleaving(t *testing.T) {
	const schedules = 200
	for _, kind := range []struct {
		name    string
		subject Subject
		self    bool
	}{{"static", Subject{Name: "s"}, false}, {"root", Subject{Root: true, Name: "db"}, false}, {"self-managed", Subject{Name: "s"}, true}} {
		t.Run(kind.name, func(t *testing.T) {
			for seed := range uint64(schedules) {
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						m := &model{
							T: t, random: rand.New(rand.NewPCG(seed, 1)), store: mem.New(mem.Config{}),
							subject: kind.subject, self: kind.self, password: "first",
						}
						defer m.store.Close()
						s := &State{Period: 24 * time.Hour, Password: "first"}
						s.Reschedule(time.Now())
						raw, err := json.Marshal(s)
						if err != nil {
							t.Fatal(err)
						}
						tx := modelTx{store.Begin(m.store)}
						Requeue(tx, m.subject, time.Time{}, s.Due)
						tx.Put("state", raw)
						if _, err := tx.Commit(t.Context()); err != nil {
							t.Fatal(err)
						}
						m.run()
					})
				})
			}
		})
	}
}
