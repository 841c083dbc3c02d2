package template

import (
	"strings"

	"sigs.k8s.io/yaml"
)

// own returns the functions that the External Secrets Operator adds to sprig's,
// with its names and parameters. Their errors name no values.
func own() map[string]any {
	return map[string]any{
		"pkcs12key":      func(archive string) (string, error) { return pkcs12Keys("", archive) },
		"pkcs12keyPass":  pkcs12Keys,
		"pkcs12cert":     func(archive string) (string, error) { return pkcs12Certificates("", archive) },
		"pkcs12certPass": pkcs12Certificates,

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

func fail(text string) error { return &publicError{text} }

// toYAML returns "" for what YAML cannot say.
func toYAML(v any) string {
	raw, err := yaml.Marshal(v)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(raw), "\n")
}

func fromYAML(text string) (map[string]any, error) {
	out := map[string]any{}
	if yaml.Unmarshal([]byte(text), &out) != nil {
		return nil, fail("fromYaml: this is not a YAML mapping")
	}
	return out, nil
}
