package evidence

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Contents reads the values of a Secret live, at the moment of asking: those whose
// keys are known to have changed with the version that is being proven, and no
// others, since what stayed the same tells nothing. It fails if the Secret does not
// hold that version: values are compared with what is wanted, never with what
// happens to be there. Nobody keeps what it returns.
type Contents func(ctx context.Context, secret consumer.Object) (map[string]redact.Secret, error)

// Digest is what applications and nodes answer with: HMAC-SHA256 (RFC 2104) of a
// value, keyed by what they were asked with. The key is random and used once, so
// that an answer is of now, and what is overheard helps to guess one value only by
// as many tries as the value itself takes.
func Digest(key, value []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(value)
	return mac.Sum(nil)
}
