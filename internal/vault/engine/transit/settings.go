package transit

import (
	"context"
	"encoding/binary"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/keyring"
)

const (
	configCache  = "config/cache"
	minCacheSize = 10
)

func readKeysConfig(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	disabled, err := keyring.UpsertDisabled(ctx, tx)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: engine.NewObject().Bool("disable_upsert", disabled).Value()}, nil
}

func writeKeysConfig(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	disabled, err := keyring.UpsertDisabled(ctx, tx)
	if err != nil {
		return nil, err
	}
	d := req.Decode()
	disabled = d.Bool("disable_upsert", disabled)
	if err := d.Err(); err != nil {
		return nil, err
	}
	keyring.DisableUpsert(tx, disabled)
	return &engine.Response{Data: engine.NewObject().Bool("disable_upsert", disabled).Value()}, nil
}

func readCache(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	entry, err := tx.Get(ctx, configCache)
	if err != nil {
		return nil, err
	}
	size, _ := binary.Uvarint(entry.Value) // none is 0
	return &engine.Response{Data: engine.NewObject().Uint("size", size).Value()}, nil
}

// writeCache keeps a number that means nothing here: keys are in the vault's one
// cache, which bounds itself. Scripts that set up a mount send it.
func writeCache(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	size := d.Int("size", 0)
	if err := d.Err(); err != nil {
		return nil, err
	}
	if size != 0 && size < minCacheSize {
		return nil, errs.Newf(errs.Invalid, "size must be 0 or a value greater or equal to %d", minCacheSize)
	}
	tx.Put(configCache, binary.AppendUvarint(nil, uint64(size)))
	return &engine.Response{
		Data:     engine.NewObject().Int("size", size).Value(),
		Warnings: []string{"the size has no effect: keys are in the vault's own cache, which bounds itself"},
	}, nil
}
