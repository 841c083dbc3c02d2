package file

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"time"

	"github.com/strongkeep/strongkeep/internal/draft"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/credential"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/seal/box"
)

// Uses of a key, each with a key of its own.
const (
	wrapInfo = "strongkeep keyfile wrap v1"
	idInfo   = "strongkeep keyfile id v1"
)

// ring is what a file holds: one key, in any of parse's forms, or several, a line
// each, of which the last wraps:
//
//	# comments and empty lines are skipped
//	<key in hex or base64>
//	<key in hex or base64> 2026-11-22T06:00:00Z
//
// The second word is when the key was made. The first key gives the file its id,
// so lines are added at the end, and the first one stays.
//
// What the first key wraps is a box, as it was when a file held one key only. What
// another wraps says which:
//
//	+---+--------+---------+
//	| 2 | key id |  box    |
//	|   |   8    |         |
//	+---+--------+---------+
//
// The id is not authenticated: it chooses the key, and another one does not open the box.
type ring struct{ keys []entry }

type entry struct {
	id   string // 16 hex digits
	made time.Time
	box  box.Box
	line int // of the file, from 1
}

const (
	named    = 2 // the first byte of what others than the first key wrap; box.Version is 1
	idSize   = 8
	headSize = 1 + idSize
)

func newEntry(key []byte, made time.Time) (entry, error) {
	id, err := hkdf.Key(sha256.New, key, nil, idInfo, idSize)
	if err != nil {
		return entry{}, errs.Newf(errs.Internal, "deriving the key file's id: %w", err)
	}
	wrapKey, err := hkdf.Key(sha256.New, key, nil, wrapInfo, box.KeySize)
	if err != nil {
		return entry{}, errs.Newf(errs.Internal, "deriving the key file's wrapping key: %w", err)
	}
	defer clear(wrapKey)
	b, err := box.New(wrapKey)
	if err != nil {
		return entry{}, err
	}
	return entry{id: hex.EncodeToString(id), made: made, box: b}, nil
}

// parseRing reads a file's content.
func parseRing(raw []byte) (*ring, error) {
	text := trim(raw)
	if len(raw) == keySize || !bytes.ContainsAny(text, "\n ") {
		key, err := parse(raw)
		if err != nil {
			return nil, err
		}
		defer clear(key)
		e, err := newEntry(key, time.Time{})
		e.line = 1
		return &ring{keys: []entry{e}}, err
	}
	if len(raw) > maxFile {
		return nil, errs.Newf(errs.Invalid, "over %d bytes are no file of keys", maxFile)
	}
	r, skipped := new(ring), bytes.Count(raw[:bytes.Index(raw, text)], []byte("\n"))
	for i, line := range bytes.Split(text, []byte("\n")) {
		line = trim(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		e, err := parseLine(line)
		if err == nil && r.find(e.id) >= 0 {
			err = errs.New(errs.Invalid, "the same key is in an earlier line")
		}
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "line %d: %w", i+1, err)
		}
		e.line = i + 1 + skipped
		r.keys = append(r.keys, e)
	}
	if len(r.keys) == 0 {
		return nil, errs.New(errs.Invalid, "no line has a key; make one with openssl rand -hex 32")
	}
	return r, nil
}

func parseLine(line []byte) (entry, error) {
	word, date, dated := bytes.Cut(line, []byte(" "))
	var made time.Time
	if dated {
		var err error
		if made, err = time.Parse(time.RFC3339, string(trim(date))); err != nil {
			return entry{}, errs.New(errs.Invalid, "what follows the key is no time such as 2026-01-02T15:04:05Z") // the error would quote it
		}
	}
	if len(word) == keySize {
		return entry{}, errs.New(errs.Invalid, "32 bytes are no key in a file of several: write it in hex or base64")
	}
	key, err := parse(word)
	if err != nil {
		return entry{}, err
	}
	defer clear(key)
	return newEntry(key, made)
}

func (r *ring) find(id string) int {
	for i := range r.keys {
		if r.keys[i].id == id {
			return i
		}
	}
	return -1
}

