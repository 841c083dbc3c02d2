package v2

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// config is the mount's settings.
//
//	byte     format, 1
//	byte     flags: 1 = cas_required; others 0
//	uvarint  max_versions
//	varint   delete_version_after, ns
type config struct {
	maxVersions int // 0 = DefaultVersions
	casRequired bool
	deleteAfter time.Duration // 0 = as the secret says, negative = never
}

const (
	configKey    = "config"
	configFormat = 1
)

func (c *config) encode() []byte {
	b := []byte{configFormat, 0}
	if c.casRequired {
		b[1] = flagCAS
	}
	b = binary.AppendUvarint(b, uint64(c.maxVersions))
	return binary.AppendVarint(b, int64(c.deleteAfter))
}

func decodeConfig(entry []byte) (*config, error) {
	r, c := newReader(entry), &config{}
	format, flags := r.byte(), r.byte()
	if format != configFormat || flags&^flagCAS != 0 {
		r.spoil()
	}
	c.casRequired = flags&flagCAS != 0
	c.maxVersions = int(min(r.uvarint(), MaxVersions))
	c.deleteAfter = time.Duration(r.varint())
	return c, r.done("the settings of a key/value mount")
}

// loadConfig returns the settings; they are shared, and defaults if none were written.
func loadConfig(ctx context.Context, tx engine.Tx) (*config, error) {
	e, err := tx.Get(ctx, configKey)
	if err != nil || !e.Exists() {
		return &config{}, err
	}
	return store.Decode(e, decodeConfig)
}

func readConfig(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	c, err := loadConfig(ctx, tx)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: engine.NewObject().
		Bool("cas_required", c.casRequired).
		Str("delete_version_after", c.deleteAfter.String()).
		Int("max_versions", int64(c.maxVersions)).
		Value()}, nil
}

// writeConfig changes the settings that the request has.
func writeConfig(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	old, err := loadConfig(ctx, tx)
	if err != nil {
		return nil, err
	}
	c := *old
	d := req.Decode()
	limit := d.Int("max_versions", int64(c.maxVersions))
	c.casRequired = d.Bool("cas_required", c.casRequired)
	c.deleteAfter = d.Duration("delete_version_after", c.deleteAfter)
	if err := d.Err(); err != nil {
		return nil, err
	}
	if err := checkMaxVersions(limit); err != nil {
		return nil, err
	}
	c.maxVersions = int(limit)
	tx.Put(configKey, c.encode())
	tx.Emit(engine.Event{Type: "kv-v2/config-write", Path: "config", Metadata: map[string]string{
		"operation": "config-write", "path": "config", "data_path": "config", "modified": "true",
	}})
	return nil, nil
}

func checkMaxVersions(n int64) error {
	if n < 0 || n > MaxVersions {
		return errs.Newf(errs.Invalid, "max_versions must be between 0 (the default) and %d", MaxVersions)
	}
	return nil
}
