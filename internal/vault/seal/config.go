package seal

import (
	"encoding/binary"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/seal/shamir"
)

// config is what storage says about how the vault opens. It holds nothing
// secret and is plain JSON, so that a person who must rescue a vault can read
// it:
//
//	{"version":1,
//	 "vault_id":"0b2f…",
//	 "created":"2026-01-02T03:04:05Z",
//	 "wrappings":[
//	   {"kind":"shamir","key_id":"5e…","shares":5,"threshold":3,"blob":"<base64>"},
//	   {"kind":"keyfile","key_id":"90…","blob":"<base64>"}]}
//
// Every blob is the same root key, wrapped by the key that kind and key_id
// name; each alone opens the vault. Who changes a wrapping's other fields, or
// moves it to another vault, makes its blob useless: they are its aad.
type config struct {
	Version   int        `json:"version"`
	VaultID   uuid.UUID  `json:"vault_id"` // random, made at initialisation
	Created   time.Time  `json:"created"`
	Wrappings []wrapping `json:"wrappings"`
}

// wrapping is the root key in one shape. Exactly one of a vault's wrappings is
// of kind shamir.
type wrapping struct {
	Kind      string `json:"kind"`               // KindShamir or a Wrapper's Name
	KeyID     string `json:"key_id"`             // names the key; for shamir, the set of shares
	Shares    int    `json:"shares,omitzero"`    // shamir only
	Threshold int    `json:"threshold,omitzero"` // shamir only
	Blob      []byte `json:"blob"`               // shamir: a box; else as the Wrapper likes
}

const (
	configVersion = 1
	maxConfig     = 64 << 10
	maxKind       = 64
	maxKeyID      = 255
)

// KindShamir is the kind of wrapping, and the seal type, of a root key that
// people's shares open.
const KindShamir = "shamir"

func (c config) encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(c)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding the seal configuration: %w", err)
	}
	return b, nil
}

// decodeConfig reads what encode wrote. Kinds: Unsupported (a newer format),
// Internal (damaged).
func decodeConfig(b []byte) (config, error) {
	if len(b) > maxConfig {
		return config{}, errs.Newf(errs.Internal, "the seal configuration has %d bytes, more than %d: it is damaged", len(b), maxConfig)
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return config{}, errs.Newf(errs.Internal, "the seal configuration is damaged: %w", err)
	}
	if head.Version != configVersion {
		return config{}, errs.Newf(errs.Unsupported, "the seal configuration has format %d and this version of Strongkeep knows only %d: upgrade it", head.Version, configVersion)
	}
	var c config
	if err := json.Unmarshal(b, &c, json.RejectUnknownMembers(true)); err != nil {
		return config{}, errs.Newf(errs.Internal, "the seal configuration is damaged: %w", err)
	}
	return c, c.check()
}

// check returns Internal if c is not one that Init could have made.
func (c config) check() error {
	if c.VaultID == uuid.Nil {
		return errs.New(errs.Internal, "the seal configuration is damaged: it has no vault_id")
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

func (w wrapping) check() error {
	switch {
	case w.Kind == "" || len(w.Kind) > maxKind:
		return errs.Newf(errs.Internal, "a wrapping's kind has %d bytes, not 1 to %d", len(w.Kind), maxKind)
	case w.KeyID == "" || len(w.KeyID) > maxKeyID:
		return errs.Newf(errs.Internal, "the %s wrapping's key_id has %d bytes, not 1 to %d", w.Kind, len(w.KeyID), maxKeyID)
	case len(w.Blob) == 0:
		return errs.Newf(errs.Internal, "the %s wrapping is empty", w.Kind)
	case w.Kind == KindShamir:
		return shamir.Check(w.Shares, w.Threshold)
	case w.Shares != 0 || w.Threshold != 0:
		return errs.Newf(errs.Internal, "the %s wrapping has shares, which only shamir has", w.Kind)
	}
	return nil
}

// people returns the shamir wrapping.
func (c config) people() wrapping {
	for _, w := range c.Wrappings {
		if w.Kind == KindShamir {
			return w
		}
	}
	return wrapping{} // check has made sure that there is one
}

// kind returns the seal type that clients see: what opens the vault without
// people, if anything does.
func (c config) kind() string {
	for _, w := range c.Wrappings {
		if w.Kind != KindShamir {
			return w.Kind
		}
	}
	return KindShamir
}

// aad binds a wrapped root key to its vault and to all that its wrapping says.
// Strings have their length in front, so that no two wrappings share an aad.
func (w wrapping) aad(vault uuid.UUID) []byte {
	b := append([]byte("strongkeep root key v1\x00"), vault[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(w.Kind)))
	b = append(b, w.Kind...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(w.KeyID)))
	b = append(b, w.KeyID...)
	return append(b, byte(w.Shares), byte(w.Threshold))
}

// keyringAAD and usageAAD begin with what no storage path can, so that no
// value can take the place of either.

func keyringAAD(vault uuid.UUID) []byte {
	return append([]byte("\x00strongkeep keyring v1\x00"), vault[:]...)
}

func usageAAD(vault uuid.UUID) []byte {
	return append([]byte("\x00strongkeep keyring usage v1\x00"), vault[:]...)
}
