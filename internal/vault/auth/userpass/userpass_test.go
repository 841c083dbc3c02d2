package userpass

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth/authtest"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
)

// patient never locks anybody out, as the suites try many wrong passwords.
func patient(cfg *engine.Config) {
	cfg.Lockout = func() engine.Lockout { return engine.Lockout{Disabled: true} }
}

// cheap is New, but that logins of unknown users cost little, as those of the
// suites' users do, who come hashed: the suites make hundreds.
func cheap(cfg engine.Config) (engine.Engine, error) {
	made, err := New(cfg)
	if e, ok := made.(*Engine); ok {
		if e.nobody, err = bcrypt.GenerateFromPassword([]byte("nobody's"), bcrypt.MinCost); err != nil {
			return nil, err
		}
	}
	return made, err
}

func hashed(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func TestSuite(t *testing.T) {
	ann, bob := hashed(t, "canary-pass-ann"), hashed(t, "canary-pass-bob")
	authtest.Run(t, authtest.Suite{
		Factory: cheap, Options: []enginetest.Option{patient},
		Setup: []authtest.Request{
			{Op: engine.Update, Path: "users/ann", Body: `{"password_hash":"` + ann + `","token_policies":"app"}`},
			{Op: engine.Update, Path: "users/bob", Body: `{"password_hash":"` + bob + `"}`},
		},
		Login: authtest.Request{Path: "login/Ann", Body: `{"password":"canary-pass-ann"}`},
		Wrong: map[string]string{
			"none":      `{}`,
			"bob's":     `{"password":"canary-pass-bob"}`,
			"the hash":  `{"password":"` + ann + `"}`,
			"very long": `{"password":"` + strings.Repeat("x", 80) + `"}`,
		},
		Secrets:  []string{"canary-pass-bob", ann, bob},
		DropRole: authtest.Request{Op: engine.Delete, Path: "users/ann"},
	})
}

func TestConformance(t *testing.T) {
	// Conformance runs every step many times and compares what is stored, which
	// bcrypt's salt, from crypto/rand, makes another each time: users come hashed.
	user := fmt.Sprintf(`{"password_hash":%q,"policies":"app"}`, hashed(t, "imported"))
	enginetest.Run(t, enginetest.Suite{Factory: cheap, Options: []enginetest.Option{patient}, Steps: []enginetest.Step{
		{Op: engine.Update, Path: "users/ann", Body: `{"policies":"a"}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "users/ann", Body: user},
		{Op: engine.Update, Path: "users/ann", Body: `{"token_ttl":"1h"}`},
		{Op: engine.Update, Path: "users/ann", Body: `{"token_policies":"root"}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "users/ann", Body: `{"password_hash":"plain"}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "users/ann", Body: `{"password":"` + strings.Repeat("x", 73) + `"}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "users/../x", Body: user, Fails: errs.NotExist},
		{Op: engine.Read, Path: "users/ann"},
		{Op: engine.List, Path: "users/"},
		{Op: engine.Update, Path: "users/ann/policies", Body: `{"policies":"b,c"}`},
		{Op: engine.Update, Path: "users/ann/policies", Body: `{}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "users/ann/password", Body: user},
		{Op: engine.Update, Path: "users/ann/password", Body: `{}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "users/nobody/password", Body: user, Fails: errs.NotExist},
		{Op: engine.Update, Path: "login/ANN", Body: `{"password":"imported"}`},
		{Op: engine.Update, Path: "login/ann", Body: `{"password":"` + enginetest.Canary + `"}`, Fails: errs.Invalid},
		{Op: engine.Delete, Path: "users/ann"},
	}})
}

type world struct {
	*enginetest.Harness
	t *testing.T
}

func newWorld(t *testing.T, options ...enginetest.Option) *world {
	w := &world{enginetest.New(t, New, options...), t}
	if _, err := w.Do(engine.Update, "users/ann", fmt.Sprintf(`{"password_hash":%q,"token_bound_cidrs":"192.0.2.0/24"}`, hashed(t, "right"))); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) try(name, password string) error {
	_, err := w.Do(engine.Update, "login/"+name, fmt.Sprintf(`{"password":%q}`, password))
	return err
}

func (w *world) fails(name, password string) {
	w.t.Helper()
	if err := w.try(name, password); !errs.Is(err, errs.Invalid) || err.Error() != "invalid username or password" {
		w.t.Errorf("%s, %s: %v", name, password, err)
	}
}

func (w *world) works() {
	w.t.Helper()
	if err := w.try("ann", "right"); err != nil {
		w.t.Error(err)
	}
}

func TestLockout(t *testing.T) {
	w := newWorld(t)
	for range 4 {
		w.fails("ann", "wrong")
	}
	w.works() // which forgets the failures
	for range 4 {
		w.fails("ann", "wrong")
	}
	w.Advance(16 * time.Minute) // so does a pause
	for range 5 {
		w.fails("ann", "wrong")
	}
	w.fails("ann", "right")
	if locked, err := w.Engine.(engine.Locker).Locked(t.Context(), w.View()); err != nil || len(locked) != 1 || locked[0] != "ann" {
		t.Errorf("locked: %v, %v", locked, err)
	}
	w.Advance(15*time.Minute - time.Second)
	w.fails("ann", "right")
	w.Advance(time.Second)
	w.works()
}

// CVE-2025-6004: another spelling of the name must not have a count of its own.
func TestCVE20256004LockoutHoldsForEverySpelling(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"ann", "Ann", "aNn", "anN", "ANN"} {
		w.fails(name, "wrong")
	}
	w.fails("ann", "right")
	for _, name := range []string{"ann ", " ann", "ann\u0000", "ann/", "ann%20"} {
		if err := w.try(name, "right"); err == nil {
			t.Errorf("%q logs in", name)
		}
	}
}

