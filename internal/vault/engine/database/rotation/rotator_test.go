package rotation

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
)

// server is a database with one user, and what is to go wrong in it.
type server struct {
	password string
	update   func(set func()) error // nil: it sets
	down     bool
	resets   int
}

func (s *server) Version() string { return "1" }
func (s *server) Reset()          { s.resets++ }

func (s *server) Use(ctx context.Context, _ time.Duration, f func(context.Context, driver.Database) error) error {
	return f(ctx, session{s, ""})
}

func (s *server) Open(_, password string) (driver.Database, error) { return session{s, password}, nil }

func (s *server) Login(ctx context.Context, _, password string) error {
	return session{s, password}.Ping(ctx)
}

// session is a login with a password; "" is the connection's own user.
type session struct {
	*server
	with string
}

var errDown = errs.New(errs.Unavailable, "the database cannot be reached")

func (s session) Ping(context.Context) error {
	switch {
	case s.down:
		return errDown
	case s.with != "" && s.with != s.password:
		return errs.Newf(errs.Invalid, "logging in: %w", driver.ErrPassword)
	}
	return nil
}

func (s session) Update(ctx context.Context, a *driver.Account) error {
	if err := s.Ping(ctx); err != nil {
		return err
	}
	set := func() { s.password = a.Password.RevealString() }
	if s.update != nil {
		return s.update(set)
	}
	set()
	return nil
}

func (session) Create(context.Context, *driver.Account) error { return nil }
func (session) Delete(context.Context, *driver.Account) error { return nil }
func (session) Close()                                        {}

// bare is an engine that has nothing but a rotator.
type bare struct{ cfg engine.Config }

func (*bare) Routes() []engine.Route { return nil }
func (*bare) Close() error           { return nil }

// bench is a rotator of the subjects that are stored below "s/" and "c/".
type bench struct {
	*enginetest.Harness
	*Rotator
	t      *testing.T
	server *server
	self   bool // subjects are self-managed
}

func newBench(t *testing.T) *bench {
	t.Helper()
	e := &bare{}
	b := &bench{t: t, server: &server{password: "first"}}
	b.Harness = enginetest.New(t, func(cfg engine.Config) (engine.Engine, error) {
		e.cfg = cfg
		return e, nil
	})
	b.Rotator = New(e.cfg, b.read)
	return b
}

func (b *bench) key(s Subject) string {
	if s.Root {
		return "c/" + s.Name
	}
	return "s/" + s.Name
}

func (b *bench) read(ctx context.Context, tx engine.Tx, s Subject) (*Target, error) {
	e, err := tx.Get(ctx, b.key(s))
	if err != nil || !e.Exists() {
		return nil, err
	}
	state := &State{}
	if err := json.Unmarshal(e.Value, state); err != nil {
		return nil, err
	}
	return b.target(s, state), nil
}

func (b *bench) target(s Subject, state *State) *Target {
	return &Target{
		Subject: s, State: state, Connection: "db", Server: b.server, Username: "u", SelfManaged: b.self,
		Save: func(tx engine.Tx) error {
			raw, err := json.Marshal(state)
			tx.Put(b.key(s), raw)
			return err
		},
	}
}

