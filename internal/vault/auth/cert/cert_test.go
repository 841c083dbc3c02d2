package cert

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth/authtest"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
	"github.com/strongkeep/strongkeep/internal/vault/token/grant"
)

func factory(certs map[string][]*x509.Certificate) engine.Factory {
	return func(cfg engine.Config) (engine.Engine, error) {
		e, err := New(cfg)
		return &shower{e.(*Engine), certs}, err
	}
}

func TestSuite(t *testing.T) {
	good, other := newCA(t, "clients"), newCA(t, "others")
	authtest.Run(t, authtest.Suite{
		Factory: factory(map[string][]*x509.Certificate{"right-one": {good.leaf(nil)}, "wrong-one": {other.leaf(nil)}}),
		Setup:   []authtest.Request{{Op: engine.Update, Path: "certs/app", Body: fmt.Sprintf(`{"certificate":%q,"token_policies":"app"}`, good.pem())}},
		Login:   authtest.Request{Path: "login", Body: `{"shown":"right-one"}`},
		Wrong: map[string]string{
			"none": `{}`, "of another CA": `{"shown":"wrong-one"}`,
			"another role": `{"shown":"right-one","name":"nope"}`, "a bad role": `{"shown":"right-one","name":"../app"}`,
		},
		DropRole: authtest.Request{Op: engine.Delete, Path: "certs/app"},
	})
}

func TestConformance(t *testing.T) {
	good := newCA(t, "clients")
	role := fmt.Sprintf(`{"certificate":%q,"token_policies":"app","allowed_metadata_extensions":%q}`, good.pem(), oid)
	list := fmt.Sprintf(`{"crl":%q}`, good.crl(good.leaf(nil)))
	enginetest.Run(t, enginetest.Suite{
		Factory: factory(map[string][]*x509.Certificate{"right": {good.leaf(nil)}}),
		Steps: []enginetest.Step{
			{Op: engine.Update, Path: "certs/app", Body: role},
			{Op: engine.Update, Path: "certs/app", Body: `{"allowed_dns_sans":"*.example.org","display_name":"x"}`},
			{Op: engine.Update, Path: "certs/bad", Body: `{}`, Fails: errs.Invalid},
			{Op: engine.Update, Path: "certs/bad", Body: `{"certificate":"` + enginetest.Canary + `"}`, Fails: errs.Invalid},
			{Op: engine.Update, Path: "certs/app", Body: `{"required_extensions":"nonsense"}`, Fails: errs.Invalid},
			{Op: engine.Update, Path: "certs/app", Body: `{"allowed_metadata_extensions":"1"}`, Fails: errs.Invalid},
			{Op: engine.Read, Path: "certs/app"},
			{Op: engine.List, Path: "certs/"},
			{Op: engine.Update, Path: "login", Body: `{"shown":"right"}`},
			{Op: engine.Update, Path: "login", Body: `{"shown":"right","name":"APP"}`},
			{Op: engine.Update, Path: "login", Fails: errs.Invalid},
			{Op: engine.Read, Path: "config"},
			{Op: engine.Update, Path: "config", Body: `{"disable_binding":true,"enable_identity_alias_metadata":true}`},
			{Op: engine.Read, Path: "config"},
			{Op: engine.Update, Path: "login", Body: `{"shown":"right"}`},
			{Op: engine.Update, Path: "crls/l", Body: list},
			{Op: engine.Update, Path: "crls/m", Body: `{"url":"http://192.0.2.1/"}`, Fails: errs.Invalid},
			{Op: engine.Update, Path: "crls/m", Body: `{"crl":"x"}`, Fails: errs.Invalid},
			{Op: engine.Read, Path: "crls/l"},
			{Op: engine.List, Path: "crls/"},
			{Op: engine.Delete, Path: "crls/l"},
			{Op: engine.Delete, Path: "certs/app"},
		},
	})
}

func TestLogin(t *testing.T) {
	w := newWorld(t, map[string]any{"allowed_metadata_extensions": oid.String(), "token_ttl": 60})
	leaf := w.ca.leaf(nil)
	a, err := w.login(leaf)
	if err != nil {
		t.Fatal(err)
	}
	if a.Alias != "my-app" || a.DisplayName != "app" || a.Params.TTL != time.Minute || a.Metadata["cert_name"] != "app" ||
		a.Metadata["common_name"] != "my-app" || a.Metadata["serial_number"] != leaf.SerialNumber.String() ||
		a.Metadata["uri_san"] != "spiffe://example.org/ns/default/sa/my-app" || a.Metadata["1-3-6-1-4-1-99999-1"] != "blue" {
		t.Errorf("%+v", a)
	}
	svid := w.ca.leaf(func(c *x509.Certificate) { c.Subject = pkix.Name{} })
	if a, err := w.login(svid); err != nil || a.Alias != "spiffe://example.org/ns/default/sa/my-app" {
		t.Errorf("an X.509-SVID: %+v, %v", a, err)
	}
}

