package seal

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// NameKeySize is the length of NameKey: two AES-256 keys, as AES-SIV wants.
const NameKeySize = 64

// DerivedSize is the length of what Derive gives.
const DerivedSize = 32

// Prefixes that keep apart everything derived from a keyring's seed.
const (
	nameKeyInfo = "strongkeep storage names v1"
	deriveInfo  = "strongkeep derived key v1: "
)

// errSealed has the text that clients of a sealed vault look for.
var errSealed = errs.New(errs.Sealed, "Vault is sealed")

// Keyring encrypts and decrypts what the vault stores. Values sealed under
// older terms open for good; the newest term encrypts. A sealed value is
//
//	+------+------------------------------------------+
//	| term | box: version, nonce, ciphertext, tag     |
//	|  4   | bound to the caller's aad                |
//	+------+------------------------------------------+
//
// with the term big-endian. The term needs no authentication: under a wrong
// one the box does not open.
//
// One Keyring lasts as long as its Barrier: while the vault is sealed every
// method fails with errs.Sealed. It is safe for concurrent use; Seal and Open
// take no lock.
type Keyring struct {
	ring atomic.Pointer[ring] // nil = sealed
	wake chan struct{}        // holds one token when the upkeep has something to do

	mu     sync.Mutex                  // guards what follows, and every change of ring
	seed   redact.Secret               // empty = sealed
	reload func(context.Context) error // of the session
	fresh  singleflight.Group          // reloads
}

func newKeyring() *Keyring { return &Keyring{wake: make(chan struct{}, 1)} }

// Seal encrypts plaintext and binds it to aad, the path where it will be
// stored. Kinds: Sealed; Exhausted when the newest key has encrypted
// MaxOperations times, which only a rotation helps against.
func (k *Keyring) Seal(aad, plaintext []byte) ([]byte, error) {
	r := k.ring.Load()
	if r == nil {
		return nil, errSealed
	}
	if r.use.used.Add(1) >= r.use.refill.Load() {
		if err := k.refill(r); err != nil {
			return nil, err
		}
	}
	return r.seal(aad, plaintext), nil
}

// refill tells the upkeep that the count needs attention, and refuses where
// nobody gave it any for too long.
func (k *Keyring) refill(r *ring) error {
	select {
	case k.wake <- struct{}{}:
	default: // it has been told already
	}
	if r.use.total() > MaxOperations {
		return errs.Newf(errs.Exhausted, "key term %d has encrypted 2^32 times and must not again: rotate the keyring (strongkeep operator rotate)", r.newest())
	}
	return nil
}

// Open returns what Seal encrypted with the same aad. Kinds: Sealed; Internal
// (the value was changed, cut short, or stored elsewhere before); Unavailable
// (sealed under a term that another node has just made); Unsupported (sealed
// by a newer Strongkeep).
func (k *Keyring) Open(aad, sealed []byte) ([]byte, error) {
	r := k.ring.Load()
	if r == nil {
		return nil, errSealed
	}
	return r.open(aad, sealed)
}

// Refresh reads the keyring again, for who found a value under a term that is not known here: once for
// all who ask at the same time.
func (k *Keyring) Refresh(ctx context.Context) error {
	k.mu.Lock()
	reload, sealed := k.reload, k.seed.Empty()
	k.mu.Unlock()
	if sealed || reload == nil {
		return errSealed
	}
	_, err, _ := k.fresh.Do("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pause) // others wait for it too
		defer cancel()
		return nil, reload(ctx)
	})
	return err
}

// NameKey returns the key for encrypting names in storage deterministically.
// It is the same for the vault's whole life: rotation does not change it.
// The copy is the caller's, to keep and to wipe.
func (k *Keyring) NameKey() (redact.Secret, error) { return k.derive(nameKeyInfo, NameKeySize) }

// Derive returns DerivedSize bytes that belong to label, such as "token hash",
// and are the same for the vault's whole life. Different labels give keys that
// tell nothing of each other. The copy is the caller's, to keep and to wipe.
func (k *Keyring) Derive(label string) (redact.Secret, error) {
	return k.derive(deriveInfo+label, DerivedSize)
}

// derive is HKDF-SHA-256 (RFC 5869) of the seed.
func (k *Keyring) derive(info string, size int) (redact.Secret, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.seed.Empty() {
		return redact.Secret{}, errSealed
	}
	key, err := hkdf.Key(sha256.New, k.seed.Reveal(), nil, info, size)
	if err != nil {
		return redact.Secret{}, errs.Newf(errs.Internal, "deriving a key: %w", err)
	}
	return redact.New(key), nil
}

// Sealed reports whether every other method would fail with errs.Sealed.
func (k *Keyring) Sealed() bool { return k.ring.Load() == nil }

// reloadBy says how to take up what other nodes have added.
func (k *Keyring) reloadBy(reload func(context.Context) error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reload = reload
}

// install makes a sealed keyring work.
func (k *Keyring) install(r *ring, seed []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seed = redact.New(slices.Clone(seed))
	k.ring.Store(r)
}

// adopt makes r current if it has a newer term than what is, and returns what
// is current then. A keyring that was sealed meanwhile stays so: nil.
func (k *Keyring) adopt(r *ring) *ring {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.ring.Load()
	if now == nil || r.newest() <= now.newest() {
		return now
	}
	k.ring.Store(r)
	return r
}

// wipe seals. Calls that are under way end as they began.
func (k *Keyring) wipe() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ring.Store(nil)
	k.seed.Wipe()
	k.seed, k.reload = redact.Secret{}, nil
}

// RotationInfo tells about the newest key of a keyring.
type RotationInfo struct {
	Term        uint32
	Installed   time.Time
	Encryptions uint64 // at most so many were made with the key, by all nodes
	Due         bool   // a rotation should follow; the vault makes it by itself
}

func (k *Keyring) info() (RotationInfo, error) {
	r := k.ring.Load()
	if r == nil {
		return RotationInfo{}, errSealed
	}
	return RotationInfo{
		Term:        r.newest(),
		Installed:   r.terms[len(r.terms)-1].installed,
		Encryptions: r.use.total(),
		Due:         r.use.due(),
	}, nil
}
