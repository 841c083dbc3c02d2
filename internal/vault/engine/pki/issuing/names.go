package issuing

import (
	"net"
	"net/mail"
	"strings"

	"golang.org/x/net/idna"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Glob reports whether s fits pattern, in which * stands for any text.
func Glob(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	if !strings.HasPrefix(s, parts[0]) {
		return false
	}
	s = s[len(parts[0]):]
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return strings.HasSuffix(s, last)
}

func globAny(patterns []string, s string) bool {
	for _, p := range patterns {
		if Glob(p, s) {
			return true
		}
	}
	return false
}

// profile maps names as browsers look them up (UTS #46), to the letters that DNS knows.
var profile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true), idna.Transitional(false))

// Host returns the one spelling of a host name: lower case, in ASCII, without a dot
// at its end, with at most "*." in front; false if it is none.
func Host(name string) (string, bool) {
	rest, wild := strings.CutPrefix(name, "*.")
	rest = strings.TrimSuffix(rest, ".")
	ascii, err := profile.ToASCII(rest)
	if err != nil || !hostLabels(ascii) || wild && len(ascii) > 251 {
		return "", false
	}
	if wild {
		return "*." + ascii, true
	}
	return ascii, true
}

func hostLabels(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// name is a common name, or a DNS name or address among the alternatives.
type name struct {
	text  string // as it goes into the certificate: a host in ASCII
	host  string // what the domain rules judge: the host, or the domain of the address
	email bool
	wild  bool
	valid bool // host is a host name
}

// parseName splits what one was asked for. Kind Invalid: it can be no name at all.
func parseName(text string) (name, error) {
	for _, c := range text {
		if c < 0x20 || c == 0x7f {
			return name{}, errs.New(errs.Invalid, "holds a control character")
		}
	}
	n := name{text: text, host: text}
	if local, domain, ok := strings.Cut(text, "@"); ok {
		n.email = true
		address, err := mail.ParseAddress(text)
		if local == "" || strings.Contains(domain, "@") || err != nil || address.Address != text {
			return name{}, errs.New(errs.Invalid, "is no email address")
		}
		if !ascii(local) { // an rfc822Name is ASCII (RFC 5280 §4.2.1.6)
			return name{}, errs.New(errs.Invalid, "has an email address that is not ASCII in front of the @")
		}
		n.host = domain
	}
	host, ok := Host(n.host)
	n.wild = strings.Contains(n.host, "*")
	if ok {
		n.valid, n.host = true, host
		if n.email {
			local, _, _ := strings.Cut(text, "@")
			n.text = local + "@" + host
		} else {
			n.text = host
		}
	}
	return n, nil
}

// check returns Invalid unless the role allows the name.
func (r *Role) check(n name) error {
	if n.wild {
		if !r.AllowWildcardCertificates || n.email {
			return errs.New(errs.Invalid, "is a wildcard, which this role does not allow (allow_wildcard_certificates)")
		}
		if !n.valid {
			return errs.New(errs.Invalid, `is a malformed wildcard: "*." may stand in front of a host name, and nowhere else`)
		}
	}
	if !n.valid && r.EnforceHostnames {
		return errs.New(errs.Invalid, "is not a valid host name or email address")
	}
	if r.AllowAnyName || r.AllowLocalhost && isLocalhost(n.host) {
		return nil
	}
	host := strings.ToLower(n.host)
	for _, domain := range r.AllowedDomains {
		if r.allows(domain, host, n) {
			return nil
		}
	}
	return errs.New(errs.Invalid, "not allowed by this role")
}

func isLocalhost(host string) bool {
	return host == "localhost" || host == "localdomain" || host == "localhost.localdomain"
}

// allows judges a name by one of the role's domains. Domains are stored in ASCII
// and lower case, see CanonicalDomain.
func (r *Role) allows(domain, host string, n name) bool {
	if domain == "" {
		return false
	}
	if r.AllowBareDomains && (host == domain || n.email && n.text == domain) {
		return true
	}
	if strings.Contains(domain, "*") {
		return r.AllowGlobDomains && Glob(domain, host)
	}
	return r.AllowSubdomains && below(domain, host, n.wild)
}

// below reports whether host is a name below domain; "*.example.com" stands for
// names below example.com, and is one itself.
func below(domain, host string, wild bool) bool {
	if wild {
		host = strings.TrimPrefix(host, "*.")
	}
	return strings.HasSuffix(host, "."+domain) || wild && host == domain
}

// address reports whether the name is an IP address, which no DNS name may be.
func (n name) address() bool { return !n.email && net.ParseIP(n.text) != nil }

// CanonicalDomain returns how a role keeps one of its allowed_domains.
func CanonicalDomain(domain string) string {
	if host, ok := Host(domain); ok {
		return host
	}
	return strings.ToLower(domain) // a glob, or an address
}
