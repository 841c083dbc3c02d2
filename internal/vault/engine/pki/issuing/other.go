package issuing

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// otherName is a SAN that x509 has no field for, such as a Windows user's UPN.
type otherName struct {
	oid   asn1.ObjectIdentifier
	value string
}

var oidSAN = asn1.ObjectIdentifier{2, 5, 29, 17}

// SplitOther reads "1.3.6.1.4.1.311.20.2.3;UTF8:value"; a role may have * in value.
func SplitOther(text string) (oid, value string, ok bool) {
	oid, rest, ok := strings.Cut(text, ";")
	if !ok {
		return "", "", false
	}
	kind, value, ok := strings.Cut(rest, ":")
	kind = strings.ToUpper(kind)
	return oid, value, ok && (kind == "UTF8" || kind == "UTF-8")
}

func (r *Role) addOthers(s *sans, texts []string) error {
	for i, text := range texts {
		oid, value, ok := SplitOther(text)
		parsed, err := ParseOID(oid)
		if !ok || err != nil {
			return errs.Newf(errs.Invalid, "the value %d of other_sans must be of the form OID;UTF8:value", i+1)
		}
		if !r.allowsOther(oid, value) {
			return errs.Newf(errs.Invalid, "other SAN %d not allowed by this role (allowed_other_sans)", i+1)
		}
		s.others = append(s.others, otherName{parsed, value})
	}
	return nil
}

func (r *Role) allowsOther(oid, value string) bool {
	for _, allowed := range r.AllowedOtherSANs {
		if allowed == "*" {
			return true
		}
		if o, pattern, ok := SplitOther(allowed); ok && o == oid && Glob(pattern, value) {
			return true
		}
	}
	return false
}

// ParseOID reads an object identifier in dots. Kind Invalid.
func ParseOID(text string) (asn1.ObjectIdentifier, error) {
	bad := errs.New(errs.Invalid, "an object identifier must be numbers separated by dots, such as 1.3.6.1.5.5.7.3.1")
	oid, err := x509.ParseOID(text)
	if err != nil {
		return nil, bad
	}
	der, err := oid.MarshalBinary()
	if err != nil {
		return nil, bad
	}
	var parsed asn1.ObjectIdentifier
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(der) })
	s := cryptobyte.String(b.BytesOrPanic())
	if !s.ReadASN1ObjectIdentifier(&parsed) {
		return nil, bad
	}
	return parsed, nil
}

// extension is the whole subjectAltName (RFC 5280 §4.2.1.6), for when there are
// other names: x509 encodes it only without.
func (s *sans) extension(critical bool) (pkix.Extension, error) {
	var b cryptobyte.Builder
	text := func(b *cryptobyte.Builder, tag uint8, value string) {
		b.AddASN1(cbasn1.Tag(tag).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(value)) })
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, o := range s.others {
			b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(o.oid)
				b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(o.value)) })
				})
			})
		}
		for _, e := range s.emails {
			text(b, 1, e)
		}
		for _, d := range s.dns {
			text(b, 2, d)
		}
		for _, u := range s.uris {
			text(b, 6, u.String())
		}
		for _, ip := range s.ips {
			raw := ip.To4()
			if raw == nil {
				raw = ip.To16()
			}
			text(b, 7, string(raw))
		}
	})
	der, err := b.Bytes()
	if err != nil {
		return pkix.Extension{}, errs.New(errs.Invalid, "the alternative names cannot be encoded")
	}
	return pkix.Extension{Id: oidSAN, Critical: critical, Value: der}, nil
}