// put stores a subject that changes every hour, for the first time in an hour.
func (b *bench) put(s Subject) {
	b.t.Helper()
	state := &State{Period: time.Hour, Password: b.server.password}
	state.Reschedule(b.Now())
	err := b.cfg.Update(b.t.Context(), func(_ context.Context, tx engine.Tx) error {
		Requeue(tx, s, time.Time{}, state.Due)
		return b.target(s, state).Save(tx)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) get(s Subject) *Target {
	b.t.Helper()
	t, err := b.read(b.t.Context(), b.View(), s)
	if err != nil || t == nil {
		b.t.Fatalf("%s: %v, %v", s, t, err)
	}
	return t
}

// begin has somebody begin to set a password, or to set the one that is pending.
func (b *bench) begin(s Subject, password string) (begun *Target) {
	b.t.Helper()
	if err := b.change(b.t.Context(), b.cfg.Update, s, func(now *Target) (bool, error) {
		id, err := b.id()
		now.State.begin(password, id, b.Now())
		now.claimed(id, password)
		begun = now
		return true, err
	}); err != nil {
		b.t.Fatal(err)
	}
	return begun
}

func (b *bench) work() time.Time {
	b.t.Helper()
	next, err := b.Rotator.Work(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return next
}

var someone = Subject{Name: "someone"}

// Whatever the database says and does, the password that Current gives is the
// one that works, and Work brings the change to its end.
func TestNoAnswerLosesThePassword(t *testing.T) {
	for name, update := range map[string]func(set func()) error{
		"done":                        nil,
		"refused":                     func(func()) error { return errs.New(errs.Invalid, "refused") },
		"not done and nobody knows":   func(func()) error { return errDown },
		"done and nobody knows":       func(set func()) error { set(); return errDown },
		"done and said to be refused": func(set func()) error { set(); return errs.New(errs.Invalid, "refused") },
	} {
		for _, self := range []bool{false, true} {
			for _, s := range []Subject{someone, {Root: true, Name: "db"}} {
				b := newBench(t)
				b.self = self && !s.Root
				b.put(s)
				b.server.update = update
				b.Advance(61 * time.Minute)
				b.work()
				if got := b.Current(t.Context(), b.get(s)); got != b.server.password {
					t.Errorf("%s, %s, self-managed %v: Current is not the password that works", name, s, self)
				}
				b.server.update = nil
				b.Advance(2 * time.Minute)
				b.work()
				got := b.get(s)
				if got.State.Pending != "" || got.State.Password != b.server.password || got.State.Password == "first" || got.State.Error != "" {
					t.Errorf("%s, %s, self-managed %v: the change was not brought to its end: %q", name, s, self, got.State.Error)
				}
				if s.Root && b.server.resets == 0 {
					t.Errorf("%s: what is open with the old password stays open", name)
				}
			}
		}
	}
}

// While the database is down it is asked once a round, nothing is begun, and the
// pauses grow.
func TestDatabaseDown(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"a", "b", "c"} {
		b.put(Subject{Name: name})
	}
	b.server.down = true
	b.Advance(61 * time.Minute)
	for i, pause := range []time.Duration{5, 10, 20} {
		now := b.Now()
		if next := b.work(); next.After(now.Add(pause * time.Second)) {
			t.Errorf("round %d: the next try is after %v", i, next.Sub(now))
		}
		for _, name := range []string{"a", "b", "c"} {
			if s := b.get(Subject{Name: name}).State; s.Failures != i+1 || s.Pending != "" || s.Password != "first" || !strings.Contains(s.Error, "cannot be reached") {
				t.Errorf("round %d: %s has failed %d times: %q", i, name, s.Failures, s.Error)
			}
		}
		b.Advance(pause * time.Second)
	}
	b.server.down = false
	b.Advance(time.Minute)
	b.work()
	if s := b.get(Subject{Name: "c"}).State; s.Failures != 0 || s.Password == "first" {
		t.Errorf("after it is back: %d failures", s.Failures)
	}
}

// Of two who carry out one change the slower must not set its password once more
// after a third change: nobody would know what the database has then.
func TestLateRotationSetsNothing(t *testing.T) {
	b := newBench(t)
	b.put(someone)
	begin := func(password string) (late, quick *Target) {
		t.Helper()
		return b.begin(someone, password), b.begin(someone, password)
	}
	late, quick := begin("second")
	if err := b.CarryOut(t.Context(), quick); err != nil || b.server.password != "second" {
		t.Fatalf("the first: %v", err)
	}
	if err := b.CarryOut(t.Context(), late); err != nil {
		t.Errorf("what another has done is done: %v", err)
	}
	_, third := begin("third")
	if err := b.CarryOut(t.Context(), third); err != nil {
		t.Fatal(err)
	}
	if err := b.CarryOut(t.Context(), late); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a change that was overtaken: %v", err)
	}
	if got := b.Current(t.Context(), b.get(someone)); got != "third" || b.server.password != got {
		t.Error("Current does not give the password that the database has")
	}
}

// Index entries that lead nowhere are removed, and a subject that was deleted in
// the middle of its change is not written again.
func TestDeletedSubjects(t *testing.T) {
	b := newBench(t)
	b.put(someone)
	begun := b.begin(someone, "second")
	if err := b.cfg.Update(t.Context(), func(_ context.Context, tx engine.Tx) error {
		tx.Delete(b.key(someone))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := b.CarryOut(t.Context(), begun); !errs.Is(err, errs.NotExist) || b.server.password != "first" {
		t.Errorf("carrying out: %v", err)
	}
	b.Advance(2 * time.Hour)
	if next := b.work(); !next.IsZero() {
		t.Errorf("Work wants to be called at %v for nothing", next)
	}
	if left := b.Stored(t); len(left) != 0 {
		t.Errorf("%d entries are left", len(left))
	}
}

// A waiting change gives up, stays pending, and says that it may be tried again.
func TestCarryOutWaitsNoLongerThanAsked(t *testing.T) {
	b := newBench(t)
	b.put(someone)
	release, err := b.turns.Take(t.Context(), someone)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.CarryOut(ended, b.begin(someone, "second")); !errs.Is(err, errs.Unavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Work is to know of a claim before anything is done under it, on whichever node: this one may end at any time.
func TestTellsOfItsClaimFirst(t *testing.T) {
	b := newBench(t)
	s := Subject{Name: "a"}
	b.put(s)
	b.Advance(time.Hour + time.Second)
	b.Woken()
	woken := 0
	b.server.update = func(set func()) error {
		woken = b.Woken()
		set()
		return nil
	}
	if _, err := b.Rotator.Work(b.t.Context()); err != nil || b.server.password == "first" {
		t.Fatal(b.server.password, err)
	}
	if woken == 0 {
		t.Error("the password is set, and nobody else knows of it")
	}
}
