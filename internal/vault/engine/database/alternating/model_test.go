package alternating

import (
	"cmp"
	"context"
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
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/rotation"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

// The model: nodes over one store and one database, of which one step at a time is made, whichever
// the seed says. Between any two a node may stop for minutes or for good; the database may
// refuse, not do what it was asked, do it and not say so, or do it much later.
type model struct {
	*testing.T
	random  *rand.Rand
	store   *mem.Store
	calm    bool // nothing goes wrong any more
	users   map[string]*account
	drawn   int
	seen    []Credential // that were ever staged
	mu      sync.Mutex
	waiting []*step
	trail   []string
	paused  time.Duration
}

type account struct {
	passwords []string
	locked    bool
}

type step struct {
	what  string
	by    *member
	goOn  chan struct{}
	until time.Time
}

// member is one process.
type member struct {
	*Actor
	m    *model
	name string
	dead bool
}

func (m *model) note(format string, args ...any) {
	m.trail = append(m.trail, fmt.Sprintf(format, args...))
}

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

type modelTx struct{ *store.Txn }

func (modelTx) Emit(engine.Event) {}

func (m *model) Read(p []byte) (int, error) {
	m.drawn++
	return copy(p, fmt.Sprintf("%0*d", len(p), m.drawn)), nil
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
			if _, err := tx.Commit(context.WithoutCancel(ctx)); !errs.Is(err, errs.Conflict) {
				return err
			}
		}
	}
	n.Actor = New(engine.Config{
		Update: run, Duty: run, Wake: func() {}, Now: time.Now, Log: slog.New(slog.DiscardHandler), Random: m,
		Password: func(context.Context, string) (redact.Secret, error) {
			m.drawn++
			return redact.FromString(fmt.Sprint("p", m.drawn)), nil
		},
	}, func(context.Context, engine.Tx, *Role) (rotation.Server, string, error) { return server{n}, "", nil })
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
	s.by.step("login " + username + " " + password)
	if !s.by.m.calm && s.by.m.random.IntN(20) == 0 {
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
	s.by.step(what)
	odds := 0
	if !m.calm {
		odds = m.random.IntN(24)
	}
	switch odds {
	case 1:
		return errRefused
	case 2:
		return errGone
	case 3:
		_ = do()
		return errGone
	case 4: // when nobody waits any more, whatever has become of who asked
		late := &member{m: m, name: "server"}
		go func() {
			late.step("late: " + what)
			_ = do()
		}()
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
	r, err := Load(m.Context(), modelTx{store.Begin(m.store)}, "app")
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
		at := m.random.IntN(len(verbs))
		if m.random.IntN(2) == 0 { // most turns get on
			at = m.random.IntN(4)
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
		n.step("request reads")
		tx := modelTx{store.Begin(n.m.store)}
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
		n.step(fmt.Sprint("request commits ", r.Turn, " ", r.Step))
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
	odds := 6
	if strings.Contains(s.what, "read") || strings.Contains(s.what, "commit") || strings.Contains(s.what, "login") {
		odds = 40
	}
	if !m.calm && m.paused < 40*time.Minute && m.random.IntN(odds) == 0 {
		long := time.Duration(m.random.Int64N(int64(8 * time.Minute)))
		m.paused += long
		s.until = time.Now().Add(long)
		m.note("%s pauses for %v before: %s", s.by.name, long, s.what)
		return true
	}
	if !m.calm && m.random.IntN(80) == 0 && s.by.name != "server" {
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
	return true
}

func (m *model) drain() {
	for m.turn() {
	}
}

func (m *model) run() {
	nodes := []*member{m.join("a"), m.join("b"), m.join("c")}
	worked := time.Now()
	for range 24 {
		for i, n := range nodes {
			if n.dead {
				nodes[i] = m.join(n.name)
			}
		}
		n := nodes[m.random.IntN(len(nodes))]
		if m.random.IntN(6) == 0 || time.Since(worked) > lookPause {
			worked = time.Now()
			go func() { _, _ = n.Work(context.Background()) }() // what fails is tried again
		} else {
			a := m.any()
			go func() { _ = n.ask(a) }() // as above
		}
		synctest.Wait()
		for range m.random.IntN(30) {
			if !m.turn() {
				time.Sleep(time.Duration(m.random.Int64N(int64(time.Minute))))
			}
		}
	}
	m.calm = true
	m.drain()
	m.note("all is well from here on")
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
		done := make(chan error, 1)
		go func() {
			_, err := last.Work(context.Background())
			done <- err
		}()
		m.drain()
		if err := <-done; err != nil {
			m.fail("in the end Work fails: %v", err)
		}
		r := m.role()
		if a, ok := again[r.Step]; ok {
			a.Turn, a.Now = r.Turn, time.Now()
			go func() { _ = last.ask(a) }() // it is asked again
			m.drain()
		}
		time.Sleep(5 * time.Minute)
	}
}

func (m *model) fail(format string, args ...any) {
	m.Errorf(format, args...)
	m.Fatalf("the steps were:\n%s", strings.Join(m.trail, "\n"))
}

func (m *model) check() {
	r := m.role()
	open, shut := r.sides()
	for _, c := range open {
		if !m.works(c.Username, c.Password) {
			m.fail("%s: %s does not work with %s", r.Describe(), c.Username, c.Password)
		}
	}
	if shut != nil && m.works(shut.Username, shut.Password) {
		m.fail("%s: %s is closed and works", r.Describe(), shut.Username)
	}
	for _, c := range m.seen {
		current := slices.ContainsFunc([]*Credential{r.Live, r.New}, func(now *Credential) bool { return now != nil && now.Version == c.Version })
		if !current && m.works(c.Username, c.Password) {
			m.fail("%s: the credential %d of %s was retired and works", r.Describe(), c.Version, c.Username)
		}
	}
	if names, err := m.store.List(m.Context(), claimPrefix, "", 0); err != nil || len(names) != 0 {
		m.fail("claims are left: %v", err)
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
						m := &model{T: t, random: rand.New(rand.NewPCG(seed, 2)), store: mem.New(mem.Config{}), users: map[string]*account{}}
						defer m.store.Close()
						if len(settings.Creation) == 0 {
							for _, u := range settings.Usernames {
								m.users[u] = &account{}
							}
						}
						tx := modelTx{store.Begin(m.store)}
						r := &Role{Settings: settings, Name: "app"}
						r.DB = "db"
						if err := r.Save(tx); err != nil {
							t.Fatal(err)
						}
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
