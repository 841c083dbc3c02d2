package look

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"os"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
)

// key is that of the file, or one for this run; nil where no values are looked at.
// A file that others may read is told of: with the key weak values are guessed.
func (f *Flags) key(s *session.Session) (*fingerprint.Key, error) {
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
	if info, err := os.Stat(f.KeyFile); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		s.Warn([]string{f.KeyFile + " can be read by others on this machine, who could guess weak values from fingerprints: chmod 600 " + f.KeyFile})
	}
	if len(raw) != fingerprint.KeySize || typed(raw) {
		plain := make([]byte, hex.DecodedLen(len(bytes.TrimSpace(raw))))
		if n, err := hex.Decode(plain, bytes.TrimSpace(raw)); err != nil || n != fingerprint.KeySize {
			return nil, errs.Newf(errs.Invalid, "%s is no key: it needs 32 bytes or 64 hexadecimal digits, as `openssl rand -hex 32` makes them", f.KeyFile)
		}
		raw = plain
	}
	return fingerprint.NewKey(raw)
}

// typed reports whether a key is text. Of 32 random bytes that is one in 10^13; it is a
// passphrase, or digits of which some are missing, and not as hard to guess.
func typed(raw []byte) bool {
	return !bytes.ContainsFunc(raw, func(r rune) bool { return r != '\t' && r != '\n' && r != '\r' && (r < ' ' || r > '~') })
}
