package rotation

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/testenv/interleaving"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

// model is one schedule of nodes with a rotator each, over one store and one database, which may refuse,
// not do what it was asked, do it and not say so, or do it much later.
type model struct {
	*interleaving.Model
	subject  Subject
	self     bool
	password string // in force in the database
}

// member is one process.
type member struct {
	*Rotator
	*interleaving.Process
	m *model
}

func (m *model) join(name string) *member {
	n := &member{Process: m.Join(name), m: m}
	n.Rotator = New(n.Config(), func(ctx context.Context, tx engine.Tx, s Subject) (*Target, error) {
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
	s.by.Step("login " + s.with)
	if !s.by.m.Calm && s.by.m.Random.IntN(12) == 0 {
		return errGone
	}
	return s.login()
}

func (s modelSession) Update(_ context.Context, a *driver.Account) error {
	m, to := s.by.m, a.Password.RevealString()
	s.by.Step("set " + to)
	set := func() { m.password = to }
	odds := m.Odds(20)
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
	case 5:
		m.Late("set late "+to, set)
		return errGone
	}
	set()
	s.by.Step("answer to set " + to)
	return nil
}

func (modelSession) Create(context.Context, *driver.Account) error { return nil }
func (modelSession) Delete(context.Context, *driver.Account) error { return nil }
func (modelSession) Close()                                        {}

// stored is the state as it is.
func (m *model) stored() *State {
	e, err := m.Store.Get(m.Context(), "state")
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
		n.Step("request reads")
		tx := n.m.Begin()
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
		n.Step("request commits")
		if _, err := tx.Commit(ctx); err == nil {
			_ = n.CarryOut(ctx, t)
			return
		} else if !errs.Is(err, errs.Conflict) {
			n.m.Error(err)
			return
		}
	}
}

// check is what holds at any time.
func (m *model) check() {
	if now := m.stored(); m.password != now.Password && !slices.Contains(now.Others(), m.password) {
		m.Broken("the database has the password %s, which is nowhere stored", m.password)
	}
}

func (m *model) run() {
	nodes := []*member{m.join("a"), m.join("b"), m.join("c")}
	for range 14 {
		for i, n := range nodes {
			if n.Dead {
				nodes[i] = m.join(n.Name)
			}
		}
		n := nodes[m.Random.IntN(len(nodes))]
		if m.Random.IntN(2) == 0 {
			go n.request()
		} else {
			go func() { _, _ = n.Work(context.Background()) }() // what fails is tried again
		}
		m.Turns(m.Random.IntN(40), 2*time.Minute)
	}
	m.Calmly()
	last := m.join("last")
	for range 40 {
		m.Finish(func(ctx context.Context) error {
			_, err := last.Work(ctx)
			return err
		})
		time.Sleep(5 * time.Minute)
	}
	now := m.stored()
	if now.Password != m.password || len(now.Others()) != 0 {
		m.Broken("in the end %s is stored, %q may be in force besides, and the database has %s", now.Password, now.Others(), m.password)
	}
}

// pauses is how often one pauses before a step.
func pauses(what string) int {
	if strings.HasPrefix(what, "set ") {
		return 3 // the worst of times
	}
	return 25
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
						m := &model{subject: kind.subject, self: kind.self, password: "first"}
						m.Model = interleaving.New(t, interleaving.Config{
							Seed: [2]uint64{seed, 1}, Pauses: pauses, Longest: 5 * time.Minute, Dies: 60, Check: m.check,
						})
						s := &State{Period: 24 * time.Hour, Password: "first"}
						s.Reschedule(time.Now())
						raw, err := json.Marshal(s)
						m.Commit(func(tx interleaving.Tx) error {
							Requeue(tx, m.subject, time.Time{}, s.Due)
							tx.Put("state", raw)
							return err
						})
						m.run()
					})
				})
			}
		})
	}
}
