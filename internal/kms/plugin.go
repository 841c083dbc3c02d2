package kms

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
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
	// well, and for how long a plugin that starts waits for the newest version to
	// work before it tries older ones; at least twice Poll; 0 = DefaultStaleAfter.
	StaleAfter time.Duration
	// Known is a key id that a version of the key must have had when the plugin
	// starts: under its name may be another key. "" = whatever the store has.
	Known string
	Log   *slog.Logger
}

// Plugin answers API servers. Its methods may be called concurrently. Time is the
// system's; tests run in a bubble of testing/synctest.
type Plugin struct {
	cfg   Config
	rules rules
	state atomic.Pointer[state] // nil: the store has never told its versions
	first atomic.Pointer[error] // why not
	turns sync.Mutex            // held by who swaps state, never while the store is asked

	flights *flights
	asked   time.Time // when Decrypt last had the store asked; touched in its flight only
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
	case cfg.Poll < 0 || cfg.StaleAfter < 2*cfg.Poll:
		return nil, errs.Newf(errs.Invalid, "stale_after %v is shorter than twice poll %v: one answer that comes late, or not, would make the plugin ill", cfg.StaleAfter, cfg.Poll)
	case cfg.ActivationDelay >= 0 && cfg.ActivationDelay < 2*cfg.Poll:
		return nil, errs.Newf(errs.Invalid, "activation_delay %v is shorter than twice poll %v: a node would write with a version that another has not seen", cfg.ActivationDelay, cfg.Poll)
	case cfg.Known != "" && !keyIDs.MatchString(cfg.Known):
		return nil, errs.Newf(errs.Invalid, "known_key_id %q is no key id: strongkeep kms status -field=key_id tells one", cfg.Known)
	}
	r := rules{name: cfg.Name, key: cfg.Key, delay: max(cfg.ActivationDelay, 0), known: cfg.Known}
	return &Plugin{cfg: cfg, rules: r, flights: newFlights()}, nil
}

// Status returns the key id of the active version, from memory. Kinds: Unavailable
// (no contact for too long, or never), Conflict (see state.lost).
func (p *Plugin) Status() (string, error) {
	s, err := p.usable()
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

// usable returns the state if anything may be written with it.
func (p *Plugin) usable() (*state, error) {
	s := p.state.Load()
	switch {
	case s == nil:
		return nil, p.never()
	case s.lost != nil:
		return nil, s.lost
	case s.told():
		return s, nil
	case s.failed != nil:
		return nil, errs.Newf(errs.Unavailable, "the key store tells the key's versions, and has not encrypted yet: %w", s.failed)
	}
	return nil, errs.New(errs.Unavailable, "the key store tells the key's versions, and has not encrypted yet")
}

// never is why nothing is known.
func (p *Plugin) never() error {
	if why := p.first.Load(); why != nil {
		return errs.Newf(errs.Unavailable, "the key store has not been reached yet: %w", *why)
	}
	return errs.New(errs.Unavailable, "the key store has not been reached yet")
}

// Encrypt wraps plain under the active version. Kinds: those of Status but for the
// age of contact, and the store's.
func (p *Plugin) Encrypt(ctx context.Context, plain redact.Secret) (Sealed, error) {
	if plain.Empty() || plain.Len() > maxPlaintext {
		return Sealed{}, errs.Newf(errs.Invalid, "%d bytes are to be encrypted: only seeds are, 1 to %d bytes", plain.Len(), maxPlaintext)
	}
	s, err := p.usable()
	if err != nil {
		return Sealed{}, err
	}
	v := s.current()
	blob, err := p.cfg.Key.WrapAs(ctx, v.ID, v.aad, plain)
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
// version, at once; Invalid for what is no blob or has other annotations; Unavailable
// for a version that cannot be asked about so soon; and the store's.
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
	plain, err := p.cfg.Key.Unwrap(ctx, v.aad, sealed.Ciphertext)
	if err != nil {
		return redact.Secret{}, fmt.Errorf("decrypting under version %q: %w", id, err)
	}
	p.inUse(v)
	return plain, nil
}

// About is what is known of the key, for metrics and people.
type About struct {
	KeyID   string    // of the active version
	Version string    // of the store
	Waiting string    // the version that becomes active next; "" for none
	Due     time.Time // when; past if the store cannot use it
	Looked  time.Time // the last good contact
}

// About returns what is known; the zero About if the store has never worked.
func (p *Plugin) About() About {
	s := p.state.Load()
	if s == nil || !s.told() {
		return About{}
	}
	a := About{KeyID: s.current().keyID, Version: s.current().ID, Due: p.rules.due(s, time.Time{}), Looked: s.looked}
	if !a.Due.IsZero() {
		for i := s.active + 1; i < len(s.versions); i++ {
			if v := &s.versions[i]; v.Wraps && p.rules.ripe(v).Equal(a.Due) {
				a.Waiting = v.ID
			}
		}
	}
	return a
}
