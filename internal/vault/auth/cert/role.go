package cert

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/token/grant"
)

// role says which certificates log in and what tokens they get. The lists are
// globs; an empty list asks for nothing.
type role struct {
	Name        string   `json:"name"`
	DisplayName string   `json:"display_name,omitempty"`
	Certificate string   `json:"certificate"` // PEM: a CA, or a leaf that is trusted itself
	AllowedAny  []string `json:"allowed_names,omitempty"`
	CommonNames []string `json:"allowed_common_names,omitempty"`
	DNS         []string `json:"allowed_dns_sans,omitempty"`
	Emails      []string `json:"allowed_email_sans,omitempty"`
	URIs        []string `json:"allowed_uri_sans,omitempty"`
	Units       []string `json:"allowed_organizational_units,omitempty"`
	Extensions  []string `json:"required_extensions,omitempty"`         // "oid:glob" or "hex:oid:glob"
	ShownExts   []string `json:"allowed_metadata_extensions,omitempty"` // oids
	auth.Params

	authorities []*x509.Certificate // of Certificate, those that are CAs
	roots       *x509.CertPool      // the same
	leaves      []*x509.Certificate // of Certificate, those that are no CA
	asked       []extension
	shown       []asn1.ObjectIdentifier
}

func roleFields() []engine.Field {
	return []engine.Field{
		{Name: "certificate", Type: engine.String, Help: "PEM of the CA that signs clients' certificates, or of certificates that are trusted themselves"},
		{Name: "display_name", Type: engine.String, Help: "how tokens are shown; the role's name if absent"},
		{Name: "allowed_names", Type: engine.Strings, Help: "globs, one of which the common name or a DNS or e-mail SAN must fit"},
		{Name: "allowed_common_names", Type: engine.Strings, Help: "globs for the common name"},
		{Name: "allowed_dns_sans", Type: engine.Strings, Help: "globs for DNS SANs"},
		{Name: "allowed_email_sans", Type: engine.Strings, Help: "globs for e-mail SANs"},
		{Name: "allowed_uri_sans", Type: engine.Strings, Help: "globs for URI SANs, such as spiffe://example.org/ns/*"},
		{Name: "allowed_organizational_units", Type: engine.Strings, Help: "globs for organisational units"},
		{Name: "required_extensions", Type: engine.Strings, Help: "extensions that must be there, as oid:glob of a string or hex:oid:glob of the bytes"},
		{Name: "allowed_metadata_extensions", Type: engine.Strings, Help: "oids of extensions that are shown in the token's metadata"},
	}
}

// Decode implements auth.Record.
func (r *role) Decode(req *engine.Request) error {
	d := req.Decode()
	r.Certificate = strings.TrimSpace(d.String("certificate", r.Certificate))
	r.DisplayName = d.String("display_name", r.DisplayName)
	for name, list := range map[string]*[]string{
		"allowed_names": &r.AllowedAny, "allowed_common_names": &r.CommonNames, "allowed_dns_sans": &r.DNS,
		"allowed_email_sans": &r.Emails, "allowed_uri_sans": &r.URIs, "allowed_organizational_units": &r.Units,
		"required_extensions": &r.Extensions, "allowed_metadata_extensions": &r.ShownExts,
	} {
		if given := d.Strings(name); given != nil {
			*list = slices.DeleteFunc(given, func(s string) bool { return s == "" })
		}
	}
	if err := r.Params.Decode(&d); err != nil {
		return err
	}
	return r.CheckLogin()
}

// Check implements auth.Record. It fills in what is derived.
func (r *role) Check() error {
	certs, err := parsePEM(r.Certificate)
	if err != nil {
		return err
	}
	r.authorities, r.roots, r.leaves = nil, x509.NewCertPool(), nil
	for _, c := range certs {
		if c.IsCA {
			r.roots.AddCert(c)
			r.authorities = append(r.authorities, c)
		} else {
			r.leaves = append(r.leaves, c)
		}
	}
	r.asked = nil
	for _, text := range r.Extensions {
		e, err := parseExtension(text)
		if err != nil {
			return err
		}
		r.asked = append(r.asked, e)
	}
	r.shown = nil
	for _, text := range r.ShownExts {
		oid, err := parseOID(text)
		if err != nil {
			return errs.New(errs.Invalid, "allowed_metadata_extensions must hold oids such as 1.3.6.1.4.1.99999.1")
		}
		r.shown = append(r.shown, oid)
	}
	return nil
}

// parsePEM reads one certificate or several. Kind Invalid.
func parsePEM(text string) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, errs.New(errs.Invalid, "certificate must hold nothing but PEM blocks of type CERTIFICATE; keep private keys to yourself")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errs.New(errs.Invalid, "certificate holds a block that is no X.509 certificate")
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errs.New(errs.Invalid, "certificate must be in PEM: of a CA, or of a certificate that is trusted itself")
	}
	return certs, nil
}

// Show implements auth.Record.
func (r *role) Show() engine.Builder {
	return r.Params.Show(engine.NewObject().
		Strs("allowed_common_names", r.CommonNames).
		Strs("allowed_dns_sans", r.DNS).
		Strs("allowed_email_sans", r.Emails).
		Strs("allowed_metadata_extensions", r.ShownExts).
		Strs("allowed_names", r.AllowedAny).
		Strs("allowed_organizational_units", r.Units).
		Strs("allowed_uri_sans", r.URIs).
		Str("certificate", r.Certificate).
		Str("display_name", r.DisplayName).
		Strs("required_extensions", r.Extensions))
}

// claims is what a certificate says of its holder, made once for all roles that
// are held against it.
type claims struct {
	leaf                   *x509.Certificate
	all, commonNames, uris []string
}

func claimsOf(leaf *x509.Certificate) *claims {
	c := &claims{leaf: leaf, commonNames: []string{leaf.Subject.CommonName}}
	for _, u := range leaf.URIs {
		c.uris = append(c.uris, u.String())
	}
	c.all = slices.Concat(c.commonNames, leaf.DNSNames, leaf.EmailAddresses)
	return c
}

// fits reports whether a certificate is what the role asks for, if it is to be
// trusted.
func (r *role) fits(c *claims) bool {
	return matches(r.AllowedAny, c.all) && matches(r.CommonNames, c.commonNames) && matches(r.DNS, c.leaf.DNSNames) &&
		matches(r.Emails, c.leaf.EmailAddresses) && matches(r.URIs, c.uris) && matches(r.Units, c.leaf.Subject.OrganizationalUnit) &&
		!slices.ContainsFunc(r.asked, func(e extension) bool { return !e.in(c.leaf) })
}

// matches reports whether one of values fits one of globs; without globs all is well.
func matches(globs, values []string) bool {
	for _, v := range values {
		for _, g := range globs {
			if v != "" && grant.Glob(g, v) {
				return true
			}
		}
	}
	return len(globs) == 0
}
