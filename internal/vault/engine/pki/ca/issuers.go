package ca

import (
	"cmp"
	"context"
	"crypto/x509"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/authority"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/ledger"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/wire"
)

func listIssuers(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	s, err := authority.LoadSettings(ctx, tx)
	if err != nil {
		return nil, err
	}
	all, err := authority.All(ctx, tx)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	slices.SortFunc(all, func(a, b *authority.Issuer) int { return cmp.Compare(a.ID, b.ID) })
	info, ids := engine.NewObject(), make([]string, 0, len(all))
	for _, i := range all {
		ids = append(ids, i.ID)
		info = info.Open(i.ID).
			Bool("is_default", i.ID == s.Default).Str("issuer_name", i.Name).Str("key_id", i.KeyID).
			Str("serial_number", authority.HexSerial(i.Certificate.SerialNumber)).Close()
	}
	return &engine.Response{Data: engine.NewObject().Obj("key_info", info).Strs("keys", ids).Value()}, nil
}

func readIssuer(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	i, err := authority.Load(ctx, tx, req.Params["ref"])
	if err != nil {
		return nil, err
	}
	return showIssuer(ctx, tx, i)
}

func showIssuer(ctx context.Context, tx engine.Tx, i *authority.Issuer) (*engine.Response, error) {
	chain, err := i.Above(ctx, tx)
	if err != nil {
		return nil, err
	}
	revocation := ""
	if i.RevocationAlg != 0 {
		revocation = algorithmName(x509.SignatureAlgorithm(i.RevocationAlg))
	}
	o := engine.NewObjectSize(4096).
		Strs("ca_chain", wire.Format{}.Chain(chain)).
		Str("certificate", i.PEM).
		Strs("crl_distribution_points", i.URLs.CRL).
		Strs("delta_crl_distribution_points", i.URLs.DeltaCRL).
		Bool("enable_aia_url_templating", i.URLs.Templating).
		Str("issuer_id", i.ID).Str("issuer_name", i.Name).
		Strs("issuing_certificates", i.URLs.Issuing).
		Str("key_id", i.KeyID).
		Str("leaf_not_after_behavior", i.NotAfter)
	if i.ManualChain == nil {
		o = o.Null("manual_chain")
	} else {
		o = o.Strs("manual_chain", i.ManualChain)
	}
	o = o.Strs("ocsp_servers", i.URLs.OCSP).
		Str("revocation_signature_algorithm", revocation).
		Bool("revoked", i.RevokedAt != 0)
	if i.RevokedAt != 0 {
		o = o.Int("revocation_time", i.RevokedAt).Str("revocation_time_rfc3339", i.Revoked().Format(time.RFC3339Nano))
	}
	return &engine.Response{Data: o.Str("usage", i.Usage.String()).Value()}, nil
}

// algorithms are those of revocation_signature_algorithm.
func algorithms() map[string]x509.SignatureAlgorithm {
	return map[string]x509.SignatureAlgorithm{
		"SHA256WithRSA": x509.SHA256WithRSA, "SHA384WithRSA": x509.SHA384WithRSA, "SHA512WithRSA": x509.SHA512WithRSA,
		"SHA256WithRSAPSS": x509.SHA256WithRSAPSS, "SHA384WithRSAPSS": x509.SHA384WithRSAPSS, "SHA512WithRSAPSS": x509.SHA512WithRSAPSS,
		"ECDSAWithSHA256": x509.ECDSAWithSHA256, "ECDSAWithSHA384": x509.ECDSAWithSHA384, "ECDSAWithSHA512": x509.ECDSAWithSHA512,
		"Ed25519": x509.PureEd25519, "PureEd25519": x509.PureEd25519,
	}
}

func algorithmName(a x509.SignatureAlgorithm) string {
	for name, known := range algorithms() {
		if known == a && name != "PureEd25519" {
			return name
		}
	}
	return ""
}

// fits reports whether a key of the certificate can sign so.
func fits(cert *x509.Certificate, a x509.SignatureAlgorithm) bool {
	switch cert.PublicKeyAlgorithm {
	case x509.RSA:
		return a == x509.SHA256WithRSA || a == x509.SHA384WithRSA || a == x509.SHA512WithRSA || a == x509.SHA256WithRSAPSS || a == x509.SHA384WithRSAPSS || a == x509.SHA512WithRSAPSS
	case x509.ECDSA:
		return a == x509.ECDSAWithSHA256 || a == x509.ECDSAWithSHA384 || a == x509.ECDSAWithSHA512
	}
	return cert.PublicKeyAlgorithm == x509.Ed25519 && a == x509.PureEd25519
}

