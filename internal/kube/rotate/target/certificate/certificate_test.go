package certificate_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/certificate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/targettest"
	"github.com/strongkeep/strongkeep/internal/testenv/invault"
)

const (
	path   = "shop/tls"
	bundle = "shop/ca"
	policy = `
path "pki/issue/web" { capabilities = ["update"] }
path "pki/revoke"    { capabilities = ["update"] }
path "pki/cert/*"    { capabilities = ["read"] }
path "secret/data/shop/ca"     { capabilities = ["create", "read", "update"] }
path "secret/metadata/shop/ca" { capabilities = ["read"] }
path "secret/data/strongkeep-staged/shop/ca"     { capabilities = ["create", "read", "update"] }
path "secret/metadata/strongkeep-staged/shop/ca" { capabilities = ["read"] }
`
)

// world is a vault with an authority, and a certificate that is turned.
type world struct {
	*testing.T
	p   *invault.Path
	cfg target.Config
}

var now = target.Turn{Number: 1, Rotation: "team/tls"}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, p: invault.Start(t, path, "tls.key")}
	if err := w.p.Sys().Mount("pki", &api.MountInput{Type: "pki", Config: api.MountConfigInput{MaxLeaseTTL: "87600h"}}); err != nil {
		t.Fatal(err)
	}
	w.write("pki/root/generate/internal", map[string]any{"common_name": "Root 1", "key_type": "ec", "ttl": "87600h"})
	w.write("pki/roles/web", map[string]any{"allowed_domains": "example.com", "allow_subdomains": true, "key_type": "ec", "max_ttl": "720h"})
	w.cfg = target.Config{
		Spec: v1alpha1.Target{Certificate: &v1alpha1.CertificateTarget{
			KVPath: v1alpha1.KVPath{Path: path}, PKIRole: "web", CommonName: "a.example.com", AltNames: []string{"b.example.com"},
			TTL: &metav1.Duration{Duration: 30 * time.Hour}, BundlePath: bundle, BundleSettle: &metav1.Duration{},
		}},
		Rotation: now.Rotation, Clock: clock.RealClock{},
		Vault: invault.Open(t, w.p.Vault, w.p.Policy("turns", invault.Policy(path)+policy)),
	}
	return w
}

func (w *world) write(path string, data map[string]any) {
	w.Helper()
	if _, err := w.p.Logical().Write(path, data); err != nil {
		w.Fatal(err)
	}
}

func (w *world) open() target.Target {
	w.Helper()
	made, err := certificate.Kind{}.Open(w.cfg)
	if err != nil {
		w.Fatal(err)
	}
	return made
}

func (w *world) data(path string) map[string]any {
	w.Helper()
	s, err := w.p.KVv2("secret").Get(context.Background(), path)
	if err != nil {
		w.Fatal(err)
	}
	return s.Data
}

func (w *world) cas() int {
	return strings.Count(fmt.Sprint(w.data(bundle)["ca.crt"]), "BEGIN CERTIFICATE")
}

func (w *world) serial() (string, *x509.Certificate) {
	w.Helper()
	block, _ := pem.Decode([]byte(fmt.Sprint(w.data(path)["tls.crt"])))
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		w.Fatal(err)
	}
	return strings.ReplaceAll(strings.TrimSpace(fmt.Sprintf("% x", leaf.SerialNumber.Bytes())), " ", ":"), leaf
}

func (w *world) valid(serial string) bool {
	w.Helper()
	s, err := w.p.Logical().Read("pki/cert/" + serial)
	if err != nil {
		w.Fatal(err)
	}
	return s != nil && fmt.Sprint(s.Data["revocation_time"]) == "0"
}

func (w *world) must(what string, err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("%s: %v", what, err)
	}
}

func TestConformance(t *testing.T) {
	targettest.Run(t, func(t *testing.T) targettest.Fixture {
		w := start(t)
		return targettest.Fixture{
			Kind: certificate.Kind{}, Config: w.cfg, NeverCloses: true, Logs: w.p.Logs, Left: w.p.Left,
			Read: func(t *testing.T) (targettest.Credential, bool) {
				t.Helper()
				c, ok := w.p.Read(t)
				if ok {
					c.Public, _ = w.serial()
				}
				return c, ok
			},
			Works: func(_ *testing.T, c targettest.Credential) bool { return w.valid(c.Public) },
		}
	})
}

