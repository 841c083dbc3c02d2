package seal

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/redact"
)

// Wrapper is a key outside the vault's storage that wraps the root key, so
// that the vault unseals without people. A keystore.Key is one; package
// keystoretest has the suite that each one passes. Methods may be called concurrently.
type Wrapper interface {
	// Name is the kind of key, such as "keyfile". It is written to storage and
	// is the seal type that clients see, so it never changes.
	Name() string
	// KeyID tells one key of the kind from another and gives nothing of it
	// away: a fingerprint, a KMS key's name. At most 255 bytes.
	KeyID() string
	// Wrap encrypts key and binds it to aad. Kind Unavailable if the key
	// cannot be reached now.
	Wrap(ctx context.Context, aad []byte, key redact.Secret) ([]byte, error)
	// Unwrap returns what Wrap was given. Kind Unavailable if the key cannot
	// be reached now; any other kind if it will never open this blob.
	Unwrap(ctx context.Context, aad, blob []byte) (redact.Secret, error)
}
