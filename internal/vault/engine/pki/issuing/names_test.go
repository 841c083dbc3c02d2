package issuing

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func limits() Limits { return Limits{Default: time.Hour, Max: 100 * time.Hour, Now: now} }

// §2.8: what a role's flags let through.
func TestNameRules(t *testing.T) {
	bare := Role{AllowedDomains: []string{"example.com"}, AllowBareDomains: true, EnforceHostnames: true}
	sub := Role{AllowedDomains: []string{"example.com"}, AllowSubdomains: true, EnforceHostnames: true}
	wild := Role{AllowedDomains: []string{"example.com"}, AllowSubdomains: true, EnforceHostnames: true, AllowWildcardCertificates: true}
	glob := Role{AllowedDomains: []string{"ftp*.example.com"}, AllowGlobDomains: true, EnforceHostnames: true}
	anyName := Role{AllowAnyName: true, EnforceHostnames: true}
	loose := Role{AllowAnyName: true}
	local := Role{AllowLocalhost: true, EnforceHostnames: true}
	none := Role{EnforceHostnames: true}
	for _, c := range []struct {
		role Role
		name string
		ok   bool
	}{
		{bare, "example.com", true}, {bare, "EXAMPLE.com", true}, {bare, "a.example.com", false}, {bare, "example.com.", true},
		{bare, "user@example.com", true}, {bare, "user@a.example.com", false}, {bare, "user@evil.org@example.com", false},
		{sub, "a.example.com", true}, {sub, "a.b.example.com", true}, {sub, "example.com", false}, {sub, "badexample.com", false},
		{sub, "a.example.com.evil.org", false}, {sub, "*.example.com", false}, {sub, "user@a.example.com", true},
		{sub, ".example.com", false}, {sub, "a..example.com", false}, {sub, "-a.example.com", false}, {sub, "a_b.example.com", false},
		{sub, "bücher.example.com", true}, {sub, "xn--bcher-kva.example.com", true}, {sub, "a\u2024example.com", false},
		{sub, "a.example.com\x00.evil.org", false}, {sub, "a b.example.com", false}, {sub, "a.example.com/", false}, {sub, "192.0.2.1", false},
		{wild, "*.example.com", true}, {wild, "*.a.example.com", true}, {wild, "*.*.example.com", false}, {wild, "a.*.example.com", false},
		{wild, "a*.example.com", false}, {wild, "*", false}, {wild, "*.com", false}, {wild, "*@a.example.com", true}, {wild, "u@*.example.com", false},
		{glob, "ftp1.example.com", true}, {glob, "ftp.example.com", true}, {glob, "http.example.com", false}, {glob, "ftp.example.com.evil.org", false},
		{anyName, "whatever.example.org", true}, {anyName, "not a host", false}, {loose, "not a host", true}, {loose, "*.x", false},
		{local, "localhost", true}, {local, "localhost.localdomain", true}, {local, "a.localhost", false},
		{none, "a.example.com", false}, {none, "com", false},
	} {
		n, err := parseName(c.name)
		if err == nil {
			err = c.role.check(n)
		}
		if (err == nil) != c.ok {
			t.Errorf("%q under %v: %v, want ok %v", c.name, c.role.AllowedDomains, err, c.ok)
		}
		if err != nil && len(c.name) > 3 && strings.Contains(err.Error(), c.name) {
			t.Errorf("%q is quoted: %v", c.name, err)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		ok         bool
	}{
		{"", "", true}, {"*", "", true}, {"*", "x", true}, {"a", "a", true}, {"a", "b", false}, {"a*", "abc", true}, {"*c", "abc", true},
		{"a*c", "ac", true}, {"a*a", "a", false}, {"a*b*c", "a.b.c", true}, {"a*b*c", "acb", false}, {"a**b", "ab", true},
	} {
		if Glob(c.pattern, c.s) != c.ok {
			t.Errorf("%q %q: want %v", c.pattern, c.s, c.ok)
		}
	}
}

// A common name that cn_validations lets pass is no alternative name by that.
func TestCommonNameAloneIsNoHost(t *testing.T) {
	r := &Role{CNValidations: []string{"disabled"}, KeyType: "any"}
	if _, _, err := r.Template(&Input{CommonName: "evil.example.org"}, limits()); !errs.Is(err, errs.Invalid) {
		t.Errorf("%v", err)
	}
	c, _, err := r.Template(&Input{CommonName: "evil.example.org", ExcludeCN: true}, limits())
	if err != nil || len(c.DNSNames) != 0 || c.Subject.CommonName != "evil.example.org" {
		t.Errorf("%v %v", c, err)
	}
}

func TestValidity(t *testing.T) {
	for name, c := range map[string]struct {
		role    Role
		in      Input
		after   time.Duration
		warning bool
		fails   bool
	}{
		"the mount's":            {after: time.Hour},
		"the role's":             {role: Role{TTL: 7200}, after: 2 * time.Hour},
		"asked for":              {role: Role{TTL: 7200}, in: Input{TTL: time.Minute}, after: time.Minute},
		"capped by the mount":    {in: Input{TTL: 1000 * time.Hour}, after: 100 * time.Hour, warning: true},
		"capped by the role":     {role: Role{MaxTTL: 60}, in: Input{TTL: time.Hour}, after: time.Minute, warning: true},
		"default above the role": {role: Role{MaxTTL: 60}, after: time.Minute},
		"not_after":              {in: Input{NotAfter: "2026-03-04T06:06:07Z"}, after: time.Hour},
		"not_after too late":     {role: Role{MaxTTL: 60}, in: Input{NotAfter: "2026-03-04T06:06:07Z"}, fails: true},
		"not_after past":         {in: Input{NotAfter: "2020-03-04T06:06:07Z"}, fails: true},
		"not_after nonsense":     {in: Input{NotAfter: "tomorrow"}, fails: true},
		"both":                   {in: Input{NotAfter: "2026-03-04T06:06:07Z", TTL: time.Hour}, fails: true},
		"negative":               {in: Input{TTL: -1}, fails: true},
		"role's not_after":       {role: Role{NotAfter: "2026-03-04T06:06:07Z", MaxTTL: 60}, after: time.Hour},
		"beyond the role's":      {role: Role{NotAfter: "2026-03-04T06:06:07Z"}, in: Input{NotAfter: "2026-03-04T07:06:07Z"}, fails: true},
	} {
		got, warnings, err := c.role.Template(&c.in, limits())
		if (err != nil) != c.fails || len(warnings) > 0 != c.warning {
			t.Errorf("%s: %v, %v", name, err, warnings)
			continue
		}
		if err == nil && !got.NotAfter.Equal(now.Add(c.after)) {
			t.Errorf("%s: %v", name, got.NotAfter)
		}
	}
}

// Other names are encoded beside the usual ones.
func TestOtherSANs(t *testing.T) {
	r := &Role{AllowAnyName: true, AllowIPSANs: true, AllowedOtherSANs: []string{"1.3.6.1.4.1.311.20.2.3;UTF8:*@example.com"}}
	in := &Input{AltNames: []string{"a.example.com"}, IPSANs: []string{"192.0.2.1"}, OtherSANs: []string{"1.3.6.1.4.1.311.20.2.3;utf8:me@example.com"}}
	c, _, err := r.Template(in, limits())
	if err != nil || len(c.ExtraExtensions) != 1 || !strings.Contains(string(c.ExtraExtensions[0].Value), "me@example.com") || !strings.Contains(string(c.ExtraExtensions[0].Value), "a.example.com") {
		t.Errorf("%+v %v", c, err)
	}
	in.OtherSANs = []string{"1.3.6.1.4.1.311.20.2.3;UTF8:me@example.org"}
	if _, _, err := r.Template(in, limits()); !errs.Is(err, errs.Invalid) {
		t.Errorf("%v", err)
	}
}

func FuzzCSR(f *testing.F) {
	f.Add("")
	f.Add("-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n")
	r := &Role{AllowedDomains: []string{"example.com"}, AllowSubdomains: true, EnforceHostnames: true, UseCSRCommonName: true, UseCSRSANs: true}
	f.Fuzz(func(t *testing.T, text string) {
		csr, err := ParseCSR(text)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Error(err)
			}
			return
		}
		_, _, _ = r.Template(&Input{CSR: csr}, limits())
	})
}

