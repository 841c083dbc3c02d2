package kms

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Annotation is the one annotation of a ciphertext: the version it is under.
const Annotation = "version.kms.strongkeep.io"

// Limits of the protocol, in bytes.
const (
	maxCiphertext = 1 << 10
	maxPlaintext  = 512 // a seed has 32
)

// Defaults of Config.
const (
	DefaultPoll            = 30 * time.Second
	DefaultActivationDelay = 3 * time.Minute
	DefaultStaleAfter      = 2 * time.Minute
)

// Config of a Plugin.
type Config struct {
	// Name is in the key ids: it is the same on all nodes of a cluster, and another
	// in another cluster. It never changes.
	Name string
	Key  keystore.Versioned
	// Poll is how often the store is asked; 0 = DefaultPoll.
	Poll time.Duration
	// ActivationDelay is how old a version is when it becomes active, so that every
	// node has seen it by then; 0 = DefaultActivationDelay, negative = none.
	ActivationDelay time.Duration
	// StaleAfter is for how long a store that cannot be reached is taken to be
	// well; 0 = DefaultStaleAfter.
	StaleAfter time.Duration
	Log        *slog.Logger
}

// Plugin answers API servers. Its methods may be called concurrently. Time is the
// system's; tests run in a bubble of testing/synctest.
type Plugin struct {
	cfg   Config
	rules rules
	state atomic.Pointer[state] // nil: never reached the store
	first atomic.Pointer[error] // why not
	asked atomic.Int64          // when Decrypt last had the store asked, Unix nanoseconds
}

// Sealed is what an API server keeps beside what it encrypted.
type Sealed struct {
	Ciphertext  []byte
	KeyID       string
	Annotations map[string][]byte
}

// New makes a plugin that has not asked the store yet. Kind Invalid.
func New(cfg Config) (*Plugin, error) {
	cfg.Poll = cmp.Or(cfg.Poll, DefaultPoll)
	cfg.ActivationDelay = cmp.Or(cfg.ActivationDelay, DefaultActivationDelay)
	cfg.StaleAfter = cmp.Or(cfg.StaleAfter, DefaultStaleAfter)
	switch {
	case cfg.Name == "":
		return nil, errs.New(errs.Invalid, "name is missing: the same on all nodes of the cluster, and another in each cluster")
	case cfg.Poll < 0 || cfg.StaleAfter < cfg.Poll:
		return nil, errs.Newf(errs.Invalid, "stale_after %v is shorter than poll %v: every key store would be away between two questions", cfg.StaleAfter, cfg.Poll)
	case cfg.ActivationDelay >= 0 && cfg.ActivationDelay < 2*cfg.Poll:
		return nil, errs.Newf(errs.Invalid, "activation_delay %v is shorter than twice poll %v: a node would write with a version that another has not seen", cfg.ActivationDelay, cfg.Poll)
	}
	return &Plugin{cfg: cfg, rules: rules{name: cfg.Name, key: cfg.Key, delay: max(cfg.ActivationDelay, 0)}}, nil
}

// Run asks the store until ctx ends: at once, each Poll, and when a version becomes
// active.
func (p *Plugin) Run(ctx context.Context) {
	for {
		err := p.Look(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			p.cfg.Log.WarnContext(ctx, "the key store did not answer as it should", "error", err)
		}
		wait := time.NewTimer(p.wait(time.Now()))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return
		}
	}
}

// wait is how long until the store is to be asked again.
func (p *Plugin) wait(now time.Time) time.Duration {
	s := p.state.Load()
	if s == nil {
		return min(p.cfg.Poll, 2*time.Second) // nothing works before the first time
	}
	if due := p.rules.due(s); !due.IsZero() {
		return max(min(p.cfg.Poll, due.Sub(now)), 10*time.Millisecond)
	}
	return p.cfg.Poll
}