func (r *ring) wrap(i int, aad []byte, plain redact.Secret) []byte {
	e := r.keys[i]
	if i == 0 {
		return e.box.Append(nil, aad, plain.Reveal())
	}
	head := make([]byte, 1, headSize+box.Overhead+plain.Len())
	head[0] = named
	id, _ := hex.DecodeString(e.id) // made by us
	return e.box.Append(append(head, id...), aad, plain.Reveal())
}

// split returns the id of the key that a blob says it is under, and its box.
func (r *ring) split(blob []byte) (id string, sealed []byte, err error) {
	switch {
	case len(blob) == 0:
		return "", nil, errs.New(errs.Invalid, "nothing is no encrypted value")
	case blob[0] != named && blob[0] != box.Version:
		return "", nil, errs.Newf(errs.Unsupported, "an encrypted value has format %d and this version of Strongkeep knows only %d and %d: upgrade it, or the value is damaged", blob[0], box.Version, named)
	case blob[0] == box.Version && len(blob) >= box.Overhead:
		return r.keys[0].id, blob, nil
	case len(blob) < headSize+box.Overhead:
		return "", nil, errs.Newf(errs.Invalid, "%d bytes are too few for an encrypted value: it was cut short", len(blob))
	}
	return hex.EncodeToString(blob[1:headSize]), blob[headSize:], nil
}

// Add makes a new random key and adds it to the file at path, which is replaced
// whole: readers see the old or the new one, of the same owner and mode. From made on
// (zero: for ever) it is the newest. Kinds: those of Load; Denied also if the file
// cannot be given to its owner.
func Add(path string, made time.Time) (err error) {
	raw, err := read(path)
	if err != nil {
		return err
	}
	defer clear(raw)
	r, err := parseRing(raw)
	if err != nil {
		return fmt.Errorf("reading the key file %q: %w", path, err)
	}
	text := raw
	if len(raw) == keySize { // raw bytes have no lines
		text = []byte(hex.EncodeToString(raw))
	}
	if last := r.keys[len(r.keys)-1]; !made.IsZero() && last.made.After(made) {
		return errs.Newf(errs.Invalid, "the newest key of %q is made at %s, later than %s: is the clock right?", path, last.made.Format(time.RFC3339), made.Format(time.RFC3339))
	}
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the program first
	defer clear(key)
	out := make([]byte, 0, len(text)+128)
	defer func() { clear(out) }()
	out = append(append(out, trim(text)...), '\n')
	out = hex.AppendEncode(out, key)
	if !made.IsZero() {
		out = made.UTC().AppendFormat(append(out, ' '), time.RFC3339)
	}
	if err := replace(path, append(out, '\n')); err != nil {
		return fmt.Errorf("adding to the key file %q: %w", path, credential.Classify(err))
	}
	return nil
}

// replace writes a file whole and durably in the place of the one at path. What one that
// was killed has left of it goes first: there is a key in it.
func replace(path string, content []byte) error {
	real, err := draft.Resolve(path)
	if err != nil {
		return err
	}
	before, err := os.Stat(real)
	if err != nil {
		return err
	}
	if err := draft.Sweep(real); err != nil {
		return err
	}
	d, err := draft.Open(real)
	if err != nil {
		return err
	}
	defer d.Discard()
	if err := d.Like(before); err != nil {
		return err
	}
	if _, err := d.Write(content); err != nil {
		return err
	}
	return d.Replace()
}

// settings are those of a file in a configuration.
type settings struct {
	// Path is the file, or credential:NAME.
	Path string `json:"path"`
}

// Open is the keystore.Opener of files: {"path":"/etc/strongkeep/kms.key"}. Unlike
// others it reads what it opens at once.
func Open(raw []byte) (keystore.Versioned, error) {
	var s settings
	if err := keystore.Decode(raw, &s); err != nil {
		return nil, err
	}
	if s.Path == "" {
		return nil, errs.New(errs.Invalid, "path is missing: a file with a key, or credential:NAME")
	}
	if _, err := credential.Resolve(s.Path); err != nil {
		return nil, err
	}
	return Load(s.Path)
}
