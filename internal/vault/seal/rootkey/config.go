package rootkey

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/seal/shamir"
)

// Config is what storage says about how the vault opens. It holds nothing
// secret and is plain JSON, so that a person who must rescue a vault can read
// it:
//
//	{"version":2,
//	 "vault_id":"0b2f…",
//	 "created":"2026-01-02T03:04:05Z",
//	 "wrappings":[
//	   {"kind":"shamir","key_id":"5e…","shares":5,"threshold":3,"hashes":["<base64>",…],"blob":"<base64>"},
//	   {"kind":"keyfile","key_id":"90…","name":"disk","added":"2026-01-02T03:04:05Z","blob":"<base64>"}]}
//
// Every blob is the same root key, wrapped by the key that kind and key_id
// name; each alone opens the vault. Who changes a wrapping's other fields, or
// moves it to another vault, makes its blob useless: they are its aad. Names,
// times and hashes are not in it: who can change them on disk can as well take
// the blob away.
//
// Version 1 had no name, added or hashes. It is read, and whatever changes the
// configuration writes version 2.
type Config struct {
	Version   int        `json:"version"`
	VaultID   uuid.UUID  `json:"vault_id"` // random, made at initialisation
	Created   time.Time  `json:"created"`
	Wrappings []Wrapping `json:"wrappings"`
}

// Wrapping is the root key in one shape. Exactly one of a vault's wrappings is
// of kind shamir.
type Wrapping struct {
	Kind      string `json:"kind"`               // KindShamir or a Wrapper's Name
	KeyID     string `json:"key_id"`             // names the key; for shamir, the set of shares
	Shares    int    `json:"shares,omitzero"`    // shamir only
	Threshold int    `json:"threshold,omitzero"` // shamir only
	// Hashes are those of the shares, in ascending order, so that a wrong one is
	// told at once: see hashShare. None in a set that version 1 dealt.
	Hashes [][]byte  `json:"hashes,omitzero"`
	Name   string    `json:"name,omitzero"`  // what the operator calls the key; none from version 1, and for shamir
	Added  time.Time `json:"added,omitzero"` // likewise
	Blob   []byte    `json:"blob"`           // shamir: a box; else as the Wrapper likes
}

// Version is the newest form of a Config; MaxSize bounds one in bytes, MaxWrappings its ways to open the vault.
const (
	Version      = 2
	MaxSize      = 64 << 10
	maxKind      = 64
	maxKeyID     = 255
	maxName      = 64
	MaxWrappings = 32
)

// KindShamir is the kind of wrapping, and the seal type, of a root key that
// people's shares open.
const KindShamir = "shamir"

// Encode writes the configuration in the newest version.
func (c Config) Encode() ([]byte, error) {
	c.Version = Version
	if err := c.check(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(c)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding the seal configuration: %w", err)
	}
	return b, nil
}

// Decode reads what Encode wrote. Kinds: Unsupported (a newer format),
// Internal (damaged).
func Decode(b []byte) (Config, error) {
	if len(b) > MaxSize {
		return Config{}, errs.Newf(errs.Internal, "the seal configuration has %d bytes, more than %d: it is damaged", len(b), MaxSize)
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return Config{}, errs.Newf(errs.Internal, "the seal configuration is damaged: %w", err)
	}
	if head.Version < 1 || head.Version > Version {
		return Config{}, errs.Newf(errs.Unsupported, "the seal configuration has format %d and this version of Strongkeep knows only 1 to %d: upgrade it", head.Version, Version)
	}
	var c Config
	if err := json.Unmarshal(b, &c, json.RejectUnknownMembers(true)); err != nil {
		return Config{}, errs.Newf(errs.Internal, "the seal configuration is damaged: %w", err)
	}
	return c, c.check()
}

// check returns Internal if c is not one that Init could have made.
func (c Config) check() error {
	if c.VaultID == uuid.Nil {
		return errs.New(errs.Internal, "the seal configuration is damaged: it has no vault_id")
	}
	if len(c.Wrappings) > MaxWrappings {
		return errs.Newf(errs.Internal, "the seal configuration has %d wrappings of the root key, more than %d: forget those of keys that are gone (strongkeep operator seal-forget)", len(c.Wrappings), MaxWrappings)
	}
	people := 0
	seen := map[string]bool{}
	for _, w := range c.Wrappings {
		if err := w.check(); err != nil {
			return errs.Newf(errs.Internal, "the seal configuration is damaged: %w", err)
		}
		if seen[w.Kind+"\x00"+w.KeyID] {
			return errs.Newf(errs.Internal, "the seal configuration is damaged: it has two wrappings by %s key %q", w.Kind, w.KeyID)
		}
		seen[w.Kind+"\x00"+w.KeyID] = true
		if w.Kind == KindShamir {
			people++
		}
	}
	if people != 1 {
		return errs.Newf(errs.Internal, "the seal configuration is damaged: it has %d wrappings of kind shamir, not 1", people)
	}
	return nil
}

