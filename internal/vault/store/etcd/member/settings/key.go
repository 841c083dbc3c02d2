package settings

import (
	"encoding/hex"
	"fmt"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/identity"
)

// LoadKey reads a cluster key: 64 hex digits in a file that read may refuse, as it refuses
// files that others can read.
func LoadKey(path string, read func(string) (redact.Secret, error)) (redact.Secret, error) {
	text, err := read(path)
	if err != nil {
		return redact.Secret{}, fmt.Errorf("reading the cluster key: %w", err)
	}
	key := make([]byte, identity.KeySize)
	if n, err := hex.Decode(key, text.Reveal()[:min(text.Len(), 2*identity.KeySize)]); err != nil || n != identity.KeySize || text.Len() != 2*identity.KeySize {
		return redact.Secret{}, errs.Newf(errs.Invalid, "the cluster key %q is not 64 hex digits: make one with openssl rand -hex 32", path)
	}
	return redact.New(key), nil
}
