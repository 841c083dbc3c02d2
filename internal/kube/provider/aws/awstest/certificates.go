package awstest

import (
	"crypto"
	"encoding/json"
	"encoding/pem"
	"testing"

	"github.com/youmark/pkcs8"
)

// certificate is one of ACM.
type certificate struct {
	pem, chain string
	key        crypto.PrivateKey
	tags       map[string]string
	closed     bool // was requested without export
}

// PutCertificate stores a certificate, or renews it; one without a key cannot be exported.
func (s *Server) PutCertificate(arn, certificate, chain string, key crypto.PrivateKey) {
	s.with(func() { s.putCertificate(arn, certificate, chain, key) })
}

func (s *Server) putCertificate(arn, text, chain string, key crypto.PrivateKey) {
	s.certs[arn] = &certificate{pem: text, chain: chain, key: key, tags: map[string]string{"team": "shop"}, closed: key == nil}
}

// DeleteCertificate deletes one.
func (s *Server) DeleteCertificate(t testing.TB, arn string) {
	t.Helper()
	s.with(func() {
		if s.certs[arn] == nil {
			t.Errorf("there is no certificate %s", arn)
		}
		delete(s.certs, arn)
	})
}

type acmBody struct {
	CertificateArn string
	Passphrase     []byte
}

func (s *Server) acmActions() map[string]func(request) (any, *failure) {
	on := func(f func(*certificate, acmBody) (any, *failure)) func(request) (any, *failure) {
		return func(r request) (any, *failure) {
			var body acmBody
			if json.Unmarshal(r.body, &body) != nil {
				return nil, refuse("SerializationException", "no JSON")
			}
			c := s.certs[body.CertificateArn]
			if c == nil {
				return nil, refuse("ResourceNotFoundException", "Could not find certificate "+body.CertificateArn)
			}
			return f(c, body)
		}
	}
	return map[string]func(request) (any, *failure){
		"GetCertificate": on(func(c *certificate, _ acmBody) (any, *failure) {
			return map[string]string{"Certificate": c.pem, "CertificateChain": c.chain}, nil
		}),
		"ExportCertificate": on(exportCertificate),
		"ListTagsForCertificate": on(func(c *certificate, _ acmBody) (any, *failure) {
			return map[string]any{"Tags": tagsOf(c.tags)}, nil
		}),
	}
}

func exportCertificate(c *certificate, body acmBody) (any, *failure) {
	switch {
	case c.closed:
		return nil, refuse("ValidationException", "canary: the certificate is not eligible for export")
	case len(body.Passphrase) < 4 || len(body.Passphrase) > 128:
		return nil, refuse("ValidationException", "canary: the passphrase")
	}
	der, err := pkcs8.MarshalPrivateKey(c.key, body.Passphrase, &pkcs8.Opts{Cipher: pkcs8.AES256CBC, KDFOpts: pkcs8.PBKDF2Opts{SaltSize: 8, IterationCount: 2048, HMACHash: crypto.SHA256}})
	if err != nil {
		return nil, refuse("InternalFailure", "canary")
	}
	return map[string]string{
		"Certificate": c.pem, "CertificateChain": c.chain,
		"PrivateKey": string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der})),
	}, nil
}
