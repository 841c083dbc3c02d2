package alternating

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/interleaving"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/rotation"
)

// model is one schedule of nodes over one store and one database, which may refuse, not do what it was asked,
// do it and not say so, or do it much later.
type model struct {
	*interleaving.Model
	users map[string]*account
	seen  []Credential // that were ever staged
}

type account struct {
	passwords []string
	locked    bool
}

// member is one process.
type member struct {
	*Actor
	*interleaving.Process
	m *model
}

func (m *model) join(name string) *member {
	n := &member{Process: m.Join(name), m: m}
	n.Actor = New(n.Config(), func(context.Context, engine.Tx, *Role) (rotation.Server, string, error) { return server{n}, "", nil })
	return n
}

// server is the database as a node reaches it.
type server struct{ by *member }

func (server) Version() string { return "1" }
func (server) Reset()          {}

func (s server) Use(ctx context.Context, _ time.Duration, f func(context.Context, driver.Database) error) error {
	return f(ctx, session(s))
}

func (s server) Open(string, string) (driver.Database, error) { return session(s), nil }

func (s server) Login(_ context.Context, username, password string) error {
	s.by.Step("login " + username + " " + password)
	if !s.by.m.Calm && s.by.m.Random.IntN(20) == 0 {
		return errGone
	}
	if !s.by.m.works(username, password) {
		return errs.Newf(errs.Invalid, "logging in: %w", driver.ErrPassword)
	}
	return nil
}

func (m *model) works(username, password string) bool {
	u := m.users[username]
	return u != nil && !u.locked && slices.Contains(u.passwords, password)
}

type session struct{ by *member }

var (
	errGone    = errs.New(errs.Unavailable, "no answer")
	errRefused = errs.New(errs.Invalid, "refused")
)

// do is one call: do changes the database, or says why not.
func (s session) do(what string, do func() error) error {
	m := s.by.m
	s.by.Step(what)
	switch m.Odds(24) {
	case 1:
		return errRefused
	case 2:
		return errGone
	case 3:
		_ = do()
		return errGone
	case 4:
		m.Late("late: "+what, func() { _ = do() })
		return errGone
	}
	return do()
}

func (s session) user(what, name string, do func(*account) error) error {
	return s.do(what+" "+name, func() error {
		u := s.by.m.users[name]
		if u == nil {
			return errs.New(errs.NotExist, "no such user")
		}
		return do(u)
	})
}

func (session) Ping(context.Context) error { return nil }
func (session) Close()                     {}

func (s session) Create(_ context.Context, a *driver.Account) error {
	password := a.Password.RevealString()
	return s.do("create "+a.Username+" "+password, func() error {
		if s.by.m.users[a.Username] != nil {
			return errs.New(errs.Invalid, "the name is taken")
		}
		s.by.m.users[a.Username] = &account{passwords: []string{password}}
		return nil
	})
}

func (s session) Update(_ context.Context, a *driver.Account) error {
	password := a.Password.RevealString()
	return s.user("set "+password+" of", a.Username, func(u *account) error { u.passwords = []string{password}; return nil })
}

func (s session) Delete(_ context.Context, a *driver.Account) error {
	return s.do("drop "+a.Username, func() error { delete(s.by.m.users, a.Username); return nil })
}

func (s session) Lock(_ context.Context, username string) error {
	return s.user("lock", username, func(u *account) error { u.locked = true; return nil })
}

func (s session) Unlock(_ context.Context, username string) error {
	return s.user("unlock", username, func(u *account) error { u.locked = false; return nil })
}

func (session) EndSessions(context.Context, string) error { return nil }

func (s session) AddPassword(_ context.Context, username string, p redact.Secret) error {
	password := p.RevealString()
	return s.user("add "+password+" to", username, func(u *account) error {
		if !slices.Contains(u.passwords, password) {
			u.passwords = append(slices.Clone(u.passwords), password)
		}
		return nil
	})
}

func (s session) RemovePassword(_ context.Context, username string, p redact.Secret) error {
	password := p.RevealString()
	return s.user("take "+password+" from", username, func(u *account) error {
		u.passwords = slices.DeleteFunc(slices.Clone(u.passwords), func(has string) bool { return has == password })
		return nil
	})
}

// role is what is stored.
func (m *model) role() *Role {
	r, err := Load(m.Context(), m.Begin(), "app")
	if err != nil || r == nil {
		m.Fatal(r, err)
	}
	own := *r
	return &own
}

// any draws an act that can be asked for now.
func (m *model) any() Act {
	verbs := []Act{{Verb: Stage}, {Verb: Publish, Side: NewSide}, {Verb: Close}, {Verb: Retire, Side: OldSide}, {Verb: Retire, Side: NewSide}, {Verb: Reopen}, {Verb: Publish, Side: OldSide}}
	for {
		at := m.Random.IntN(len(verbs))
		if m.Random.IntN(2) == 0 { // most turns get on
			at = m.Random.IntN(4)
		}
		a, r := verbs[at], m.role()
		a.Turn, a.Now = r.Turn, time.Now()
		if a.Verb == Stage && !r.UnderWay() {
			a.Turn++
		}
		if asked, err := r.Ask(a); err == nil && (asked.Changed || asked.CarryOut) {
			return a
		}
	}
}

