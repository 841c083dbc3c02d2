package drivertest

import (
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

// user makes a user for one test, who can log in with canary.
func (s Suite) user(t *testing.T, db driver.Database, name string) {
	t.Helper()
	if err := db.Create(within(t, patience), s.account(name, canary)); err != nil {
		t.Fatalf("creating: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Delete(within(t, patience), &driver.Account{Username: name}); err != nil {
			t.Errorf("removing: %v", err)
		}
	})
}

// gatekeeper is driver.Gatekeeper, with names that need care.
func (s Suite) gatekeeper(t *testing.T) {
	db := s.Admin(t)
	gate, ok := db.(driver.Gatekeeper)
	if !ok {
		t.Skip("SKIPPED: the database is no driver.Gatekeeper")
	}
	ctx := within(t, patience)
	s.silent(t, "locking nobody", gate.Lock(ctx, "nobody-here"), errs.NotExist)
	s.silent(t, "unlocking nobody", gate.Unlock(ctx, "nobody-here"), errs.NotExist)
	if err := gate.EndSessions(ctx, "nobody-here"); err != nil {
		t.Errorf("ending nobody's sessions: %v", err)
	}
	for _, name := range append([]string{"locked"}, s.Names...) {
		t.Run(name, func(t *testing.T) { s.locking(t, db, gate, name) })
	}
}

func (s Suite) locking(t *testing.T, db driver.Database, gate driver.Gatekeeper, name string) {
	s.user(t, db, name)
	ctx := within(t, patience)
	session := s.Open(t, name, canary, "")
	if err := session.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := gate.Lock(ctx, name); err != nil {
			t.Fatalf("locking: %v", err)
		}
		s.silent(t, "logging in while locked", s.Login(t, name, canary), errs.Invalid)
	}
	if err := session.Ping(ctx); err != nil {
		t.Errorf("locking ended a session: %v", err)
	}
	for range 2 {
		if err := gate.Unlock(ctx, name); err != nil {
			t.Fatalf("unlocking: %v", err)
		}
		if err := s.Login(t, name, canary); err != nil {
			t.Errorf("logging in after unlocking: %v", err)
		}
	}
	if err := gate.Lock(ctx, name); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := gate.EndSessions(ctx, name); err != nil {
			t.Fatalf("ending sessions: %v", err)
		}
	}
	s.ended(t, session)
}

// ended waits until a session is over: a server may take its time to end it.
func (s Suite) ended(t *testing.T, session driver.Database) {
	t.Helper()
	deadline := time.After(patience)
	for session.Ping(within(t, 5*time.Second)) == nil {
		select {
		case <-deadline:
			t.Error("the session goes on")
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// several is driver.Passwords.
func (s Suite) several(t *testing.T) {
	db := s.Admin(t)
	passwords, ok := db.(driver.Passwords)
	if !ok {
		t.Skip("SKIPPED: the database is no driver.Passwords")
	}
	ctx := within(t, patience)
	second := redact.FromString("second" + canary)
	s.silent(t, "adding to nobody", passwords.AddPassword(ctx, "nobody-here", second), errs.NotExist)
	s.silent(t, "removing from nobody", passwords.RemovePassword(ctx, "nobody-here", second), errs.NotExist)
	s.user(t, db, "several")
	if err := passwords.RemovePassword(ctx, "several", second); err != nil {
		t.Errorf("removing what is not there: %v", err)
	}
	works := func(what, password string, want bool) {
		t.Helper()
		if err := s.Login(t, "several", password); (err == nil) != want {
			t.Errorf("%s: logging in: %v", what, err)
		}
	}
	for range 2 {
		if err := passwords.AddPassword(ctx, "several", second); err != nil {
			t.Fatal(err)
		}
		works("the first beside another", canary, true)
		works("the second", "second"+canary, true)
	}
	for range 2 {
		if err := passwords.RemovePassword(ctx, "several", redact.FromString(canary)); err != nil {
			t.Fatal(err)
		}
		works("the first, removed", canary, false)
		works("the second alone", "second"+canary, true)
	}
}

// witness is driver.Witness.
func (s Suite) witness(t *testing.T) {
	db := s.Admin(t)
	witness, ok := db.(driver.Witness)
	if !ok {
		t.Skip("SKIPPED: the database is no driver.Witness")
	}
	ctx := within(t, patience)
	if all, partial, err := witness.Sessions(ctx, "nobody-here"); err != nil || len(all) != 0 || partial != "" {
		t.Errorf("sessions of nobody: %v, %q, %v", all, partial, err)
	}
	s.user(t, db, "seen")
	session := s.Open(t, "seen", canary, "")
	if err := session.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	all, partial, err := witness.Sessions(ctx, "seen")
	if err != nil || len(all) != 1 || partial != "" {
		t.Fatalf("sessions: %v, %q, %v; want one", all, partial, err)
	}
	if all[0].Address != "127.0.0.1" {
		t.Errorf("the session comes from %q", all[0].Address)
	}
	if since := all[0].Since; !since.IsZero() && (time.Since(since) > time.Minute || time.Since(since) < -5*time.Second) {
		t.Errorf("the session is there since %v", since)
	}
	session.Close()
	deadline := time.After(patience)
	for {
		all, _, err := witness.Sessions(ctx, "seen")
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 0 {
			return
		}
		select {
		case <-deadline:
			t.Fatal("a session that has ended is still seen")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// ranker is driver.Ranker.
func (s Suite) ranker(t *testing.T) {
	db := s.Admin(t)
	ranker, ok := db.(driver.Ranker)
	if !ok {
		t.Skip("SKIPPED: the database is no driver.Ranker")
	}
	ctx := within(t, patience)
	for _, name := range append([]string{"ranked"}, s.Names...) {
		s.user(t, db, name)
		if rules, err := ranker.Rules(ctx, name); rules || err != nil {
			t.Errorf("%q: %v, %v", name, rules, err)
		}
	}
	if rules, err := ranker.Rules(ctx, s.Server.User); !rules || err != nil {
		t.Errorf("who may do everything: %v, %v", rules, err)
	}
	_, err := ranker.Rules(ctx, "nobody-here")
	s.silent(t, "nobody", err, errs.NotExist)
}
