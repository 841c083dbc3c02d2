package sealed

import (
	"context"
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/tink-crypto/tink-go/v2/daead/subtle"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/feed"
)

// Sealer encrypts values; seal.Keyring is one. Seal's output may be up to
// store.Overhead longer than its input.
type Sealer interface {
	// Seal encrypts plaintext and binds it to aad.
	Seal(aad, plaintext []byte) ([]byte, error)
	// Open returns what Seal encrypted with the same aad. Kind Internal: it does
	// not authenticate. Kind Sealed: there are no keys any more.
	Open(aad, sealed []byte) ([]byte, error)
	// NameKey returns 64 bytes that are the same for the vault's whole life.
	NameKey() (redact.Secret, error)
}

// Refresher is a Sealer that can learn of keys that other processes have made: it is asked when Open
// answers Unavailable, and Open is tried once more.
type Refresher interface {
	Refresh(ctx context.Context) error
}

// Config of a Store.
type Config struct {
	Sealer Sealer
	// PlainPrefixes are folders of the top level ("lease/") whose names are not
	// encrypted, because they are no secrets and their order matters. Values
	// are encrypted all the same. They must never change for a vault.
	PlainPrefixes []string
	// Told are keys whose values events carry.
	Told []string
}

// Store implements store.Store over another. Entries of the inner store that it
// did not write, such as the seal's own, are not visible through it.
type Store struct {
	inner  store.Store
	sealer Sealer
	names  names
	told   []string
	relay  feed.Relay
	closed atomic.Bool // the store below may be borrowed and stay open
}

// New decorates inner, and closes it when it is closed (see store.Borrow).
// Kinds: Invalid (a plain prefix is not one segment and a slash), Sealed.
func New(inner store.Store, cfg Config) (*Store, error) {
	for _, p := range cfg.PlainPrefixes {
		if len(p) < 2 || strings.IndexByte(p, '/') != len(p)-1 {
			return nil, errs.Newf(errs.Invalid, "the plain prefix %q must be one segment and a slash", p)
		}
	}
	key, err := cfg.Sealer.NameKey()
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "getting the key for names: %w", err)
	}
	defer key.Wipe()
	siv, err := subtle.NewAESSIV(slices.Clone(key.Reveal())) // it keeps the slice
	if err != nil {
		return nil, errs.Newf(errs.Internal, "preparing AES-SIV: %w", err)
	}
	return &Store{inner: inner, sealer: cfg.Sealer, told: slices.Clone(cfg.Told), names: names{
		siv: siv, plain: slices.Clone(cfg.PlainPrefixes), known: pairs{seed: maphash.MakeSeed()},
	}}, nil
}

// Get implements store.Store. Kind Internal: the stored entry is damaged.
func (s *Store) Get(ctx context.Context, key string) (store.Entry, error) {
	if s.closed.Load() {
		return store.Entry{}, errClosed()
	}
	hidden, err := s.names.hide(key)
	if err != nil {
		if errs.Is(err, errs.TooLarge) {
			return store.Entry{Key: key}, nil // nothing can be stored there
		}
		return store.Entry{}, err
	}
	e, err := s.inner.Get(ctx, hidden)
	if err != nil {
		return store.Entry{}, err
	}
	if !e.Exists() {
		return store.Entry{Key: key, AsOf: e.AsOf}, nil
	}
	value, err := s.open(ctx, hidden, e.Value)
	if err != nil {
		return store.Entry{}, err
	}
	return store.Entry{Key: key, Value: value, Revision: e.Revision, AsOf: e.AsOf}, nil
}

func (s *Store) open(ctx context.Context, hidden string, sealed []byte) ([]byte, error) {
	value, err := s.sealer.Open([]byte(hidden), sealed)
	if r, ok := s.sealer.(Refresher); ok && errs.Is(err, errs.Unavailable) {
		if err := r.Refresh(ctx); err != nil {
			return nil, errs.Newf(errs.KindOf(err), "asking for the key of a value: %w", err)
		}
		value, err = s.sealer.Open([]byte(hidden), sealed)
	}
	if errs.Is(err, errs.Internal) {
		return nil, errDamaged(hidden)
	}
	return value, err
}

