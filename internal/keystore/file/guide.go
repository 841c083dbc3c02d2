package file

import (
	"fmt"

	"github.com/strongkeep/strongkeep/internal/keystore"
)

// Next implements keystore.Guide.
func (k *Key) Next(keystore.History) []string {
	return []string{
		"strongkeep kms add-key " + k.path,
		"copy " + k.path + " to every other control-plane node before the plugin's activation_delay has passed; where it is a systemd credential, seal it anew there and restart the plugin",
	}
}

// Retire implements keystore.Guide. The first key stays: the file has its identity.
func (k *Key) Retire(version string) []string {
	r := k.ring.Load()
	switch i := r.find(version); {
	case i < 0:
		return []string{fmt.Sprintf("%s has no key %s", k.path, version)}
	case i == 0:
		return []string{fmt.Sprintf("nothing: the key in line %d of %s is its first one, and stays, since all key ids are made of it", r.keys[0].line, k.path)}
	default:
		return []string{fmt.Sprintf("keep a copy of %s, then take line %d out of it, on every control-plane node", k.path, r.keys[i].line)}
	}
}
