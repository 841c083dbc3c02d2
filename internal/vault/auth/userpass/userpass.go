package userpass

import (
	"context"
	"runtime"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// Engine is one mount of the method.
type Engine struct {
	cfg   engine.Config
	users auth.Records[user, *user]
	// slots bounds how many passwords are compared at once: anybody can ask for
	// it, and each costs some 50 ms of a processor.
	slots chan struct{}
	// nobody is compared with the passwords of users who do not exist.
	nobody []byte
}

// New is the method's engine.Factory.
func New(cfg engine.Config) (engine.Engine, error) {
	e := &Engine{cfg: cfg, slots: make(chan struct{}, runtime.GOMAXPROCS(0)), nobody: nobody}
	e.users = auth.Records[user, *user]{
		Folder: "user/", Noun: "user", Param: "username",
		New:     func(name string) user { return user{Name: name} },
		Deleted: func(_ context.Context, tx engine.Tx, u *user) error { tx.Delete(failedKey(u.Name)); return nil },
	}
	return e, nil
}

// Close has nothing to stop.
func (*Engine) Close() error { return nil }

// user is who may log in.
type user struct {
	Name string `json:"name"`
	Hash []byte `json:"hash"` // bcrypt
	auth.Params
}

// maxPassword is bcrypt's limit: it would silently ignore what is beyond.
const maxPassword = 72

// maxCost bounds hashes that are brought along: each step doubles the time of a
// comparison, which strangers ask for. This one takes a second or two.
const maxCost = 15

// Decode implements auth.Record.
func (u *user) Decode(req *engine.Request) error {
	if err := u.setPassword(req, false); err != nil {
		return err
	}
	d := req.Decode()
	if err := u.Params.Decode(&d); err != nil {
		return err
	}
	return u.CheckLogin()
}

// setPassword reads password or password_hash; neither is needed unless must.
func (u *user) setPassword(req *engine.Request, must bool) error {
	d := req.Decode()
	password, hashed := d.String("password", ""), d.String("password_hash", "")
	switch {
	case d.Err() != nil:
		return d.Err()
	case password != "" && hashed != "":
		return errs.New(errs.Invalid, "give either password or password_hash")
	case len(password) > maxPassword:
		return errs.Newf(errs.Invalid, "the password is longer than %d bytes, which is all that bcrypt takes", maxPassword)
	case hashed != "":
		cost, err := bcrypt.Cost([]byte(hashed))
		if err != nil || len(hashed) != 60 {
			return errs.New(errs.Invalid, "password_hash is not a bcrypt hash")
		}
		if cost > maxCost {
			return errs.Newf(errs.Invalid, "password_hash has the cost %d: more than %d would keep everybody waiting", cost, maxCost)
		}
		u.Hash = []byte(hashed)
	case password != "":
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
		if err != nil {
			return errs.New(errs.Internal, "hashing a password: bcrypt refused it")
		}
		u.Hash = hash
	case must:
		return errs.New(errs.Invalid, "missing password")
	}
	return nil
}

// Check implements auth.Record.
func (u *user) Check() error {
	if len(u.Hash) == 0 {
		return errs.New(errs.Invalid, "missing password: a new user needs one, or a password_hash")
	}
	return nil
}

// Show implements auth.Record.
func (u *user) Show() engine.Builder { return u.Params.Show(engine.NewObject()) }

func passwordFields() []engine.Field {
	return []engine.Field{
		{Name: "password", Type: engine.String, Secret: true, Help: "the password, at most 72 bytes"},
		{Name: "password_hash", Type: engine.String, Secret: true, Help: "a bcrypt hash in place of the password, to bring users along"},
	}
}

// Routes implements engine.Engine.
func (e *Engine) Routes() []engine.Route {
	type handlers = map[engine.Operation]engine.Handler
	fields := append(passwordFields(), engine.Field{Name: "policies", Type: engine.Strings, Help: "older name of token_policies"})
	return append(e.users.Routes("users", append(fields, auth.Fields()...)),
		engine.Route{
			Pattern: "users/{username}/password", Handlers: handlers{engine.Update: e.changePassword}, Canonical: strings.ToLower,
			Fields: passwordFields(), Summary: "Change a user's password.", Help: "Let people write their own by a templated policy.",
		},
		engine.Route{
			Pattern: "users/{username}/policies", Handlers: handlers{engine.Update: e.changePolicies}, Canonical: strings.ToLower,
			Fields: []engine.Field{
				{Name: "token_policies", Type: engine.Strings, Help: "policies of tokens"},
				{Name: "policies", Type: engine.Strings, Help: "older name"},
			},
			Summary: "Change a user's policies.", Help: "Tokens that the user holds already keep theirs.",
		},
		engine.Route{
			Pattern: "login/{username}", Handlers: handlers{engine.Update: e.login}, Unauthenticated: true,
			Fields:  []engine.Field{{Name: "password", Type: engine.String, Secret: true, Help: "the password"}},
			Summary: "Log in with a name and a password.", Help: "Who fails too often is locked out for a while.",
		})
}

func (e *Engine) changePassword(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name, _, err := e.users.Find(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	return e.users.Change(ctx, tx, name, func(u *user) error { return u.setPassword(req, true) })
}

func (e *Engine) changePolicies(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name, _, err := e.users.Find(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	if !req.Body.Has("token_policies") && !req.Body.Has("policies") {
		return nil, errs.New(errs.Invalid, "missing token_policies")
	}
	return e.users.Change(ctx, tx, name, func(u *user) error {
		only := auth.Params{}
		d := req.Decode()
		if err := only.Decode(&d); err != nil {
			return err
		}
		u.Policies = only.Policies
		return u.CheckLogin()
	})
}
