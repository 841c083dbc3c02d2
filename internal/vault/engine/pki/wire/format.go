package wire

import (
	"crypto"
	"encoding/base64"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/authority"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/keypair"
)

// Format is how certificates and keys are written.
type Format struct {
	DER         bool // base64 of DER
	Bundle      bool // PEM, all in one
	PKCS8       bool
	RemoveRoots bool // from the chain
}

// ReadFormat reads FormatFields.
func ReadFormat(d *engine.Decoder) (Format, error) {
	var f Format
	switch d.String("format", "pem") {
	case "pem", "":
	case "der":
		f.DER = true
	case "pem_bundle":
		f.Bundle = true
	default:
		return f, errs.New(errs.Invalid, `the "format" path parameter must be "pem", "der", or "pem_bundle"`)
	}
	switch d.String("private_key_format", "der") {
	case "der", "pem", "":
	case "pkcs8":
		f.PKCS8 = true
	default:
		return f, errs.New(errs.Invalid, `the "private_key_format" parameter must be "der" or "pkcs8"`)
	}
	f.RemoveRoots = d.Bool("remove_roots_from_chain", false)
	return f, nil
}

// Certificate writes a certificate; pem may be "" if it is not known yet.
func (f Format) Certificate(der []byte, pem string) string {
	if f.DER {
		return base64.StdEncoding.EncodeToString(der)
	}
	if pem == "" {
		return keypair.PEM("CERTIFICATE", der)
	}
	return pem
}

// CSR writes a certificate request.
func (f Format) CSR(der []byte) string {
	if f.DER {
		return base64.StdEncoding.EncodeToString(der)
	}
	return keypair.PEM("CERTIFICATE REQUEST", der)
}

// Chain writes a chain, without roots if they are to be left out.
func (f Format) Chain(chain []*authority.Issuer) []string {
	list := make([]string, 0, len(chain))
	for _, i := range chain {
		if !f.RemoveRoots || !i.Root() {
			list = append(list, f.Certificate(i.DER, i.PEM))
		}
	}
	return list
}

// Leaf writes what every certificate is answered with. key may be nil.
func (f Format) Leaf(s *authority.Signer, out *authority.Issued, key crypto.Signer) (engine.Builder, error) {
	cert, chain := f.Certificate(out.DER, ""), f.Chain(s.Chain)
	private := ""
	if key != nil {
		var err error
		if private, err = keypair.Encode(key, f.DER, f.PKCS8); err != nil {
			return engine.Builder{}, err
		}
	}
	if f.Bundle {
		parts := append([]string{cert}, chain...)
		if private != "" {
			parts = append([]string{private}, parts...)
		}
		cert = strings.Join(parts, "\n")
	}
	size := 256 + 2*len(cert) + len(private)
	for _, c := range chain {
		size += len(c) + len(c)/16
	}
	o := engine.NewObjectSize(size).
		Strs("ca_chain", chain).
		Str("certificate", cert).
		Int("expiration", out.NotAfter.Unix()).
		Str("issuing_ca", f.Certificate(s.Issuer.DER, s.Issuer.PEM)).
		Int("not_before", out.NotBefore.Unix())
	if private != "" {
		kind, _ := keypair.Describe(key.Public())
		o = o.Str("private_key", private).Str("private_key_type", kind)
	}
	return o.Str("serial_number", authority.HexSerial(out.Serial)), nil
}
