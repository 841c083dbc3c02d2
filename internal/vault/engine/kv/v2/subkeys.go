package v2

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// readSubkeys shows the names in a secret without its values.
func readSubkeys(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	depth := d.Int("depth", 0)
	if err := d.Err(); err != nil {
		return nil, err
	}
	if depth < 0 {
		return nil, errs.New(errs.Invalid, "depth must be 0 (no limit) or more")
	}
	m, v, data, err := wanted(ctx, tx, req)
	if err != nil || m == nil {
		return nil, err
	}
	if data == nil {
		return withInfo("subkeys", nil, m, v), nil
	}
	tree, err := parseTree(data)
	if err != nil {
		return nil, err
	}
	return withInfo("subkeys", tree.appendSubkeys(nil, depth), m, v), nil
}