// List implements store.Store. Below the top level and plain prefixes, names
// come in the order of their ciphertexts.
func (s *Store) List(ctx context.Context, folder, after string, limit int) ([]string, error) {
	if s.closed.Load() {
		return nil, errClosed()
	}
	if folder == "" || s.names.isPlain(folder) {
		return s.inner.List(ctx, folder, after, limit)
	}
	hidden, err := s.names.hide(folder)
	if err != nil {
		if errs.Is(err, errs.TooLarge) {
			return nil, nil
		}
		return nil, err
	}
	if after, err = s.hideAfter(hidden, after); err != nil {
		return nil, err
	}
	stored, err := s.inner.List(ctx, hidden, after, limit)
	if err != nil {
		return nil, err
	}
	for i, name := range stored {
		bare, isFolder := strings.CutSuffix(name, "/")
		plain, err := s.names.reveal(hidden, bare)
		if err != nil {
			return nil, err
		}
		if isFolder {
			plain += "/"
		}
		stored[i] = plain
	}
	return stored, nil
}

func (s *Store) hideAfter(hidden, after string) (string, error) {
	if after == "" {
		return "", nil
	}
	bare, isFolder := strings.CutSuffix(after, "/")
	full, err := s.names.appendName([]byte(hidden), bare)
	if err != nil {
		return "", err
	}
	name := string(full[len(hidden):])
	if isFolder {
		name += "/"
	}
	return name, nil
}

// Apply implements store.Store. Kind TooLarge also for names that are too long
// or too deep once they are encrypted.
func (s *Store) Apply(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	if s.closed.Load() {
		return 0, errClosed()
	}
	if err := store.Validate(changes); err != nil {
		return 0, err
	}
	sealed := make([]store.Change, len(changes))
	for i, c := range changes {
		hidden, err := s.names.hide(c.Key)
		if err != nil {
			return 0, err
		}
		if c.Op == store.OpPut {
			if c.Value, err = s.seal(hidden, c.Value); err != nil {
				return 0, err
			}
		}
		c.Key = hidden
		sealed[i] = c
	}
	return s.inner.Apply(ctx, sealed...)
}

func (s *Store) seal(hidden string, value []byte) ([]byte, error) {
	if len(value) > store.MaxValue {
		return nil, errs.Newf(errs.TooLarge, "a value of %d bytes is over the limit of %d", len(value), store.MaxValue)
	}
	return s.sealer.Seal([]byte(hidden), value)
}

// Watch implements store.Store. Events name what changed and carry no values, but those of Config.Told.
// Changes of entries that this store did not write are left out.
func (s *Store) Watch(ctx context.Context, prefix string, from store.Revision) (store.Watcher, error) {
	if s.closed.Load() {
		return nil, errClosed()
	}
	// Half a name cannot be encrypted: watch its folder, and look at the names.
	hidden, err := s.names.hide(prefix[:strings.LastIndexByte(prefix, '/')+1])
	if err != nil {
		return nil, err
	}
	w, err := s.inner.Watch(ctx, hidden, from)
	if err != nil {
		return nil, err
	}
	return s.relay.Forward(ctx, w, func(ctx context.Context, e store.Event) (store.Event, bool, error) {
		changes := make([]store.Change, 0, len(e.Changes))
		for _, c := range e.Changes {
			key, err := s.names.revealKey(c.Key)
			if err != nil || !strings.HasPrefix(key, prefix) {
				continue // an error: it was not written through the seal
			}
			told := store.Change{Op: c.Op, Key: key}
			if c.Op == store.OpPut && slices.Contains(s.told, key) {
				if told.Value, err = s.open(ctx, c.Key, c.Value); err != nil {
					return store.Event{}, false, err
				}
			}
			changes = append(changes, told)
		}
		// Signs of life pass; who watches everything learns how far the store is, which is
		// no sign of life.
		pass := len(changes) > 0 || len(e.Changes) == 0 || prefix == ""
		return store.Event{Revision: e.Revision, Changes: changes, At: e.At}, pass, nil
	})
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.closed.Store(true)
	s.relay.Close()
	return s.inner.Close()
}

func errClosed() error { return errs.New(errs.Unavailable, "the store is closed") }
