package recipient

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// maxText bounds what Parse reads: a PGP key with a photograph and many signatures has some 100 KiB.
const maxText = 512 << 10

// Recipient is for whom something is encrypted.
type Recipient struct {
	// Fingerprint names the key: of PGP its fingerprint in hex, of age the recipient itself.
	Fingerprint string

	pgp *pgp.Entity
	age age.Recipient
}

// Parse reads an age recipient (age1…, age1pq1…) or a public PGP key: base64 of its binary or armored form, or the armored form
// itself. now is when it has to be valid. Kind: Invalid; the message does not quote the text, which may
// be a private key by mistake.
//
// What it returns has been tried: later is too late to learn that a key cannot be used.
func Parse(text string, now time.Time) (Recipient, error) {
	r, err := parse(strings.TrimSpace(text), now)
	if err != nil {
		return Recipient{}, err
	}
	_, err = r.Encrypt(redact.FromString("to try it"), now)
	return r, err
}

func parse(text string, now time.Time) (Recipient, error) {
	switch {
	case len(text) > maxText:
		return Recipient{}, errs.Newf(errs.Invalid, "a recipient of %d bytes is too large: at most %d", len(text), maxText)
	case strings.HasPrefix(text, "keybase:"):
		return Recipient{}, errs.New(errs.Invalid, "keybase: names are not looked up: export the public key and give it as base64 (gpg --export NAME | base64 -w0), or use an age recipient")
	case strings.HasPrefix(strings.ToUpper(text), "AGE-SECRET-KEY-"):
		return Recipient{}, errs.New(errs.Invalid, "this is a private age key: give the recipient (age1…) that belongs to it, and make a new key if this one was seen by others")
	case strings.HasPrefix(text, "age1"):
		return parseAge(text)
	}
	return parsePGP(text, now)
}

func parseAge(text string) (Recipient, error) {
	all, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil || len(all) != 1 || strings.ContainsAny(text, "\r\n") { // a file's comments would be part of its name
		return Recipient{}, errs.New(errs.Invalid, "this is no age recipient: it is one line, age1… as age-keygen prints it; check that it was copied whole")
	}
	return Recipient{Fingerprint: text, age: all[0]}, nil
}

func parsePGP(text string, now time.Time) (Recipient, error) {
	raw := []byte(text)
	if !strings.HasPrefix(text, "-----") {
		var err error
		if raw, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), "")); err != nil {
			return Recipient{}, errs.New(errs.Invalid, "this is neither an age recipient nor a PGP key in base64 (gpg --export NAME | base64 -w0)")
		}
	}
	keys, err := ring(raw)
	if err != nil || len(keys) != 1 {
		return Recipient{}, errs.Newf(errs.Invalid, "this is no PGP key, or more than one (%d): export one public key (gpg --export NAME | base64 -w0)", len(keys))
	}
	key := keys[0]
	if key.PrivateKey != nil {
		return Recipient{}, errs.New(errs.Invalid, "this is a private PGP key: give the public one (gpg --export), and make a new key if this one was seen by others")
	}
	if _, err := key.EncryptionKeyWithError(now, nil); err != nil {
		return Recipient{}, errs.Newf(errs.Invalid, "nothing can be encrypted for PGP key %x: it has expired, was revoked, or has no part for encryption", key.PrimaryKey.Fingerprint)
	}
	return Recipient{Fingerprint: hex.EncodeToString(key.PrimaryKey.Fingerprint), pgp: key}, nil
}

// ring reads keys in binary or armored form.
func ring(raw []byte) (keys pgp.EntityList, err error) {
	if bytes.HasPrefix(raw, []byte("-----")) {
		block, err := armor.Decode(bytes.NewReader(raw))
		if err != nil {
			return nil, err
		}
		return pgp.ReadKeyRing(io.LimitReader(block.Body, maxText))
	}
	return pgp.ReadKeyRing(bytes.NewReader(raw))
}

// ParseAll reads one recipient for each of n shares; none at all is none.
func ParseAll(texts []string, n int, now time.Time) ([]Recipient, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	if len(texts) != n {
		return nil, errs.Newf(errs.Invalid, "there are %d shares and %d recipients (pgp_keys, age_recipients): give one for each share, or none", n, len(texts))
	}
	all := make([]Recipient, n)
	for i, text := range texts {
		var err error
		if all[i], err = Parse(text, now); err != nil {
			return nil, errs.Newf(errs.Invalid, "recipient %d of %d: %w", i+1, n, err)
		}
	}
	return all, nil
}

// Encrypt returns secret, readable by the recipient only. now is the time of the message. Kind: Invalid, of a key that cannot be used.
func (r Recipient) Encrypt(secret redact.Secret, now time.Time) ([]byte, error) {
	var out bytes.Buffer
	w, err := r.writer(&out, now)
	if err == nil {
		_, err = w.Write(secret.Reveal())
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "encrypting for %s: %w", r.Fingerprint, err)
	}
	return out.Bytes(), nil
}

func (r Recipient) writer(out io.Writer, now time.Time) (io.WriteCloser, error) {
	if r.age != nil {
		return age.Encrypt(out, r.age)
	}
	return pgp.EncryptWithParams(out, []*pgp.Entity{r.pgp}, nil, &pgp.EncryptParams{
		Config: &packet.Config{Time: func() time.Time { return now }},
	})
}

// Sealed is secrets as they are shown: plain, or each for its recipient.
type Sealed struct {
	Hex, Base64  []string
	Fingerprints []string // nil = they are plain
}

// Seal shows shares. For recipients each is encrypted as the text of its hex digits, as other vaults do it, so
// that who decrypts it can type it at once. Without recipients it is plain.
func Seal(shares []redact.Secret, to []Recipient, now time.Time) (Sealed, error) {
	var s Sealed
	for i, share := range shares {
		raw := share.Reveal()
		if to != nil {
			text := redact.FromString(hex.EncodeToString(raw))
			var err error
			if raw, err = to[i].Encrypt(text, now); err != nil {
				return Sealed{}, err
			}
			text.Wipe()
			s.Fingerprints = append(s.Fingerprints, to[i].Fingerprint)
		}
		s.Hex = append(s.Hex, hex.EncodeToString(raw))
		s.Base64 = append(s.Base64, base64.StdEncoding.EncodeToString(raw))
	}
	return s, nil
}
