package issuing

import (
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/keypair"
)

// Input is what was asked for.
type Input struct {
	CommonName   string
	AltNames     []string
	IPSANs       []string
	URISANs      []string
	OtherSANs    []string
	UserIDs      []string
	SerialNumber string // of the subject
	ExcludeCN    bool   // from the alternative names
	TTL          time.Duration
	NotAfter     string
	CSR          *x509.CertificateRequest // nil = the key is made here
	Display      func(template string) (string, bool)
}

// ParseCSR reads a request in PEM and proves that who made it holds the key. Kind
// Invalid. It never quotes the text.
func ParseCSR(text string) (*x509.CertificateRequest, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, errs.New(errs.Invalid, `"csr" is empty: send a certificate request in PEM`)
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil {
		return nil, errs.New(errs.Invalid, "csr contains no data: it must be a certificate request in PEM")
	}
	if len(strings.TrimSpace(string(rest))) != 0 {
		return nil, errs.New(errs.Invalid, "csr holds more than one PEM block: send one certificate request")
	}
	if block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
		return nil, errs.New(errs.Invalid, "csr is PEM of something else than a certificate request")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, errs.New(errs.Invalid, "certificate request could not be parsed")
	}
	// Before the signature: checking one with a key of a million bits takes minutes.
	if err := keypair.CheckPublic(csr.PublicKey, keypair.Any, 0); err != nil {
		return nil, err
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, errs.New(errs.Invalid, "the signature of the certificate request is wrong, or of an algorithm that is not secure")
	}
	return csr, nil
}

// maxNames bounds the names in one certificate.
const maxNames = 1000

// sans are alternative names that the role allows.
type sans struct {
	dns    []string
	emails []string
	ips    []net.IP
	uris   []*url.URL
	others []otherName
}

func (s *sans) add(n name) {
	list := &s.dns
	if n.email {
		list = &s.emails
	}
	for _, have := range *list {
		if have == n.text {
			return
		}
	}
	*list = append(*list, n.text)
}

// asked are alternative names before the role has judged them.
type asked struct {
	alt   []string
	ips   []net.IP
	uris  []string
	where string // they come from
}

// alternatives are those of the CSR if use_csr_sans, otherwise those of the request.
func (r *Role) alternatives(in *Input) (*asked, error) {
	if in.CSR != nil && r.UseCSRSANs {
		a := &asked{alt: slices.Concat(in.CSR.DNSNames, in.CSR.EmailAddresses), ips: in.CSR.IPAddresses, where: "the certificate request"}
		for _, u := range in.CSR.URIs {
			a.uris = append(a.uris, u.String())
		}
		return a, nil
	}
	a := &asked{alt: in.AltNames, uris: in.URISANs, where: "alt_names"}
	for i, text := range in.IPSANs {
		ip := net.ParseIP(text)
		if ip == nil {
			return nil, errs.Newf(errs.Invalid, "the value %d of ip_sans is not a valid IP address", i+1)
		}
		a.ips = append(a.ips, ip)
	}
	return a, nil
}

// gather collects the alternative names, of the request or, by use_csr_sans, of the
// CSR: one or the other, and both under the same rules.
func (r *Role) gather(in *Input) (*sans, error) {
	a, err := r.alternatives(in)
	if err != nil {
		return nil, err
	}
	if len(a.alt)+len(a.ips)+len(a.uris)+len(in.OtherSANs) > maxNames {
		return nil, errs.Newf(errs.Invalid, "a certificate has at most %d alternative names", maxNames)
	}
	if len(a.ips) > 0 && !r.AllowIPSANs {
		return nil, errs.New(errs.Invalid, "IP Subject Alternative Names are not allowed in this role, but were provided in ip_sans or the certificate request")
	}
	s := &sans{ips: a.ips}
	for i, text := range a.alt {
		n, err := r.alternative(text)
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "subject alternate name %d of %s %w", i+1, a.where, err)
		}
		s.add(n)
	}
	if err := r.addURIs(s, a.uris, in); err != nil {
		return nil, err
	}
	return s, r.addOthers(s, in.OtherSANs)
}

// alternative judges a host name or email address.
func (r *Role) alternative(text string) (name, error) {
	n, err := parseName(text)
	if err != nil {
		return name{}, err
	}
	if n.address() {
		return name{}, errs.New(errs.Invalid, "is an IP address, not a host name: ask for it in ip_sans")
	}
	if err := r.check(n); err != nil {
		return name{}, err
	}
	if !n.valid && !ascii(n.text) {
		return name{}, errs.New(errs.Invalid, "is neither a host name nor an email address")
	}
	return n, nil
}

func ascii(s string) bool {
	for _, c := range []byte(s) {
		if c <= 0x20 || c >= 0x7f {
			return false
		}
	}
	return s != ""
}

func (r *Role) addURIs(s *sans, uris []string, in *Input) error {
	if len(uris) == 0 {
		return nil
	}
	if len(r.AllowedURISANs) == 0 {
		return errs.New(errs.Invalid, "URI Subject Alternative Names are not allowed in this role, but were provided in uri_sans or the certificate request")
	}
	patterns := r.AllowedURISANs
	if r.AllowedURISANsTemplate {
		patterns = expand(patterns, in.Display)
	}
	for i, text := range uris {
		u, err := url.Parse(text)
		if err != nil || u.Scheme == "" || !ascii(text) {
			return errs.Newf(errs.Invalid, "the value %d of uri_sans is not an absolute URI in ASCII", i+1)
		}
		// The certificate has the URI as it is written out again.
		if !globAny(patterns, text) || !globAny(patterns, u.String()) {
			return errs.Newf(errs.Invalid, "URI Subject Alternative Name %d is not allowed in this role (allowed_uri_sans)", i+1)
		}
		s.uris = append(s.uris, u)
	}
	return nil
}

// expand fills in templates; those that cannot be filled in allow nothing.
func expand(patterns []string, fill func(string) (string, bool)) []string {
	var filled []string
	for _, p := range patterns {
		if !strings.Contains(p, "{{") {
			filled = append(filled, p)
		} else if fill != nil {
			if text, ok := fill(p); ok {
				filled = append(filled, text)
			}
		}
	}
	return filled
}
