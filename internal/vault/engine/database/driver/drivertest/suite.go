package drivertest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/dbtest"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

// Suite is a kind of database and a server of it.
type Suite struct {
	Type     driver.Type
	Server   *dbtest.Server
	Creation []string // statements that make a user who can log in
	Names    []string // names that need care, all of them possible here
}

// Open opens the server with a login; details are JSON.
func (s Suite) Open(t testing.TB, username, password, details string) driver.Database {
	t.Helper()
	body, err := engine.ParseBody([]byte(details))
	if err != nil {
		t.Fatal(err)
	}
	db, err := s.Type.Open(driver.Config{
		URL: s.Server.URL("{{username}}", "{{password}}"), Username: username, Password: redact.FromString(password),
		Details: body, Pool: driver.Pool{MaxOpen: 4, MaxIdle: 4},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// Admin opens the server as the user who may do everything.
func (s Suite) Admin(t testing.TB) driver.Database {
	t.Helper()
	return s.Open(t, s.Server.User, s.Server.Password, "")
}

// Login returns why a user cannot log in; nil if it can.
func (s Suite) Login(t testing.TB, username, password string) error {
	t.Helper()
	db := s.Open(t, username, password, "")
	defer db.Close()
	return db.Ping(within(t, patience))
}

// patience is how long what succeeds may take on a busy machine.
const patience = 2 * time.Minute

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// canary is part of passwords, and must be in no error.
const canary = "Canary-5d1"

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	t.Run("Life", s.life)
	t.Run("Names", s.names)
	t.Run("Passwords", s.passwords)
	t.Run("Refusals", s.refusals)
	t.Run("Gatekeeper", s.gatekeeper)
	t.Run("Passwords", s.several)
	t.Run("Ranker", s.ranker)
	t.Run("Witness", s.witness)
	t.Run("Faults", s.faults)
	t.Run("Close", s.close)
}

func (s Suite) account(name, password string) *driver.Account {
	return &driver.Account{Username: name, Password: redact.FromString(password), Expires: time.Now().Add(time.Hour), Statements: s.Creation}
}

// life is that of one user, from the cradle to the grave.
func (s Suite) life(t *testing.T) { s.liveAs(t, "life", canary) }

// names are hostile ones.
func (s Suite) names(t *testing.T) {
	for _, name := range s.Names {
		t.Run(name, func(t *testing.T) { s.liveAs(t, name, canary) })
	}
}

// passwords are hostile ones.
func (s Suite) passwords(t *testing.T) {
	for _, password := range []string{`'`, `"`, `\`, `\'; --`, `{{name}}`, `a b`, "`", "$$", `%s`, `#`, `@/:?&=`} {
		t.Run(password, func(t *testing.T) { s.liveAs(t, "careful", canary+password) })
	}
}

func (s Suite) liveAs(t *testing.T, name, password string) {
	db := s.Admin(t)
	ctx := within(t, patience)
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	check("creating", db.Create(ctx, s.account(name, password)))
	check("logging in", s.Login(t, name, password))
	if err := db.Create(ctx, s.account(name, "taken")); !errs.Is(err, errs.Invalid) || !engine.IsUnmade(err) {
		t.Errorf("creating who is there: %v; it must be refused, and nobody removed for it", err)
	}
	check("prolonging", db.Update(ctx, &driver.Account{Username: name, Expires: time.Now().Add(2 * time.Hour)}))
	for range 2 {
		check("changing the password", db.Update(ctx, &driver.Account{Username: name, Password: redact.FromString("new" + password)}))
	}
	check("logging in with the new password", s.Login(t, name, "new"+password))
	old := s.Login(t, name, password)
	if !errors.Is(old, driver.ErrPassword) {
		t.Errorf("logging in with the old password: %v", old)
	}
	for range 2 {
		check("removing", db.Delete(ctx, &driver.Account{Username: name}))
	}
	if err := s.Login(t, name, "new"+password); !errs.Is(err, errs.Invalid) {
		t.Errorf("logging in after the end: %v", err)
	}
}

// silent reports an error of the wrong kind, or one that says too much.
func (s Suite) silent(t *testing.T, what string, err error, kind errs.Kind) {
	t.Helper()
	if !errs.Is(err, kind) {
		t.Errorf("%s: %v, want an error of kind %q", what, err, kind)
		return
	}
	for _, secret := range []string{canary, s.Server.Password, "://"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error holds %q: %v", what, secret, err)
		}
	}
}

func (s Suite) refusals(t *testing.T) {
	ctx := within(t, patience)
	db := s.Admin(t)
	err := s.Login(t, "nobody-here", canary)
	s.silent(t, "logging in as nobody", err, errs.Invalid)
	if !errors.Is(err, driver.ErrPassword) {
		t.Errorf("%v is not ErrPassword", err)
	}
	s.silent(t, "changing nobody's password", db.Update(ctx, &driver.Account{Username: "nobody-here", Password: redact.FromString(canary)}), errs.Invalid)
	if err := db.Delete(ctx, &driver.Account{Username: "nobody-here"}); err != nil {
		t.Errorf("removing nobody: %v", err)
	}
	bad := s.account("bad", canary)
	bad.Statements = append(bad.Statements[:len(bad.Statements):len(bad.Statements)], "NONSENSE '{{password}}' {{name}}")
	s.silent(t, "a nonsensical statement", db.Create(ctx, bad), errs.Invalid)
	if err := db.Delete(ctx, &driver.Account{Username: "bad"}); err != nil {
		t.Errorf("removing what nonsense left: %v", err)
	}
}

// faults are a server that hangs and one that is killed.
func (s Suite) faults(t *testing.T) {
	db := s.Admin(t)
	if err := db.Ping(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	s.silent(t, "with a context that has ended", db.Create(ended, s.account("late", canary)), errs.Unavailable)
	s.Server.Pause(t)
	start := time.Now()
	for what, call := range map[string]func(context.Context) error{
		"creating": func(ctx context.Context) error { return db.Create(ctx, s.account("late", canary)) },
		"changing": func(ctx context.Context) error {
			return db.Update(ctx, &driver.Account{Username: "late", Password: redact.FromString(canary)})
		},
		"removing":        func(ctx context.Context) error { return db.Delete(ctx, &driver.Account{Username: "late"}) },
		"logging in anew": s.Open(t, "late", canary, "").Ping,
	} {
		s.silent(t, what+" while the server hangs", call(within(t, 300*time.Millisecond)), errs.Unavailable)
	}
	s.Server.Resume(t)
	if took := time.Since(start); took > patience/2 {
		t.Errorf("four calls with 300 ms each took %v", took)
	}
	s.Server.Kill(t)
	s.silent(t, "creating after a kill", db.Create(within(t, 5*time.Second), s.account("late", canary)), errs.Unavailable)
	s.silent(t, "removing after a kill", db.Delete(within(t, 5*time.Second), &driver.Account{Username: "late"}), errs.Unavailable)
	s.Server.Start(t)
	ctx := within(t, patience)
	remove := func() error { return db.Delete(ctx, &driver.Account{Username: "late"}) }
	create := func() error {
		err := db.Create(ctx, s.account("late", canary))
		if errs.Is(err, errs.Unavailable) { // it may have been made
			_ = again(ctx, remove)
		}
		return err
	}
	for _, after := range []struct {
		what string
		call func() error
	}{{"removing", remove}, {"creating", create}, {"removing again", remove}} {
		if err := again(ctx, after.call); err != nil {
			t.Errorf("%s after the restart: %v", after.what, err)
		}
	}
}

// again calls for as long as the database cannot be reached: each connection that
// was there before it ended may be the one to say so.
func again(ctx context.Context, call func() error) error {
	for {
		if err := call(); !errs.Is(err, errs.Unavailable) || ctx.Err() != nil {
			return err
		}
	}
}

func (s Suite) close(t *testing.T) {
	db := s.Admin(t)
	if err := db.Ping(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	db.Close()
	db.Close()
	s.silent(t, "after Close", db.Ping(within(t, time.Second)), errs.Unavailable)
}
