package keyvault

import "strings"

// Locate names an object by what its id begins with, without https://:
//
//	HOST/secrets/NAME, HOST/keys/NAME, HOST/certificates/NAME
//
// A host is one vault, whoever asks, and names are alike in capitals and small letters.
func (s *Store) Locate(path string) string {
	return s.cfg.Vault + "/" + strings.ToLower(strings.Trim(path, "/"))
}

// LocateKey implements provider.Locator.
func (s *Store) LocateKey(key string) string {
	kind, name, err := parse(key)
	if err != nil {
		return ""
	}
	return s.Locate(map[string]string{kindSecret: "secrets", kindKey: "keys", kindCert: "certificates"}[kind] + "/" + name)
}