// updateIssuer changes what is given; a POST and a PATCH are the same.
func (h *handlers) updateIssuer(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	c, err := authority.Begin(ctx, tx, h.cfg.Random)
	if err != nil {
		return nil, err
	}
	i, err := c.Issuer(req.Params["ref"])
	if err != nil {
		return nil, err
	}
	c.Touch(i.ID)
	d := req.Decode()
	if err := setUse(&d, i); err != nil {
		return nil, err
	}
	if err := setURLs(&d, &i.URLs, "enable_aia_url_templating"); err != nil {
		return nil, err
	}
	if d.Has("manual_chain") {
		if i.ManualChain, err = manualChain(c, d.Strings("manual_chain"), i); err != nil {
			return nil, err
		}
	}
	if d.Has("issuer_name") {
		if err := c.NameIssuer(i, d.String("issuer_name", "")); err != nil {
			return nil, err
		}
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	if err := c.Done(); err != nil {
		return nil, err
	}
	tx.Put(ledger.Stale+i.Authority, []byte(req.ID)) // who signs the CRL, and how, may have changed
	res, err := showIssuer(ctx, tx, i)
	if err != nil {
		return nil, err
	}
	return h.later(res), nil
}

// setUse changes what an issuer is used for, and how.
func setUse(d *engine.Decoder, i *authority.Issuer) error {
	var err error
	i.NotAfter = d.String("leaf_not_after_behavior", i.NotAfter)
	switch i.NotAfter {
	case "always_enforce_err":
		i.NotAfter = authority.NotAfterErr
	case authority.NotAfterErr, authority.NotAfterTruncate, authority.NotAfterPermit:
	default:
		return errs.New(errs.Invalid, "leaf_not_after_behavior must be err, truncate or permit")
	}
	if d.Has("usage") {
		if i.Usage, err = authority.ParseUsage(d.Strings("usage")); err != nil {
			return err
		}
		if i.RevokedAt != 0 && i.Usage&authority.Issuing != 0 {
			return errs.New(errs.Invalid, "a revoked issuer cannot be used for issuing certificates again")
		}
	}
	if name := d.String("revocation_signature_algorithm", ""); d.Has("revocation_signature_algorithm") {
		a := algorithms()[name]
		if name != "" && !fits(i.Certificate, a) {
			return errs.New(errs.Invalid, "revocation_signature_algorithm must be one that the issuer's key can make, such as SHA256WithRSA or ECDSAWithSHA256")
		}
		i.RevocationAlg = int(a)
	}
	return d.Err()
}

func manualChain(c *authority.Change, refs []string, i *authority.Issuer) ([]string, error) {
	var chain []string
	for _, ref := range refs {
		link, err := c.Issuer(ref)
		if err != nil {
			return nil, err
		}
		chain = append(chain, link.ID)
	}
	if len(chain) > 0 && chain[0] != i.ID {
		return nil, errs.New(errs.Invalid, "manual_chain must begin with the issuer itself")
	}
	return chain, nil
}

// setURLs changes the URLs that are given.
func setURLs(d *engine.Decoder, u *authority.URLs, templating string) error {
	u.Templating = d.Bool(templating, u.Templating)
	for name, list := range map[string]*[]string{
		"issuing_certificates": &u.Issuing, "crl_distribution_points": &u.CRL, "delta_crl_distribution_points": &u.DeltaCRL, "ocsp_servers": &u.OCSP,
	} {
		if given := d.Strings(name); given != nil {
			*list = given
		}
		if err := authority.CheckURLs(*list, u.Templating); err != nil {
			return errs.Newf(errs.Invalid, "%s: %w", name, err)
		}
	}
	return d.Err()
}

func (h *handlers) deleteIssuer(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	c, err := authority.Begin(ctx, tx, h.cfg.Random)
	if err != nil {
		return nil, err
	}
	i, err := c.Issuer(req.Params["ref"])
	if err != nil {
		return nil, err
	}
	var res *engine.Response
	if c.DeleteIssuer(i) {
		res = &engine.Response{Warnings: []string{"Deleted issuer " + i.ID + " which was the default. Set a new default at config/issuers."}}
	}
	tx.Emit(engine.Event{Type: "pki/issuer-delete", Path: req.Path, Metadata: map[string]string{"issuer_id": i.ID, "operation": "issuer-delete"}})
	return res, c.Done()
}

// deleteRoot removes all issuers and keys.
func (h *handlers) deleteRoot(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	c, err := authority.Begin(ctx, tx, h.cfg.Random)
	if err != nil {
		return nil, err
	}
	c.DeleteAll()
	tx.Emit(engine.Event{Type: "pki/root-delete", Path: req.Path, Metadata: map[string]string{"operation": "root-delete"}})
	return nil, c.Done()
}

// revokeIssuer revokes an issuer itself: it issues nothing any more, and is on the
// CRL of the one above, if that is here.
func (h *handlers) revokeIssuer(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	c, err := authority.Begin(ctx, tx, h.cfg.Random)
	if err != nil {
		return nil, err
	}
	i, err := c.Issuer(req.Params["ref"])
	if err != nil {
		return nil, err
	}
	if i.RevokedAt == 0 {
		i.RevokedAt = req.Time.Unix()
		i.Usage &^= authority.Issuing
		c.Touch(i.ID)
		for _, id := range i.Chain[:min(1, len(i.Chain))] {
			up, err := c.Issuer(id)
			if err != nil {
				return nil, err
			}
			ledger.Revoke(tx, up.Authority, i.Certificate, req.Time, req.ID)
		}
	}
	if err := c.Done(); err != nil {
		return nil, err
	}
	res, err := showIssuer(ctx, tx, i)
	if err != nil {
		return nil, err
	}
	return h.later(res), nil
}
