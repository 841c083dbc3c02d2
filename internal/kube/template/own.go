package template

// own returns the functions that the External Secrets Operator adds to sprig's,
// with its names and parameters. Their errors name no values.
func (b *budget) own() map[string]any {
	return map[string]any{
		"pkcs12key":      func(archive string) (string, error) { return b.pkcs12Key("", archive) },
		"pkcs12keyPass":  b.pkcs12Key,
		"pkcs12cert":     func(archive string) (string, error) { return b.pkcs12Certificates("", archive) },
		"pkcs12certPass": b.pkcs12Certificates,

		"pemToPkcs12":     func(cert, key string) (string, error) { return toPKCS12(cert, key, "", false) },
		"pemToPkcs12Pass": func(cert, key, pass string) (string, error) { return toPKCS12(cert, key, pass, false) },
		"fullPemToPkcs12": func(cert, key string) (string, error) { return toPKCS12(cert, key, "", true) },
		"fullPemToPkcs12Pass": func(cert, key, pass string) (string, error) {
			return toPKCS12(cert, key, pass, true)
		},
		"pemTruststoreToPKCS12":     func(certs string) (string, error) { return trustStore(certs, "") },
		"pemTruststoreToPKCS12Pass": trustStore,

		"filterPEM":       filterPEM,
		"filterCertChain": filterCertChain,
		"certSANs":        certSANs,

		"jwkPublicKeyPem":  jwkPublicKeyPEM,
		"jwkPrivateKeyPem": jwkPrivateKeyPEM,
		"rsaDecrypt":       rsaDecrypt,

		"toYaml":   toYAML,
		"fromYaml": fromYAML,
	}
}
