package authtest

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

const renewPath = "authtest/renew"

// probe is the method with one more route, by which Renew can be called in a
// transaction as the gate would call it.
type probe struct {
	engine.Engine
	auth, renewed *engine.Auth
}

// Routes implements engine.Engine.
func (p *probe) Routes() []engine.Route {
	return append(p.Engine.Routes(), engine.Route{
		Pattern: renewPath, Handlers: map[engine.Operation]engine.Handler{engine.Update: p.renew},
	})
}

// Setup implements engine.Setter.
func (p *probe) Setup(ctx context.Context, tx engine.Tx) error {
	if s, ok := p.Engine.(engine.Setter); ok {
		return s.Setup(ctx, tx)
	}
	return nil
}

func (p *probe) renew(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	var err error
	p.renewed, err = p.Engine.(engine.Renewer).Renew(ctx, tx, p.auth)
	return nil, err
}
