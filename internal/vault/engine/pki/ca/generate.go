package ca

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/authority"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/issuing"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/keypair"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/ledger"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/wire"
)

// generateRoot makes a root. Without a ttl it lasts as long as the mount allows.
func (h *handlers) generateRoot(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	return h.root(ctx, tx, req, "")
}

// rotateRoot is generateRoot whose issuer is called "next" unless it is given a
// name; root/replace then makes it the default.
func (h *handlers) rotateRoot(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	return h.root(ctx, tx, req, "next")
}

func (h *handlers) root(ctx context.Context, tx engine.Tx, req *engine.Request, name string) (*engine.Response, error) {
	w, err := readWish(req)
	if err != nil {
		return nil, err
	}
	if w.in.CommonName == "" {
		return nil, errs.New(errs.Invalid, "the common_name field is required: name the root")
	}
	d := req.Decode()
	name = d.String("issuer_name", name)
	if err := d.Err(); err != nil {
		return nil, err
	}
	c, err := authority.Begin(ctx, tx, h.cfg.Random)
	if err != nil {
		return nil, err
	}
	k, err := h.readKey(c, req, req.Params["exported"])
	if err != nil {
		return nil, err
	}
	cert, warnings, err := h.selfSign(ctx, tx, req, w, k)
	if err != nil {
		return nil, err
	}
	stored, _, err := c.AddKey(k.signer, k.name)
	if err != nil {
		return nil, err
	}
	i, _, err := c.AddIssuer(cert, name)
	if err != nil {
		return nil, err
	}
	c.Promote(i)
	if err := c.Done(); err != nil {
		return nil, err
	}
	tx.Put(ledger.Stale+i.Authority, []byte(req.ID))
	if err := ledger.Store(tx, i.Authority, ledger.SerialOf(cert.SerialNumber), cert.Raw, cert.NotAfter); err != nil {
		return nil, err
	}
	text := w.format.Certificate(cert.Raw, "")
	o := engine.NewObjectSize(4096).
		Str("certificate", text).
		Int("expiration", cert.NotAfter.Unix()).
		Str("issuer_id", i.ID).Str("issuer_name", i.Name).
		Str("issuing_ca", text).
		Str("key_id", stored.ID).Str("key_name", stored.Name)
	if o, err = k.private(o, w.format); err != nil {
		return nil, err
	}
	tx.Emit(engine.Event{Type: "pki/root-generate", Path: req.Path, Metadata: map[string]string{"issuer_id": i.ID, "operation": "root-generate"}})
	data := o.Str("serial_number", authority.HexSerial(cert.SerialNumber)).Value()
	return h.later(&engine.Response{Data: data, Warnings: warnings}), nil
}

// selfSign makes a root's certificate.
func (h *handlers) selfSign(ctx context.Context, tx engine.Tx, req *engine.Request, w *wish, k *key) (*x509.Certificate, []string, error) {
	ttls := h.cfg.TTL()
	t, warnings, err := w.role.Template(w.in, issuing.Limits{Default: ttls.Max, Max: ttls.Max, Now: req.Time})
	if err != nil {
		return nil, nil, err
	}
	if err := w.ca.Apply(t); err != nil {
		return nil, nil, err
	}
	if t.SerialNumber, err = authority.Serial(h.cfg.Random); err != nil {
		return nil, nil, err
	}
	signer := keypair.Signer(k.signer)
	if t.SubjectKeyId, err = issuing.KeyID(signer.Public()); err != nil {
		return nil, nil, err
	}
	t.AuthorityKeyId = t.SubjectKeyId
	if t.SignatureAlgorithm, err = authority.Algorithm(signer.Public(), w.role.SignatureBits, w.role.UsePSS); err != nil {
		return nil, nil, err
	}
	urls, err := authority.LoadURLs(ctx, tx)
	if err != nil {
		return nil, nil, err
	}
	if !urls.Templating { // a root's own ID is not known before it is signed
		t.IssuingCertificateURL, t.CRLDistributionPoints, t.OCSPServer = urls.Issuing, urls.CRL, urls.OCSP
	}
	der, err := x509.CreateCertificate(h.cfg.Random, t, t, signer.Public(), signer)
	if err != nil {
		return nil, nil, errs.New(errs.Invalid, "the certificate cannot be encoded: a name or number in it is out of bounds")
	}
	cert, err := x509.ParseCertificate(der)
	return cert, warnings, errs.As(errs.Internal, err)
}