// Look asks the store once, and has it wrap and unwrap what it is going to: with the
// active version and with one that is to become active. The state is what was found,
// or the old one with why it could not be renewed. Only Run calls it, and tests.
func (p *Plugin) Look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Poll)
	defer cancel()
	old := p.state.Load()
	h, err := p.cfg.Key.History(ctx)
	if err == nil && len(h.Versions) == 0 {
		err = errs.New(errs.Internal, "the key store says that the key has no version")
	}
	if err != nil {
		return p.missed(old, fmt.Errorf("asking for the key's versions: %w", err))
	}
	s := p.rules.next(old, h, time.Now())
	if s.lost != nil {
		p.state.Store(s)
		return s.lost
	}
	for _, v := range s.versions[s.active:] {
		if !v.Wraps {
			continue
		}
		if err := p.try(ctx, v); err != nil {
			return p.missed(old, fmt.Errorf("trying version %q of the key: %w", v.ID, err))
		}
	}
	p.state.Store(s)
	if old == nil || old.current().keyID != s.current().keyID {
		p.cfg.Log.InfoContext(ctx, "a version of the key is active", "key_id", s.current().keyID, "version", s.current().ID)
	}
	return nil
}

// try wraps and unwraps something that is no secret.
func (p *Plugin) try(ctx context.Context, v version) error {
	probe := redact.FromString("strongkeep kms probe, no secret.")
	blob, err := p.cfg.Key.WrapAs(ctx, v.ID, aad(v.keyID), probe)
	if err != nil {
		return err
	}
	back, err := p.cfg.Key.Unwrap(ctx, aad(v.keyID), blob)
	if err == nil && !back.Equal(probe) {
		err = errs.New(errs.Internal, "the key store does not give back what it was given")
	}
	return err
}

// missed notes a contact that failed.
func (p *Plugin) missed(old *state, err error) error {
	if old == nil {
		p.first.Store(&err)
		return err
	}
	s := *old
	s.failed = err
	p.state.Store(&s)
	return err
}

// Status returns the key id of the active version, from memory. Kinds: Unavailable
// (no contact for too long, or never), Conflict (see state.lost).
func (p *Plugin) Status() (string, error) {
	s, err := p.known()
	if err != nil {
		return "", err
	}
	if away := time.Since(s.looked); away > p.cfg.StaleAfter {
		if s.failed == nil {
			return "", errs.Newf(errs.Unavailable, "the key store was last reached %v ago", away.Round(time.Second))
		}
		return "", errs.Newf(errs.Unavailable, "the key store was last reached %v ago: %w", away.Round(time.Second), s.failed)
	}
	return s.current().keyID, nil
}

// known returns the state if anything may be written with it.
func (p *Plugin) known() (*state, error) {
	s := p.state.Load()
	switch {
	case s != nil && s.lost != nil:
		return nil, s.lost
	case s != nil:
		return s, nil
	}
	if why := p.first.Load(); why != nil {
		return nil, errs.Newf(errs.Unavailable, "the key store has not been reached yet: %w", *why)
	}
	return nil, errs.New(errs.Unavailable, "the key store has not been reached yet")
}

// Encrypt wraps plain under the active version. Kinds: those of Status but for the
// age of contact, and the store's.
func (p *Plugin) Encrypt(ctx context.Context, plain redact.Secret) (Sealed, error) {
	if plain.Empty() || plain.Len() > maxPlaintext {
		return Sealed{}, errs.Newf(errs.Invalid, "%d bytes are to be encrypted: only seeds are, 1 to %d bytes", plain.Len(), maxPlaintext)
	}
	s, err := p.known()
	if err != nil {
		return Sealed{}, err
	}
	v := s.current()
	blob, err := p.cfg.Key.WrapAs(ctx, v.ID, aad(v.keyID), plain)
	if err != nil {
		return Sealed{}, fmt.Errorf("encrypting under version %q: %w", v.ID, err)
	}
	if got, err := p.cfg.Key.VersionOf(blob); err != nil || got != v.ID {
		return Sealed{}, errs.Newf(errs.Internal, "the key store encrypted under version %q and not %q", got, v.ID)
	}
	if len(blob) >= maxCiphertext {
		return Sealed{}, errs.Newf(errs.TooLarge, "the ciphertext has %d bytes, and an API server takes less than %d", len(blob), maxCiphertext)
	}
	return Sealed{Ciphertext: blob, KeyID: v.keyID, Annotations: map[string][]byte{Annotation: []byte(v.ID)}}, nil
}

