package custody

import (
	"context"
	"crypto/rand"
	"encoding/json"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

var errNoVerification = errs.New(errs.Invalid, "no rekey on this node waits for its verification")

// waiting returns the rekey whose new shares are to be proved. The caller holds mu.
func (d *Desk) waiting() (*rekey, error) {
	if d.rekey == nil || d.rekey.draft == nil || !d.rekey.verify {
		return nil, errNoVerification
	}
	return d.rekey, nil
}

func (r *rekey) verification() map[string]any {
	return map[string]any{"nonce": r.second, "started": true, "t": r.threshold, "n": r.shares, "progress": r.fresh.Len()}
}

func (d *Desk) verifyStatus(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	if err := d.may(ctx, tx, req); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.waiting()
	if err != nil {
		return nil, err
	}
	return respond(r.verification())
}

// verifyRestart drops the new shares that were given back.
func (d *Desk) verifyRestart(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	if err := d.may(ctx, tx, req); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.waiting()
	if err != nil {
		return nil, err
	}
	r.fresh.Wipe()
	r.second = rand.Text()
	return respond(r.verification())
}

// verifyUpdate takes a new share back. With the last one the new set takes the place of the old.
func (d *Desk) verifyUpdate(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.waiting()
	if err != nil {
		return nil, err
	}
	if !names(req, r.second) {
		return nil, errNonce
	}
	share, err := shareOf(req, r.draft.Set)
	if err != nil {
		return nil, err
	}
	warnings, err := r.fresh.add(req, share)
	if err != nil {
		return nil, err
	}
	if r.fresh.Len() < r.threshold {
		return warned(r.verification(), warnings)
	}
	if err := d.cfg.Barrier.Proves(r.draft.Set, r.fresh.Shares()); err != nil {
		r.fresh.Wipe()
		return nil, err
	}
	if r.backup {
		if err := keepBackup(tx, r); err != nil {
			return nil, err
		}
	}
	res, err := respond(map[string]any{"nonce": r.second, "complete": true})
	if err != nil {
		return nil, err
	}
	res.After = func(ctx context.Context) error { return d.adopt(ctx, r) }
	return res, nil
}

// backupKey is where the shares of the last rekey with a backup lie, each encrypted for its recipient, and all
// of it sealed as everything in the vault: {"nonce":"…","keys":{"FINGERPRINT":["<hex>"]},"keys_base64":{…}}.
const backupKey = "core/shares-backup"

func keepBackup(tx engine.Tx, r *rekey) error {
	inHex, in64 := map[string][]string{}, map[string][]string{}
	for i, f := range r.shown.Fingerprints {
		inHex[f] = append(inHex[f], r.shown.Hex[i])
		in64[f] = append(in64[f], r.shown.Base64[i])
	}
	raw, err := json.Marshal(map[string]any{"nonce": r.nonce, "keys": inHex, "keys_base64": in64})
	if err != nil {
		return errs.Newf(errs.Internal, "encoding the backup of shares: %w", err)
	}
	tx.Put(backupKey, raw)
	return nil
}

func (d *Desk) backupRoutes() []engine.Route {
	var all []engine.Route
	for _, name := range []string{"rekey/backup", "rekey/recovery-key-backup", "rekey-recovery-key/backup"} {
		all = append(all, engine.Route{
			Pattern: name, Sudo: true, Summary: "The encrypted shares of the last rekey that asked for a backup.",
			Handlers: handlers{engine.Read: readBackup, engine.Delete: deleteBackup},
		})
	}
	return all
}

func readBackup(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	e, err := tx.Get(ctx, backupKey)
	if err != nil {
		return nil, err
	}
	if !e.Exists() {
		return nil, errs.New(errs.Invalid, "no backed-up keys found")
	}
	return &engine.Response{Data: e.Value, TopLevel: true}, nil
}

func deleteBackup(_ context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	tx.Delete(backupKey)
	return nil, nil
}
