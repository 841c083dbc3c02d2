package pki

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/ca"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/leaf"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/revocation"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/tidy"
)

// Engine is one mount. Its state is in its Tx.
type Engine struct {
	cfg   engine.Config
	crls  *revocation.Builder
	tidy  *tidy.Tidier
	paths []engine.Route
}

var (
	_ engine.Leaser = (*Engine)(nil)
	_ engine.Worker = (*Engine)(nil)
)

// New is the engine.Factory of pki.
func New(cfg engine.Config) (engine.Engine, error) {
	e := &Engine{cfg: cfg, crls: revocation.NewBuilder(cfg), tidy: tidy.New(cfg)}
	e.paths = slices.Concat(
		ca.Routes(cfg, e.crls.Refresh),
		leaf.Routes(cfg),
		e.tidy.Routes(),
		revocation.Routes(cfg, e.crls),
	)
	return e, nil
}

// Routes implements engine.Engine.
func (e *Engine) Routes() []engine.Route { return slices.Clone(e.paths) }

// Close implements engine.Engine.
func (*Engine) Close() error { return nil }

// Work implements engine.Worker: it builds CRLs and tidies.
func (e *Engine) Work(ctx context.Context) (time.Time, error) {
	crls, err := e.crls.Work(ctx)
	again, tidyErr := e.tidy.Work(ctx)
	if crls.IsZero() || !again.IsZero() && again.Before(crls) {
		crls = again
	}
	return crls, errors.Join(err, tidyErr)
}

// RevokeLease implements engine.Leaser: it revokes the certificate.
func (e *Engine) RevokeLease(ctx context.Context, tx engine.Tx, l *engine.Leased) error {
	return revocation.RevokeLease(ctx, tx, e.cfg, l)
}

// RenewLease implements engine.Leaser: a certificate lasts as long as it says.
func (*Engine) RenewLease(context.Context, engine.Tx, *engine.Leased) (*engine.Lease, error) {
	return nil, errs.New(errs.Invalid, "lease is not renewable: a certificate ends when it says; issue a new one")
}
