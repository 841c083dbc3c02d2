package auth

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/token/grant"
)

// Record is something a method keeps under a name, as JSON: a role, a user.
// Method sets of pointers satisfy it.
type Record interface {
	// Decode changes the record by a request's body; fields that are absent stay
	// as they are. Kind Invalid.
	Decode(req *engine.Request) error
	// Check refuses what cannot be and fills in what is derived from the stored
	// fields. It is called after Decode and after every read from the store.
	Check() error
	// Show is what a read answers: everything but secrets.
	Show() engine.Builder
}

// Records is one folder of records in a mount's storage and the handlers that
// list, read, write and delete them. Names are kept in lower case.
type Records[T any, P interface {
	*T
	Record
}] struct {
	Folder string // "role/"
	Noun   string // "role": how messages call a record
	Param  string // what stands for the name in the route's pattern: "name"
	New    func(name string) T
	// Written is called with a record about to be stored, and what it was, nil if
	// it is new; what it returns is the answer. It may change both record and tx.
	// nil: nothing.
	Written func(ctx context.Context, tx engine.Tx, old, now P) (*engine.Response, error)
	// Deleted is called with a record about to be deleted. nil: nothing.
	Deleted func(ctx context.Context, tx engine.Tx, old P) error
}

var namePattern = regexp.MustCompile(`^\w(([\w-.@]+)?\w)?$`)

// CleanName brings a record's name into the one form it is stored under. Kind Invalid.
func CleanName(noun, name string) (string, error) {
	name = strings.ToLower(name)
	if !namePattern.MatchString(name) || len(name) > 256 {
		return "", errs.Newf(errs.Invalid, "a %s's name may hold letters, digits, \"_\", and within it \"-\", \".\" and \"@\", at most 256 of them", noun)
	}
	return name, nil
}

// Name returns the name that the request's path gives. Kind Invalid.
func (r *Records[T, P]) Name(req *engine.Request) (string, error) {
	return CleanName(r.Noun, req.Params[r.Param])
}

// Load returns nil if there is none. The record is shared: do not change it.
func (r *Records[T, P]) Load(ctx context.Context, tx engine.Tx, name string) (P, error) {
	stored, err := tx.Get(ctx, r.Folder+name)
	if err != nil || !stored.Exists() {
		return nil, err
	}
	return store.Decode(stored, r.decode)
}

func (r *Records[T, P]) decode(b []byte) (P, error) {
	p := P(new(T))
	if json.Unmarshal(b, p) != nil || p.Check() != nil {
		return nil, errs.Newf(errs.Internal, "a stored %s is damaged", r.Noun)
	}
	return p, nil
}

// Put stores a record.
func (r *Records[T, P]) Put(tx engine.Tx, name string, p P) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding a %s: %w", r.Noun, err)
	}
	tx.Put(r.Folder+name, raw)
	return nil
}

// Find loads the record that the request's path names. Kind NotExist: there is none.
func (r *Records[T, P]) Find(ctx context.Context, tx engine.Tx, req *engine.Request) (string, P, error) {
	name, err := r.Name(req)
	if err != nil {
		return "", nil, err
	}
	p, err := r.Load(ctx, tx, name)
	if err == nil && p == nil {
		err = errs.Newf(errs.NotExist, "there is no %s %q", r.Noun, name)
	}
	return name, p, err
}

// Exists tells create from update.
func (r *Records[T, P]) Exists(ctx context.Context, tx engine.Tx, req *engine.Request) (bool, error) {
	name, err := r.Name(req)
	if err != nil {
		return false, err
	}
	stored, err := tx.Get(ctx, r.Folder+name)
	return stored.Exists(), err
}

// List answers the names, sorted.
func (r *Records[T, P]) List(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	names, err := tx.List(ctx, r.Folder, "", 0)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: engine.NewObject().Strs("keys", slices.Sorted(slices.Values(names))).Value()}, nil
}

// Read answers one record; nil, a 404, if there is none.
func (r *Records[T, P]) Read(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name, err := r.Name(req)
	if err != nil {
		return nil, err
	}
	p, err := r.Load(ctx, tx, name)
	if err != nil || p == nil {
		return nil, err
	}
	return &engine.Response{Data: p.Show().Value()}, nil
}

// Write makes or changes one record.
func (r *Records[T, P]) Write(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name, err := r.Name(req)
	if err != nil {
		return nil, err
	}
	return r.Change(ctx, tx, name, func(p P) error { return p.Decode(req) })
}

// Change makes or changes the record called name by change.
func (r *Records[T, P]) Change(ctx context.Context, tx engine.Tx, name string, change func(P) error) (*engine.Response, error) {
	old, err := r.Load(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	now := r.New(name)
	if old != nil {
		now = *old
	}
	if err := change(&now); err != nil {
		return nil, err
	}
	if err := P(&now).Check(); err != nil {
		return nil, err
	}
	var res *engine.Response
	if r.Written != nil {
		if res, err = r.Written(ctx, tx, old, &now); err != nil {
			return nil, err
		}
	}
	return res, r.Put(tx, name, &now)
}

// Delete removes one record; one that is not there is no error.
func (r *Records[T, P]) Delete(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name, err := r.Name(req)
	if err != nil {
		return nil, err
	}
	if r.Deleted != nil {
		old, err := r.Load(ctx, tx, name)
		if err != nil || old == nil {
			return nil, err
		}
		if err := r.Deleted(ctx, tx, old); err != nil {
			return nil, err
		}
	}
	tx.Delete(r.Folder + name)
	return nil, nil
}

// Routes are those of the folder: pattern is "role", and "role/{name}" follows.
func (r *Records[T, P]) Routes(pattern string, fields []engine.Field) []engine.Route {
	return []engine.Route{
		{
			Pattern: pattern, Handlers: map[engine.Operation]engine.Handler{engine.List: r.List}, ReadOnly: true,
			Summary: "List the " + r.Noun + "s.", Help: "Their names, sorted.",
		},
		{
			Pattern: pattern + "/{" + r.Param + "}",
			Handlers: map[engine.Operation]engine.Handler{
				engine.Read: r.Read, engine.Create: r.Write, engine.Update: r.Write, engine.Delete: r.Delete,
			},
			Exists: r.Exists, Canonical: strings.ToLower, Fields: fields,
			Summary: "One " + r.Noun + ".", Help: "Fields that are absent in an update stay as they are.",
		},
	}
}

// CheckLogin refuses token_* fields that no login can be given: the policy root. Kind Invalid.
func (p *Params) CheckLogin() error {
	_, err := grant.Login(p.Policies, p.NoDefaultPolicy)
	return err
}
