package file

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/strongkeep/strongkeep/internal/draft"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/credential"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Name is the kind of wrapping that a key file makes.
const Name = "keyfile"

const (
	keySize = 32
	// maxFile is how much of a file is looked at: some 180 keys.
	maxFile = 16 << 10
)

// Key is a loaded key file. It implements keystore.Versioned and seal.Wrapper and
// is safe for concurrent use. It looks at the file again when its History is asked
// for.
type Key struct {
	path string
	id   string
	// ring lies behind a pointer of its own, so that a copy of a Key can be printed
	// and shows an address.
	ring *atomic.Pointer[ring]
}

// Load reads the key at path: 32 bytes raw, or as 64 hex digits, or as base64,
// the last two with white space around them; or several of them (see ring). A
// symbolic link is followed, "credential:NAME" is a credential of systemd's.
//
// It refuses a file that others than its owner can read or write (credential.Private). Kinds:
// NotExist, Denied (permissions), Invalid (what is in the file), Unavailable.
func Load(path string) (*Key, error) {
	path, err := credential.Resolve(path)
	if err != nil {
		return nil, err
	}
	r, err := load(path)
	if err != nil {
		return nil, err
	}
	return newKey(path, r), nil
}

func newKey(path string, r *ring) *Key {
	k := &Key{path: path, id: r.keys[0].id, ring: new(atomic.Pointer[ring])}
	k.ring.Store(r)
	return k
}

func load(path string) (*ring, error) {
	raw, err := read(path)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	r, err := parseRing(raw)
	if err != nil {
		return nil, fmt.Errorf("reading the key file %q: %w", path, err)
	}
	return r, nil
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
		return nil, fmt.Errorf("making the key file %q: %w", path, credential.Classify(err))
	}
	e, err := newEntry(key, time.Time{})
	if err != nil {
		return nil, err
	}
	e.line = 1
	return newKey(path, &ring{keys: []entry{e}}), nil
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

// create writes a file that is complete or not there, and never there already.
func create(path string, content []byte) error {
	d, err := draft.Open(path)
	if err != nil {
		return err
	}
	defer d.Discard()
	if _, err := d.Write(content); err != nil {
		return err
	}
	return d.Create()
}

func read(path string) ([]byte, error) {
	raw, err := credential.Content(path, maxFile+1)
	if err != nil {
		return nil, fmt.Errorf("reading the key file: %w", err)
	}
	return raw, nil
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

// Name returns Name.
func (k *Key) Name() string { return Name }

// KeyID returns 16 hex digits that follow from the file's first key and do not
// lead back.
func (k *Key) KeyID() string { return k.id }

// Wrap implements keystore.Key.
func (k *Key) Wrap(_ context.Context, aad []byte, key redact.Secret) ([]byte, error) {
	r := k.ring.Load()
	return r.wrap(len(r.keys)-1, aad, key), nil
}

// WrapAs implements keystore.Versioned.
func (k *Key) WrapAs(_ context.Context, version string, aad []byte, key redact.Secret) ([]byte, error) {
	r := k.ring.Load()
	i := r.find(version)
	if i < 0 {
		return nil, errs.Newf(errs.NotExist, "the key file %q has no key %q", k.path, version)
	}
	return r.wrap(i, aad, key), nil
}

// Unwrap implements keystore.Key.
func (k *Key) Unwrap(_ context.Context, aad, blob []byte) (redact.Secret, error) {
	r := k.ring.Load()
	version, sealed, err := r.split(blob)
	if err != nil {
		return redact.Secret{}, err
	}
	i := r.find(version)
	if i < 0 {
		return redact.Secret{}, errs.Newf(errs.NotExist, "the key file %q has no key %q: add it again, each is needed for as long as anything is encrypted with it", k.path, version)
	}
	key, err := r.keys[i].box.Open(aad, sealed)
	if err != nil {
		return redact.Secret{}, err
	}
	return redact.New(key), nil
}

// VersionOf implements keystore.Versioned.
func (k *Key) VersionOf(blob []byte) (string, error) {
	version, _, err := k.ring.Load().split(blob)
	return version, err
}

// History implements keystore.Versioned: it reads the file again.
func (k *Key) History(context.Context) (keystore.History, error) {
	r, err := load(k.path)
	if err != nil {
		return keystore.History{}, err
	}
	if r.keys[0].id != k.id {
		return keystore.History{}, errs.Newf(errs.Conflict, "the key file %q has another first key than when it was opened: bring back the old one, or start again with the new one, which opens nothing of before", k.path)
	}
	k.ring.Store(r)
	h := keystore.History{Lineage: k.id}
	for _, e := range r.keys {
		h.Versions = append(h.Versions, keystore.Version{ID: e.id, Made: e.made, Wraps: true})
	}
	return h, nil
}