func TestNames(t *testing.T) {
	for what, c := range map[string]struct {
		role map[string]any
		ok   bool
	}{
		"any name":          {map[string]any{"allowed_names": "my-*"}, true},
		"any name, DNS":     {map[string]any{"allowed_names": "*.example.org"}, true},
		"no name":           {map[string]any{"allowed_names": "other"}, false},
		"common name":       {map[string]any{"allowed_common_names": "my-app,x"}, true},
		"wrong common name": {map[string]any{"allowed_common_names": "my-ap"}, false},
		"DNS":               {map[string]any{"allowed_dns_sans": "my-app.*"}, true},
		"wrong DNS":         {map[string]any{"allowed_dns_sans": "*.example.com"}, false},
		"e-mail":            {map[string]any{"allowed_email_sans": "*@example.org"}, true},
		"wrong e-mail":      {map[string]any{"allowed_email_sans": "root@example.org"}, false},
		"SPIFFE":            {map[string]any{"allowed_uri_sans": "spiffe://example.org/ns/default/*"}, true},
		"wrong SPIFFE":      {map[string]any{"allowed_uri_sans": "spiffe://example.com/*"}, false},
		"unit":              {map[string]any{"allowed_organizational_units": "ops"}, true},
		"wrong unit":        {map[string]any{"allowed_organizational_units": "dev"}, false},
		"extension":         {map[string]any{"required_extensions": oid.String() + ":bl*"}, true},
		"extension in hex":  {map[string]any{"required_extensions": "hex:" + oid.String() + ":*626C7565"}, true},
		"wrong extension":   {map[string]any{"required_extensions": oid.String() + ":red"}, false},
		"no such extension": {map[string]any{"required_extensions": "1.2.3:*"}, false},
		"all must fit":      {map[string]any{"allowed_dns_sans": "my-app.*", "allowed_uri_sans": "x"}, false},
	} {
		w := newWorld(t, c.role)
		if _, err := w.login(w.ca.leaf(nil)); c.ok != (err == nil) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestWhatIsNotTrusted(t *testing.T) {
	w := newWorld(t, nil)
	w.refuses("nothing shown")
	w.refuses("of another CA of the same name", newCA(t, "clients").leaf(nil))
	w.refuses("over", w.ca.leaf(func(c *x509.Certificate) { c.NotAfter = begin.Add(-time.Minute) }))
	w.refuses("not yet", w.ca.leaf(func(c *x509.Certificate) { c.NotBefore = begin.Add(time.Hour) }))
	w.refuses("a server's", w.ca.leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }))
	many := make([]*x509.Certificate, maxChain+1)
	for i := range many {
		many[i] = w.ca.leaf(nil)
	}
	w.refuses("a long chain", many...)
	w.Advance(101 * time.Hour)
	w.refuses("over by now", w.ca.leaf(nil))
}

func TestIntermediates(t *testing.T) {
	w := newWorld(t, nil)
	between := newCA(t, "between")
	between.cert = w.ca.make(&x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "between"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: begin.Add(-time.Hour), NotAfter: begin.Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}, w.ca.cert, between.key, w.ca.key)
	leaf := between.leaf(nil)
	w.refuses("without its intermediate", leaf)
	if _, err := w.login(leaf, between.cert); err != nil {
		t.Error(err)
	}
	w.write("crls/root", map[string]any{"crl": w.ca.crl(between.cert)})
	w.refuses("of a revoked intermediate", leaf, between.cert)
}

// CVE-2025-6037: a certificate that is trusted itself must be that very one,
// not another with its names, number or key.
func TestCVE20256037TrustedLeafIsThatVeryOne(t *testing.T) {
	w := newWorld(t, nil)
	leaf := w.ca.leaf(nil)
	w.write("certs/app", map[string]any{"certificate": toPEM(leaf)})
	if _, err := w.login(leaf); err != nil {
		t.Fatal(err)
	}
	w.refuses("of the same CA", w.ca.leaf(nil))
	forger := newCA(t, "clients")
	twin := forger.leaf(func(c *x509.Certificate) { c.SerialNumber = leaf.SerialNumber })
	w.refuses("a twin", twin)
	w.refuses("a twin with the right one behind it", twin, leaf)
}

// CVE-2026-39388: who renews must show the certificate that logged in.
func TestCVE202639388RenewalNeedsTheCertificate(t *testing.T) {
	w := newWorld(t, nil)
	leaf := w.ca.leaf(nil)
	a, err := w.login(leaf)
	if err != nil {
		t.Fatal(err)
	}
	policies, err := grant.Login(a.Params.Policies, a.Params.NoDefaultPolicy) // as the gate made them
	if err != nil {
		t.Fatal(err)
	}
	renew := func(shown ...*x509.Certificate) error {
		again := *a
		again.Certificates = shown
		again.Params.Policies = policies
		_, err := w.engine.Renew(t.Context(), w.View(), &again)
		return err
	}
	if err := renew(leaf); err != nil {
		t.Error(err)
	}
	for what, shown := range map[string][]*x509.Certificate{"none": nil, "another of the same CA and name": {w.ca.leaf(nil)}, "of another CA": {newCA(t, "clients").leaf(nil)}} {
		if err := renew(shown...); !errs.Is(err, errs.Denied) {
			t.Errorf("%s: %v", what, err)
		}
	}
	w.write("crls/l", map[string]any{"crl": w.ca.crl(leaf)})
	if err := renew(leaf); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("revoked: %v", err)
	}
	w.write("config", map[string]any{"disable_binding": true})
	if err := renew(); err != nil {
		t.Errorf("without binding: %v", err)
	}
	policies = []string{"another", "default"}
	if err := renew(); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "policies have changed") {
		t.Errorf("with other policies than the role has now: %v", err)
	}
}

func FuzzRoles(f *testing.F) {
	good := newCA(f, "clients")
	f.Add(good.pem(), "1.2.3:x", "1.2")
	f.Add("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", "hex:1.2:", "9999999999")
	leaf := good.leaf(nil)
	f.Fuzz(func(t *testing.T, certificate, required, shown string) {
		r := role{Certificate: certificate, Extensions: []string{required}, ShownExts: []string{shown}}
		if err := r.Check(); err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%v", err)
			}
			return
		}
		if r.trusts([]*x509.Certificate{leaf}, begin) != nil {
			r.fits(claimsOf(leaf))
			r.metadata(leaf)
		}
	})
}
