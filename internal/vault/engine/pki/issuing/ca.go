package issuing

import (
	"crypto/x509"
	"net"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// CA is what a certificate says of a CA.
type CA struct {
	MaxPath       int // CAs below it; -1 = any number
	PermittedDNS  []string
	ExcludedDNS   []string
	PermittedIP   []string // CIDR
	ExcludedIP    []string
	PermittedMail []string
	ExcludedMail  []string
	PermittedURI  []string
	ExcludedURI   []string
	KeyUsage      []string // besides CertSign and CRLSign
}

// CARole is the rules for the names of CAs: whoever may make one may name it.
func CARole() *Role {
	r := Verbatim()
	r.UseCSRCommonName, r.UseCSRSANs, r.KeyUsage = false, false, nil
	return r
}

// Apply makes the template one of a CA.
func (c *CA) Apply(t *x509.Certificate) error {
	usage, err := KeyUsages(c.KeyUsage)
	if err != nil {
		return err
	}
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | usage
	t.BasicConstraintsValid, t.IsCA = true, true
	if c.MaxPath < -1 {
		return errs.New(errs.Invalid, "max_path_length must be -1 for any number, or the number of CAs below this one")
	}
	t.MaxPathLen, t.MaxPathLenZero = c.MaxPath, c.MaxPath == 0
	t.PermittedDNSDomains, t.ExcludedDNSDomains = c.PermittedDNS, c.ExcludedDNS
	t.PermittedEmailAddresses, t.ExcludedEmailAddresses = c.PermittedMail, c.ExcludedMail
	t.PermittedURIDomains, t.ExcludedURIDomains = c.PermittedURI, c.ExcludedURI
	if t.PermittedIPRanges, err = ranges(c.PermittedIP); err != nil {
		return err
	}
	if t.ExcludedIPRanges, err = ranges(c.ExcludedIP); err != nil {
		return err
	}
	t.PermittedDNSDomainsCritical = len(c.PermittedDNS)+len(c.ExcludedDNS)+len(c.PermittedIP)+len(c.ExcludedIP)+
		len(c.PermittedMail)+len(c.ExcludedMail)+len(c.PermittedURI)+len(c.ExcludedURI) > 0
	return nil
}

func ranges(texts []string) ([]*net.IPNet, error) {
	var all []*net.IPNet
	for _, text := range texts {
		_, r, err := net.ParseCIDR(text)
		if err != nil {
			return nil, errs.New(errs.Invalid, "permitted_ip_ranges and excluded_ip_ranges must be in CIDR notation, such as 10.0.0.0/8")
		}
		all = append(all, r)
	}
	return all, nil
}
