package repo

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"io"
	"math/big"
	"testing"
)

// ok returns what was made without an error.
func ok[T any](t *testing.T) func(T, error) T {
	return func(made T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
}

// packed is what write makes of a file.
func packed(t *testing.T, write func(w io.Writer) (io.Closer, error)) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := write(&out)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// What may hold secrets is told from what is only no text.
func TestClosed(t *testing.T) {
	der := ok[[]byte](t)
	small, large := ok[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), ok[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048))
	certificate := x509.Certificate{SerialNumber: big.NewInt(1)}
	encrypted := append([]byte{0x30, 14, 0x30, 12, 0x06, 10}, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01, 0x03}...)
	for name, c := range map[string]struct {
		raw  []byte
		want bool
	}{
		"zip": {packed(t, func(w io.Writer) (io.Closer, error) {
			z := zip.NewWriter(w)
			_, err := z.Create("a")
			return z, err
		}), true},
		"gzip": {packed(t, func(w io.Writer) (io.Closer, error) { return gzip.NewWriter(w), nil }), true},
		"tar": {packed(t, func(w io.Writer) (io.Closer, error) {
			a := tar.NewWriter(w)
			return a, a.WriteHeader(&tar.Header{Name: "a", Mode: 0o600})
		}), true},
		"PKCS #12":           {[]byte{0x30, 5, 2, 1, 3, 0x30, 0}, true},
		"PKCS #12, BER":      {[]byte{0x30, 0x80, 2, 1, 3, 0x30, 0x80, 6}, true},
		"PKCS #8":            {der(x509.MarshalPKCS8PrivateKey(small)), true},
		"PKCS #8, encrypted": {encrypted, true},
		"PKCS #1":            {x509.MarshalPKCS1PrivateKey(large), true},
		"SEC 1":              {der(x509.MarshalECPrivateKey(small)), true},
		"JKS":                {[]byte("\xfe\xed\xfe\xed\x00\x00\x00\x02"), true},
		"SQLite":             {[]byte("SQLite format 3\x00\x10"), true},
		"a certificate":      {der(x509.CreateCertificate(rand.Reader, &certificate, &certificate, small.Public(), crypto.Signer(small))), false},
		"a request":          {der(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, small)), false},
		"a public key":       {der(x509.MarshalPKIXPublicKey(large.Public())), false},
		"an image":           {[]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), false},
		"nothing":            {nil, false},
		"a sequence alone":   {[]byte{0x30, 0}, false},
		"cut":                {[]byte{0x30, 0x82, 1, 1, 2, 1, 0}, false},
	} {
		if closed(c.raw) != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
		if _, text := readable(c.raw); c.want && text {
			t.Errorf("%s is taken for text", name)
		}
	}
	if _, text := readable([]byte("\x1f\x8b\x08\x08\xc3\x28\xff\xff\x02\x03a\xe9")); text {
		t.Error("an archive without a NUL byte is taken for text")
	}
}
