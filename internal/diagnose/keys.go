package diagnose

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
)

// keys asks each key that unseals to wrap and unwrap something of no value.
func (v *visit) keys(ctx context.Context) {
	const question = "the key that unseals answers"
	keys, err := app.UnsealKeys(&v.cfg.Server)
	if err != nil {
		v.add(question, Failed, err.Error(), "correct unseal_key_file or unseal_key_store; the shares open the vault meanwhile: strongkeep operator unseal")
		return
	}
	if len(keys) == 0 {
		v.ok(question, "none is configured: people unseal with their shares")
		return
	}
	for _, key := range keys {
		ctx, cancel := context.WithTimeout(ctx, patience)
		took, err := try(ctx, key)
		cancel()
		name := "the " + key.Name() + " key answers"
		switch {
		case errs.Is(err, errs.Unavailable):
			v.add(name, Failed, err.Error(), "bring it back, or unseal with shares: strongkeep operator unseal")
		case err != nil:
			v.add(name, Failed, err.Error(), "correct its settings or its rights, or unseal with shares: strongkeep operator unseal")
		case took > time.Second:
			v.add(name, Warning, fmt.Sprintf("it wraps and unwraps in %v", took.Round(time.Millisecond)), "look at the way to it: an unsealing waits for as long")
		default:
			v.ok(name, "it wraps and unwraps in %v", took.Round(time.Microsecond))
		}
	}
}

// try has a key wrap and unwrap bytes of no value, and says how long that took.
func try(ctx context.Context, key seal.Wrapper) (time.Duration, error) {
	secret, aad := make([]byte, 32), []byte("strongkeep operator diagnose")
	_, _ = rand.Read(secret) // never fails (crypto/rand since Go 1.24)
	began := time.Now()
	blob, err := key.Wrap(ctx, aad, redact.New(bytes.Clone(secret)))
	if err != nil {
		return 0, err
	}
	back, err := key.Unwrap(ctx, aad, blob)
	if err != nil {
		return 0, err
	}
	defer back.Wipe()
	if !bytes.Equal(back.Reveal(), secret) {
		return 0, errs.New(errs.Internal, "the key gave back something else than it was given")
	}
	return time.Since(began), nil
}
