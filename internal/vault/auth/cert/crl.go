package cert

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// crl is one revocation list that was uploaded. Lists are believed as they are:
// who may write crls/ is who decides.
type crl struct {
	Name string `json:"name"`
	PEM  string `json:"crl"`

	list    *x509.RevocationList
	serials map[string]struct{}
}

func crlFields() []engine.Field {
	return []engine.Field{
		{Name: "crl", Type: engine.String, Help: "the list in PEM, at most a mebibyte"},
		{Name: "url", Type: engine.String, Help: "not available: lists are not fetched, upload them"},
	}
}

// Decode implements auth.Record.
func (c *crl) Decode(req *engine.Request) error {
	d := req.Decode()
	c.PEM = strings.TrimSpace(d.String("crl", c.PEM))
	url := d.String("url", "")
	if err := d.Err(); err != nil {
		return err
	}
	if url != "" {
		return errs.New(errs.Invalid, "url is not available: this server does not fetch revocation lists; upload the list as crl")
	}
	return nil
}

// Check implements auth.Record.
func (c *crl) Check() error {
	block, rest := pem.Decode([]byte(c.PEM))
	if block == nil || block.Type != "X509 CRL" || strings.TrimSpace(string(rest)) != "" {
		return errs.New(errs.Invalid, "crl must be one PEM block of type X509 CRL")
	}
	list, err := x509.ParseRevocationList(block.Bytes)
	if err != nil {
		return errs.New(errs.Invalid, "crl is no X.509 revocation list")
	}
	c.list, c.serials = list, make(map[string]struct{}, len(list.RevokedCertificateEntries))
	for _, entry := range list.RevokedCertificateEntries {
		c.serials[string(entry.SerialNumber.Bytes())] = struct{}{}
	}
	return nil
}

// Show implements auth.Record.
func (c *crl) Show() engine.Builder {
	serials := engine.NewObject()
	for _, entry := range c.list.RevokedCertificateEntries {
		serials = serials.Obj(entry.SerialNumber.String(), engine.NewObject().Time("revocation_time", entry.RevocationTime))
	}
	return engine.NewObject().Obj("serials", serials).Time("next_update", c.list.NextUpdate).Str("issuer", c.list.Issuer.String())
}

// revoked reports whether a list names a certificate of chain: the same number,
// by the same issuer.
func (e *Engine) revoked(ctx context.Context, tx engine.Tx, chain []*x509.Certificate) (bool, error) {
	names, err := tx.List(ctx, e.crls.Folder, "", 0)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		c, err := e.crls.Load(ctx, tx, name)
		if err != nil {
			return false, err
		}
		if c == nil {
			continue
		}
		for _, cert := range chain {
			if _, listed := c.serials[string(cert.SerialNumber.Bytes())]; listed && string(c.list.RawIssuer) == string(cert.RawIssuer) {
				return true, nil
			}
		}
	}
	return false, nil
}
