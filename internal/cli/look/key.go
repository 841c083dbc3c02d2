package look

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"os"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
)

// key is that of the file, or one for this run; nil where no values are looked at.
func (f *Flags) key() (*fingerprint.Key, error) {
	if !f.whole {
		return nil, nil
	}
	if f.KeyFile == "" {
		secret := make([]byte, fingerprint.KeySize)
		_, _ = rand.Read(secret) // it never fails
		return fingerprint.NewKey(secret)
	}
	raw, err := os.ReadFile(f.KeyFile)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "reading the key of fingerprints: %w", err)
	}
	if len(raw) != fingerprint.KeySize {
		plain := make([]byte, hex.DecodedLen(len(bytes.TrimSpace(raw))))
		if n, err := hex.Decode(plain, bytes.TrimSpace(raw)); err != nil || n != fingerprint.KeySize {
			return nil, errs.Newf(errs.Invalid, "%s is no key: it needs 32 bytes or 64 hexadecimal digits, as `openssl rand -hex 32` makes them", f.KeyFile)
		}
		raw = plain
	}
	return fingerprint.NewKey(raw)
}
