package snapshot

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Reader reads a snapshot from its beginning. Nothing of it is to be believed before
// Next has returned its end: only then is it known to be whole. It belongs to one goroutine.
type Reader struct {
	in   *bufio.Reader
	sum  hash.Hash
	at   int64 // how much of the file has been read
	row  []byte
	last string // key
	id   string // vault_id of the seal configuration, when it has come by
	info Info
	err  error // that Next returns for good
	done bool
}

// NewReader reads the header. Kinds: Invalid (it is no snapshot, or damaged: the error
// says what and where), Unsupported (its format is not known), and what reading gives.
func NewReader(r io.Reader) (*Reader, error) {
	s := &Reader{in: bufio.NewReaderSize(r, 256<<10), sum: sha256.New(), info: Info{Folders: map[string]uint64{}}}
	return s, s.header()
}

// Header is what the snapshot says that it is of.
func (r *Reader) Header() Header { return r.info.Header }

// Info is complete when Next has returned the end.
func (r *Reader) Info() (Info, bool) { return r.info, r.done }

// Revision implements store.Snapshot.
func (r *Reader) Revision() store.Revision { return r.info.Revision }

// Close implements store.Snapshot.
func (r *Reader) Close() error { return nil }

// damaged says what is wrong and where; at is how many bytes lie before it.
func (r *Reader) damaged(at int64, format string, args ...any) error {
	where := fmt.Sprintf("at byte %d", at)
	if r.info.VaultID != "" {
		where = fmt.Sprintf("at byte %d, behind %d entries", at, r.info.Entries)
	}
	return errs.Newf(errs.Invalid, "the snapshot is damaged %s: %s; use another one", where, fmt.Sprintf(format, args...))
}

// more appends n bytes to the row.
func (r *Reader) more(n int) error {
	start := len(r.row)
	r.row = append(r.row, make([]byte, n)...)
	got, err := io.ReadFull(r.in, r.row[start:])
	r.at += int64(got)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return r.damaged(r.at, "it ends there, it was cut short")
	case err != nil:
		return unreadable(err)
	}
	return nil
}

// unreadable is an error of what is read from: of the medium, unless it says more, as an
// envelope does.
func unreadable(err error) error {
	if errs.Is(err, errs.Invalid) {
		return err
	}
	return errs.Newf(errs.Unavailable, "reading the snapshot: %w", err)
}

// newRowReader reads entries from the middle of a snapshot that was checked whole.
func newRowReader(in io.Reader, h Header) *Reader {
	return &Reader{in: bufio.NewReaderSize(in, stretch), sum: sha256.New(), info: Info{Header: h, Folders: map[string]uint64{}}}
}

// nextRow is Next for those: the end is where nothing more is to be read.
func (r *Reader) nextRow(ctx context.Context) (store.Entry, error) {
	if _, err := r.in.Peek(1); errors.Is(err, io.EOF) {
		return store.Entry{}, nil
	}
	return r.Next(ctx)
}

func (r *Reader) header() error {
	if err := r.more(frontSize); err != nil {
		return err
	}
	if !bytes.HasPrefix(r.row, []byte(magic)) {
		return errs.New(errs.Invalid, "this is no snapshot of Strongkeep: it does not begin like one")
	}
	if format := binary.BigEndian.Uint32(r.row[len(magic):]); format != Format {
		return errs.Newf(errs.Unsupported, "the snapshot has format %d and this version of Strongkeep knows only %d: read it with the version that wrote it, or a newer one", format, Format)
	}
	size := binary.BigEndian.Uint32(r.row[len(magic)+4:])
	if size > maxHeader {
		return r.damaged(int64(len(magic)+4), "its header would have %d bytes", size)
	}
	if err := r.more(int(size) + 4); err != nil {
		return err
	}
	row, ok := uncheck(r.row)
	if !ok {
		return r.damaged(0, "the checksum of its header does not fit")
	}
	var h Header
	if err := json.Unmarshal(row[frontSize:], &h); err != nil {
		return r.damaged(int64(frontSize), "its header is no JSON")
	}
	id, err := uuid.Parse(h.VaultID)
	if err != nil || id.String() != h.VaultID {
		return r.damaged(int64(frontSize), "its header names no vault")
	}
	r.info.Header = h
	_, _ = r.sum.Write(r.row) // a hash never fails
	return nil
}

