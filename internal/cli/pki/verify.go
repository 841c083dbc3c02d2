package pki

import (
	"bytes"
	"crypto/x509"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

func (a *app) verifySign() *cobra.Command {
	return &cobra.Command{
		Use: "verify-sign MOUNT/issuer/REF CERTFILE", Short: "Check that an issuer verifies a certificate", Args: session.Args(2, 2),
		Long: `Check that an issuer verifies a certificate (PEM; - is standard input): its name and
signature are the issuer's, both are valid now, and the issuer may sign it. Revocation
is not looked at.

Exit codes: 0 verified, 10 not.`,
		Example: "  strongkeep pki verify-sign pki/issuer/default tls/cert.pem",
		RunE: func(c *cobra.Command, given []string) error {
			cert, err := a.certificate(given[1])
			if err != nil {
				return err
			}
			client, err := a.Client()
			if err != nil {
				return err
			}
			i, err := readIssuer(c.Context(), client, session.Clean(given[0]))
			if err != nil {
				return err
			}
			v := verify(cert, i.cert, time.Now())
			rows := []session.Row{
				{"name", word(v.Name)}, {"signature", word(v.Signature)}, {"key_id", word(v.KeyID)}, {"verified", word(v.Verified)},
			}
			if v.Reason != "" {
				rows = append(rows, session.Row{"reason", v.Reason})
			}
			if err := a.Print(v, session.Row{"Check", "Result"}, rows); err != nil {
				return err
			}
			if !v.Verified {
				return Failed
			}
			return nil
		},
	}
}

func word(ok bool) string {
	if ok {
		return "yes"
	}
	return "NO"
}

func (a *app) certificate(file string) (*x509.Certificate, error) {
	var content string
	if file == "-" {
		used := false
		text, err := a.ReadStdin(&used)
		if err != nil {
			return nil, err
		}
		content = text
	} else {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "reading the certificate: %w", err)
		}
		content = string(raw)
	}
	cert, err := parse(content)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "reading %s: %w", file, err)
	}
	return cert, nil
}

// verdict is whether an issuer verifies a certificate, and why not.
type verdict struct {
	Name      bool   `json:"name"`      // the certificate names the issuer
	Signature bool   `json:"signature"` // the issuer's key made the signature
	KeyID     bool   `json:"key_id"`    // the key identifiers are the same, or one says none
	Verified  bool   `json:"verified"`  // all of it, and both are valid now
	Reason    string `json:"reason,omitempty"`
}

func verify(cert, by *x509.Certificate, now time.Time) verdict {
	v := verdict{
		Name:      bytes.Equal(cert.RawIssuer, by.RawSubject),
		Signature: cert.CheckSignatureFrom(by) == nil,
		KeyID:     len(cert.AuthorityKeyId) == 0 || len(by.SubjectKeyId) == 0 || bytes.Equal(cert.AuthorityKeyId, by.SubjectKeyId),
	}
	roots := x509.NewCertPool()
	roots.AddCert(by)
	_, err := cert.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	switch {
	case now.After(by.NotAfter), now.Before(by.NotBefore):
		v.Reason = "the issuer is not valid now"
	case err != nil:
		v.Reason = err.Error()
	case !v.Name || !v.Signature: // a root that was given itself is trusted unseen
		v.Reason = "the issuer did not sign it"
	default:
		v.Verified = true
	}
	return v
}
