package outbound_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
)

func bundle(s *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

func client(t *testing.T, cfg outbound.Config) *http.Client {
	t.Helper()
	c, err := outbound.Client(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Who may write a Rotation may not make the operator reach what only the
// operator's machine reaches.
func TestForbiddenAddresses(t *testing.T) {
	everything, err := outbound.Networks([]string{"0.0.0.0/0", "::/0"})
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, outbound.Config{Private: everything}) // which does not open these
	for _, address := range []string{
		"127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "169.254.169.254", "[fe80::1]",
		"[fd00:ec2::254]", "[fd20:ce::254]", "168.63.129.16", "100.100.100.200", "192.0.0.192", "[64:ff9b::169.254.169.254]", "[2002:a9fe:a9fe::1]", "[::ffff:169.254.169.254]",
		"0.1.2.3", "224.0.0.1", "255.255.255.255", "localhost",
	} {
		answer, err := c.Get("https://" + address + ":1/")
		if err == nil {
			_ = answer.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "own machine or network") {
			t.Errorf("%s: %v, want it not to be reached", address, err)
		}
	}
}

// Private networks are reached only if whoever runs the operator says so.
func TestPrivateNetworks(t *testing.T) {
	networks, err := outbound.Networks([]string{"10.96.0.0/12", "10.1.2.3", "fd12::/16"})
	if err != nil {
		t.Fatal(err)
	}
	none, some := outbound.Config{}, outbound.Config{Private: networks}
	for address, open := range map[string]bool{
		"10.96.0.1": true, "10.111.255.255": true, "10.112.0.1": false, "10.1.2.3": true, "10.1.2.4": false, "192.168.1.1": false, "172.31.0.1": false,
		"100.64.0.1": false, "[fd12::1]": true, "[fd13::1]": false, "[::ffff:10.97.0.1]": true, "[::ffff:10.1.2.4]": false, "[64:ff9b::10.1.2.4]": false, "[64:ff9b::10.1.2.3]": true,
	} {
		if err := none.Permit(address + ":443"); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "--private-networks=") {
			t.Errorf("%s, although no private network is allowed: %v", address, err)
		}
		if err := some.Permit(address + ":443"); (err == nil) != open {
			t.Errorf("%s: %v, allowed: %t", address, err, open)
		}
	}
	for _, public := range []string{"1.1.1.1:443", "[2606:4700::1111]:443", "[64:ff9b::1.1.1.1]:443"} {
		if err := none.Permit(public); err != nil {
			t.Errorf("%s: %v", public, err)
		}
	}
	for _, bad := range []string{"", "10.0.0.0/33", "shop", "fe80::1%eth0"} {
		if _, err := outbound.Networks([]string{bad}); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestAnswers(t *testing.T) {
	reached := 0
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "/reached", http.StatusFound)
		case "/reached":
			reached++
		case "/long":
			_, _ = w.Write(make([]byte, outbound.MaxAnswer+1))
		case "/full":
			_, _ = w.Write(make([]byte, outbound.MaxAnswer))
		}
	}))
	defer s.Close()
	c := client(t, outbound.Config{CABundle: bundle(s), Loopback: true})
	get := func(path string) (*http.Response, []byte, error) {
		answer, err := c.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := outbound.ReadAll(answer)
		return answer, text, err
	}
	if answer, _, err := get("/away"); err != nil || answer.StatusCode != http.StatusFound || reached != 0 {
		t.Errorf("a redirect: %v, %v, followed %d times", answer.StatusCode, err, reached)
	}
	if _, _, err := get("/long"); !errs.Is(err, errs.TooLarge) {
		t.Errorf("a long answer: %v", err)
	}
	if _, text, err := get("/full"); err != nil || len(text) != outbound.MaxAnswer {
		t.Errorf("an answer as long as may be: %d bytes, %v", len(text), err)
	}
	if _, err := client(t, outbound.Config{Loopback: true}).Get(s.URL); err == nil { //nolint:bodyclose // there is none
		t.Error("a certificate that the system does not know was taken")
	}
	if _, err := outbound.Client(outbound.Config{CABundle: "nothing"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a bundle that is none: %v", err)
	}
}

func TestURL(t *testing.T) {
	for text, ok := range map[string]bool{
		"https://a.example/x?y=z": true, "https://a.example": true, "http://a.example": false, "https://": false, "//a.example": false,
		"https://u:canary@a.example": false, "https://a.example/#f": false, "https:a.example": false, "file:///etc/passwd": false, "https://a b": false,
	} {
		_, err := outbound.URL("url", text)
		if (err == nil) != ok || err != nil && (!errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), "canary")) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
