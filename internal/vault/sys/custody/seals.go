package custody

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
)

func (d *Desk) sealRoutes() []engine.Route {
	name := engine.Field{Name: "name", Type: engine.String, Help: "as the configuration has it"}
	return []engine.Route{
		{
			Pattern: "seals", Sudo: true, ReadOnly: true, Summary: "What opens the vault: the shares and every unseal key, and whether each works.",
			Handlers: handlers{engine.Read: d.seals},
		},
		{
			Pattern: "seals/migrate", Sudo: true, Handlers: handlers{engine.Update: d.migrate},
			Summary: "Read this node's unseal keys from its configuration again, have new ones open the vault too, try all.",
		},
		{
			Pattern: "seals/{name}", Sudo: true, Summary: "Forget what an unseal key that is gone has wrapped.",
			Fields: []engine.Field{
				name,
				{Name: "key_id", Type: engine.String, Query: true, Help: "of several keys that had the name, this one"},
				{Name: "shares_only", Type: engine.Bool, Query: true, Help: "also if people's shares alone open the vault then"},
			},
			Handlers: handlers{engine.Delete: d.forget},
		},
	}
}

func (d *Desk) seals(ctx context.Context, _ engine.Tx, _ *engine.Request) (*engine.Response, error) {
	all, err := d.cfg.Barrier.Seals(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]map[string]any, 0, len(all))
	for _, i := range all {
		one := map[string]any{"name": i.Name, "type": i.Kind, "key_id": i.KeyID, "wrapped": i.Wrapped, "configured": i.Configured}
		set := func(field string, at time.Time) {
			if !at.IsZero() {
				one[field] = at.UTC().Format(time.RFC3339)
			}
		}
		set("added", i.Added)
		set("last_worked", i.Worked)
		set("last_tried", i.Health.Tried)
		set("failing_since", i.Health.Since)
		if i.Configured && !i.Health.Tried.IsZero() {
			one["works"] = i.Works()
		}
		if i.Health.Err != nil {
			one["error"] = i.Health.Err.Error()
		}
		out = append(out, one)
	}
	return respond(map[string]any{"seals": out})
}

// migrate acts behind the commit: what was not audited did not happen.
func (d *Desk) migrate(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
	return &engine.Response{After: func(ctx context.Context) error {
		if err := d.cfg.Reload(); err != nil {
			return errs.Newf(errs.KindOf(err), "reading the unseal keys of the configuration again: %w", err)
		}
		_, err := d.cfg.Barrier.Migrate(ctx)
		return err
	}}, nil
}

func (d *Desk) forget(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	f := req.Decode()
	keyID, sharesOnly := f.String("key_id", ""), f.Bool("shares_only", false)
	if err := f.Err(); err != nil {
		return nil, err
	}
	name := req.Params["name"]
	if name == seal.KindShamir {
		return nil, errs.New(errs.Invalid, "shares are not forgotten: a rekey replaces them")
	}
	return &engine.Response{After: func(ctx context.Context) error {
		return d.cfg.Barrier.Forget(ctx, name, keyID, sharesOnly)
	}}, nil
}
