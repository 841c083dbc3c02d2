package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/test/chaos/target"
)

// creds is an engine whose leases stand for accounts at the harness's target, each of the name that its
// path says. Asking for one takes a while, as it does of a database: a node may be stopped meanwhile.
type creds struct{ at string } // HOST:PORT of the target

// leased is what a lease remembers.
type leased struct {
	Name string `json:"name"`
}

const (
	pause   = 15 * time.Millisecond
	patient = 5 * time.Second // with the target
)

func newCreds(at string) engine.Factory {
	return func(engine.Config) (engine.Engine, error) { return &creds{at}, nil }
}

// Routes implements engine.Engine.
func (c *creds) Routes() []engine.Route {
	return []engine.Route{{Pattern: "creds/{name}", Handlers: map[engine.Operation]engine.Handler{engine.Update: c.give}}}
}

func (c *creds) give(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	internal, err := json.Marshal(leased{name})
	if err != nil {
		return nil, err
	}
	return &engine.Response{
		Data:  engine.NewObject().Str("name", name).Value(),
		Lease: &engine.Lease{TTL: target.TTL, Tracked: true, Internal: internal},
		After: func(ctx context.Context) error {
			<-time.After(pause)
			return c.ask(ctx, http.MethodPut, name)
		},
	}, nil
}

// RenewLease implements engine.Leaser.
func (c *creds) RenewLease(context.Context, engine.Tx, *engine.Leased) (*engine.Lease, error) {
	return nil, errs.New(errs.Invalid, "not renewable")
}

// RevokeLease implements engine.Leaser.
func (c *creds) RevokeLease(ctx context.Context, _ engine.Tx, l *engine.Leased) error {
	var of leased
	if err := json.Unmarshal(l.Internal, &of); err != nil {
		return err
	}
	return c.ask(ctx, http.MethodDelete, of.Name)
}

func (c *creds) ask(ctx context.Context, method, name string) error {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	if err := target.Ask(ctx, c.at, method, name); err != nil {
		return errs.Newf(errs.Unavailable, "asking the target: %w", err)
	}
	return nil
}

// Close implements engine.Engine.
func (c *creds) Close() error { return nil }
