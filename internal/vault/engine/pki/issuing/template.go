package issuing

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

var oidUserID = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}

// Template returns a certificate ready to sign but for its serial number, public
// key and URLs, and what the client should be told. Kind Invalid: the role does
// not allow it.
func (r *Role) Template(in *Input, l Limits) (*x509.Certificate, []string, error) {
	cn, err := r.commonName(in)
	if err != nil {
		return nil, nil, err
	}
	s, err := r.gather(in)
	if err != nil {
		return nil, nil, err
	}
	if err := r.addCommonName(s, cn, in.ExcludeCN); err != nil {
		return nil, nil, err
	}
	t := new(x509.Certificate)
	if t.Subject, err = r.subject(in, cn.text); err != nil {
		return nil, nil, err
	}
	if err := s.fill(t); err != nil {
		return nil, nil, err
	}
	if err := r.usages(t); err != nil {
		return nil, nil, err
	}
	warnings, err := r.validity(t, in, l)
	return t, warnings, err
}

// addCommonName makes the common name an alternative name, too, if it can be one.
func (r *Role) addCommonName(s *sans, cn name, exclude bool) error {
	if cn.text == "" || exclude || cn.address() || !cn.valid && !cn.email {
		return nil
	}
	if err := r.check(cn); err != nil { // cn_validations may have let it pass as a common name alone
		return errs.Newf(errs.Invalid, "common name, as an alternative name, %w: set exclude_cn_from_sans", err)
	}
	s.add(cn)
	return nil
}

// usages sets what the key is for. With keyCertSign a certificate says that it is
// no CA's: without basic constraints OpenSSL takes it for one.
func (r *Role) usages(t *x509.Certificate) error {
	var err error
	if t.KeyUsage, err = KeyUsages(r.KeyUsage); err != nil {
		return err
	}
	if err := r.extended(t); err != nil {
		return err
	}
	t.BasicConstraintsValid = r.BasicConstraintsNonCA || t.KeyUsage&x509.KeyUsageCertSign != 0
	t.Policies, err = Policies(r.PolicyIdentifiers)
	return err
}

// Policies reads object identifiers.
func Policies(texts []string) ([]x509.OID, error) {
	var all []x509.OID
	for _, text := range texts {
		oid, err := x509.ParseOID(text)
		if err != nil {
			return nil, errs.New(errs.Invalid, "policy_identifiers must be object identifiers, such as 1.3.6.1.4.1.44947.1.1.1")
		}
		all = append(all, oid)
	}
	return all, nil
}

// commonName is the request's, or by use_csr_common_name the CSR's.
func (r *Role) commonName(in *Input) (name, error) {
	text := ""
	if in.CSR != nil && r.UseCSRCommonName {
		text = in.CSR.Subject.CommonName
	}
	if text == "" {
		text = in.CommonName
	}
	if text == "" {
		if r.RequireCN {
			return name{}, errs.New(errs.Invalid, `the common_name field is required, or must be provided in a CSR with "use_csr_common_name" set to true, unless "require_cn" is set to false`)
		}
		return name{}, nil
	}
	if len(text) > 64 {
		return name{}, errs.New(errs.Invalid, "the common name has more than 64 bytes, over the limit of RFC 5280: leave it out and use alt_names")
	}
	n, err := parseName(text)
	if err == nil {
		err = r.checkCommonName(n)
	}
	if err != nil {
		return name{}, errs.Newf(errs.Invalid, "common name %w", err)
	}
	return n, nil
}

func (r *Role) checkCommonName(n name) error {
	if slices.Contains(r.CNValidations, "disabled") {
		return nil
	}
	if len(r.CNValidations) > 0 {
		switch {
		case n.email && !slices.Contains(r.CNValidations, "email"):
			return errs.New(errs.Invalid, "is an email address, which this role does not allow (cn_validations)")
		case !n.email && !slices.Contains(r.CNValidations, "hostname"):
			return errs.New(errs.Invalid, "is no email address, which this role asks for (cn_validations)")
		}
	}
	return r.check(n)
}

// Subject is the role's name, below which a common name and a few more stand.
func (r *Role) subject(in *Input, cn string) (pkix.Name, error) {
	serial := in.SerialNumber
	if serial == "" && in.CSR != nil {
		serial = in.CSR.Subject.SerialNumber
	}
	if serial != "" && !globAny(r.AllowedSerialNumbers, serial) {
		return pkix.Name{}, errs.New(errs.Invalid, "serial_number not allowed by this role (allowed_serial_numbers)")
	}
	n := pkix.Name{
		CommonName: cn, SerialNumber: serial, OrganizationalUnit: r.OU, Organization: r.Organization, Country: r.Country,
		Locality: r.Locality, Province: r.Province, StreetAddress: r.StreetAddress, PostalCode: r.PostalCode,
	}
	for i, id := range in.UserIDs {
		if !globAny(r.AllowedUserIDs, id) {
			return pkix.Name{}, errs.Newf(errs.Invalid, "user_id %d not allowed by this role (allowed_user_ids)", i+1)
		}
		n.ExtraNames = append(n.ExtraNames, pkix.AttributeTypeAndValue{Type: oidUserID, Value: id})
	}
	return n, nil
}

