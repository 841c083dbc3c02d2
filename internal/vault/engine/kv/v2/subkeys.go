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
	f, err := wanted(ctx, tx, req)
	if err != nil || f.v == nil {
		return nil, err
	}
	if f.data != nil {
		tree, err := parseTree(f.data)
		if err != nil {
			return nil, err
		}
		f.data = tree.appendSubkeys(nil, depth)
	}
	return withInfo("subkeys", f), nil
}
