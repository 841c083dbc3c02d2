package ledger

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/keypair"
)

// Folders of the ledger.
const (
	Certs   = "cert/"
	Expiry  = "expiry/"
	Revoked = "revoked/"
	Recent  = "recent/"
	Stale   = "stale/"
)

const (
	format    = 1
	authBytes = 16
	// MaxSerial is the bytes of the longest serial number that is taken; RFC 5280 has 20.
	MaxSerial = 32
)

// Serial is a serial number in lower-case hex without separators.
type Serial string

// ParseSerial reads hex, in pairs separated by colons, hyphens or nothing. Kind Invalid.
func ParseSerial(text string) (Serial, error) {
	raw, err := hex.DecodeString(strings.NewReplacer(":", "", "-", "").Replace(strings.TrimSpace(text)))
	if err != nil || len(raw) == 0 || len(raw) > MaxSerial {
		return "", errs.New(errs.Invalid, "a serial number must be pairs of hexadecimal digits separated by colons")
	}
	return SerialOf(new(big.Int).SetBytes(raw)), nil
}

// SerialOf returns the serial number n.
func SerialOf(n *big.Int) Serial {
	raw := n.Bytes()
	if len(raw) == 0 {
		raw = []byte{0}
	}
	return Serial(hex.EncodeToString(raw))
}

// Colons returns it as clients see it.
func (s Serial) Colons() string {
	out := make([]byte, 0, len(s)*3/2)
	for i := 0; i+1 < len(s); i += 2 {
		if i > 0 {
			out = append(out, ':')
		}
		out = append(out, s[i], s[i+1])
	}
	return string(out)
}

// Int returns the number.
func (s Serial) Int() *big.Int {
	n, _ := new(big.Int).SetString(string(s), 16)
	return n
}

// Record is a stored certificate.
type Record struct {
	Authority string
	DER       []byte
}

// PEM returns the certificate.
func (r *Record) PEM() string { return keypair.PEM("CERTIFICATE", r.DER) }

// Store keeps a certificate.
func Store(tx engine.Tx, authority string, serial Serial, der []byte, ends time.Time) error {
	auth, err := hex.DecodeString(authority)
	if err != nil || len(auth) != authBytes {
		return errs.New(errs.Internal, "storing a certificate: its authority is malformed")
	}
	value := make([]byte, 0, 1+authBytes+len(der))
	value = append(append(append(value, format), auth...), der...)
	tx.Put(Certs+string(serial), value)
	tx.Put(expiryKey(serial, ends), auth)
	return nil
}

func expiryKey(serial Serial, ends time.Time) string {
	return Expiry + Day(ends) + "/" + string(serial)
}

// Day names the day of a time.
func Day(t time.Time) string { return t.UTC().Format("20060102") }

// Load returns a certificate, nil if there is none.
func Load(ctx context.Context, tx engine.Tx, serial Serial) (*Record, error) {
	e, err := tx.Get(ctx, Certs+string(serial))
	if err != nil || !e.Exists() {
		return nil, err
	}
	if len(e.Value) < 1+authBytes || e.Value[0] != format {
		return nil, errs.New(errs.Internal, "reading a certificate: the stored record is damaged or of a newer format")
	}
	return &Record{hex.EncodeToString(e.Value[1 : 1+authBytes]), e.Value[1+authBytes:]}, nil
}

// Revocation is that a certificate is revoked.
type Revocation struct {
	Serial Serial
	At     time.Time // to the second
	Ends   time.Time // of the certificate
}

const revocationBytes = 17

// LoadRevocation returns it, nil if the certificate is not revoked.
func LoadRevocation(ctx context.Context, tx engine.Tx, authority string, serial Serial) (*Revocation, error) {
	return loadRevocation(ctx, tx, Revoked+authority+"/", serial)
}

func loadRevocation(ctx context.Context, tx engine.Tx, folder string, serial Serial) (*Revocation, error) {
	e, err := tx.Get(ctx, folder+string(serial))
	if err != nil || !e.Exists() {
		return nil, err
	}
	if len(e.Value) != revocationBytes || e.Value[0] != format {
		return nil, errs.New(errs.Internal, "reading a revocation: the stored record is damaged or of a newer format")
	}
	at := func(b []byte) time.Time { return time.Unix(int64(binary.BigEndian.Uint64(b)), 0).UTC() }
	return &Revocation{serial, at(e.Value[1:]), at(e.Value[9:])}, nil
}

// Revoke notes that a certificate is revoked, and that the authority's CRL lacks
// it. mark differs from one revocation to the next; a request's ID does.
func Revoke(tx engine.Tx, authority string, c *x509.Certificate, at time.Time, mark string) *Revocation {
	r := &Revocation{SerialOf(c.SerialNumber), at.UTC().Truncate(time.Second), c.NotAfter}
	value := binary.BigEndian.AppendUint64([]byte{format}, uint64(r.At.Unix()))
	value = binary.BigEndian.AppendUint64(value, uint64(r.Ends.Unix()))
	tx.Put(Revoked+authority+"/"+string(r.Serial), value)
	tx.Put(Recent+authority+"/"+string(r.Serial), value)
	auth, _ := hex.DecodeString(authority)
	tx.Put(expiryKey(r.Serial, r.Ends), auth)
	tx.Put(Stale+authority, []byte(mark))
	return r
}

// Page calls each with the revocations of a folder (Revoked or Recent) behind
// after, at most limit, in the store's order, and returns the last name, "" when
// there are no more.
func Page(ctx context.Context, tx engine.Tx, folder, after string, limit int) (page []Revocation, last string, err error) {
	names, err := tx.List(ctx, folder, after, limit)
	if err != nil {
		return nil, "", err
	}
	for _, name := range names {
		r, err := loadRevocation(ctx, tx, folder, Serial(name))
		if err != nil {
			return nil, "", err
		}
		if r != nil {
			page = append(page, *r)
		}
	}
	if len(names) == limit && limit > 0 {
		last = names[len(names)-1]
	}
	return page, last, nil
}