// fill puts the alternative names into a template.
func (s *sans) fill(t *x509.Certificate) error {
	t.DNSNames, t.EmailAddresses, t.IPAddresses, t.URIs = s.dns, s.emails, s.ips, s.uris
	if len(s.others) == 0 {
		return nil
	}
	ext, err := s.extension(emptySubject(t.Subject))
	t.ExtraExtensions = append(t.ExtraExtensions, ext)
	return err
}

func emptySubject(n pkix.Name) bool {
	der, err := asn1.Marshal(n.ToRDNSequence())
	return err == nil && len(der) == 2
}

// validity is the request's, within the role's and the mount's limits.
func (r *Role) validity(t *x509.Certificate, in *Input, l Limits) ([]string, error) {
	if in.NotAfter != "" && in.TTL != 0 {
		return nil, errs.New(errs.Invalid, "Either ttl or not_after should be provided. Both should not be provided in the same request.")
	}
	if in.TTL < 0 {
		return nil, errs.New(errs.Invalid, "ttl must not be negative")
	}
	longest := l.Max
	if m := seconds(r.MaxTTL); m > 0 {
		longest = m
	}
	t.NotBefore = l.Now.Add(-seconds(r.NotBeforeDuration)).UTC().Truncate(time.Second)
	var warnings []string
	var err error
	switch {
	case in.NotAfter != "":
		t.NotAfter, err = r.until(in.NotAfter, longest, l.Now)
	case in.TTL == 0 && r.NotAfter != "":
		t.NotAfter, err = ParseNotAfter(r.NotAfter, l.Now)
	default:
		t.NotAfter, warnings = r.lasting(in.TTL, longest, l)
		err = r.bounded(t.NotAfter, "ttl reaches", l.Now)
	}
	return warnings, err
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// until reads a not_after of the request: within the role's, or else within longest.
func (r *Role) until(text string, longest time.Duration, now time.Time) (time.Time, error) {
	at, err := ParseNotAfter(text, now)
	if err != nil {
		return at, err
	}
	if r.NotAfter == "" && longest > 0 && at.After(now.Add(longest)) {
		return at, errs.New(errs.Invalid, "not_after is beyond the longest lifetime that this role allows (max_ttl)")
	}
	return at, r.bounded(at, "not_after is", now)
}

// bounded holds an end against that of the role, if it has one.
func (r *Role) bounded(at time.Time, what string, now time.Time) error {
	if r.NotAfter == "" {
		return nil
	}
	if bound, err := ParseNotAfter(r.NotAfter, now); err != nil || at.After(bound) {
		return errs.Newf(errs.Invalid, "%s beyond the end that this role allows (not_after)", what)
	}
	return nil
}

// lasting is the end after a ttl, by default the role's or the mount's, at most longest.
func (r *Role) lasting(ttl, longest time.Duration, l Limits) (time.Time, []string) {
	named := ttl != 0 || r.TTL != 0
	if ttl == 0 {
		ttl = seconds(r.TTL)
	}
	if ttl == 0 {
		ttl = l.Default
	}
	var warnings []string
	if longest > 0 && ttl > longest {
		if named {
			warnings = append(warnings, "TTL \""+ttl.String()+"\" is longer than permitted maxTTL \""+longest.String()+"\", so maxTTL is being used")
		}
		ttl = longest
	}
	return l.Now.Add(ttl).UTC().Truncate(time.Second), warnings
}

// ParseNotAfter reads a time in RFC 3339 that must lie ahead.
func ParseNotAfter(text string, now time.Time) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errs.New(errs.Invalid, "not_after must be a time such as 2031-12-31T23:59:59Z")
	}
	if !at.After(now) {
		return time.Time{}, errs.New(errs.Invalid, "not_after lies in the past")
	}
	if at.UTC().Year() > 9999 {
		return time.Time{}, errs.New(errs.Invalid, "not_after lies beyond the year 9999")
	}
	return at.UTC(), nil
}

// CopySubject makes a template say what a CSR says of its holder, as sign-verbatim
// does: the subject and the alternative names, of any kind. No other extension of
// a CSR is ever copied.
func CopySubject(t *x509.Certificate, csr *x509.CertificateRequest) {
	t.Subject, t.RawSubject = csr.Subject, bytes.Clone(csr.RawSubject)
	t.DNSNames, t.EmailAddresses, t.IPAddresses, t.URIs = nil, nil, nil, nil
	t.ExtraExtensions = slices.DeleteFunc(t.ExtraExtensions, func(e pkix.Extension) bool { return e.Id.Equal(oidSAN) })
	for _, e := range csr.Extensions {
		if e.Id.Equal(oidSAN) {
			e.Critical = len(csr.RawSubject) == 2
			t.ExtraExtensions = append(t.ExtraExtensions, e)
			return
		}
	}
}

// KeyID is the subject key identifier: the first 160 bits of SHA-256 of the public
// key (RFC 7093 §2, method 1).
func KeyID(public crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, errs.New(errs.Invalid, "the public key cannot be encoded")
	}
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &spki); err != nil {
		return nil, errs.Newf(errs.Internal, "encoding a public key: %w", err)
	}
	sum := sha256.Sum256(spki.Key.Bytes)
	return sum[:20], nil
}