// When the authority changes, the bundle has both before the certificate of the
// new one is published, and the new one alone when the old certificate is revoked.
func TestNewAuthority(t *testing.T) {
	w := start(t)
	w.cfg.Spec.Certificate.BundleSettle = nil
	later := clocktesting.NewFakePassiveClock(time.Now())
	w.cfg.Clock = later
	turn := func(n int64) target.Turn { return target.Turn{Number: n, Rotation: now.Rotation} }
	_, err := w.open().Stage(t.Context(), turn(1))
	w.must("staging", err)
	state, err := w.open().Publish(t.Context(), turn(1), target.New)
	w.must("publishing the first", err)
	if hours := state.MaxAge.Hours(); hours < 19.5 || hours > 20.1 {
		t.Errorf("it may be %v old, want two thirds of 30h", state.MaxAge)
	}
	w.must("closing", w.open().Close(t.Context(), turn(1)))
	w.must("retiring", w.open().Retire(t.Context(), turn(1), target.Old))
	old, _ := w.serial()
	w.write("pki/root/rotate/internal", map[string]any{"common_name": "Root 2", "key_type": "ec", "ttl": "87600h"})
	w.write("pki/root/replace", map[string]any{"default": "next"})
	_, err = w.open().Stage(t.Context(), turn(2))
	w.must("staging of the new authority", err)
	if n := w.cas(); n != 2 {
		t.Fatalf("staged, the bundle has %d authorities, want both", n)
	}
	_, err = w.open().Publish(t.Context(), turn(2), target.New)
	if !target.IsPending(err) || !strings.Contains(err.Error(), "bundle") {
		t.Fatalf("published at once: %v, want Pending", err)
	}
	if seen, _ := w.serial(); seen != old {
		t.Error("readers see the new one already")
	}
	later.SetTime(time.Now().Add(16 * time.Minute))
	_, err = w.open().Publish(t.Context(), turn(2), target.New)
	w.must("publishing", err)
	_, err = w.open().Publish(t.Context(), turn(2), target.Old)
	w.must("going back", err)
	_, err = w.open().Publish(t.Context(), turn(2), target.New)
	w.must("publishing again", err)
	_, leaf := w.serial()
	w.must("closing", w.open().Close(t.Context(), turn(2)))
	w.must("retiring", w.open().Retire(t.Context(), turn(2), target.Old))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(fmt.Sprint(w.data(bundle)["ca.crt"])))
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "b.example.com"}); err != nil || w.cas() != 1 || w.valid(old) {
		t.Errorf("at the end: %v, %d authorities, the old certificate is valid: %v", err, w.cas(), w.valid(old))
	}
}

// A bundle has one owner, and a certificate that the engine does not know is a
// person's to revoke.
func TestOthers(t *testing.T) {
	w := start(t)
	_, err := w.open().Stage(t.Context(), now)
	w.must("staging", err)
	_, err = w.open().Publish(t.Context(), now, target.New)
	w.must("publishing", err)
	other := *w.cfg.Spec.Certificate
	other.Path = "shop/other"
	cfg := w.cfg
	cfg.Spec.Certificate, cfg.Vault = &other, invault.Open(t, w.p.Vault, w.p.Policy("others", invault.Policy("shop/other")+policy))
	made, err := certificate.Kind{}.Open(cfg)
	w.must("opening", err)
	if _, err := made.Stage(t.Context(), now); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "secret/data/shop/tls") {
		t.Errorf("another's bundle: %v", err)
	}
}

func TestForeignCertificate(t *testing.T) {
	w := start(t)
	w.must("mounting", w.p.Sys().Mount("foreign", &api.MountInput{Type: "pki"}))
	w.write("foreign/root/generate/internal", map[string]any{"common_name": "Foreign", "key_type": "ec"})
	w.write("foreign/roles/web", map[string]any{"allow_any_name": true, "key_type": "ec"})
	s, err := w.p.Logical().Write("foreign/issue/web", map[string]any{"common_name": "a.example.com"})
	w.must("issuing", err)
	_, err = w.p.KVv2("secret").Put(t.Context(), path, map[string]any{"tls.crt": s.Data["certificate"], "tls.key": s.Data["private_key"], "ca.crt": s.Data["issuing_ca"]})
	w.must("putting", err)
	_, err = w.open().Stage(t.Context(), now)
	w.must("staging", err)
	if n := w.cas(); n != 2 {
		t.Errorf("the bundle has %d authorities, want that of the old one too", n)
	}
	_, err = w.open().Publish(t.Context(), now, target.New)
	w.must("publishing", err)
	if err := w.open().Retire(t.Context(), now, target.Old); !target.IsPending(err) || !strings.Contains(err.Error(), "confirm-retired -n team tls") {
		t.Fatalf("retiring: %v, want Pending", err)
	}
	w.must("confirming", w.open().(target.Confirmable).Confirm(t.Context(), now, target.Old))
	w.must("retiring", w.open().Retire(t.Context(), now, target.Old))
}

func TestBadSpecs(t *testing.T) {
	for want, change := range map[string]func(*v1alpha1.CertificateTarget){
		"pkiRole":              func(s *v1alpha1.CertificateTarget) { s.PKIRole = "../x" },
		"pkiMount":             func(s *v1alpha1.CertificateTarget) { s.PKIMount = "a//b" },
		"commonName":           func(s *v1alpha1.CertificateTarget) { s.CommonName = "" },
		"without commas":       func(s *v1alpha1.CertificateTarget) { s.AltNames = []string{"a,b"} },
		"1m at least":          func(s *v1alpha1.CertificateTarget) { s.TTL = &metav1.Duration{Duration: time.Second} },
		"the credential's own": func(s *v1alpha1.CertificateTarget) { s.BundlePath = path },
		"must not be negative": func(s *v1alpha1.CertificateTarget) { s.BundleSettle = &metav1.Duration{Duration: -1} },
		"Strongkeep's own":     func(s *v1alpha1.CertificateTarget) { s.BundlePath = "strongkeep-staged/x" },
	} {
		s := v1alpha1.CertificateTarget{KVPath: v1alpha1.KVPath{Path: path}, PKIRole: "web", CommonName: "a.example.com"}
		change(&s)
		_, err := certificate.Kind{}.Open(target.Config{Spec: v1alpha1.Target{Certificate: &s}})
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want invalid with %q", err, want)
		}
	}
}