// generateIntermediate makes a key and a certificate request, for another CA to sign.
func (h *handlers) generateIntermediate(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	w, err := readWish(req)
	if err != nil {
		return nil, err
	}
	d := req.Decode()
	basic := d.Bool("add_basic_constraints", false)
	if err := d.Err(); err != nil {
		return nil, err
	}
	c, err := authority.Begin(ctx, tx, h.cfg.Random)
	if err != nil {
		return nil, err
	}
	k, err := h.readKey(c, req, req.Params["exported"])
	if err != nil {
		return nil, err
	}
	der, err := h.request(req, w, k, basic)
	if err != nil {
		return nil, err
	}
	stored, _, err := c.AddKey(k.signer, k.name)
	if err != nil {
		return nil, err
	}
	if err := c.Done(); err != nil {
		return nil, err
	}
	text := w.format.CSR(der)
	if w.format.Bundle && k.shown {
		private, err := keypair.Encode(k.signer, false, w.format.PKCS8)
		if err != nil {
			return nil, err
		}
		text = strings.Join([]string{private, text}, "\n")
	}
	o := engine.NewObjectSize(4096).Str("csr", text).Str("key_id", stored.ID).Str("key_name", stored.Name)
	if o, err = k.private(o, w.format); err != nil {
		return nil, err
	}
	return &engine.Response{Data: o.Value()}, nil
}

// request makes a certificate request (PKCS #10).
func (h *handlers) request(req *engine.Request, w *wish, k *key, basic bool) ([]byte, error) {
	ttls := h.cfg.TTL()
	t, _, err := w.role.Template(w.in, issuing.Limits{Default: ttls.Max, Max: ttls.Max, Now: req.Time})
	if err != nil {
		return nil, err
	}
	signer := keypair.Signer(k.signer)
	csr := &x509.CertificateRequest{
		Subject: t.Subject, DNSNames: t.DNSNames, EmailAddresses: t.EmailAddresses, IPAddresses: t.IPAddresses, URIs: t.URIs, ExtraExtensions: t.ExtraExtensions,
	}
	if csr.SignatureAlgorithm, err = authority.Algorithm(signer.Public(), w.role.SignatureBits, w.role.UsePSS); err != nil {
		return nil, err
	}
	if basic {
		csr.ExtraExtensions = append(csr.ExtraExtensions, basicConstraints())
	}
	der, err := x509.CreateCertificateRequest(h.cfg.Random, csr, signer)
	if err != nil {
		return nil, errs.New(errs.Invalid, "the certificate request cannot be encoded: a name in it is out of bounds")
	}
	return der, nil
}

// basicConstraints asks to be a CA (RFC 5280 §4.2.1.9); some CAs want to see it.
func basicConstraints() pkix.Extension {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1Boolean(true) })
	return pkix.Extension{Id: []int{2, 5, 29, 19}, Critical: true, Value: b.BytesOrPanic()}
}

// signIntermediate signs another CA's certificate request.
func (h *handlers) signIntermediate(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	w, err := readWish(req)
	if err != nil {
		return nil, err
	}
	d := req.Decode()
	text, verbatim, enforce := d.String("csr", ""), d.Bool("use_csr_values", false), d.Bool("enforce_leaf_not_after_behavior", false)
	ref := d.String("issuer_ref", authority.Default)
	if err := d.Err(); err != nil {
		return nil, err
	}
	csr, err := issuing.ParseCSR(text)
	if err != nil {
		return nil, err
	}
	if err := keypair.CheckPublic(csr.PublicKey, keypair.Any, 0); err != nil {
		return nil, err
	}
	if r := req.Params["ref"]; r != "" {
		ref = r
	}
	s, err := authority.Open(ctx, tx, ref, authority.Issuing)
	if err != nil {
		return nil, err
	}
	t, warnings, err := h.intermediate(req, w, s, csr, verbatim)
	if err != nil {
		return nil, err
	}
	o := &authority.SignOptions{Random: h.cfg.Random, SignatureBits: w.role.SignatureBits, PSS: w.role.UsePSS}
	if !enforce { // as in Vault: an intermediate may outlive its issuer, whose renewal it will chain to
		o.NotAfter = authority.NotAfterPermit
	}
	out, err := s.Sign(t, csr.PublicKey, o)
	if err != nil {
		return nil, err
	}
	if err := ledger.Store(tx, s.Issuer.Authority, ledger.SerialOf(out.Serial), out.DER, out.NotAfter); err != nil {
		return nil, err
	}
	data, err := w.format.Leaf(s, out, nil)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: data.Value(), Warnings: warnings}, nil
}

