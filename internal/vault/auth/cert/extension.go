package cert

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/token/grant"
)

// extension is one that a certificate must have.
type extension struct {
	oid   asn1.ObjectIdentifier
	inHex bool // glob is of the bytes in hex, not of the string they encode
	glob  string
}

func parseExtension(text string) (extension, error) {
	bad := errs.New(errs.Invalid, "required_extensions must hold items such as 1.2.3.4:value* or hex:1.2.3.4:0c04*")
	var e extension
	rest, inHex := strings.CutPrefix(text, "hex:")
	oid, glob, ok := strings.Cut(rest, ":")
	if !ok {
		return e, bad
	}
	parsed, err := parseOID(oid)
	if err != nil {
		return e, bad
	}
	e = extension{oid: parsed, inHex: inHex, glob: glob}
	if inHex {
		e.glob = strings.ToLower(glob)
	}
	return e, nil
}

func parseOID(text string) (asn1.ObjectIdentifier, error) {
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(text, ".") {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil || len(oid) > 32 {
			return nil, errs.New(errs.Invalid, "not an oid")
		}
		oid = append(oid, int(n))
	}
	if len(oid) < 2 {
		return nil, errs.New(errs.Invalid, "not an oid")
	}
	return oid, nil
}

func (e *extension) in(c *x509.Certificate) bool {
	for _, x := range c.Extensions {
		if !x.Id.Equal(e.oid) {
			continue
		}
		value := hex.EncodeToString(x.Value)
		if !e.inHex {
			s, ok := stringOf(x.Value)
			if !ok {
				continue
			}
			value = s
		}
		if grant.Glob(e.glob, value) {
			return true
		}
	}
	return false
}

// stringOf is the text of an extension that is one ASN.1 string.
func stringOf(der []byte) (string, bool) {
	var s string
	rest, err := asn1.Unmarshal(der, &s)
	return s, err == nil && len(rest) == 0
}
