package keyfile

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/seal/box"
)

// Name is the kind of wrapping that a key file makes.
const Name = "keyfile"

const (
	keySize = 32
	// maxFile is how much of a file is looked at: more than any form of the
	// key with white space around it.
	maxFile = 1 << 10
)

// Uses of the file's key, each with a key of its own.
const (
	wrapInfo = "strongkeep keyfile wrap v1"
	idInfo   = "strongkeep keyfile id v1"
)

// Key is a loaded key file. It implements seal.Wrapper and is safe for
// concurrent use. It does not look at the file again.
type Key struct {
	id  string
	box box.Box
}

// Load reads the key at path: 32 bytes raw, or as 64 hex digits, or as base64,
// the last two with white space around them. A symbolic link is followed.
//
// It refuses a file that others than its owner can read or write. Kinds:
// NotExist, Denied (permissions), Invalid (what is in the file), Unavailable.
func Load(path string) (*Key, error) {
	raw, err := read(path)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	key, err := parse(raw)
	if err != nil {
		return nil, fmt.Errorf("reading the key file %q: %w", path, err)
	}
	defer clear(key)
	return newKey(key)
}

// Generate makes a new random key at path, as hex, readable by its owner only,
// and durable when it returns. Kinds: Exist, if anything is at path: a key is
// never overwritten; Denied; Unavailable.
func Generate(path string) (*Key, error) {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the program first
	defer clear(key)
	text := append([]byte(hex.EncodeToString(key)), '\n')
	defer clear(text)
	err := create(path, text)
	if errors.Is(err, fs.ErrExist) {
		return nil, errs.Newf(errs.Exist, "%q is there already, and may be the only key of a vault: choose another name", path)
	}
	if err != nil {
		return nil, fmt.Errorf("making the key file %q: %w", path, classify(err))
	}
	return newKey(key)
}

// LoadOrGenerate is Load, or Generate if there is no file. Any number of
// processes may call it at once and get the same key.
func LoadOrGenerate(path string) (*Key, error) {
	key, err := Load(path)
	if !errs.Is(err, errs.NotExist) {
		return key, err
	}
	key, err = Generate(path)
	if errs.Is(err, errs.Exist) { // another process was faster
		return Load(path)
	}
	return key, err
}

// create writes a file that is complete or not there, and never there already:
// a link, unlike a rename, does not replace.
func create(path string, content []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".strongkeep-key-*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the key file: %w", classify(err))
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat() // of what was opened, not of what is at path now
	if err != nil {
		return nil, fmt.Errorf("looking at the key file: %w", classify(err))
	}
	if !info.Mode().IsRegular() {
		return nil, errs.Newf(errs.Invalid, "the key file %q is not a regular file", path)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, errs.Newf(errs.Denied, "the key file %q can be read or changed by others than its owner (mode %#o): run chmod 0400 %s; for a mounted Kubernetes Secret set defaultMode: 0400", path, perm, path)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the key file: %w", classify(err))
	}
	return raw, nil
}

// classify gives an error of the file system its kind.
func classify(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errs.As(errs.NotExist, err)
	case errors.Is(err, fs.ErrExist):
		return errs.As(errs.Exist, err)
	case errors.Is(err, fs.ErrPermission):
		return errs.As(errs.Denied, err)
	}
	return errs.As(errs.Unavailable, err)
}

// parse returns the key in raw, as a copy. Its errors tell lengths only.
func parse(raw []byte) ([]byte, error) {
	if len(raw) == keySize {
		if printable(raw) {
			return nil, errs.New(errs.Invalid, "32 printable characters are not a random key: make one with openssl rand -hex 32")
		}
		return checked(append([]byte(nil), raw...))
	}
	text := trim(raw)
	key := make([]byte, keySize+3)
	n, err := 0, error(nil)
	switch len(text) {
	case hex.EncodedLen(keySize):
		n, err = hex.Decode(key, text)
	case base64.StdEncoding.EncodedLen(keySize):
		n, err = base64.StdEncoding.Strict().Decode(key, text)
	case base64.RawStdEncoding.EncodedLen(keySize):
		n, err = base64.RawStdEncoding.Strict().Decode(key, text)
	default:
		return nil, errs.Newf(errs.Invalid, "%d bytes are no key: it must be 32 raw bytes, 64 hex digits or 44 characters of base64; make one with openssl rand -hex 32", len(raw))
	}
	if err != nil || n != keySize {
		clear(key)
		return nil, errs.Newf(errs.Invalid, "%d characters that are neither 32 bytes in hex nor in base64: make a key with openssl rand -hex 32", len(text))
	}
	return checked(key[:keySize])
}

// checked refuses a key that was never random, such as the head of /dev/zero.
func checked(key []byte) ([]byte, error) {
	var same byte
	for _, b := range key {
		same |= b ^ key[0]
	}
	if same == 0 {
		return nil, errs.New(errs.Invalid, "a key of 32 equal bytes is not random: make one with openssl rand -hex 32")
	}
	return key, nil
}

func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

func trim(b []byte) []byte {
	space := func(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
	for len(b) > 0 && space(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && space(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func newKey(key []byte) (*Key, error) {
	id, err := hkdf.Key(sha256.New, key, nil, idInfo, 8)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "deriving the key file's id: %w", err)
	}
	wrapKey, err := hkdf.Key(sha256.New, key, nil, wrapInfo, box.KeySize)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "deriving the key file's wrapping key: %w", err)
	}
	defer clear(wrapKey)
	b, err := box.New(wrapKey)
	if err != nil {
		return nil, err
	}
	return &Key{id: hex.EncodeToString(id), box: b}, nil
}

// Name returns Name.
func (k *Key) Name() string { return Name }

// KeyID returns 16 hex digits that follow from the key and do not lead back.
func (k *Key) KeyID() string { return k.id }

// Wrap implements seal.Wrapper. The blob is a box.
func (k *Key) Wrap(_ context.Context, aad []byte, key redact.Secret) ([]byte, error) {
	return k.box.Append(nil, aad, key.Reveal()), nil
}

// Unwrap implements seal.Wrapper.
func (k *Key) Unwrap(_ context.Context, aad, blob []byte) (redact.Secret, error) {
	key, err := k.box.Open(aad, blob)
	if err != nil {
		return redact.Secret{}, err
	}
	return redact.New(key), nil
}
