package leaf

import (
	"context"
	"crypto"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/authority"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/issuing"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/keypair"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/ledger"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/wire"
)

// order is one certificate on its way.
type order struct {
	role   *issuing.Role
	name   string // of the role
	in     *issuing.Input
	format wire.Format
	public crypto.PublicKey
	key    crypto.Signer // made here; nil for a CSR
	// verbatim takes the names of the CSR, unchecked.
	verbatim *issuing.Input
	issuer   string
}

// issue makes a key and its certificate.
func (h *handlers) issue(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	role, err := need(ctx, tx, req.Params["role"])
	if err != nil {
		return nil, err
	}
	if role.KeyType == keypair.Any {
		return nil, errs.New(errs.Invalid, `role key type "any" not allowed for issuing certificates, only signing`)
	}
	o, err := h.read(req, role)
	if err != nil {
		return nil, err
	}
	if o.key, err = keypair.Generate(h.cfg.Random, role.KeyType, role.KeyBits); err != nil {
		return nil, err
	}
	o.public = o.key.Public()
	return h.fill(ctx, tx, req, o)
}

// read reads what a certificate is asked for with.
func (h *handlers) read(req *engine.Request, role *issuing.Role) (*order, error) {
	d := req.Decode()
	o := &order{role: role, name: req.Params["role"], in: wire.Input(&d), issuer: role.IssuerRef}
	var err error
	if o.format, err = wire.ReadFormat(&d); err != nil {
		return nil, err
	}
	if ref := req.Params["ref"]; ref != "" {
		o.issuer = ref
	}
	o.in.Display = func(template string) (string, bool) {
		if req.Caller.EntityID == "" {
			return "", false
		}
		return strings.ReplaceAll(template, entity, req.Caller.EntityID), true
	}
	return o, d.Err()
}

// sign signs a certificate request as far as the role allows what it asks for.
func (h *handlers) sign(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	role, err := need(ctx, tx, req.Params["role"])
	if err != nil {
		return nil, err
	}
	o, err := h.read(req, role)
	if err != nil {
		return nil, err
	}
	if o.in.CSR, err = readCSR(req); err != nil {
		return nil, err
	}
	if err := keypair.CheckPublic(o.in.CSR.PublicKey, role.KeyType, role.KeyBits); err != nil {
		return nil, err
	}
	o.public = o.in.CSR.PublicKey
	return h.fill(ctx, tx, req, o)
}

// signVerbatim signs the names of a certificate request as they are.
func (h *handlers) signVerbatim(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	role := issuing.Verbatim()
	if name := req.Params["role"]; name != "" {
		limits, err := need(ctx, tx, name)
		if err != nil {
			return nil, err
		}
		role.TTL, role.MaxTTL, role.NotAfter, role.NotBeforeDuration = limits.TTL, limits.MaxTTL, limits.NotAfter, limits.NotBeforeDuration
		role.GenerateLease, role.NoStore, role.IssuerRef = limits.GenerateLease, limits.NoStore, limits.IssuerRef
	}
	d := req.Decode()
	if usages := d.Strings("key_usage"); usages != nil {
		role.KeyUsage = usages
	}
	role.ExtKeyUsage, role.ExtKeyUsageOIDs = d.Strings("ext_key_usage"), d.Strings("ext_key_usage_oids")
	role.SignatureBits, role.UsePSS = int(d.Int("signature_bits", 0)), d.Bool("use_pss", false)
	if err := d.Err(); err != nil {
		return nil, err
	}
	o, err := h.read(req, role)
	if err != nil {
		return nil, err
	}
	csr, err := readCSR(req)
	if err != nil {
		return nil, err
	}
	if err := keypair.CheckPublic(csr.PublicKey, keypair.Any, 0); err != nil {
		return nil, err
	}
	if u, _ := issuing.KeyUsages(role.KeyUsage); u&caUsages != 0 {
		return nil, errs.New(errs.Invalid, "key_usage must not hold CertSign or CRLSign: root/sign-intermediate signs for CAs")
	}
	o.public = csr.PublicKey
	o.verbatim = &issuing.Input{CSR: csr}
	o.in = &issuing.Input{TTL: o.in.TTL, NotAfter: o.in.NotAfter}
	return h.fill(ctx, tx, req, o)
}

// fill makes the template, signs it, and keeps the certificate.
func (h *handlers) fill(ctx context.Context, tx engine.Tx, req *engine.Request, o *order) (*engine.Response, error) {
	ttls := h.cfg.TTL()
	t, warnings, err := o.role.Template(o.in, issuing.Limits{Default: ttls.Default, Max: ttls.Max, Now: req.Time})
	if err != nil {
		return nil, err
	}
	if o.verbatim != nil {
		issuing.CopySubject(t, o.verbatim.CSR)
	}
	s, err := authority.Open(ctx, tx, o.issuer, authority.Issuing)
	if err != nil {
		return nil, err
	}
	out, err := s.Sign(t, o.public, &authority.SignOptions{Random: h.cfg.Random, SignatureBits: o.role.SignatureBits, PSS: o.role.UsePSS})
	if err != nil {
		return nil, err
	}
	serial := ledger.SerialOf(out.Serial)
	if !o.role.NoStore {
		if err := ledger.Store(tx, s.Issuer.Authority, serial, out.DER, out.NotAfter); err != nil {
			return nil, err
		}
	}
	data, err := o.format.Leaf(s, out, o.key)
	if err != nil {
		return nil, err
	}
	res := &engine.Response{Data: data.Value(), Warnings: warnings}
	if o.role.GenerateLease {
		res.Lease = &engine.Lease{
			TTL: out.NotAfter.Sub(req.Time), MaxTTL: out.NotAfter.Sub(req.Time), Tracked: true, Role: o.name,
			Internal: engine.NewObject().Str("serial_number", string(serial)).Value(),
		}
	}
	return res, nil
}
