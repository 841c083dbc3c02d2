package pki

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

func TestIssuedPairServesAndAuthenticates(t *testing.T) {
	a, err := New(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	server := issue(t, a, Request{Name: "server", CommonName: "server", Hosts: []string{"127.0.0.1", "localhost"}})
	client := issue(t, a, Request{Name: "admin", CommonName: "admin", Groups: []string{"system:masters"}})
	pool := x509.NewCertPool()
	ca, err := os.ReadFile(a.Cert)
	if err != nil || !pool.AppendCertsFromPEM(ca) {
		t.Fatalf("reading authority: %v", err)
	}

	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		subject := r.TLS.PeerCertificates[0].Subject
		io.WriteString(w, subject.String())
	}))
	s.TLS = &tls.Config{
		Certificates: []tls.Certificate{server},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool,
	}
	s.StartTLS()
	defer s.Close()

	for _, host := range []string{"127.0.0.1", "localhost"} {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: pool, Certificates: []tls.Certificate{client}, ServerName: host,
		}}}
		r, err := c.Get(s.URL)
		if err != nil {
			t.Fatalf("as %s: %v", host, err)
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if string(body) != "CN=admin,O=system:masters" {
			t.Errorf("as %s: server saw %q", host, body)
		}
	}
}

func TestCertificateServesOnlyItsHosts(t *testing.T) {
	a, err := New(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair := issue(t, a, Request{Name: "s", CommonName: "s", Hosts: []string{"10.1.2.3", "kubernetes.default.svc"}})
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"10.1.2.3": true, "kubernetes.default.svc": true, "10.1.2.4": false, "kubernetes": false,
	} {
		if got := leaf.VerifyHostname(host) == nil; got != want {
			t.Errorf("%s: valid %v, want %v", host, got, want)
		}
	}
	if !leaf.IPAddresses[0].Equal(net.ParseIP("10.1.2.3")) {
		t.Errorf("addresses %v", leaf.IPAddresses)
	}
}

func TestKeysArePrivate(t *testing.T) {
	a, err := New(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Issue(Request{Name: "x", CommonName: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{a.Key, p.Key} {
		info, err := os.Stat(key)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", key, info.Mode(), err)
		}
	}
}

func issue(t *testing.T, a *Authority, r Request) tls.Certificate {
	t.Helper()
	p, err := a.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}
