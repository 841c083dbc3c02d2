package template

import "github.com/strongkeep/strongkeep/internal/kube/template/certificate"

// own returns the functions that the External Secrets Operator adds to sprig's,
// with its names and parameters. Their errors name no values.
func (b *budget) own() map[string]any {
	archives := certificate.Reader{Spend: b.spend}
	return map[string]any{
		"pkcs12key":      func(archive string) (string, error) { return archives.Key("", archive) },
		"pkcs12keyPass":  archives.Key,
		"pkcs12cert":     func(archive string) (string, error) { return archives.Certificates("", archive) },
		"pkcs12certPass": archives.Certificates,

		"pemToPkcs12":     func(cert, key string) (string, error) { return certificate.ToPKCS12(cert, key, "", false) },
		"pemToPkcs12Pass": func(cert, key, pass string) (string, error) { return certificate.ToPKCS12(cert, key, pass, false) },
		"fullPemToPkcs12": func(cert, key string) (string, error) { return certificate.ToPKCS12(cert, key, "", true) },
		"fullPemToPkcs12Pass": func(cert, key, pass string) (string, error) {
			return certificate.ToPKCS12(cert, key, pass, true)
		},
		"pemTruststoreToPKCS12":     func(certs string) (string, error) { return certificate.ToTrustStore(certs, "") },
		"pemTruststoreToPKCS12Pass": certificate.ToTrustStore,

		"filterPEM":       certificate.FilterPEM,
		"filterCertChain": certificate.FilterChain,
		"certSANs":        certificate.SANs,

		"jwkPublicKeyPem":  certificate.JWKPublicKey,
		"jwkPrivateKeyPem": certificate.JWKPrivateKey,
		"rsaDecrypt":       certificate.RSADecrypt,

		"toYaml":   toYAML,
		"fromYaml": fromYAML,
	}
}