// intermediate makes the template of a CA below s.
func (h *handlers) intermediate(req *engine.Request, w *wish, s *authority.Signer, csr *x509.CertificateRequest, verbatim bool) (*x509.Certificate, []string, error) {
	up := s.Issuer.Certificate
	if up.MaxPathLen == 0 && up.MaxPathLenZero {
		return nil, nil, errs.New(errs.Invalid, "signing certificate has a max path length of zero, and cannot issue further CA certificates")
	}
	if up.MaxPathLen > 0 {
		switch {
		case w.ca.MaxPath < 0:
			w.ca.MaxPath = up.MaxPathLen - 1
		case w.ca.MaxPath >= up.MaxPathLen:
			return nil, nil, errs.Newf(errs.Invalid, "max_path_length must be below that of the signing certificate, which is %d", up.MaxPathLen)
		}
	}
	in := w.in
	if verbatim {
		in = &issuing.Input{TTL: w.in.TTL, NotAfter: w.in.NotAfter}
	}
	ttls := h.cfg.TTL()
	t, warnings, err := w.role.Template(in, issuing.Limits{Default: ttls.Default, Max: ttls.Max, Now: req.Time})
	if err != nil {
		return nil, nil, err
	}
	if verbatim {
		issuing.CopySubject(t, csr)
	}
	return t, warnings, w.ca.Apply(t)
}

// signSelfIssued signs a root's certificate again, as one below an issuer: a cross
// signature.
func (h *handlers) signSelfIssued(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	text, match := d.String("certificate", ""), d.Bool("require_matching_certificate_algorithms", false)
	ref := d.String("issuer_ref", authority.Default)
	if err := d.Err(); err != nil {
		return nil, err
	}
	if r := req.Params["ref"]; r != "" {
		ref = r
	}
	cert, err := selfIssued(text)
	if err != nil {
		return nil, err
	}
	s, err := authority.Open(ctx, tx, ref, authority.Issuing)
	if err != nil {
		return nil, err
	}
	if match && cert.PublicKeyAlgorithm != s.Issuer.Certificate.PublicKeyAlgorithm {
		return nil, errs.New(errs.Invalid, "the public key algorithms of the certificate and of the issuer differ")
	}
	if up := s.Issuer.Certificate; up.MaxPathLen == 0 && up.MaxPathLenZero {
		return nil, errs.New(errs.Invalid, "signing certificate has a max path length of zero, and cannot issue further CA certificates")
	}
	out, err := s.Sign(again(cert), cert.PublicKey, &authority.SignOptions{Random: h.cfg.Random})
	if err != nil {
		return nil, err
	}
	if err := ledger.Store(tx, s.Issuer.Authority, ledger.SerialOf(out.Serial), out.DER, out.NotAfter); err != nil {
		return nil, err
	}
	f := wire.Format{}
	return &engine.Response{Data: engine.NewObjectSize(4096).Str("certificate", f.Certificate(out.DER, "")).Str("issuing_ca", s.Issuer.PEM).Value()}, nil
}

// selfIssued reads a CA certificate that names itself as its issuer.
func selfIssued(text string) (*x509.Certificate, error) {
	b, err := keypair.ParseBundle(text)
	if err != nil || len(b.Certificates) != 1 || len(b.Keys) != 0 {
		return nil, errs.New(errs.Invalid, "certificate must be one certificate in PEM")
	}
	cert := b.Certificates[0]
	if !cert.IsCA || string(cert.RawSubject) != string(cert.RawIssuer) {
		return nil, errs.New(errs.Invalid, "the certificate must be a CA's and self-issued: its subject and its issuer the same")
	}
	return cert, keypair.CheckPublic(cert.PublicKey, keypair.Any, 0)
}

// again is a template that says what a certificate says.
func again(cert *x509.Certificate) *x509.Certificate {
	return &x509.Certificate{
		Subject: cert.Subject, RawSubject: cert.RawSubject, NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
		KeyUsage: cert.KeyUsage, ExtKeyUsage: cert.ExtKeyUsage, BasicConstraintsValid: true, IsCA: true,
		MaxPathLen: cert.MaxPathLen, MaxPathLenZero: cert.MaxPathLenZero, SubjectKeyId: cert.SubjectKeyId,
		DNSNames: cert.DNSNames, EmailAddresses: cert.EmailAddresses, IPAddresses: cert.IPAddresses, URIs: cert.URIs,
		PermittedDNSDomains: cert.PermittedDNSDomains, PermittedDNSDomainsCritical: cert.PermittedDNSDomainsCritical, ExcludedDNSDomains: cert.ExcludedDNSDomains,
		PermittedIPRanges: cert.PermittedIPRanges, ExcludedIPRanges: cert.ExcludedIPRanges,
		PermittedEmailAddresses: cert.PermittedEmailAddresses, ExcludedEmailAddresses: cert.ExcludedEmailAddresses,
		PermittedURIDomains: cert.PermittedURIDomains, ExcludedURIDomains: cert.ExcludedURIDomains,
	}
}