// Whatever is asked for, what is allowed lies below the domain.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"a.example.com", "*.example.com", "u@a.example.com", "a.example.com.", "bücher.example.com", "a\x00.example.com"} {
		f.Add(s)
	}
	r := &Role{AllowedDomains: []string{"example.com"}, AllowSubdomains: true, EnforceHostnames: true, AllowWildcardCertificates: true}
	f.Fuzz(func(t *testing.T, text string) {
		for _, in := range []*Input{{AltNames: []string{text}}, {CommonName: text}, {CSR: &x509.CertificateRequest{DNSNames: []string{text}, Subject: pkix.Name{}}}} {
			r.UseCSRSANs = in.CSR != nil
			c, _, err := r.Template(in, limits())
			if err != nil {
				continue
			}
			for _, n := range append(c.DNSNames, c.EmailAddresses...) {
				if !strings.HasSuffix(n, ".example.com") || !ascii(n) {
					t.Errorf("%q was allowed for %q", n, text)
				}
			}
			if len(c.IPAddresses)+len(c.URIs) > 0 {
				t.Error("other names were made")
			}
		}
	})
}

func TestIPFromCSR(t *testing.T) {
	r := &Role{AllowAnyName: true, UseCSRSANs: true}
	if _, _, err := r.Template(&Input{CSR: &x509.CertificateRequest{IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}}}, limits()); !errs.Is(err, errs.Invalid) {
		t.Errorf("%v", err)
	}
}

// A CSR in a bad state is refused without being quoted.
func TestBadCSRs(t *testing.T) {
	nonsense := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: []byte("canary")}))
	for _, text := range []string{"", "canary", nonsense, nonsense + nonsense, strings.ReplaceAll(nonsense, "CERTIFICATE REQUEST", "PRIVATE KEY")} {
		if _, err := ParseCSR(text); !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%v", err)
		}
	}
}
