package leasetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// Canary stands in every Internal: it must be found nowhere.
const Canary = "canary-of-the-lease-internal"

// Database is what the engines of Factory make users in. Set its functions
// before the first request, or by Set.
type Database struct {
	mu     sync.Mutex
	n      int
	users  map[string]string // name to role
	calls  []string          // "make NAME", "renew NAME", "drop NAME", failed ones too
	leases map[string]engine.Lease
	fail   func(op, role string) error
	hook   func(op, role string)
	work   func(ctx context.Context) (time.Time, error)
	config engine.Config
}

// Set gives the leases of a role.
func (d *Database) Set(role string, l engine.Lease) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.leases == nil {
		d.leases = map[string]engine.Lease{}
	}
	d.leases[role] = l
}

// Fail has operations ("make", "renew", "drop") fail where f returns an error; nil = none.
func (d *Database) Fail(f func(op, role string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = f
}

// Hook is called before each operation, with no lock held.
func (d *Database) Hook(f func(op, role string)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hook = f
}

// Work is what the engine's Worker does.
func (d *Database) Work(f func(ctx context.Context) (time.Time, error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.work = f
}

// Config is what the engine made last was given.
func (d *Database) Config() engine.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.config
}

// Users returns the names of all users, sorted.
func (d *Database) Users() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := []string{}
	for name := range d.users {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Calls returns what was asked of the database so far.
func (d *Database) Calls() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

func (d *Database) do(op, name, role string) error {
	d.mu.Lock()
	hook := d.hook
	d.mu.Unlock()
	if hook != nil {
		hook(op, role)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, op+" "+name)
	if d.fail != nil {
		if err := d.fail(op, role); err != nil {
			return err
		}
	}
	switch op {
	case "make":
		if d.users == nil {
			d.users = map[string]string{}
		}
		d.users[name] = role
	case "drop":
		delete(d.users, name)
	}
	return nil
}

func (d *Database) lease(role string) engine.Lease {
	d.mu.Lock()
	defer d.mu.Unlock()
	l, ok := d.leases[role]
	if !ok {
		l = engine.Lease{Renewable: true}
	}
	return l
}

// Factory makes engines on the database. Each serves creds/ROLE, which makes a
// user of any role.
func (d *Database) Factory(cfg engine.Config) (engine.Engine, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.config = cfg
	return &users{db: d, cfg: cfg}, nil
}

type users struct {
	db  *Database
	cfg engine.Config
}

func (*users) Close() error { return nil }

func (u *users) Routes() []engine.Route {
	return []engine.Route{{
		Pattern: "creds/{role...}", Summary: "Make a user.",
		Handlers: map[engine.Operation]engine.Handler{engine.Read: u.creds},
	}}
}

type internal struct{ User, Note string }

func (u *users) creds(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	role := req.Params["role"]
	l := u.db.lease(role)
	u.db.mu.Lock()
	u.db.n++
	name := fmt.Sprintf("%s-%d", role, u.db.n)
	u.db.mu.Unlock()
	kept, err := json.Marshal(internal{name, Canary})
	if err != nil {
		return nil, err
	}
	l.Tracked, l.Role, l.Internal = true, role, kept
	return &engine.Response{
		Data: engine.NewObject().Str("username", name).Value(), Lease: &l,
		After: func(context.Context) error { return u.db.do("make", name, role) },
	}, nil
}

func user(l *engine.Leased) (string, error) {
	var kept internal
	if err := json.Unmarshal(l.Internal, &kept); err != nil || kept.Note != Canary {
		return "", errs.New(errs.Internal, "the lease lost what belongs to it")
	}
	return kept.User, nil
}

// RenewLease implements engine.Leaser.
func (u *users) RenewLease(_ context.Context, _ engine.Tx, l *engine.Leased) (*engine.Lease, error) {
	name, err := user(l)
	if err != nil {
		return nil, err
	}
	if err := u.db.do("renew", name, l.Role); err != nil {
		return nil, err
	}
	next := u.db.lease(l.Role)
	if l.Increment > 0 {
		next.TTL = l.Increment
	}
	return &next, nil
}

// RevokeLease implements engine.Leaser.
func (u *users) RevokeLease(_ context.Context, _ engine.Tx, l *engine.Leased) error {
	name, err := user(l)
	if err != nil {
		return err
	}
	return u.db.do("drop", name, l.Role)
}

// Work implements engine.Worker.
func (u *users) Work(ctx context.Context) (time.Time, error) {
	u.db.mu.Lock()
	work := u.db.work
	u.db.mu.Unlock()
	if work == nil {
		return time.Time{}, nil
	}
	return work(ctx)
}
