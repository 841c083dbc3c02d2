package cert

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/token/grant"
)

// maxChain bounds what a client may have the server verify.
const maxChain = 16

func (e *Engine) login(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	name := strings.TrimSpace(d.String("name", ""))
	if err := d.Err(); err != nil {
		return nil, err
	}
	if len(req.Certificates) == 0 {
		return nil, errs.New(errs.Invalid, "client certificate must be supplied: set VAULT_CLIENT_CERT and VAULT_CLIENT_KEY; a proxy that ends TLS takes the certificate away")
	}
	r, chain, err := e.choose(ctx, tx, name, req)
	if err != nil {
		return nil, err
	}
	params, err := r.Engine()
	if err != nil {
		return nil, err
	}
	if !auth.AllowsAddr(params.BoundCIDRs, req.Remote) {
		return nil, errs.New(errs.Denied, "permission denied: logins by this role are bound to other addresses than yours")
	}
	cfg, err := loadConfig(ctx, tx)
	if err != nil {
		return nil, err
	}
	leaf := chain[0]
	a := &engine.Auth{
		DisplayName: r.DisplayName, Alias: alias(leaf), Metadata: r.metadata(leaf), Params: params, Renewable: true, Orphan: true,
	}
	if a.DisplayName == "" {
		a.DisplayName = r.Name
	}
	if cfg.AliasMetadata {
		a.AliasMeta = a.Metadata
	}
	return &engine.Response{Auth: a}, nil
}

// alias is who the certificate is of: its common name, or, as SPIFFE's have
// none, its first URI SAN, or its serial number.
func alias(leaf *x509.Certificate) string {
	switch {
	case leaf.Subject.CommonName != "":
		return leaf.Subject.CommonName
	case len(leaf.URIs) > 0:
		return leaf.URIs[0].String()
	}
	return "serial " + leaf.SerialNumber.String()
}

// fingerprint is the metadata that binds a token to its certificate: SHA-256 of
// the whole, in hex.
const fingerprint = "fingerprint_sha256"

// metadata is shown with the token, and binds its renewal to the certificate.
func (r *role) metadata(leaf *x509.Certificate) map[string]string {
	m := map[string]string{
		"cert_name":        r.Name,
		"common_name":      leaf.Subject.CommonName,
		"serial_number":    leaf.SerialNumber.String(),
		"subject_key_id":   colons(leaf.SubjectKeyId),
		"authority_key_id": colons(leaf.AuthorityKeyId),
		fingerprint:        fmt.Sprintf("%x", sha256.Sum256(leaf.Raw)),
	}
	if len(leaf.URIs) > 0 {
		m["uri_san"] = leaf.URIs[0].String()
	}
	for _, oid := range r.shown {
		for _, x := range leaf.Extensions {
			if s, ok := stringOf(x.Value); ok && x.Id.Equal(oid) {
				m[strings.ReplaceAll(oid.String(), ".", "-")] = s
			}
		}
	}
	return m
}

func colons(id []byte) string {
	parts := make([]string, len(id))
	for i, b := range id {
		parts[i] = hex.EncodeToString([]byte{b})
	}
	return strings.Join(parts, ":")
}

var errNoRole = errs.New(errs.Invalid, "invalid certificate or no client certificate supplied: no role trusts it and fits its names")

// choose returns the role called name, or the first that fits, and the chain
// that is trusted by it, leaf first.
func (e *Engine) choose(ctx context.Context, tx engine.Tx, name string, req *engine.Request) (*role, []*x509.Certificate, error) {
	clean, err := auth.CleanName("certificate role", name)
	names := []string{clean}
	switch {
	case name == "":
		if names, err = e.candidates(ctx, tx, req.Certificates); err != nil {
			return nil, nil, err
		}
	case err != nil:
		return nil, nil, errNoRole
	}
	who := claimsOf(req.Certificates[0])
	for _, name := range names {
		r, err := e.roles.Load(ctx, tx, name)
		if err != nil {
			return nil, nil, err
		}
		if r == nil || !r.fits(who) { // names first: they cost less than signatures
			continue
		}
		chain := r.trusts(req.Certificates, req.Time)
		if chain == nil {
			continue
		}
		revoked, err := e.revoked(ctx, tx, chain)
		if err != nil {
			return nil, nil, err
		}
		if !revoked {
			return r, chain, nil
		}
		e.cfg.Log.Info("login refused: a certificate of the chain is revoked", "role", r.Name, "serial", chain[0].SerialNumber.String())
	}
	return nil, nil, errNoRole
}

// trusts verifies the chain that the client showed and returns it up to the
// root, nil if it is not to be trusted.
func (r *role) trusts(shown []*x509.Certificate, now time.Time) []*x509.Certificate {
	if len(shown) > maxChain {
		return nil
	}
	leaf := shown[0]
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return nil
	}
	for _, trusted := range r.leaves {
		// The very certificate, not one of the same serial number and issuer
		// name, which anybody can make.
		if bytes.Equal(trusted.Raw, leaf.Raw) {
			return []*x509.Certificate{leaf}
		}
	}
	between := x509.NewCertPool()
	for _, c := range shown[1:] {
		between.AddCert(c)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: r.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil || len(chains) == 0 {
		return nil
	}
	return chains[0]
}

// Renew implements engine.Renewer: the role must still be there, with the same
// policies, and trust the certificate, which must be the one that the token was
// given for.
func (e *Engine) Renew(ctx context.Context, tx engine.Tx, a *engine.Auth) (*engine.Auth, error) {
	name, err := auth.CleanName("certificate role", a.Metadata["cert_name"])
	if err != nil {
		return nil, errs.New(errs.Invalid, "the token does not say by which role it was given: log in again")
	}
	r, err := e.roles.Load(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, errs.Newf(errs.Invalid, "certificate role %q was deleted: its tokens cannot be renewed", name)
	}
	cfg, err := loadConfig(ctx, tx)
	if err != nil {
		return nil, err
	}
	if !cfg.DisableBinding {
		if err := e.bound(ctx, tx, r, a); err != nil {
			return nil, err
		}
	}
	policies, err := grant.Login(r.Policies, r.NoDefaultPolicy)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(policies, a.Params.Policies) {
		return nil, errs.New(errs.Invalid, "policies have changed, not renewing: log in again")
	}
	next := *a
	next.Params, err = r.Engine()
	return &next, err
}

// bound checks what asks for a renewal against what logged in.
func (e *Engine) bound(ctx context.Context, tx engine.Tx, r *role, a *engine.Auth) error {
	if len(a.Certificates) == 0 {
		return errs.New(errs.Denied, "client certificate must be supplied to renew a token of the cert method")
	}
	chain := r.trusts(a.Certificates, e.cfg.Now())
	if chain == nil || !r.fits(claimsOf(chain[0])) {
		return errs.New(errs.Denied, "the client certificate does not fit the role any more: log in again")
	}
	now := r.metadata(chain[0])
	if now[fingerprint] != a.Metadata[fingerprint] {
		return errs.New(errs.Denied, "client identity during renewal not matching client identity used during login")
	}
	revoked, err := e.revoked(ctx, tx, chain)
	if err == nil && revoked {
		err = errs.New(errs.Denied, "the client certificate was revoked")
	}
	return err
}
