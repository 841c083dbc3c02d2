package snapshot

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"time"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Format is the one that Write writes, and the only one there has been.
const Format = 1

const (
	magic       = "SKSNAPSH"
	frontSize   = len(magic) + 4 + 4
	maxHeader   = 64 << 10
	tagEntry    = 1
	tagEnd      = 2
	entryFront  = 1 + 2 + 4
	trailerSize = 1 + 8 + sha256.Size + 1 + sha256.Size + 4
	maxValue    = store.MaxValue + store.Overhead
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header says what a snapshot is of. It holds nothing secret.
type Header struct {
	VaultID  string         `json:"vault_id"` // a UUID
	Revision store.Revision `json:"revision"` // at which the store was read
	Time     time.Time      `json:"time"`
	Version  string         `json:"version"` // of the Strongkeep that wrote it
}

// Info is what a whole snapshot says of itself.
type Info struct {
	Header
	Entries uint64
	Bytes   int64
	Digest  [sha256.Size]byte
	Folders map[string]uint64 // entries by the first segment of their keys
	mac     []byte            // nil = not signed
}

// SHA256 is the digest in hex.
func (i *Info) SHA256() string { return hex.EncodeToString(i.Digest[:]) }

// Signed reports whether the vault signed it.
func (i *Info) Signed() bool { return i.mac != nil }

// MAC is the signature in hex, "" if there is none.
func (i *Info) MAC() string { return hex.EncodeToString(i.mac) }

// Keys derive the key that signs; seal.Keyring does.
type Keys interface {
	Derive(label string) (redact.Secret, error)
}

// label of the key that signs. It never changes.
const label = "snapshot"

// sign is the MAC of a digest.
func sign(keys Keys, digest []byte) ([]byte, error) {
	key, err := keys.Derive(label)
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	m := hmac.New(sha256.New, key.Reveal())
	_, _ = m.Write([]byte("strongkeep snapshot v1\x00")) // a hash never fails
	_, _ = m.Write(digest)
	return m.Sum(nil), nil
}

// Authenticate returns Invalid unless the vault whose keys these are has signed it.
func (i *Info) Authenticate(keys Keys) error { return authenticate(keys, i.Digest[:], i.mac) }

// CheckMAC is Authenticate by what SHA256 and MAC say.
func CheckMAC(keys Keys, digest, mac string) error {
	d, err := hex.DecodeString(digest)
	if err != nil || len(d) != sha256.Size {
		return errs.New(errs.Invalid, "the SHA-256 of a snapshot is 64 hexadecimal digits")
	}
	m, err := hex.DecodeString(mac)
	if err != nil || len(m) != 0 && len(m) != sha256.Size {
		return errs.New(errs.Invalid, "the signature of a snapshot is 64 hexadecimal digits")
	}
	return authenticate(keys, d, m)
}

func authenticate(keys Keys, digest, mac []byte) error {
	if len(mac) == 0 {
		return errs.New(errs.Invalid, "the snapshot is not signed: nobody can tell whether it is what the vault held")
	}
	want, err := sign(keys, digest)
	if err != nil {
		return err
	}
	if !hmac.Equal(mac, want) {
		return errs.New(errs.Invalid, "the snapshot is not signed by this vault: it is another vault's, or somebody changed it")
	}
	return nil
}

// encodeHeader is the first row.
func encodeHeader(h Header) ([]byte, error) {
	text, err := json.Marshal(h)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding the header of a snapshot: %w", err)
	}
	row := append([]byte(magic), 0, 0, 0, Format)
	row = binary.BigEndian.AppendUint32(row, uint32(len(text)))
	return check(append(row, text...)), nil
}

// appendEntry is the row of an entry.
func appendEntry(row []byte, e *store.Entry) []byte {
	row = append(row, tagEntry)
	row = binary.BigEndian.AppendUint16(row, uint16(len(e.Key)))
	row = binary.BigEndian.AppendUint32(row, uint32(len(e.Value)))
	row = append(row, e.Key...)
	return check(append(row, e.Value...))
}

// check appends the checksum of a row.
func check(row []byte) []byte {
	return binary.BigEndian.AppendUint32(row, crc32.Checksum(row, castagnoli))
}

// uncheck takes the checksum off; false: it is wrong.
func uncheck(row []byte) ([]byte, bool) {
	cut := len(row) - 4
	return row[:cut], binary.BigEndian.Uint32(row[cut:]) == crc32.Checksum(row[:cut], castagnoli)
}

// vaultID reads it out of a stored seal configuration.
func vaultID(config []byte) (string, error) {
	var c struct {
		VaultID uuid.UUID `json:"vault_id"`
	}
	if err := json.Unmarshal(config, &c); err != nil || c.VaultID == uuid.Nil {
		return "", errs.New(errs.Internal, "the stored seal configuration is damaged: it has no vault_id")
	}
	return c.VaultID.String(), nil
}
