package cert

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
)

var (
	begin = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) // the harness's clock
	oid   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}
)

// ca signs certificates in tests.
type ca struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newCA(t testing.TB, name string) *ca {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &ca{t: t, key: key, next: 100}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: begin.Add(-time.Hour), NotAfter: begin.Add(1000 * time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	c.cert = c.make(template, template, key, key)
	return c
}

func (c *ca) make(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		c.t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		c.t.Fatal(err)
	}
	return made
}

// leaf signs a client certificate; change may be nil.
func (c *ca) leaf(change func(*x509.Certificate)) *x509.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	c.next++
	id, err := url.Parse("spiffe://example.org/ns/default/sa/my-app")
	if err != nil {
		c.t.Fatal(err)
	}
	value, err := asn1.Marshal("blue")
	if err != nil {
		c.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(c.next), Subject: pkix.Name{CommonName: "my-app", OrganizationalUnit: []string{"ops"}},
		DNSNames: []string{"my-app.example.org"}, EmailAddresses: []string{"app@example.org"}, URIs: []*url.URL{id},
		NotBefore: begin.Add(-time.Hour), NotAfter: begin.Add(100 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		ExtraExtensions: []pkix.Extension{{Id: oid, Value: value}},
	}
	if change != nil {
		change(template)
	}
	return c.make(template, c.cert, key, c.key)
}

func (c *ca) pem() string { return toPEM(c.cert) }

func toPEM(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// crl is a list that revokes certs.
func (c *ca) crl(certs ...*x509.Certificate) string {
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: begin, NextUpdate: begin.Add(time.Hour)}
	for _, cert := range certs {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: begin})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, c.cert, c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

// shower is the method as a harness can use it, which has no TLS: the field
// "shown" of a login names the certificate that the client shows.
type shower struct {
	*Engine
	certs map[string][]*x509.Certificate
}

func (s *shower) Routes() []engine.Route {
	routes := s.Engine.Routes()
	for i := range routes {
		if routes[i].Pattern != "login" {
			continue
		}
		login := routes[i].Handlers[engine.Update]
		routes[i].Fields = append(routes[i].Fields, engine.Field{Name: "shown", Secret: true, Help: "what the client shows"})
		routes[i].Handlers = handlers{engine.Update: func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
			d := req.Decode()
			with := *req
			with.Certificates = s.certs[d.String("shown", "")]
			if d.Err() != nil {
				return nil, d.Err()
			}
			return login(ctx, tx, &with)
		}}
	}
	return routes
}

type world struct {
	*enginetest.Harness
	t      testing.TB
	engine *Engine
	ca     *ca
}

func newWorld(t testing.TB, role map[string]any) *world {
	w := &world{t: t, ca: newCA(t, "clients")}
	w.Harness = enginetest.New(t, func(cfg engine.Config) (engine.Engine, error) {
		e, err := New(cfg)
		w.engine = e.(*Engine)
		return e, err
	})
	body := map[string]any{"certificate": w.ca.pem(), "token_policies": "app"}
	for k, v := range role {
		body[k] = v
	}
	w.write("certs/app", body)
	return w
}

func (w *world) write(path string, body map[string]any) {
	w.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.Do(engine.Update, path, string(raw)); err != nil {
		w.t.Fatalf("%s: %v", path, err)
	}
}

func (w *world) login(shown ...*x509.Certificate) (*engine.Auth, error) {
	res, err := w.Do(engine.Update, "login", "", func(r *engine.Request) { r.Certificates, r.Caller = shown, engine.Caller{} })
	if err != nil {
		return nil, err
	}
	return res.Auth, nil
}

func (w *world) refuses(what string, shown ...*x509.Certificate) {
	w.t.Helper()
	if a, err := w.login(shown...); !errs.Is(err, errs.Invalid) {
		w.t.Errorf("%s: %+v, %v", what, a, err)
	}
}
