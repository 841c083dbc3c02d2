package attest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// MaxEnvelope is the size in bytes of the largest envelope that is read.
const MaxEnvelope = 4 << 20

// maxSignatures bounds what one envelope makes us verify.
const maxSignatures = 16

// Envelope is a payload and its signatures.
type Envelope struct {
	PayloadType string
	Payload     []byte
	Signatures  []Signature
}

// Signature is one signature of PAE.
type Signature struct {
	KeyID string // finds the key, and proves nothing
	Sig   []byte
}

// wire is the envelope's JSON.
type wire struct {
	PayloadType string          `json:"payloadType"`
	Payload     string          `json:"payload"`
	Signatures  []wireSignature `json:"signatures"`
}

type wireSignature struct {
	KeyID string `json:"keyid,omitzero"`
	Sig   string `json:"sig"`
}

// PAE is the pre-authentication encoding of DSSE: what is signed.
//
//	"DSSEv1" SP len(type) SP type SP len(payload) SP payload
func PAE(payloadType string, payload []byte) []byte {
	b := make([]byte, 0, len("DSSEv1")+len(payloadType)+len(payload)+32)
	b = append(b, "DSSEv1 "...)
	b = strconv.AppendInt(b, int64(len(payloadType)), 10)
	b = append(append(append(b, ' '), payloadType...), ' ')
	b = strconv.AppendInt(b, int64(len(payload)), 10)
	return append(append(b, ' '), payload...)
}

// Sign returns payload in an envelope with one signature. Ed25519 is
// deterministic: equal input gives equal bytes.
func Sign(key ed25519.PrivateKey, payloadType string, payload []byte) (Envelope, error) {
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return Envelope{}, errs.New(errs.Internal, "signing a statement: the key has no public half")
	}
	id, err := KeyID(public)
	if err != nil {
		return Envelope{}, err
	}
	return Envelope{payloadType, payload, []Signature{{id, ed25519.Sign(key, PAE(payloadType, payload))}}}, nil
}

// Encode returns the envelope's JSON.
func (e Envelope) Encode() ([]byte, error) {
	w := wire{PayloadType: e.PayloadType, Payload: base64.StdEncoding.EncodeToString(e.Payload), Signatures: []wireSignature{}}
	for _, s := range e.Signatures {
		w.Signatures = append(w.Signatures, wireSignature{s.KeyID, base64.StdEncoding.EncodeToString(s.Sig)})
	}
	raw, err := json.Marshal(w)
	if err != nil {
		return nil, errs.New(errs.Invalid, "encoding an envelope: its type or a key's name is no valid text")
	}
	return raw, nil
}

// ParseEnvelope reads an envelope and verifies nothing. Names are taken as they
// are written, and twice the same is refused. Kind Invalid.
func ParseEnvelope(raw []byte) (Envelope, error) {
	if len(raw) > MaxEnvelope {
		return Envelope{}, errs.Newf(errs.Invalid, "the envelope has %d bytes, over the limit of %d", len(raw), MaxEnvelope)
	}
	var w wire
	if err := json.Unmarshal(raw, &w); err != nil {
		return Envelope{}, errs.New(errs.Invalid, "this is no DSSE envelope: it must be a JSON object with payloadType, payload and signatures")
	}
	switch {
	case w.PayloadType == "":
		return Envelope{}, errs.New(errs.Invalid, "the envelope has no payloadType")
	case len(w.Signatures) == 0:
		return Envelope{}, errs.New(errs.Invalid, "the envelope has no signature")
	case len(w.Signatures) > maxSignatures:
		return Envelope{}, errs.Newf(errs.Invalid, "the envelope has %d signatures; the most is %d", len(w.Signatures), maxSignatures)
	}
	e := Envelope{PayloadType: w.PayloadType}
	var err error
	if e.Payload, err = decode64(w.Payload); err != nil {
		return Envelope{}, errs.New(errs.Invalid, "the envelope's payload is no base64")
	}
	for _, s := range w.Signatures {
		sig, err := decode64(s.Sig)
		if err != nil {
			return Envelope{}, errs.New(errs.Invalid, "a signature of the envelope is no base64")
		}
		e.Signatures = append(e.Signatures, Signature{s.KeyID, sig})
	}
	return e, nil
}

// decode64 takes the standard and the URL alphabet, as verifiers of DSSE must.
func decode64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "-_") {
		return base64.URLEncoding.Strict().DecodeString(s)
	}
	return base64.StdEncoding.Strict().DecodeString(s)
}

// KeyID returns the name of a public key.
func KeyID(key ed25519.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", errs.New(errs.Invalid, "naming a key: it is no Ed25519 public key")
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// Keys are the public keys that are trusted, by their ID.
type Keys map[string]ed25519.PublicKey

// ParseKeys reads public keys in PEM, one after another; what stands between
// them is left out. Kind Invalid: there is none, or one that is not Ed25519.
func ParseKeys(text []byte) (Keys, error) {
	keys := Keys{}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "PUBLIC KEY" {
			return nil, errs.Newf(errs.Invalid, "the PEM block is a %q, not a PUBLIC KEY", block.Type)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, errs.New(errs.Invalid, "a PEM block holds no public key")
		}
		public, ok := parsed.(ed25519.PublicKey)
		if !ok {
			return nil, errs.New(errs.Invalid, "a public key is not Ed25519")
		}
		if err := keys.Add(public); err != nil {
			return nil, err
		}
	}
	if len(keys) == 0 {
		return nil, errs.New(errs.Invalid, "there is no public key: give PEM as `strongkeep read -field=public_keys evidence/keys` prints it")
	}
	return keys, nil
}

// Add trusts one more key.
func (k Keys) Add(key ed25519.PublicKey) error {
	id, err := KeyID(key)
	if err == nil {
		k[id] = key
	}
	return err
}

// EncodeKey returns a public key in PEM.
func EncodeKey(key ed25519.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", errs.New(errs.Invalid, "encoding a key: it is no Ed25519 public key")
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

// Open returns the ID of a trusted key that signed e, which must be of
// payloadType. Kind Invalid: it is of another type, or no trusted key signed it.
func (k Keys) Open(e Envelope, payloadType string) (keyID string, err error) {
	if e.PayloadType != payloadType {
		return "", errs.Newf(errs.Invalid, "the envelope holds %q, not %q", e.PayloadType, payloadType)
	}
	signed := PAE(e.PayloadType, e.Payload)
	known := false
	for _, s := range e.Signatures {
		if key, ok := k[s.KeyID]; ok {
			known = true
			if ed25519.Verify(key, signed, s.Sig) {
				return s.KeyID, nil
			}
		}
	}
	if !known {
		return "", errs.Newf(errs.Invalid, "it is signed by key %s, which is not among the %d trusted ones", e.signers(), len(k))
	}
	return "", errs.New(errs.Invalid, "the signature is wrong: the statement is not what was signed")
}

// signers names who claims to have signed, shortened.
func (e Envelope) signers() string {
	var ids []string
	for _, s := range e.Signatures {
		ids = append(ids, strconv.Quote(s.KeyID[:min(len(s.KeyID), 64)]))
	}
	return strings.Join(ids, ", ")
}
