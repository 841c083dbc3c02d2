package approle

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// prepared puts two secret IDs with known accessors into the set that the first
// role of the harness gets, whatever it is called.
type prepared struct{ *Engine }

func (p *prepared) Routes() []engine.Route {
	routes := p.Engine.Routes()
	for i, r := range routes {
		if r.Pattern != "role/{name}/secret-id-accessor/lookup" && r.Pattern != "role/{name}/secret-id-accessor/destroy" {
			continue
		}
		for op, h := range r.Handlers {
			routes[i].Handlers[op] = func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
				r, err := p.roles.Load(ctx, tx, "app")
				if err != nil {
					return nil, err
				}
				for _, name := range []string{"known", "also"} {
					if there, err := tx.Get(ctx, accessorKey(r.Set, name)); err != nil || there.Exists() {
						continue
					}
					if err := put(tx, r, name, &secretID{Accessor: name, Created: time.Unix(0, 0)}); err != nil {
						return nil, err
					}
					tx.Put(accessorKey(r.Set, name), []byte(name))
				}
				return h(ctx, tx, req)
			}
		}
	}
	return routes
}
