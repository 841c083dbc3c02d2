package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/ledger"
)

// mount is a harness with short words for what these tests do all day.
type mount struct {
	*enginetest.Harness
	t testing.TB
}

func newMount(t testing.TB) mount { return mount{enginetest.New(t, New), t} }

func (m mount) write(path, body string) map[string]any {
	m.t.Helper()
	res, err := m.Do(engine.Update, path, body)
	if err != nil {
		m.t.Fatalf("%s: %v", path, err)
	}
	return m.data(res)
}

func (m mount) read(path string) map[string]any {
	m.t.Helper()
	res, err := m.Do(engine.Read, path, "")
	if err != nil {
		m.t.Fatalf("%s: %v", path, err)
	}
	return m.data(res)
}

func (m mount) data(res *engine.Response) map[string]any {
	m.t.Helper()
	if res == nil || res.Data == nil {
		return nil
	}
	var data map[string]any
	if err := json.Unmarshal(res.Data, &data); err != nil {
		m.t.Fatal(err)
	}
	return data
}

func (m mount) raw(path string) []byte {
	m.t.Helper()
	res, err := m.Do(engine.Read, path, "")
	if err != nil || res.Raw == nil {
		m.t.Fatalf("%s: %v", path, err)
	}
	return res.Raw.Body
}

// work has the worker do all that is due.
func (m mount) work() {
	m.t.Helper()
	if _, err := m.Work(); err != nil {
		m.t.Fatal(err)
	}
}

// root makes a root of EC P-256 and a role for any name.
func (m mount) root() mount {
	m.t.Helper()
	m.write("root/generate/internal", `{"common_name":"Root","key_type":"ec","issuer_name":"r"}`)
	m.write("roles/any", `{"allow_any_name":true,"key_type":"ec","ttl":"1h"}`)
	return m
}

func (m mount) list(path string) *x509.RevocationList {
	m.t.Helper()
	list, err := x509.ParseRevocationList(m.raw(path))
	if err != nil {
		m.t.Fatalf("%s: %v", path, err)
	}
	return list
}

