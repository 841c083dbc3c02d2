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
	"github.com/strongkeep/strongkeep/internal/vault/token"
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

	roots  *x509.CertPool
	leaves []*x509.Certificate // of Certificate, those that are no CA
	asked  []extension
	shown  []asn1.ObjectIdentifier
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
	r.roots, r.leaves = x509.NewCertPool(), nil
	for _, c := range certs {
		if c.IsCA {
			r.roots.AddCert(c)
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

// fits reports whether leaf, which is trusted already, is what the role asks for.
func (r *role) fits(leaf *x509.Certificate) bool {
	uris := make([]string, 0, len(leaf.URIs))
	for _, u := range leaf.URIs {
		uris = append(uris, u.String())
	}
	any := append(append([]string{leaf.Subject.CommonName}, leaf.DNSNames...), leaf.EmailAddresses...)
	for _, c := range []struct{ globs, values []string }{
		{r.AllowedAny, any}, {r.CommonNames, []string{leaf.Subject.CommonName}}, {r.DNS, leaf.DNSNames},
		{r.Emails, leaf.EmailAddresses}, {r.URIs, uris}, {r.Units, leaf.Subject.OrganizationalUnit},
	} {
		if len(c.globs) > 0 && !slices.ContainsFunc(c.values, func(v string) bool { return v != "" && matches(c.globs, v) }) {
			return false
		}
	}
	return !slices.ContainsFunc(r.asked, func(e extension) bool { return !e.in(leaf) })
}

func matches(globs []string, v string) bool {
	return slices.ContainsFunc(globs, func(g string) bool { return token.Glob(g, v) })
}
