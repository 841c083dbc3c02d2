package ca

import (
	"context"
	"crypto"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/authority"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/issuing"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/keypair"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/wire"
)

// handlers keep no state.
type handlers struct {
	cfg engine.Config
	// refresh has the CRLs of new authorities built.
	refresh func(context.Context) error
}

// subjectLists are the parts of a CA's name.
func subjectLists(r *issuing.Role) map[string]*[]string {
	return map[string]*[]string{
		"ou": &r.OU, "organization": &r.Organization, "country": &r.Country, "locality": &r.Locality,
		"province": &r.Province, "street_address": &r.StreetAddress, "postal_code": &r.PostalCode,
	}
}

func constraintLists(c *issuing.CA) map[string]*[]string {
	return map[string]*[]string{
		"permitted_dns_domains": &c.PermittedDNS, "excluded_dns_domains": &c.ExcludedDNS,
		"permitted_ip_ranges": &c.PermittedIP, "excluded_ip_ranges": &c.ExcludedIP,
		"permitted_email_addresses": &c.PermittedMail, "excluded_email_addresses": &c.ExcludedMail,
		"permitted_uri_domains": &c.PermittedURI, "excluded_uri_domains": &c.ExcludedURI,
		"key_usage": &c.KeyUsage,
	}
}

// wish is a CA that somebody asks for.
type wish struct {
	in     *issuing.Input
	role   *issuing.Role
	ca     issuing.CA
	format wire.Format
}

func readWish(req *engine.Request) (*wish, error) {
	d := req.Decode()
	w := &wish{in: wire.Input(&d), role: issuing.CARole()}
	for name, list := range subjectLists(w.role) {
		*list = d.Strings(name)
	}
	for name, list := range constraintLists(&w.ca) {
		*list = d.Strings(name)
	}
	w.ca.MaxPath = int(d.Int("max_path_length", -1))
	w.role.SignatureBits, w.role.UsePSS = int(d.Int("signature_bits", 0)), d.Bool("use_pss", false)
	w.role.NotBeforeDuration = int64(d.Duration("not_before_duration", issuing.DefaultNotBefore).Seconds())
	if err := d.Err(); err != nil {
		return nil, err
	}
	if w.role.NotBeforeDuration < 0 {
		return nil, errs.New(errs.Invalid, "not_before_duration must not be negative")
	}
	var err error
	w.format, err = wire.ReadFormat(&d)
	if err == nil {
		err = d.Err()
	}
	return w, err
}

// key is the new CA's: made here, or an existing one.
type key struct {
	signer crypto.Signer
	name   string
	shown  bool // to be shown once
	made   bool
}

// readKey makes a key, or finds the one that is meant. how is internal, exported
// or existing.
func (h *handlers) readKey(c *authority.Change, req *engine.Request, how string) (*key, error) {
	d := req.Decode()
	kind, bits, name, ref := d.String("key_type", keypair.RSA), d.Int("key_bits", 0), d.String("key_name", ""), d.String("key_ref", authority.Default)
	if err := d.Err(); err != nil {
		return nil, err
	}
	switch how {
	case "existing":
		k, err := c.Key(ref)
		if err != nil {
			return nil, err
		}
		return &key{signer: k.Signer, name: k.Name}, nil
	case "internal", "exported":
		if bits < 0 || bits > 8192 {
			return nil, errs.New(errs.Invalid, "key_bits must be one of the sizes that key_type has")
		}
		signer, err := keypair.Generate(h.cfg.Random, kind, int(bits))
		if err != nil {
			return nil, err
		}
		return &key{signer: signer, name: name, shown: how == "exported", made: true}, nil
	case "kms":
		return nil, errs.New(errs.Invalid, "managed keys are not supported: use internal, exported or existing")
	}
	return nil, errs.Newf(errs.Invalid, "the last part of the path must be internal, exported or existing, not %q", how)
}

// private adds a key that is to be shown once.
func (k *key) private(o engine.Builder, f wire.Format) (engine.Builder, error) {
	if !k.shown {
		return o, nil
	}
	signer := k.signer
	text, err := keypair.Encode(signer, f.DER, f.PKCS8)
	if err != nil {
		return o, err
	}
	kind, _ := keypair.Describe(signer.Public())
	return o.Str("private_key", text).Str("private_key_type", kind), nil
}

// later has CRLs built, behind the commit.
func (h *handlers) later(res *engine.Response) *engine.Response {
	res.After = h.refresh
	return res
}
