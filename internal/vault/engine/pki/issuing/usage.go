package issuing

import (
	"crypto/x509"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// DefaultKeyUsage is that of roles which name none.
func DefaultKeyUsage() []string {
	return []string{"DigitalSignature", "KeyAgreement", "KeyEncipherment"}
}

func keyUsage(name string) x509.KeyUsage {
	switch strings.ToLower(name) {
	case "digitalsignature":
		return x509.KeyUsageDigitalSignature
	case "contentcommitment", "nonrepudiation":
		return x509.KeyUsageContentCommitment
	case "keyencipherment":
		return x509.KeyUsageKeyEncipherment
	case "dataencipherment":
		return x509.KeyUsageDataEncipherment
	case "keyagreement":
		return x509.KeyUsageKeyAgreement
	case "certsign":
		return x509.KeyUsageCertSign
	case "crlsign":
		return x509.KeyUsageCRLSign
	case "encipheronly":
		return x509.KeyUsageEncipherOnly
	case "decipheronly":
		return x509.KeyUsageDecipherOnly
	}
	return 0
}

// KeyUsages reads names such as "DigitalSignature", without "KeyUsage" in front or
// with it. Kind Invalid: there is no such usage.
func KeyUsages(names []string) (x509.KeyUsage, error) {
	var all x509.KeyUsage
	for _, name := range names {
		u := keyUsage(strings.TrimPrefix(name, "KeyUsage"))
		if u == 0 && name != "" {
			return 0, errs.New(errs.Invalid, "unknown name in key_usage: take those of Go's x509.KeyUsage, such as DigitalSignature")
		}
		all |= u
	}
	return all, nil
}

func extKeyUsage(name string) (x509.ExtKeyUsage, bool) {
	switch strings.ToLower(name) {
	case "any":
		return x509.ExtKeyUsageAny, true
	case "serverauth":
		return x509.ExtKeyUsageServerAuth, true
	case "clientauth":
		return x509.ExtKeyUsageClientAuth, true
	case "codesigning":
		return x509.ExtKeyUsageCodeSigning, true
	case "emailprotection":
		return x509.ExtKeyUsageEmailProtection, true
	case "ipsecendsystem":
		return x509.ExtKeyUsageIPSECEndSystem, true
	case "ipsectunnel":
		return x509.ExtKeyUsageIPSECTunnel, true
	case "ipsecuser":
		return x509.ExtKeyUsageIPSECUser, true
	}
	return rarerExtKeyUsage(name)
}

func rarerExtKeyUsage(name string) (x509.ExtKeyUsage, bool) {
	switch strings.ToLower(name) {
	case "timestamping":
		return x509.ExtKeyUsageTimeStamping, true
	case "ocspsigning":
		return x509.ExtKeyUsageOCSPSigning, true
	case "microsoftservergatedcrypto":
		return x509.ExtKeyUsageMicrosoftServerGatedCrypto, true
	case "netscapeservergatedcrypto":
		return x509.ExtKeyUsageNetscapeServerGatedCrypto, true
	case "microsoftcommercialcodesigning":
		return x509.ExtKeyUsageMicrosoftCommercialCodeSigning, true
	case "microsoftkernelcodesigning":
		return x509.ExtKeyUsageMicrosoftKernelCodeSigning, true
	}
	return 0, false
}

// ExtKeyUsages reads names such as "ServerAuth".
func ExtKeyUsages(names []string) ([]x509.ExtKeyUsage, error) {
	var all []x509.ExtKeyUsage
	for _, name := range names {
		if name == "" {
			continue
		}
		u, ok := extKeyUsage(strings.TrimPrefix(name, "ExtKeyUsage"))
		if !ok {
			return nil, errs.New(errs.Invalid, "unknown name in ext_key_usage: take those of Go's x509.ExtKeyUsage, such as ServerAuth, or ext_key_usage_oids")
		}
		all = append(all, u)
	}
	return all, nil
}

// extended adds the role's extended key usages, each once.
func (r *Role) extended(t *x509.Certificate) error {
	named, err := ExtKeyUsages(r.ExtKeyUsage)
	if err != nil {
		return err
	}
	var all []x509.ExtKeyUsage
	for _, f := range []struct {
		on    bool
		usage x509.ExtKeyUsage
	}{
		{r.ServerFlag, x509.ExtKeyUsageServerAuth}, {r.ClientFlag, x509.ExtKeyUsageClientAuth},
		{r.CodeSigningFlag, x509.ExtKeyUsageCodeSigning}, {r.EmailProtectionFlag, x509.ExtKeyUsageEmailProtection},
	} {
		if f.on {
			all = append(all, f.usage)
		}
	}
	seen := map[x509.ExtKeyUsage]bool{}
	for _, u := range append(all, named...) {
		if !seen[u] {
			seen[u] = true
			t.ExtKeyUsage = append(t.ExtKeyUsage, u)
		}
	}
	for _, text := range r.ExtKeyUsageOIDs {
		oid, err := ParseOID(text)
		if err != nil {
			return err
		}
		t.UnknownExtKeyUsage = append(t.UnknownExtKeyUsage, oid)
	}
	return nil
}
