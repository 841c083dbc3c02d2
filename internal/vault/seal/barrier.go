package seal

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/seal/rootkey"
	"github.com/strongkeep/strongkeep/internal/vault/seal/shamir"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Where the seal keeps its state in the store, beside the sealed values and
// not through the decorators: it brings its own encryption.
const (
	ConfigKey  = "core/seal-config"
	KeyringKey = "core/keyring"
	UsageKey   = "core/keyring-usage"
)

// Config is what a Barrier needs.
type Config struct {
	Store    store.Store      // the base store, not a sealed one; the Barrier does not close it
	Wrappers []Wrapper        // what unseals without people, all tried at once; none = shares only
	Now      func() time.Time // nil = time.Now
	Log      *slog.Logger     // nil = silent

	// RotateAfter is after how many encryptions the keyring rotates by itself.
	// 0, and anything above it, means RotateOperations.
	RotateAfter uint64
}

// Barrier is the seal of one node: it makes a vault, opens it, closes it, and
// looks after its Keyring. It is safe for concurrent use, and several nodes may
// use one store.
type Barrier struct {
	store       store.Store
	now         func() time.Time
	log         *slog.Logger
	rotateAfter uint64
	keys        *Keyring

	tries sync.WaitGroup // uses of unseal keys that an opening did not wait for

	mu       sync.Mutex // guards what follows; never held while reading or writing the store
	wrappers []Named
	session  *session // nil = sealed
	attempt  attempt
	closed   bool
	health   map[string]Health    // of this node's keys, by rootkey.Wrapping.id; since it was unsealed
	worked   map[string]time.Time // when each last opened something on any node, by rootkey.Wrapping.id, as far as is known
}

// New returns a sealed Barrier. Close it when done.
func New(c Config) *Barrier {
	b := &Barrier{store: c.Store, wrappers: rootkey.AllNamed(c.Wrappers), now: c.Now, log: c.Log, rotateAfter: c.RotateAfter, keys: newKeyring()}
	if b.now == nil {
		b.now = time.Now
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	if b.rotateAfter == 0 || b.rotateAfter > RotateOperations {
		b.rotateAfter = RotateOperations
	}
	return b
}

// Keyring returns the keyring, always the same one. It works while the vault is
// unsealed.
func (b *Barrier) Keyring() *Keyring { return b.keys }

// Status says how far a vault is from being usable. It holds nothing secret.
type Status struct {
	Initialized bool
	Sealed      bool
	Type        string // what opens the vault: KindShamir, or a Wrapper's Name
	AutoUnseal  bool   // the vault opens without people; the shares are for emergencies
	VaultID     string // a UUID; "" if not initialised
	Shares      int    // 0 if not initialised
	Threshold   int    // 0 if not initialised
	Progress    int    // shares given so far; 0 once unsealed
	Nonce       string // of the current attempt; "" before its first share
	Twice       bool   // SubmitShare: the share was given before, and counts once
}

// Status asks storage while the vault is sealed and memory while it is not, so
// that an unsealed vault answers even when its storage does not.
func (b *Barrier) Status(ctx context.Context) (Status, error) {
	if s := b.current(); s != nil {
		return b.status(*s.config.Load(), false), nil
	}
	c, err := b.config(ctx)
	if errs.Is(err, errs.Sealed) {
		st := Status{Sealed: true, Type: KindShamir}
		if all := b.keysOf(); len(all) > 0 {
			st.Type, st.AutoUnseal = all[0].Name(), true
		}
		return st, nil
	}
	if err != nil {
		return Status{}, err
	}
	return b.status(c, true), nil
}

func (b *Barrier) status(c rootkey.Config, sealed bool) Status {
	people := c.People()
	st := Status{
		Initialized: true,
		Sealed:      sealed,
		Type:        c.Kind(),
		AutoUnseal:  c.Kind() != KindShamir,
		VaultID:     c.VaultID.String(),
		Shares:      people.Shares,
		Threshold:   people.Threshold,
	}
	if sealed {
		b.mu.Lock()
		defer b.mu.Unlock()
		st.Progress, st.Nonce = b.attempt.given.Len(), b.attempt.nonce
	}
	return st
}

// config reads the seal configuration. Kind Sealed: there is none.
func (b *Barrier) config(ctx context.Context) (rootkey.Config, error) {
	e, err := b.store.Get(ctx, ConfigKey)
	if err != nil {
		return rootkey.Config{}, fmt.Errorf("reading the seal configuration: %w", err)
	}
	if !e.Exists() {
		return rootkey.Config{}, errs.New(errs.Sealed, "Vault is not initialized: run strongkeep operator init")
	}
	return rootkey.Decode(e.Value)
}

func (b *Barrier) current() *session {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.session
}

// start makes s the open session, unless another one was faster.
func (b *Barrier) start(s *session, r *ring, seed []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errs.New(errs.Unavailable, "the vault is shutting down")
	}
	if b.session != nil {
		s.key.Wipe()
		return nil
	}
	b.attempt.clear()
	b.health, b.worked = map[string]Health{}, map[string]time.Time{}
	b.keys.install(r, seed)
	b.keys.reloadBy(s.reload)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	b.session = s
	if s.by != nil { // before keep begins, which would not look again for an hour
		b.noteLocked(*s.by, nil)
	}
	s.work.Go(func() { s.upkeep(ctx) }) // stop ends both and waits
	s.work.Go(func() { b.keep(ctx, s) })
	return nil
}

// Seal closes the vault: when it returns, every use of the Keyring fails and
// no key is held. Sealing a sealed vault does nothing but drop given shares.
func (b *Barrier) Seal() { b.stop(false) }

// Close seals for good.
func (b *Barrier) Close() error {
	b.stop(true)
	b.tries.Wait()
	return nil
}

func (b *Barrier) stop(forGood bool) {
	b.mu.Lock()
	s := b.session
	b.session = nil
	b.closed = b.closed || forGood
	b.keys.wipe()
	b.attempt.clear()
	b.mu.Unlock()
	if s != nil {
		s.cancel()
		s.work.Wait()
		s.key.Wipe()
	}
}

// Rotate adds a key to the keyring, durably, before anything is encrypted with
// it, and returns what RotationInfo then says. What was sealed before still
// opens. Kinds: Sealed, Unavailable (it is unknown whether it happened, and
// harmless if it did), Exhausted.
func (b *Barrier) Rotate(ctx context.Context) (RotationInfo, error) {
	s := b.current()
	if s == nil {
		return RotationInfo{}, errSealed
	}
	if err := s.rotate(ctx, 0); err != nil {
		return RotationInfo{}, err
	}
	return b.keys.info()
}

// RotationInfo tells about the key that encrypts now. Kind: Sealed.
func (b *Barrier) RotationInfo() (RotationInfo, error) { return b.keys.info() }

// attempt is the shares that people have given since the last unsealing, wrong
// set or reset. Barrier.mu guards it.
type attempt struct {
	nonce string // names the attempt, so that people see when theirs was dropped
	keyID string // the set that the shares are for
	given shamir.Given
}

func (a *attempt) clear() {
	a.given.Wipe()
	*a = attempt{}
}

// add takes a share of the set keyID. Kind: Invalid, if it contradicts another: one of the two is wrong.
func (a *attempt) add(share redact.Secret, keyID string) (again bool, err error) {
	if a.keyID != keyID {
		a.clear()
		a.nonce, a.keyID = uuid.NewString(), keyID
	}
	return a.given.Add(share)
}
