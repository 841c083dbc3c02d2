package chain

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// keyInfo binds the derived key to its use.
const keyInfo = "strongkeep audit checkpoint ed25519 v1"

// originPrefix precedes a device's name in the first line of its checkpoints.
const originPrefix = "strongkeep-audit/"

// signer signs checkpoints of one device (note.Signer).
type signer struct {
	note.Verifier
	key    ed25519.PrivateKey
	public string
}

// newSigner derives the signing key of the device called name from the key
// that its values are hashed with: both are made, sealed and forgotten
// together. HKDF (RFC 5869) keeps them apart: its extraction uses the device's
// key as input, never as the key of an HMAC over chosen text, which is what
// sys/audit-hash offers.
func newSigner(name string, key redact.Secret) (*signer, error) {
	seed, err := hkdf.Key(sha256.New, key.Reveal(), nil, keyInfo, ed25519.SeedSize)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "deriving the key of audit checkpoints: %w", err)
	}
	private := ed25519.NewKeyFromSeed(seed)
	public, err := note.NewEd25519VerifierKey(originPrefix+strings.Trim(name, "/"), private.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "the name %q of an audit device cannot sign checkpoints: %w", name, err)
	}
	v, err := note.NewVerifier(public)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making the key of audit checkpoints: %w", err)
	}
	return &signer{Verifier: v, key: private, public: public}, nil
}

// Sign implements note.Signer.
func (s *signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// hash8 is a key's hash as it stands in its text.
func hash8(h uint32) string { return fmt.Sprintf("%08x", h) }

func asUnverified(err error, to **note.UnverifiedNoteError) bool { return errors.As(err, to) }
