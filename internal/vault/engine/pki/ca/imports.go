package ca

import (
	"context"
	"maps"
	"slices"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/authority"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/keypair"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/ledger"
)

// imported is what became of a bundle.
type imported struct {
	issuers, keys, oldIssuers, oldKeys []string
	mapping                            map[string]string // issuer to key, "" = it has none
}

func (h *handlers) importBundle(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	return h.imports(ctx, tx, req, "pem_bundle", true)
}

func (h *handlers) importCertificates(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	return h.imports(ctx, tx, req, "pem_bundle", false)
}

// setSigned brings in the certificate of a key that was made here.
func (h *handlers) setSigned(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	return h.imports(ctx, tx, req, "certificate", false)
}

func (h *handlers) imports(ctx context.Context, tx engine.Tx, req *engine.Request, field string, keys bool) (*engine.Response, error) {
	d := req.Decode()
	text := d.String(field, "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	b, err := keypair.ParseBundle(text)
	if err != nil {
		return nil, err
	}
	if len(b.Keys) > 0 && !keys {
		return nil, errs.New(errs.Invalid, "private keys found in the PEM but not allowed by the path; use /issuers/import/bundle")
	}
	c, err := authority.Begin(ctx, tx, h.cfg.Random)
	if err != nil {
		return nil, err
	}
	got, err := take(c, b, tx, req.ID)
	if err != nil {
		return nil, err
	}
	if field == "certificate" && !got.hasKey() {
		return nil, errs.New(errs.Invalid, "verification of parsed bundle failed: no key of this mount belongs to the certificate: sign the CSR of intermediate/generate, or use issuers/import/cert")
	}
	if err := c.Done(); err != nil {
		return nil, err
	}
	data := engine.NewObject().
		Strs("existing_issuers", got.oldIssuers).Strs("existing_keys", got.oldKeys).
		Strs("imported_issuers", got.issuers).Strs("imported_keys", got.keys).
		StrMap("mapping", got.mapping).Value()
	return h.later(&engine.Response{Data: data}), nil
}

func (i *imported) hasKey() bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(i.mapping)), func(k string) bool { return k != "" })
}

// take adds keys, then certificates, so that these find theirs.
func take(c *authority.Change, b *keypair.Bundle, tx engine.Tx, mark string) (*imported, error) {
	got := &imported{mapping: map[string]string{}}
	for _, signer := range b.Keys {
		k, existed, err := c.AddKey(signer, "")
		if err != nil {
			return nil, err
		}
		if existed {
			got.oldKeys = append(got.oldKeys, k.ID)
		} else {
			got.keys = append(got.keys, k.ID)
		}
	}
	for _, cert := range b.Certificates {
		if err := keypair.CheckPublic(cert.PublicKey, keypair.Any, 0); err != nil {
			return nil, err
		}
		i, existed, err := c.AddIssuer(cert, "")
		if err != nil {
			return nil, err
		}
		got.mapping[i.ID] = i.KeyID
		if existed {
			got.oldIssuers = append(got.oldIssuers, i.ID)
			continue
		}
		got.issuers = append(got.issuers, i.ID)
		if i.KeyID != "" {
			c.Promote(i)
			tx.Put(ledger.Stale+i.Authority, []byte(mark))
		}
	}
	return got, nil
}