// A CRL of 100,000 revocations: stored in parts, signed, whole; and a revocation
// then has it built in the background.
func TestLargeCRL(t *testing.T) {
	const n = 100_000
	m := newMount(t).root()
	issued := m.write("issue/any", `{"common_name":"a"}`)
	block, _ := pem.Decode([]byte(issued["certificate"].(string)))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	auth := ""
	for key := range m.Stored(t) {
		if rest, ok := strings.CutPrefix(key, "crl/"); ok {
			auth = rest
		}
	}
	update := m.Engine.(*Engine).cfg.Update
	base := new(big.Int).Lsh(big.NewInt(1), 158)
	for start := 0; start < n; start += 125 {
		err := update(t.Context(), func(_ ctx, tx engine.Tx) error {
			for i := start; i < start+125; i++ {
				c := *cert
				c.SerialNumber = new(big.Int).Add(base, big.NewInt(int64(i)))
				ledger.Revoke(tx, auth, &c, m.Now(), "many")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	m.work()
	list := m.list("crl")
	if len(list.RevokedCertificateEntries) != n {
		t.Fatalf("%d entries", len(list.RevokedCertificateEntries))
	}
	for key, value := range m.Stored(t) {
		if len(value) > 1<<20 {
			t.Errorf("%s has %d bytes", key, len(value))
		}
		if strings.HasPrefix(key, ledger.Recent) || strings.HasPrefix(key, ledger.Stale) {
			t.Fatalf("%s is left", key)
		}
	}
	m.Woken()
	m.write("revoke", fmt.Sprintf(`{"serial_number":%q}`, issued["serial_number"]))
	if m.Woken() == 0 {
		t.Error("a large CRL is built while the client waits, or not at all")
	}
	m.work()
	if got := len(m.list("crl").RevokedCertificateEntries); got != n+1 {
		t.Errorf("%d entries", got)
	}
}

// With auto_rebuild a revocation is in the next delta CRL, then in the next
// complete one; numbers only grow.
func TestDeltaCRL(t *testing.T) {
	m := newMount(t).root()
	m.write("config/crl", `{"auto_rebuild":true,"enable_delta":true,"delta_rebuild_interval":"1h"}`)
	m.work()
	first := m.list("crl")
	issued := m.write("issue/any", `{"common_name":"a","ttl":"700h"}`)
	m.write("revoke", fmt.Sprintf(`{"serial_number":%q}`, issued["serial_number"]))
	if len(m.list("crl").RevokedCertificateEntries) != 0 {
		t.Error("auto_rebuild built a CRL for a revocation")
	}
	m.Advance(time.Hour + time.Second)
	m.work()
	delta := m.list("crl/delta")
	if len(delta.RevokedCertificateEntries) != 1 || delta.Number.Cmp(first.Number) <= 0 {
		t.Errorf("%v after %v: %d entries", delta.Number, first.Number, len(delta.RevokedCertificateEntries))
	}
	if _, err := m.Do(engine.Read, "crl/rotate-delta", ""); err != nil {
		t.Error(err)
	}
	m.Advance(60 * time.Hour)
	m.work()
	whole := m.list("crl")
	if len(whole.RevokedCertificateEntries) != 1 || whole.Number.Cmp(delta.Number) <= 0 || !whole.NextUpdate.After(m.Now()) {
		t.Errorf("%v: %d entries", whole.Number, len(whole.RevokedCertificateEntries))
	}
}

// Without auto_rebuild, too, a CRL is made anew before it ends.
func TestCRLIsRenewedByItself(t *testing.T) {
	m := newMount(t).root()
	first := m.list("crl")
	m.Advance(61 * time.Hour)
	m.work()
	if next := m.list("crl"); !next.NextUpdate.After(first.NextUpdate) {
		t.Error("the CRL was not made anew")
	}
}

// Tidying removes what ended, and only that; a cancelled run ends.
func TestTidy(t *testing.T) {
	m := newMount(t).root()
	old := m.write("issue/any", `{"common_name":"a","ttl":"1h"}`)
	young := m.write("issue/any", `{"common_name":"b","ttl":"500h"}`)
	m.write("revoke", fmt.Sprintf(`{"serial_number":%q}`, old["serial_number"]))
	m.Advance(100 * time.Hour)
	m.write("tidy", `{"tidy_cert_store":true,"tidy_revoked_certs":true,"safety_buffer":"1h"}`)
	m.work()
	m.work()
	status := m.read("tidy-status")
	if status["state"] != "Finished" || status["cert_store_deleted_count"] != 1.0 || status["revoked_cert_deleted_count"] != 1.0 {
		t.Errorf("%v", status)
	}
	if m.read("cert/"+old["serial_number"].(string)) != nil || m.read("cert/"+young["serial_number"].(string)) == nil {
		t.Error("the wrong ones were removed")
	}
	if n := len(m.list("crl").RevokedCertificateEntries); n != 0 {
		t.Errorf("%d entries", n)
	}
	if _, err := m.Do(engine.Update, "tidy-cancel", ""); !errs.Is(err, errs.Invalid) {
		t.Errorf("%v", err)
	}
	m.write("config/auto-tidy", `{"enabled":true,"tidy_cert_store":true,"interval_duration":"1h"}`)
	m.Advance(700 * time.Hour)
	m.work()
	if m.read("cert/"+young["serial_number"].(string)) != nil {
		t.Error("auto-tidy left a certificate")
	}
}

// The conformance suite: every operation of every route.
func TestConformance(t *testing.T) {
	read, update, list, del, patch := engine.Read, engine.Update, engine.List, engine.Delete, engine.Patch
	steps := []enginetest.Step{
		{Op: update, Path: "roles/r", Body: `{"allow_any_name":true,"key_type":"ec"}`},
		{Op: update, Path: "issue/r", Body: `{"common_name":"a"}`, Fails: errs.Invalid}, // no issuer
		{Op: update, Path: "config/cluster", Body: `{"path":"https://a.example.com/v1/pki"}`},
		{Op: read, Path: "config/cluster"},
		{Op: update, Path: "config/urls", Body: `{"ocsp_servers":"http://a.example.com/ocsp"}`},
		{Op: read, Path: "config/urls"},
		{Op: update, Path: "root/generate/internal", Body: `{"common_name":"R","key_type":"ec","issuer_name":"one"}`},
		{Op: update, Path: "issuers/generate/root/existing", Body: `{"common_name":"R2"}`},
		{Op: update, Path: "root/rotate/exported", Body: `{"common_name":"R3","key_type":"ed25519"}`},
		{Op: update, Path: "intermediate/generate/internal", Body: `{"common_name":"I","key_type":"ec"}`},
		{Op: update, Path: "issuers/generate/intermediate/existing", Body: `{"common_name":"I","add_basic_constraints":true}`},
		{Op: update, Path: "keys/generate/internal", Body: `{"key_type":"ec","key_name":"k"}`},
		{Op: list, Path: "keys/"},
		{Op: read, Path: "key/k"}, {Op: update, Path: "key/k", Body: `{"key_name":"k2"}`},
		{Op: read, Path: "config/keys"}, {Op: update, Path: "config/keys", Body: `{"default":"k2"}`},
		{Op: read, Path: "config/issuers"}, {Op: update, Path: "config/issuers", Body: `{"default":"one","default_follows_latest_issuer":false}`},
		{Op: list, Path: "issuers/"}, {Op: read, Path: "issuer/one"},
		{Op: update, Path: "issuer/one", Body: `{"leaf_not_after_behavior":"truncate"}`},
		{Op: patch, Path: "issuer/one", Body: `{"usage":"read-only,issuing-certificates,crl-signing,ocsp-signing"}`},
		{Op: update, Path: "root/replace", Body: `{"default":"one"}`},
		{Op: read, Path: "roles/r"}, {Op: list, Path: "roles/"}, {Op: patch, Path: "roles/r", Body: `{"ttl":"1h"}`},
		{Op: update, Path: "issue/r", Body: `{"common_name":"a.example.com"}`},
		{Op: update, Path: "issuer/one/issue/r", Body: `{"common_name":"a.example.com","format":"pem_bundle"}`},
		{Op: read, Path: "config/crl"}, {Op: update, Path: "config/crl", Body: `{"auto_rebuild":true,"enable_delta":true}`},
		{Op: read, Path: "crl/rotate"}, {Op: update, Path: "crl/rotate"}, {Op: read, Path: "crl/rotate-delta"}, {Op: update, Path: "crl/rotate-delta"},
		{Op: list, Path: "certs/"},
		{Op: read, Path: "config/auto-tidy"}, {Op: update, Path: "config/auto-tidy", Body: `{"enabled":true,"tidy_cert_store":true}`},
		{Op: update, Path: "tidy", Body: `{"tidy_cert_store":true}`}, {Op: read, Path: "tidy-status"}, {Op: update, Path: "tidy-cancel"},
		{Op: update, Path: "ocsp"}, {Op: read, Path: "ocsp/AAAA"},
	}
	csr := `"csr":` + quoted(csrPEM)
	for _, path := range []string{"sign/r", "sign-verbatim", "sign-verbatim/r", "root/sign-intermediate"} {
		steps = append(steps, enginetest.Step{Op: update, Path: path, Body: `{"common_name":"a.example.com",` + csr + `}`})
	}
	for _, path := range []string{"sign/r", "sign-verbatim", "sign-verbatim/r", "sign-intermediate"} {
		steps = append(steps, enginetest.Step{Op: update, Path: "issuer/one/" + path, Body: `{"common_name":"a.example.com",` + csr + `}`})
	}
	for _, path := range []string{"ca", "ca/pem", "ca_chain", "cert/ca", "cert/ca/raw", "cert/ca/raw/pem", "cert/ca_chain", "issuer/one/json", "issuer/one/der", "issuer/one/pem",
		"cert/crl", "cert/delta-crl", "issuer/one/crl", "issuer/one/crl/delta", "cert/crl/raw", "cert/crl/raw/pem", "cert/delta-crl/raw", "cert/delta-crl/raw/pem",
		"crl", "issuer/one/crl/der", "issuer/one/crl/delta/der", "crl/pem", "crl/delta/pem", "issuer/one/crl/pem", "issuer/one/crl/delta/pem", "crl/delta",
		"cert/00:01", "cert/00:01/raw", "cert/00:01/raw/pem"} {
		steps = append(steps, enginetest.Step{Op: read, Path: path})
	}
	steps = append(steps,
		enginetest.Step{Op: update, Path: "issuers/import/bundle", Body: `{"pem_bundle":` + quoted(otherCA+otherKey) + `}`},
		enginetest.Step{Op: update, Path: "config/ca", Body: `{"pem_bundle":` + quoted(otherCA+otherKey) + `}`},
		enginetest.Step{Op: update, Path: "issuers/import/cert", Body: `{"pem_bundle":` + quoted(otherCA) + `}`},
		enginetest.Step{Op: update, Path: "intermediate/set-signed", Body: `{"certificate":` + quoted(otherCA) + `}`},
		enginetest.Step{Op: update, Path: "keys/import", Body: `{"pem_bundle":` + quoted(otherKey) + `}`},
		enginetest.Step{Op: update, Path: "root/sign-self-issued", Body: `{"certificate":` + quoted(otherCA) + `}`, Fails: errs.Invalid}, // outlives the issuer: err
		enginetest.Step{Op: update, Path: "issuer/one", Body: `{"leaf_not_after_behavior":"permit"}`},
		enginetest.Step{Op: update, Path: "root/sign-self-issued", Body: `{"certificate":` + quoted(otherCA) + `}`},
		enginetest.Step{Op: update, Path: "issuer/one/sign-self-issued", Body: `{"certificate":` + quoted(otherCA) + `}`},
		enginetest.Step{Op: update, Path: "revoke", Body: `{"certificate":` + quoted(leafPEM) + `}`},
		enginetest.Step{Op: update, Path: "revoke-with-key", Body: `{"certificate":` + quoted(leafPEM) + `,"private_key":` + quoted(leafKey) + `}`},
		enginetest.Step{Op: update, Path: "revoke-with-key", Body: `{"certificate":` + quoted(leafPEM) + `,"private_key":` + quoted(otherKey) + `}`, Fails: errs.Invalid},
		enginetest.Step{Op: list, Path: "certs/revoked"},
		enginetest.Step{Op: update, Path: "issuer/one/revoke"},
		enginetest.Step{Op: update, Path: "issue/r", Body: `{"common_name":"a"}`, Fails: errs.Invalid}, // revoked
		enginetest.Step{Op: del, Path: "issuer/one"}, enginetest.Step{Op: del, Path: "key/k2"}, enginetest.Step{Op: del, Path: "root"}, enginetest.Step{Op: del, Path: "roles/r"},
	)
	// truncate was set above for coverage; the first sign-self-issued wants err.
	for i := range steps {
		steps[i].Body = strings.ReplaceAll(steps[i].Body, `"leaf_not_after_behavior":"truncate"`, `"leaf_not_after_behavior":"err"`)
	}
	enginetest.Run(t, enginetest.Suite{Factory: New, Steps: steps})
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// OCSP of what nobody here issued, of nonsense, and when it is switched off.
func TestOCSPRefusals(t *testing.T) {
	m := newMount(t).root()
	ask := func(body []byte) *engine.Raw {
		res, err := m.Do(engine.Update, "ocsp", "", func(r *engine.Request) { r.Body = engine.BinaryBody(body) })
		if err != nil {
			t.Fatal(err)
		}
		return res.Raw
	}
	block, _ := pem.Decode([]byte(otherCA))
	other, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	request, err := ocsp.CreateRequest(other, other, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		body   []byte
		status int
	}{{nil, 400}, {[]byte("nonsense"), 400}, {make([]byte, 5000), 400}, {request, 401}} {
		if got := ask(c.body); got.Status != c.status {
			t.Errorf("%d, want %d", got.Status, c.status)
		}
	}
	// By GET, in base64.
	issued := m.write("issue/any", `{"common_name":"a"}`)
	request, err = ocsp.CreateRequest(parsed(t, issued["certificate"]), parsed(t, issued["issuing_ca"]), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := ocsp.ParseResponse(m.raw("ocsp/"+base64.StdEncoding.EncodeToString(request)), parsed(t, issued["issuing_ca"]))
	if err != nil || answer.Status != ocsp.Good || answer.NextUpdate.Sub(answer.ThisUpdate) != 12*time.Hour {
		t.Errorf("%+v, %v", answer, err)
	}
	m.write("config/crl", `{"ocsp_disable":true}`)
	if got := ask(request); got.Status != 401 {
		t.Errorf("%d", got.Status)
	}
}

// An OCSP answer is signed once for half its life, and a revocation is told at once.
func TestOCSPAnswersAreKept(t *testing.T) {
	m := newMount(t).root()
	issued := m.write("issue/any", `{"common_name":"a","ttl":"100h"}`)
	cert, issuer := parsed(t, issued["certificate"]), parsed(t, issued["issuing_ca"])
	request, err := ocsp.CreateRequest(cert, issuer, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := "ocsp/" + base64.StdEncoding.EncodeToString(request)
	ask := func(status int) []byte {
		t.Helper()
		der := m.raw(path)
		answer, err := ocsp.ParseResponseForCert(der, cert, issuer)
		if err != nil || answer.Status != status || answer.NextUpdate.Before(m.Now()) || answer.ThisUpdate.After(m.Now()) {
			t.Fatalf("%+v, %v; want status %d", answer, err, status)
		}
		return der
	}
	first := ask(ocsp.Good)
	m.Advance(5 * time.Hour)
	if !bytes.Equal(first, ask(ocsp.Good)) { // ThisUpdate of one signed anew would be another
		t.Error("signed again within half its life")
	}
	m.Advance(90 * time.Minute)
	second := ask(ocsp.Good)
	if bytes.Equal(first, second) {
		t.Error("kept for longer than half its life")
	}
	m.write("config/crl", `{"ocsp_expiry":"24h"}`)
	if bytes.Equal(second, ask(ocsp.Good)) {
		t.Error("kept, though ocsp_expiry is another")
	}
	m.write("revoke", `{"serial_number":`+quoted(issued["serial_number"].(string))+`}`)
	third := ask(ocsp.Revoked)
	m.Advance(11 * time.Hour)
	if !bytes.Equal(third, ask(ocsp.Revoked)) {
		t.Error("signed again within half its life")
	}
	// Without a next update it is good for the moment only.
	m.write("config/crl", `{"ocsp_expiry":"0"}`)
	fourth := m.raw(path)
	m.Advance(time.Second)
	if bytes.Equal(fourth, m.raw(path)) {
		t.Error("kept, though it does not say for how long it is good")
	}
}

func parsed(t testing.TB, text any) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(text.(string)))
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A role does not promise more than the mount allows.
func TestRoleLifetimesAreCapped(t *testing.T) {
	m := mount{enginetest.New(t, New, enginetest.WithTTLs(engine.TTLs{Default: time.Hour, Max: 100 * time.Hour})), t}
	for _, c := range []struct {
		body                  string
		ttl, maxTTL, warnings int
	}{
		{`{"max_ttl":"100h"}`, 0, 360000, 0},
		{`{"max_ttl":"101h"}`, 0, 360000, 1},
		{`{"max_ttl":"9999h","ttl":"5000h"}`, 360000, 360000, 2},
		{`{"ttl":"200h"}`, 360000, 0, 1},
		{`{}`, 0, 0, 0},
	} {
		res, err := m.Do(engine.Update, "roles/r", c.body)
		if err != nil {
			t.Fatalf("%s: %v", c.body, err)
		}
		r := m.data(res)
		if got := m.read("roles/r"); got["max_ttl"] != r["max_ttl"] || got["ttl"] != r["ttl"] {
			t.Errorf("%s: reads as %v %v", c.body, got["ttl"], got["max_ttl"])
		}
		if r["ttl"] != float64(c.ttl) || r["max_ttl"] != float64(c.maxTTL) || len(res.Warnings) != c.warnings {
			t.Errorf("%s: ttl %v, max_ttl %v, warnings %q", c.body, r["ttl"], r["max_ttl"], res.Warnings)
		}
		for _, w := range res.Warnings {
			if !strings.Contains(w, "max_lease_ttl of 100h0m0s") {
				t.Errorf("warning %q", w)
			}
		}
	}
}

// BenchmarkOCSP measures an answer that was signed before.
func BenchmarkOCSP(b *testing.B) {
	m := newMount(b).root()
	issued := m.write("issue/any", `{"common_name":"a"}`)
	request, err := ocsp.CreateRequest(parsed(b, issued["certificate"]), parsed(b, issued["issuing_ca"]), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Do(engine.Update, "ocsp", "", func(r *engine.Request) { r.Body = engine.BinaryBody(request) }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIssue measures a key and certificate of EC P-256, stored.
func BenchmarkIssue(b *testing.B) {
	m := newMount(b).root()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Do(engine.Update, "issue/any", `{"common_name":"a.example.com"}`); err != nil {
			b.Fatal(err)
		}
	}
}
