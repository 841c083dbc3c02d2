package app

import (
	"os"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
)

// openKeyStore opens the key that a file names: {"transit":{…}}, in YAML or JSON.
func openKeyStore(path string) (keystore.Versioned, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "reading unseal_key_store: %w", err)
	}
	settings, err := yaml.YAMLToJSONStrict(raw)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "unseal_key_store %s is no YAML: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	key, err := keystore.Open(KeyStores(), settings)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "unseal_key_store %s: %w", path, err)
	}
	return key, nil
}
