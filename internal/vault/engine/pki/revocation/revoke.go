package revocation

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/authority"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/keypair"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/ledger"
)

type handlers struct {
	cfg     engine.Config
	builder *Builder
	answers *answers
}

func (h *handlers) revoke(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	cert, auth, err := h.find(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	return h.revokeCertificate(ctx, tx, req, cert, auth)
}

// revokeWithKey lets whoever holds a certificate's key revoke it.
func (h *handlers) revokeWithKey(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	text := d.String("private_key", "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	b, err := keypair.ParseBundle(text)
	if err != nil || len(b.Keys) != 1 || len(b.Certificates) != 0 {
		return nil, errs.New(errs.Invalid, "private_key must be one unencrypted private key in PEM")
	}
	cert, auth, err := h.find(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	if !keypair.Same(cert.PublicKey, b.Keys[0].Public()) {
		return nil, errs.New(errs.Invalid, "the private key is not that of the certificate")
	}
	return h.revokeCertificate(ctx, tx, req, cert, auth)
}

// find returns the certificate that is meant, by its serial number or itself. One
// that is not kept here is, from now on, if an issuer here signed it.
func (h *handlers) find(ctx context.Context, tx engine.Tx, req *engine.Request) (*x509.Certificate, string, error) {
	d := req.Decode()
	number, text := d.String("serial_number", ""), d.String("certificate", "")
	switch {
	case d.Err() != nil:
		return nil, "", d.Err()
	case number == "" && text == "":
		return nil, "", errs.New(errs.Invalid, "The serial number or certificate to revoke must be provided.")
	case number != "" && text != "":
		return nil, "", errs.New(errs.Invalid, "Must provide either the certificate or the serial to revoke; not both.")
	case text != "":
		return h.bring(ctx, tx, text)
	}
	serial, err := ledger.ParseSerial(number)
	if err != nil {
		return nil, "", err
	}
	record, err := ledger.Load(ctx, tx, serial)
	if err != nil {
		return nil, "", err
	}
	if record == nil {
		return nil, "", errs.New(errs.Invalid, "certificate with this serial number not found: revoke it by certificate if its role has no_store")
	}
	cert, err := x509.ParseCertificate(record.DER)
	return cert, record.Authority, errs.As(errs.Internal, err)
}

func (h *handlers) bring(ctx context.Context, tx engine.Tx, text string) (*x509.Certificate, string, error) {
	b, err := keypair.ParseBundle(text)
	if err != nil || len(b.Certificates) != 1 || len(b.Keys) != 0 {
		return nil, "", errs.New(errs.Invalid, "certificate must be one certificate in PEM")
	}
	cert := b.Certificates[0]
	if cert.SerialNumber.Sign() <= 0 || cert.SerialNumber.BitLen() > 8*ledger.MaxSerial {
		return nil, "", errs.New(errs.Invalid, "the serial number of the certificate is out of bounds")
	}
	all, err := authority.All(ctx, tx)
	if err != nil {
		return nil, "", err
	}
	for _, i := range all {
		if string(i.Certificate.RawSubject) == string(cert.RawIssuer) && cert.CheckSignatureFrom(i.Certificate) == nil {
			return cert, i.Authority, keep(ctx, tx, i.Authority, cert)
		}
	}
	return nil, "", errs.New(errs.Invalid, "certificate is not signed by an issuer of this mount")
}

// keep stores a certificate that is not kept here yet. A record of another issuer's
// with the same serial number stays.
func keep(ctx context.Context, tx engine.Tx, auth string, cert *x509.Certificate) error {
	serial := ledger.SerialOf(cert.SerialNumber)
	old, err := ledger.Load(ctx, tx, serial)
	switch {
	case err != nil:
		return err
	case old == nil || string(old.DER) == string(cert.Raw):
		return ledger.Store(tx, auth, serial, cert.Raw, cert.NotAfter)
	case old.Authority == auth:
		return errs.New(errs.Invalid, "another certificate with this serial number is kept here")
	}
	return nil
}

func (h *handlers) revokeCertificate(ctx context.Context, tx engine.Tx, req *engine.Request, cert *x509.Certificate, auth string) (*engine.Response, error) {
	all, err := authority.All(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		if string(i.DER) == string(cert.Raw) {
			return nil, errs.Newf(errs.Invalid, "this certificate is that of issuer %s: revoke it with issuer/%s/revoke", i.ID, i.ID)
		}
	}
	r, err := ledger.LoadRevocation(ctx, tx, auth, ledger.SerialOf(cert.SerialNumber))
	if err != nil {
		return nil, err
	}
	res := &engine.Response{}
	if r == nil {
		if !cert.NotAfter.After(req.Time) {
			return &engine.Response{Warnings: []string{"certificate with serial " + authority.HexSerial(cert.SerialNumber) + " already expired; refusing to add to CRL"}}, nil
		}
		r = ledger.Revoke(tx, auth, cert, req.Time, req.ID)
		tx.Emit(engine.Event{Type: "pki/revoke", Path: req.Path, Metadata: map[string]string{"serial_number": r.Serial.Colons(), "operation": "revoke"}})
		res.After = h.builder.Refresh
	}
	res.Data = engine.NewObject().
		Int("revocation_time", r.At.Unix()).
		Str("revocation_time_rfc3339", r.At.Format(time.RFC3339Nano)).
		Str("state", "revoked").Value()
	return res, nil
}

// RevokeLease revokes the certificate that a lease stands for. One that is gone,
// expired or revoked is success.
func RevokeLease(ctx context.Context, tx engine.Tx, cfg engine.Config, l *engine.Leased) error {
	var in struct {
		Serial ledger.Serial `json:"serial_number"`
	}
	if json.Unmarshal(l.Internal, &in) != nil || in.Serial == "" {
		return errs.New(errs.Internal, "decoding the lease of a certificate: it is damaged or of a newer format")
	}
	record, err := ledger.Load(ctx, tx, in.Serial)
	if err != nil || record == nil {
		return err
	}
	cert, err := x509.ParseCertificate(record.DER)
	if err != nil {
		return errs.Newf(errs.Internal, "decoding a certificate: %w", err)
	}
	old, err := ledger.LoadRevocation(ctx, tx, record.Authority, in.Serial)
	if err != nil || old != nil || !cert.NotAfter.After(cfg.Now()) {
		return err
	}
	ledger.Revoke(tx, record.Authority, cert, cfg.Now(), "lease:"+string(in.Serial))
	cfg.Wake() // if it comes before the commit, the next look within a minute finds the mark
	return nil
}