func (w Wrapping) check() error {
	switch {
	case w.Kind == "" || len(w.Kind) > maxKind:
		return errs.Newf(errs.Internal, "a wrapping's kind has %d bytes, not 1 to %d", len(w.Kind), maxKind)
	case w.KeyID == "" || len(w.KeyID) > maxKeyID:
		return errs.Newf(errs.Internal, "the %s wrapping's key_id has %d bytes, not 1 to %d", w.Kind, len(w.KeyID), maxKeyID)
	case len(w.Blob) == 0:
		return errs.Newf(errs.Internal, "the %s wrapping is empty", w.Kind)
	case w.Kind == KindShamir:
		return w.checkPeople()
	case len(w.Name) > maxName:
		return errs.Newf(errs.Internal, "the %s wrapping's name has %d bytes, more than %d", w.Kind, len(w.Name), maxName)
	case len(w.Hashes) != 0:
		return errs.Newf(errs.Internal, "the %s wrapping has hashes of shares, which only shamir has", w.Kind)
	case w.Shares != 0 || w.Threshold != 0:
		return errs.Newf(errs.Internal, "the %s wrapping has shares, which only shamir has", w.Kind)
	}
	return nil
}

func (w Wrapping) checkPeople() error {
	if err := shamir.Check(w.Shares, w.Threshold); err != nil {
		return err
	}
	if w.Name != "" {
		return errs.New(errs.Internal, "the shamir wrapping has a name, which only keys have")
	}
	if n := len(w.Hashes); n != 0 && n != w.Shares {
		return errs.Newf(errs.Internal, "the shamir wrapping has %d hashes for %d shares", n, w.Shares)
	}
	for _, h := range w.Hashes {
		if len(h) != sha256.Size {
			return errs.Newf(errs.Internal, "the hash of a share has %d bytes, not %d", len(h), sha256.Size)
		}
	}
	return nil
}

// Called is what people call the key of w.
func (w Wrapping) Called() string { return cmp.Or(w.Name, w.Kind) }

// hashShare is what is kept of each share: SHA-256, under a prefix of its own, of the vault, the set and
// the share. A share has 252 bits of entropy, so that its hash tells nothing about it.
func (w Wrapping) hashShare(vault uuid.UUID, share redact.Secret) []byte {
	h := sha256.New()
	h.Write([]byte("strongkeep share v1\x00"))
	h.Write(vault[:])
	h.Write([]byte(w.KeyID))
	h.Write([]byte{0})
	h.Write(share.Reveal())
	return h.Sum(nil)
}

// Knows returns Invalid for what is certainly no share of the set. A set without hashes says
// nothing until it is whole.
func (w Wrapping) Knows(vault uuid.UUID, share redact.Secret) error {
	if len(w.Hashes) == 0 {
		return nil
	}
	sum := w.hashShare(vault, share)
	found := 0
	for _, h := range w.Hashes {
		found |= subtle.ConstantTimeCompare(h, sum)
	}
	if found == 0 {
		return errs.New(errs.Invalid, "this is no share of the set that opens this vault: it is mistyped, from another vault, or from a set that a rekey has ended; shares given before it are kept")
	}
	return nil
}

// People returns the shamir wrapping.
func (c Config) People() Wrapping {
	for _, w := range c.Wrappings {
		if w.Kind == KindShamir {
			return w
		}
	}
	return Wrapping{} // check has made sure that there is one
}

// Kind returns the seal type that clients see: what opens the vault without
// people, if anything does.
func (c Config) Kind() string {
	for _, w := range c.Wrappings {
		if w.Kind != KindShamir {
			return w.Kind
		}
	}
	return KindShamir
}

// AAD binds a wrapped root key to its vault and to all that its wrapping says.
// Strings have their length in front, so that no two wrappings share an aad.
func (w Wrapping) AAD(vault uuid.UUID) []byte {
	b := append([]byte("strongkeep root key v1\x00"), vault[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(w.Kind)))
	b = append(b, w.Kind...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(w.KeyID)))
	b = append(b, w.KeyID...)
	return append(b, byte(w.Shares), byte(w.Threshold))
}

// ID names a wrapping within a vault.
func (w Wrapping) ID() string { return w.Kind + ":" + w.KeyID }

// Forget removes the wrappings that are gone, by ID, if one of those that work stays or sharesOnly says that none needs to.
func (c *Config) Forget(name string, gone, works map[string]bool, sharesOnly bool) (changed bool, err error) {
	before, left := len(c.Wrappings), false
	c.Wrappings = slices.DeleteFunc(c.Wrappings, func(w Wrapping) bool {
		left = left || works[w.ID()] && !gone[w.ID()]
		return gone[w.ID()]
	})
	if !left && !sharesOnly {
		return false, errs.Newf(errs.Invalid, "no other unseal key of this node opens the vault now: after %q people's shares alone would; if that is meant, say so (-shares-only)", name)
	}
	return len(c.Wrappings) != before, nil
}