// ask has a node do an act, as a request.
func (n *member) ask(a Act) error {
	ctx := context.Background()
	for {
		n.Step("request reads")
		tx := n.m.Begin()
		stored, err := Load(ctx, tx, "app")
		if err != nil {
			return err
		}
		r := *stored
		asked, err := r.Ask(a)
		if err != nil {
			return err
		}
		if asked.Begun {
			if err := n.Draw(ctx, &r, ""); err != nil {
				return err
			}
		}
		if err := r.Save(tx); err != nil {
			return err
		}
		var c *Claim
		if asked.CarryOut {
			if c, err = n.Claim(tx, &r, time.Now()); err != nil {
				return err
			}
		}
		n.Step(fmt.Sprint("request commits ", r.Turn, " ", r.Step))
		if _, err := tx.Commit(ctx); errs.Is(err, errs.Conflict) {
			continue
		} else if err != nil {
			return err
		}
		if asked.Begun {
			n.m.seen = append(n.m.seen, *r.New)
		}
		if asked.CarryOut {
			return n.CarryOut(ctx, &r, c, Options{})
		}
		return nil
	}
}

// pauses is how often one pauses before a step.
func pauses(what string) int {
	if strings.Contains(what, "read") || strings.Contains(what, "commit") || strings.Contains(what, "login") {
		return 40
	}
	return 6
}

func (m *model) run() {
	nodes := []*member{m.join("a"), m.join("b"), m.join("c")}
	worked := time.Now()
	for range 24 {
		for i, n := range nodes {
			if n.Dead {
				nodes[i] = m.join(n.Name)
			}
		}
		n := nodes[m.Random.IntN(len(nodes))]
		if m.Random.IntN(6) == 0 || time.Since(worked) > lookPause {
			worked = time.Now()
			go func() { _, _ = n.Work(context.Background()) }() // what fails is tried again
		} else {
			a := m.any()
			go func() { _ = n.ask(a) }() // as above
		}
		m.Turns(m.Random.IntN(30), time.Minute)
	}
	m.Calmly()
	m.finish(m.join("last"))
	m.check()
}

// finish has what is under way asked for until it is done, and Work do what is left.
func (m *model) finish(last *member) {
	again := map[Step]Act{
		Staging: {Verb: Stage}, Closing: {Verb: Close}, Reopening: {Verb: Reopen},
		RetiringOld: {Verb: Retire, Side: OldSide}, RetiringNew: {Verb: Retire, Side: NewSide},
	}
	for range 40 {
		m.Finish(func(ctx context.Context) error {
			_, err := last.Work(ctx)
			return err
		})
		r := m.role()
		if a, ok := again[r.Step]; ok {
			a.Turn, a.Now = r.Turn, time.Now()
			m.Finish(func(context.Context) error {
				_ = last.ask(a) // it is asked again
				return nil
			})
		}
		time.Sleep(5 * time.Minute)
	}
}

func (m *model) check() {
	r := m.role()
	open, shut := r.sides()
	for _, c := range open {
		if !m.works(c.Username, c.Password) {
			m.Broken("%s: %s does not work with %s", r.Describe(), c.Username, c.Password)
		}
	}
	if shut != nil && m.works(shut.Username, shut.Password) {
		m.Broken("%s: %s is closed and works", r.Describe(), shut.Username)
	}
	for _, c := range m.seen {
		current := slices.ContainsFunc([]*Credential{r.Live, r.New}, func(now *Credential) bool { return now != nil && now.Version == c.Version })
		if !current && m.works(c.Username, c.Password) {
			m.Broken("%s: the credential %d of %s was retired and works", r.Describe(), c.Version, c.Username)
		}
	}
	if names, err := m.Store.List(m.Context(), claimPrefix, "", 0); err != nil || len(names) != 0 {
		m.Broken("claims are left: %v", err)
	}
}

// Whatever happens to nodes, store and database, in the end each credential works or not as the
// role says, and none that was retired does.
func TestAnyInterleaving(t *testing.T) {
	const schedules = 200
	for name, settings := range map[string]Settings{
		"users that are there": {Usernames: []string{"u1", "u2"}, Overlap: Users},
		"users that are made":  {Usernames: []string{"u1", "u2"}, Overlap: Users, Creation: []string{"CREATE"}},
		"passwords":            {Usernames: []string{"u1"}, Overlap: Passwords},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(schedules) {
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						m := &model{users: map[string]*account{}}
						m.Model = interleaving.New(t, interleaving.Config{Seed: [2]uint64{seed, 2}, Pauses: pauses, Longest: 8 * time.Minute, Dies: 80})
						if len(settings.Creation) == 0 {
							for _, u := range settings.Usernames {
								m.users[u] = &account{}
							}
						}
						r := &Role{Settings: settings, Name: "app"}
						r.DB = "db"
						m.Commit(func(tx interleaving.Tx) error { return r.Save(tx) })
						m.run()
					})
				})
			}
		})
	}
}