// Next implements store.Snapshot. Values are of the row that was read last. Kinds are
// those of NewReader.
func (r *Reader) Next(ctx context.Context) (store.Entry, error) {
	if err := ctx.Err(); err != nil {
		return store.Entry{}, errs.Newf(errs.Unavailable, "reading the snapshot: %w", err)
	}
	if r.done || r.err != nil {
		return store.Entry{}, r.err
	}
	var e store.Entry
	if e, r.err = r.next(); r.err != nil {
		return store.Entry{}, r.err
	}
	return e, nil
}

func (r *Reader) next() (store.Entry, error) {
	start := r.at
	r.row = r.row[:0]
	if err := r.more(1); err != nil {
		return store.Entry{}, err
	}
	switch r.row[0] {
	case tagEntry:
		return r.entry(start)
	case tagEnd:
		return store.Entry{}, r.end(start)
	}
	return store.Entry{}, r.damaged(start, "there is neither an entry nor the end")
}

func (r *Reader) entry(start int64) (store.Entry, error) {
	if err := r.more(entryFront - 1); err != nil {
		return store.Entry{}, err
	}
	keySize, valueSize := int(binary.BigEndian.Uint16(r.row[1:])), int(binary.BigEndian.Uint32(r.row[3:]))
	if keySize > store.MaxKey || valueSize > maxValue {
		return store.Entry{}, r.damaged(start, "an entry would have a key of %d bytes and a value of %d", keySize, valueSize)
	}
	if err := r.more(keySize + valueSize + 4); err != nil {
		return store.Entry{}, err
	}
	row, ok := uncheck(r.row)
	if !ok {
		return store.Entry{}, r.damaged(start, "the checksum of an entry does not fit")
	}
	key, value := string(row[entryFront:entryFront+keySize]), row[entryFront+keySize:]
	if store.CheckKey(key) != nil || isMark(key) {
		return store.Entry{}, r.damaged(start, "an entry has a key that no entry can have")
	}
	if key <= r.last {
		return store.Entry{}, r.damaged(start, "an entry is not behind the one before it")
	}
	if key == seal.ConfigKey {
		if r.id, _ = vaultID(value); r.id != r.info.VaultID {
			return store.Entry{}, r.damaged(start, "its seal configuration is of another vault than its header says")
		}
	}
	r.last = key
	r.info.count(key)
	_, _ = r.sum.Write(r.row) // a hash never fails
	return store.Entry{Key: key, Value: value, Revision: max(r.info.Revision, 1)}, nil
}

func (r *Reader) end(start int64) error {
	if err := r.more(trailerSize - 1); err != nil {
		return err
	}
	row, ok := uncheck(r.row)
	if !ok {
		return r.damaged(start, "the checksum of its end does not fit")
	}
	if n := binary.BigEndian.Uint64(row[1:]); n != r.info.Entries {
		return r.damaged(start, "it should have %d entries", n)
	}
	_, _ = r.sum.Write(row[:1+8])
	copy(r.info.Digest[:], r.sum.Sum(nil))
	rest := row[1+8:]
	if !bytes.Equal(rest[:sha256.Size], r.info.Digest[:]) {
		return r.damaged(start, "its SHA-256 does not fit")
	}
	switch rest[sha256.Size] {
	case 0:
	case 1:
		r.info.mac = bytes.Clone(rest[sha256.Size+1:])
	default:
		return r.damaged(start, "it does not say whether it is signed")
	}
	if r.id == "" {
		return r.damaged(start, "it has no seal configuration, and so is of no vault")
	}
	switch _, err := r.in.ReadByte(); {
	case err == nil:
		return r.damaged(r.at, "something follows its end")
	case !errors.Is(err, io.EOF):
		return unreadable(err)
	}
	r.info.Bytes, r.done = r.at, true
	return nil
}

// Check reads a whole snapshot. Kinds are those of NewReader.
func Check(ctx context.Context, in io.Reader) (Info, error) {
	r, err := NewReader(in)
	if err != nil {
		return Info{}, err
	}
	for {
		e, err := r.Next(ctx)
		if err != nil {
			return Info{}, err
		}
		if e.Key == "" {
			return r.info, nil
		}
	}
}
