package userpass

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/token/grant"
)

var errWrong = errs.New(errs.Invalid, "invalid username or password")

// nobody is a hash that no password of a request fits, so that names that do
// not exist cost as much as those that do. It hashes nothing anybody knows.
var nobody = []byte("$2a$10$7EqJtq98hPqEX7fNZaFWoOhi5Jd3dXlbdWvB1nGQ4bkX8dRz3yqfW")

func (e *Engine) login(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) { //nolint:cyclop // a flat list of conditions
	d := req.Decode()
	password := d.String("password", "")
	name, err := e.users.Name(req)
	switch {
	case d.Err() != nil:
		return nil, d.Err()
	case password == "":
		return nil, errs.New(errs.Invalid, "missing password")
	case err != nil || len(password) > maxPassword:
		return nil, errWrong
	}
	// Failures are read and counted within the slot: of a thousand guesses that
	// come at once no more are compared than one after the other would be, and a
	// few.
	release, err := e.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	u, err := e.users.Load(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	f, err := loadFailures(ctx, tx, failedKey(name))
	if err != nil {
		return nil, err
	}
	locked := f.locked(req.Time, e.cfg.Lockout())
	if !e.compare(u, password) || locked {
		return nil, e.refuse(ctx, u, locked)
	}
	params, err := u.Engine()
	if err != nil {
		return nil, err
	}
	if !auth.AllowsAddr(params.BoundCIDRs, req.Remote) {
		return nil, errs.New(errs.Denied, "permission denied: logins of this user are bound to other addresses than yours")
	}
	if f.Count > 0 {
		tx.Delete(failedKey(name))
	}
	return &engine.Response{Auth: &engine.Auth{
		DisplayName: name, Alias: name, Metadata: map[string]string{"username": name}, Params: params, Renewable: true, Orphan: true,
	}}, nil
}

// slot waits until a password may be compared; the caller calls release then.
func (e *Engine) slot(ctx context.Context) (release func(), err error) {
	select {
	case e.slots <- struct{}{}:
		return func() { <-e.slots }, nil
	case <-ctx.Done():
		return nil, errs.Newf(errs.Unavailable, "waiting to compare a password: %w", ctx.Err())
	}
}

// compare does the same work whether or not the user is there.
func (e *Engine) compare(u *user, password string) bool {
	hash := e.nobody
	if u != nil {
		hash = u.Hash
	}
	fits := bcrypt.CompareHashAndPassword(hash, []byte(password)) == nil
	return fits && u != nil
}

// refuse counts a failure in a commit of its own, for the login's is none. Where
// there is nothing to count another entry is written: how long the answer takes
// must not tell which names exist (the class of CVE-2025-6011).
func (e *Engine) refuse(ctx context.Context, u *user, locked bool) error {
	limits := e.cfg.Lockout()
	key, name := nobodyKey, ""
	if u != nil {
		name = u.Name
	}
	if u != nil && !locked {
		key = failedKey(name)
	}
	var f failures
	if !limits.Disabled {
		err := e.cfg.Update(ctx, func(ctx context.Context, tx engine.Tx) (err error) {
			if f, err = loadFailures(ctx, tx, key); err != nil {
				return err
			}
			f.add(e.cfg.Now().UTC(), limits)
			raw, err := json.Marshal(f)
			if err != nil {
				return errs.Newf(errs.Internal, "encoding the failures of a user: %w", err)
			}
			tx.Put(key, raw)
			return nil
		})
		if err != nil {
			return err // uncounted guesses are free guesses
		}
	}
	switch {
	case u == nil:
		e.cfg.Log.Info("login refused: there is no such user")
	case locked:
		e.cfg.Log.Info("login refused: the user is locked out", "user", name)
	default:
		e.cfg.Log.Info("login refused: wrong password", "user", name, "failures", f.Count, "locked_until", f.Until)
	}
	return errWrong
}

// failures are the wrong passwords a user was tried with of late.
type failures struct {
	Count int       `json:"count"`
	Last  time.Time `json:"last"`
	Until time.Time `json:"until,omitzero"` // locked until then
}

func failedKey(name string) string { return failedFolder + name }

const (
	failedFolder = "failed/"
	nobodyKey    = "failed-nobody" // where failures go that are not counted
)

func loadFailures(ctx context.Context, tx engine.Tx, key string) (f failures, err error) {
	stored, err := tx.Get(ctx, key)
	if err != nil || !stored.Exists() {
		return f, err
	}
	if json.Unmarshal(stored.Value, &f) != nil {
		return f, errs.New(errs.Internal, "the failures of a user are damaged: unlock it by sys/locked-users")
	}
	return f, nil
}

// locked reports whether the user may not try at now.
func (f *failures) locked(now time.Time, limits engine.Lockout) bool {
	return !limits.Disabled && now.Before(f.Until)
}

// add counts one failure. Those before a pause of limits.Reset are forgotten.
func (f *failures) add(now time.Time, limits engine.Lockout) {
	if now.Sub(f.Last) >= limits.Reset || !f.Until.IsZero() && !now.Before(f.Until) {
		*f = failures{}
	}
	f.Count++
	f.Last = now
	if f.Count >= limits.Threshold {
		f.Until = now.Add(limits.Duration)
	}
}

// Locked implements engine.Locker.
func (e *Engine) Locked(ctx context.Context, tx engine.Tx) ([]string, error) {
	names, err := tx.List(ctx, failedFolder, "", 0)
	if err != nil {
		return nil, err
	}
	now, limits := e.cfg.Now(), e.cfg.Lockout()
	var locked []string
	for _, name := range names {
		if f, err := loadFailures(ctx, tx, failedKey(name)); err != nil || f.locked(now, limits) {
			locked = append(locked, name)
		}
	}
	slices.Sort(locked)
	return locked, nil
}

// Unlock implements engine.Locker.
func (e *Engine) Unlock(_ context.Context, tx engine.Tx, alias string) error {
	name, err := auth.CleanName("user", alias)
	if err != nil {
		return err
	}
	tx.Delete(failedKey(name))
	return nil
}

// Renew implements engine.Renewer: the user must still be there, with the same
// policies, and says how long.
func (e *Engine) Renew(ctx context.Context, tx engine.Tx, a *engine.Auth) (*engine.Auth, error) {
	name, err := auth.CleanName("user", a.Metadata["username"])
	if err != nil {
		return nil, errs.New(errs.Invalid, "the token does not say whose it is: log in again")
	}
	u, err := e.users.Load(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	if u == nil {
		return nil, errs.Newf(errs.Invalid, "user %q was deleted: its tokens cannot be renewed", name)
	}
	policies, err := grant.Login(u.Policies, u.NoDefaultPolicy)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(policies, a.Params.Policies) {
		return nil, errs.New(errs.Invalid, "policies have changed, not renewing: log in again")
	}
	next := *a
	next.Params, err = u.Engine()
	return &next, err
}
