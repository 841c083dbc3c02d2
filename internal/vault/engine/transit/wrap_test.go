package transit

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"testing"

	"github.com/tink-crypto/tink-go/v2/kwp/subtle"
)

// wrapFor wraps a key to a public key in PEM, as the clients of an import do.
func wrapFor(t testing.TB, public string, target []byte) string {
	t.Helper()
	return base64.StdEncoding.EncodeToString(wrapWith(t, public, target, crypto.SHA256))
}

func wrapWith(t testing.TB, public string, target []byte, hash crypto.Hash) []byte {
	t.Helper()
	block, _ := pem.Decode([]byte(public))
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	ephemeral := make([]byte, 32)
	rand.Read(ephemeral)
	front, err := rsa.EncryptOAEP(hash.New(), rand.Reader, parsed.(*rsa.PublicKey), ephemeral, nil)
	if err != nil {
		t.Fatal(err)
	}
	kwp, err := subtle.NewKWP(ephemeral)
	if err != nil {
		t.Fatal(err)
	}
	back, err := kwp.Wrap(target)
	if err != nil {
		t.Fatal(err)
	}
	return append(front, back...)
}
