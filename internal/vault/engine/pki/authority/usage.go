package authority

import (
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Usage is what an issuer may be used for, as bits.
type Usage uint8

// The usages. All may be read.
const (
	ReadOnly Usage = 1 << iota
	Issuing
	CRLSigning
	OCSPSigning
	AllUsages = ReadOnly | Issuing | CRLSigning | OCSPSigning
)

var usageNames = []struct {
	usage Usage
	name  string
}{
	{CRLSigning, "crl-signing"}, {Issuing, "issuing-certificates"}, {OCSPSigning, "ocsp-signing"}, {ReadOnly, "read-only"},
}

// String returns the names, separated by commas.
func (u Usage) String() string {
	var names []string
	for _, n := range usageNames {
		if u&n.usage != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ",")
}

// ParseUsage reads names; read-only is always among them.
func ParseUsage(names []string) (Usage, error) {
	u := ReadOnly
next:
	for _, name := range names {
		for _, n := range usageNames {
			if n.name == name {
				u |= n.usage
				continue next
			}
		}
		return 0, errs.New(errs.Invalid, "unknown name in usage: take read-only, issuing-certificates, crl-signing, ocsp-signing")
	}
	return u, nil
}

// Check returns Invalid unless the issuer may be used for u.
func (i *Issuer) Check(u Usage) error {
	if i.Usage&u == u {
		return nil
	}
	return errs.Newf(errs.Invalid, "requested usage %s for issuer [%s] but only had usage %s: change its usage at issuer/%s", u, i.ID, i.Usage, i.ID)
}
