package certificatemanager

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"strings"

	"github.com/youmark/pkcs8"

	"github.com/strongkeep/strongkeep/internal/cloud/aws/wire"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// pair is an answer to an export.
type pair struct {
	certificate, chain string        // PEM
	key                redact.Secret // PEM: PKCS #8, encrypted
	passphrase         []byte
}

// value returns the pair with its key in the clear. What is no certificate with its key
// is no answer of AWS.
func (p pair) value(doing string) (provider.Value, error) {
	garbage := wire.NoAnswer(doing)
	leaf, _ := pem.Decode([]byte(p.certificate))
	locked, _ := pem.Decode(p.key.Reveal())
	if leaf == nil || locked == nil {
		return provider.Value{}, garbage
	}
	about, err := x509.ParseCertificate(leaf.Bytes)
	if err != nil {
		return provider.Value{}, garbage
	}
	der, ok := unlock(locked.Bytes, p.passphrase)
	if !ok {
		return provider.Value{}, garbage
	}
	certificates := strings.TrimSpace(p.certificate) + "\n"
	if chain := strings.TrimSpace(p.chain); chain != "" {
		certificates += chain + "\n"
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if _, err := tls.X509KeyPair([]byte(certificates), key); err != nil {
		return provider.Value{}, garbage
	}
	sum := sha256.Sum256(leaf.Bytes)
	return provider.Value{
		Data:    redact.New(append([]byte(certificates), key...)),
		Parts:   map[string]redact.Secret{"tls.crt": redact.FromString(certificates), "tls.key": redact.New(key)},
		Version: hex.EncodeToString(sum[:16]), Expires: about.NotAfter,
	}, nil
}

// unlock decrypts a key. The library panics at what is cut off in the middle of a block.
func unlock(locked, passphrase []byte) (der []byte, ok bool) {
	defer func() {
		if recover() != nil {
			der, ok = nil, false
		}
	}()
	private, err := pkcs8.ParsePKCS8PrivateKey(locked, passphrase)
	if err != nil {
		return nil, false
	}
	der, err = x509.MarshalPKCS8PrivateKey(private)
	return der, err == nil
}
