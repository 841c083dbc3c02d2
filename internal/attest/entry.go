package attest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Payload types.
const (
	// TypeEntry is an Entry, TypeKey a NextKey.
	TypeEntry = "application/vnd.strongkeep.evidence-entry.v1+json"
	TypeKey   = "application/vnd.strongkeep.evidence-key.v1+json"
)

// Entry is what the vault signs: a statement, and what the vault itself knows of
// it.
type Entry struct {
	// Log is the UUID of the mount: statements of another log, restored or made
	// elsewhere, are not of this chain.
	Log  string `json:"log"`
	Name string `json:"name"` // such as "namespace/name" of a Rotation
	// Seq counts the statements of Name from 1, without a gap. Turn is the
	// statement's own number, which grows and may leave gaps.
	Seq  int64     `json:"seq"`
	Turn int64     `json:"turn"`
	Time time.Time `json:"time"` // of the vault
	// Previous is the Digest of the entry before it; empty for the first.
	Previous  string         `json:"previous,omitzero"`
	By        Author         `json:"by"`
	Statement jsontext.Value `json:"statement"` // a JSON object
}

// Author is who had a statement signed, as the vault knows it.
type Author struct {
	DisplayName string            `json:"display_name,omitzero"`
	EntityID    string            `json:"entity_id,omitzero"`
	Metadata    map[string]string `json:"metadata,omitzero"` // of the login, such as the ServiceAccount's name
	// Accessor is a keyed digest of the token's accessor, for telling tokens apart.
	Accessor string `json:"accessor_hmac,omitzero"`
}

// Payload returns what is signed of e.
func (e Entry) Payload() ([]byte, error) {
	raw, err := json.Marshal(e, json.Deterministic(true))
	if err != nil {
		return nil, errs.New(errs.Invalid, "encoding a statement: a text in it is no valid UTF-8")
	}
	return raw, nil
}

// Digest returns the SHA-256 of an entry's payload, as Previous has it.
func Digest(payload []byte) string {
	sum := sha256.Sum256(payload)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Verified is an entry whose signature was found right.
type Verified struct {
	Entry
	KeyID  string // who signed
	Digest string
}

// Verify opens one envelope. Kind Invalid: it was not signed by a key of keys,
// or is no entry.
func Verify(keys Keys, raw []byte) (Verified, error) {
	envelope, err := ParseEnvelope(raw)
	if err != nil {
		return Verified{}, err
	}
	id, err := keys.Open(envelope, TypeEntry)
	if err != nil {
		return Verified{}, err
	}
	v := Verified{KeyID: id, Digest: Digest(envelope.Payload)}
	if err := json.Unmarshal(envelope.Payload, &v.Entry); err != nil {
		return Verified{}, errs.New(errs.Invalid, "what was signed is no entry of an evidence log")
	}
	if v.Log == "" || v.Name == "" || v.Seq < 1 || v.Statement.Kind() != '{' {
		return Verified{}, errs.New(errs.Invalid, "what was signed lacks its log, name, number or statement")
	}
	return v, nil
}

// VerifyChain opens the envelopes of one name in their order and verifies that
// they follow each other without a gap. The first need not be number 1; that
// what lies before it is the same, its Previous says. Kind Invalid: the text
// names the entry.
func VerifyChain(keys Keys, envelopes [][]byte) ([]Verified, error) {
	chain := make([]Verified, 0, len(envelopes))
	for i, raw := range envelopes {
		v, err := Verify(keys, raw)
		if err != nil {
			return nil, errs.Newf(errs.KindOf(err), "statement %d of %d: %w", i+1, len(envelopes), err)
		}
		if i > 0 {
			if err := v.Follows(chain[i-1]); err != nil {
				return nil, err
			}
		}
		chain = append(chain, v)
	}
	return chain, nil
}

// Follows returns Invalid unless v is the entry behind before.
func (v Verified) Follows(before Verified) error {
	switch {
	case v.Log != before.Log:
		return errs.Newf(errs.Invalid, "statement %d of %s is of another log than the one before it", v.Seq, v.Name)
	case v.Name != before.Name:
		return errs.Newf(errs.Invalid, "statement %d is of %s, the one before it of %s", v.Seq, v.Name, before.Name)
	case v.Seq != before.Seq+1:
		return errs.Newf(errs.Invalid, "statement %d of %s stands behind number %d: some are missing, or in the wrong order", v.Seq, v.Name, before.Seq)
	case v.Previous != before.Digest:
		return errs.Newf(errs.Invalid, "statement %d of %s does not continue number %d that is here: one of them was replaced", v.Seq, v.Name, before.Seq)
	case v.Turn <= before.Turn:
		return errs.Newf(errs.Invalid, "statement %d of %s is of turn %d, the one before it of turn %d", v.Seq, v.Name, v.Turn, before.Turn)
	}
	return nil
}

// NextKey is what an older key signs when a newer takes its place: who trusts
// the older one can trust the newer.
type NextKey struct {
	Log       string `json:"log"`
	Version   int    `json:"version"`
	PublicKey string `json:"public_key"` // PEM
}

// Endorse returns an envelope in which old speaks for next.
func Endorse(old ed25519.PrivateKey, next NextKey) ([]byte, error) {
	payload, err := json.Marshal(next)
	if err != nil {
		return nil, errs.New(errs.Internal, "encoding the endorsement of a key: invalid text")
	}
	envelope, err := Sign(old, TypeKey, payload)
	if err != nil {
		return nil, err
	}
	return envelope.Encode()
}

// Extend trusts the key that an endorsement names, if a trusted key signed it
// for log. Kind Invalid: none did.
func (k Keys) Extend(log string, endorsement []byte) error {
	envelope, err := ParseEnvelope(endorsement)
	if err != nil {
		return err
	}
	if _, err := k.Open(envelope, TypeKey); err != nil {
		return err
	}
	var next NextKey
	if err := json.Unmarshal(envelope.Payload, &next); err != nil || next.Log == "" {
		return errs.New(errs.Invalid, "what was signed is no endorsement of a key")
	}
	if next.Log != log {
		return errs.New(errs.Invalid, "the endorsement is of a key of another log")
	}
	keys, err := ParseKeys([]byte(next.PublicKey))
	if err != nil {
		return err
	}
	for id, key := range keys {
		k[id] = key
	}
	return nil
}