// Decrypt unwraps what Encrypt, here or on another node, has made under any version
// that the store still has. Kinds: NotExist for a key id that is not of the blob's
// version, at once; Invalid for what is no blob or has other annotations; and the
// store's.
func (p *Plugin) Decrypt(ctx context.Context, sealed Sealed) (redact.Secret, error) {
	if len(sealed.Ciphertext) >= maxCiphertext {
		return redact.Secret{}, errs.Newf(errs.Invalid, "a ciphertext of %d bytes is none of ours", len(sealed.Ciphertext))
	}
	id, err := p.cfg.Key.VersionOf(sealed.Ciphertext)
	if err != nil {
		return redact.Secret{}, errs.Newf(errs.Invalid, "reading the ciphertext: %w", err)
	}
	if len(sealed.Annotations) != 1 || string(sealed.Annotations[Annotation]) != id {
		return redact.Secret{}, errs.Newf(errs.Invalid, "the annotations are not those of this ciphertext: only %s, which says %q", Annotation, id)
	}
	v, err := p.version(ctx, id)
	if err != nil {
		return redact.Secret{}, err
	}
	if v == nil || v.keyID != sealed.KeyID {
		return redact.Secret{}, errs.New(errs.NotExist, "the key id is not one of this key's: it is another cluster's or key's, or the version is gone from the key store")
	}
	plain, err := p.cfg.Key.Unwrap(ctx, aad(v.keyID), sealed.Ciphertext)
	if err != nil {
		return redact.Secret{}, fmt.Errorf("decrypting under version %q: %w", id, err)
	}
	return plain, nil
}

// version returns a version that the store has, nil for none. One that is not known
// here has the store asked, once a second at most: another node may be ahead.
func (p *Plugin) version(ctx context.Context, id string) (*version, error) {
	s := p.state.Load()
	if s == nil {
		_, err := p.known()
		return nil, err
	}
	if v := s.find(id); v != nil {
		return v, nil
	}
	now, last := time.Now().UnixNano(), p.asked.Load()
	if time.Duration(now-last) < time.Second || !p.asked.CompareAndSwap(last, now) {
		return nil, nil
	}
	h, err := p.cfg.Key.History(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking for the key's versions: %w", err)
	}
	for _, v := range h.Versions {
		if v.ID == id {
			return &version{Version: v, keyID: keyID(p.cfg.Name, p.cfg.Key, h.Lineage, v)}, nil
		}
	}
	return nil, nil
}

// About is what is known of the key, for metrics and people.
type About struct {
	KeyID   string    // of the active version
	Version string    // of the store
	Waiting string    // the version that becomes active next; "" for none
	Due     time.Time // when
	Looked  time.Time // the last good contact
}

// About returns what is known; the zero About if the store was never reached.
func (p *Plugin) About() About {
	s := p.state.Load()
	if s == nil {
		return About{}
	}
	a := About{KeyID: s.current().keyID, Version: s.current().ID, Due: p.rules.due(s), Looked: s.looked}
	if !a.Due.IsZero() {
		for i := s.active + 1; i < len(s.versions); i++ {
			if v := &s.versions[i]; v.Wraps && p.rules.ripe(v).Equal(a.Due) {
				a.Waiting = v.ID
			}
		}
	}
	return a
}
