package ca

import (
	"cmp"
	"context"
	"slices"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/authority"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/keypair"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/wire"
)

func listKeys(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	s, err := authority.LoadSettings(ctx, tx)
	if err != nil {
		return nil, err
	}
	all, err := authority.AllKeys(ctx, tx)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	slices.SortFunc(all, func(a, b *authority.Key) int { return cmp.Compare(a.ID, b.ID) })
	info, ids := engine.NewObject(), make([]string, 0, len(all))
	for _, k := range all {
		ids = append(ids, k.ID)
		info = info.Open(k.ID).Bool("is_default", k.ID == s.DefaultKey).Str("key_name", k.Name).Close()
	}
	return &engine.Response{Data: engine.NewObject().Obj("key_info", info).Strs("keys", ids).Value()}, nil
}

func describeKey(k *authority.Key) engine.Builder {
	return engine.NewObject().Str("key_id", k.ID).Str("key_name", k.Name).Str("key_type", k.Type)
}

func readKey(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	k, err := authority.LoadKey(ctx, tx, req.Params["ref"])
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: describeKey(k).Value()}, nil
}

func (h *handlers) updateKey(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	c, err := authority.Begin(ctx, tx, h.cfg.Random)
	if err != nil {
		return nil, err
	}
	k, err := c.Key(req.Params["ref"])
	if err != nil {
		return nil, err
	}
	d := req.Decode()
	name := d.String("key_name", k.Name)
	if err := d.Err(); err != nil {
		return nil, err
	}
	if err := c.NameKey(k, name); err != nil {
		return nil, err
	}
	return &engine.Response{Data: describeKey(k).Value()}, c.Done()
}

func (h *handlers) deleteKey(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	c, err := authority.Begin(ctx, tx, h.cfg.Random)
	if err != nil {
		return nil, err
	}
	k, err := c.Key(req.Params["ref"])
	if err != nil {
		return nil, err
	}
	var res *engine.Response
	if c.DeleteKey(k) {
		res = &engine.Response{Warnings: []string{"Deleted key " + k.ID + " which was the default. Set a new default at config/keys."}}
	}
	return res, c.Done()
}

func (h *handlers) generateKey(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	how := req.Params["exported"]
	if how == "existing" {
		return nil, errs.New(errs.Invalid, "keys/generate makes a key: use internal or exported")
	}
	d := req.Decode()
	f, err := wire.ReadFormat(&d)
	if err != nil {
		return nil, err
	}
	c, err := authority.Begin(ctx, tx, h.cfg.Random)
	if err != nil {
		return nil, err
	}
	k, err := h.readKey(c, req, how)
	if err != nil {
		return nil, err
	}
	stored, _, err := c.AddKey(k.signer, k.name)
	if err != nil {
		return nil, err
	}
	o, err := k.private(describeKey(stored), wire.Format{DER: f.DER, PKCS8: f.PKCS8})
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: o.Value()}, c.Done()
}

func (h *handlers) importKey(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	text, name := d.String("pem_bundle", ""), d.String("key_name", "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	b, err := keypair.ParseBundle(text)
	if err != nil {
		return nil, err
	}
	if len(b.Keys) != 1 || len(b.Certificates) != 0 {
		return nil, errs.New(errs.Invalid, "pem_bundle must be one private key: certificates go to issuers/import/bundle")
	}
	c, err := authority.Begin(ctx, tx, h.cfg.Random)
	if err != nil {
		return nil, err
	}
	k, existed, err := c.AddKey(b.Keys[0], name)
	if err != nil {
		return nil, err
	}
	res := &engine.Response{Data: describeKey(k).Value()}
	if existed {
		res.Warnings = []string{"Key already imported, use key/ endpoint to update name."}
	}
	return res, c.Done()
}