// CVE-2025-6011: a name that does not exist is compared like any other; that it
// costs as much is by construction, for a bcrypt of the same cost is computed.
func TestCVE20256011UnknownUsersCostAsMuch(t *testing.T) {
	made, err := New(engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if cost, err := bcrypt.Cost(made.(*Engine).nobody); err != nil || cost != bcrypt.DefaultCost {
		t.Errorf("the hash of nobody has cost %d, %v", cost, err)
	}
	// It is counted like any other, too, for a commit takes time as well, but not
	// by name: strangers must not fill the store.
	w := newWorld(t)
	before := len(w.Stored(t))
	w.fails("nobody", "right")
	w.fails("another", "right")
	if n := len(w.Stored(t)) - before; n != 1 {
		t.Errorf("guesses of names that do not exist leave %d entries, want one for all", n)
	}
	if locked, err := w.Engine.(engine.Locker).Locked(t.Context(), w.View()); err != nil || len(locked) != 0 {
		t.Errorf("locked: %v, %v", locked, err)
	}
}

// Guesses that come at once, before any of them is counted, are no more than
// guesses that come one by one: who is locked out while a login waits for its
// turn is refused.
func TestLockoutHoldsForLoginsThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e := w.Engine.(*Engine)
		e.slots = make(chan struct{}, 1)
		e.slots <- struct{}{} // somebody's password is being compared
		result := make(chan error)
		go func() { result <- w.try("ann", "right") }()
		synctest.Wait()
		if err := e.cfg.Update(t.Context(), func(_ context.Context, tx engine.Tx) error {
			tx.Put(failedKey("ann"), fmt.Appendf(nil, `{"count":5,"last":%q,"until":%q}`, w.Now().Format(time.RFC3339), w.Now().Add(time.Minute).Format(time.RFC3339)))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		<-e.slots
		if err := <-result; !errs.Is(err, errs.Invalid) {
			t.Errorf("a login that waited while its user was locked out: %v", err)
		}
	})
}

// Comparing with an imported hash must not take minutes: anybody can ask for it.
func TestCostlyHashesAreRefused(t *testing.T) {
	w := newWorld(t)
	for cost, fits := range map[string]bool{"15": true, "16": false, "31": false} {
		_, err := w.Do(engine.Update, "users/bob", `{"password_hash":"`+strings.Replace(string(nobody), "$10$", "$"+cost+"$", 1)+`"}`)
		if (err == nil) != fits {
			t.Errorf("cost %s: %v", cost, err)
		}
	}
}

// A token is renewed only as long as its user would get the same policies.
func TestRenewalAfterAChangeOfPolicies(t *testing.T) {
	w := newWorld(t)
	renew := func(policies ...string) error {
		a := &engine.Auth{Metadata: map[string]string{"username": "ann"}, Params: engine.TokenParams{Policies: policies}}
		_, err := w.Engine.(engine.Renewer).Renew(t.Context(), w.View(), a)
		return err
	}
	if err := renew("default"); err != nil {
		t.Error(err)
	}
	if _, err := w.Do(engine.Update, "users/ann/policies", `{"token_policies":"b,A"}`); err != nil {
		t.Fatal(err)
	}
	if err := renew("a", "b", "default"); err != nil {
		t.Error(err)
	}
	if err := renew("default"); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "policies have changed") {
		t.Errorf("with the policies of before: %v", err)
	}
}

func TestLockedUsersAreFreedByHand(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		w.fails("ann", "wrong")
	}
	tx := w.View()
	if err := w.Engine.(engine.Locker).Unlock(t.Context(), tx, "ANN"); err != nil {
		t.Fatal(err)
	}
	if f, err := loadFailures(t.Context(), tx, failedKey("ann")); err != nil || f.Count != 0 {
		t.Errorf("%+v, %v", f, err)
	}
	if err := w.Engine.(engine.Locker).Unlock(t.Context(), tx, "a/b"); !errs.Is(err, errs.Invalid) {
		t.Error(err)
	}
}

func TestAddress(t *testing.T) {
	w := newWorld(t)
	_, err := w.Do(engine.Update, "login/ann", `{"password":"right"}`, func(r *engine.Request) { r.Remote = netip.MustParseAddr("10.0.0.1") })
	if !errs.Is(err, errs.Denied) {
		t.Error(err)
	}
}

func TestPasswordsAreKeptAsBcrypt(t *testing.T) {
	w := newWorld(t)
	if _, err := w.Do(engine.Update, "users/ann/password", `{"password":"canary-new"}`); err != nil {
		t.Fatal(err)
	}
	if err := w.try("ann", "canary-new"); err != nil {
		t.Error(err)
	}
	for key, value := range w.Stored(t) {
		if strings.Contains(key+value, "canary-new") {
			t.Errorf("%q holds a password", key)
		}
	}
}
