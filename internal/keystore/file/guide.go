package file

import (
	"fmt"
	"time"

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
func (k *Key) Retire(old []string, _ string) [][]string {
	all := make([][]string, len(old))
	for i, version := range old {
		all[i] = k.retire(version)
	}
	return all
}

// retire names the key by what does not move when another line is taken out.
func (k *Key) retire(version string) []string {
	r := k.ring.Load()
	switch i := r.find(version); {
	case i < 0:
		return []string{fmt.Sprintf("%s has no key %s", k.path, version)}
	case i == 0:
		return []string{fmt.Sprintf("nothing: the key in line %d of %s is its first one, and stays, since all key ids are made of it", r.keys[0].line, k.path)}
	default:
		place := fmt.Sprintf("line %d, as long as no line before it was taken out", r.keys[i].line)
		if made := r.keys[i].made; !made.IsZero() {
			place += ", with the time " + made.UTC().Format(time.RFC3339)
		}
		return []string{fmt.Sprintf("keep a copy of %s, then take key %s out of it (%s), on every control-plane node", k.path, version, place)}
	}
}
