package stored

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Snapshot is the file of one: what "etcdctl snapshot save" writes, or member/snap/db
// of an etcd that does not run. It is a database of bbolt's, whose bucket "key" has
//
//	key    8 bytes revision, big endian, '_', 8 bytes place within it, 't' if it is a deletion
//	value  protobuf mvccpb.KeyValue: 1 key, 5 value
//
// and, if etcdctl wrote it, SHA-256 of all before in 32 bytes more.
type Snapshot struct{ Path string }

const (
	revisionSize = 17
	// sector is what the size of a database is a multiple of, in bytes.
	sector = 512
)

// Read checks the file's sum, if it has one, and visits all of its values. Errors are
// NotExist, Denied, Invalid (it is not a snapshot, or damaged), Conflict (an etcd has
// it open).
func (s Snapshot) Read(ctx context.Context, folders []string, visit func(Entry)) (Origin, error) {
	origin := Origin{Source: "snapshot " + s.Path, Instants: 1, History: true}
	summed, err := s.check(ctx)
	if err != nil {
		return origin, err
	}
	if !summed {
		origin.Source += " (without a checksum)"
	}
	db, err := s.open()
	if err != nil {
		return origin, err
	}
	defer func() { _ = db.Close() }()
	h := history{folders: folders, visit: visit, last: map[string]version{}}
	err = s.guard(func() error { return db.View(func(tx *bolt.Tx) error { return h.read(ctx, tx) }) })
	origin.Revision = h.revision
	return origin, err
}

// Has reports whether the database has a bucket of this name, beside those of etcd. What
// cannot be opened has none: Read tells why.
func (s Snapshot) Has(bucket string) (has bool) {
	db, err := s.open()
	if err != nil {
		return false
	}
	defer func() { _ = db.Close() }()
	err = s.guard(func() error {
		return db.View(func(tx *bolt.Tx) error { has = tx.Bucket([]byte(bucket)) != nil; return nil })
	})
	return has && err == nil
}

// open opens the file for reading. A running etcd has it locked.
func (s Snapshot) open() (db *bolt.DB, err error) {
	err = s.guard(func() error {
		db, err = bolt.Open(s.Path, 0o400, &bolt.Options{ReadOnly: true, Timeout: time.Second})
		return err
	})
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, errs.Newf(errs.Conflict, "opening snapshot %s: another process has it open: of a running etcd take a snapshot (etcdctl snapshot save FILE)", s.Path)
	case errs.KindOf(err) == errs.Invalid:
		return nil, err
	}
	return nil, errs.Newf(errs.Invalid, "opening snapshot %s: this is not a snapshot of etcd, or it is damaged: %w", s.Path, err)
}

// guard makes an error of a file that is so damaged that bbolt panics, or that ends
// before its pages do.
func (s Snapshot) guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = errs.Newf(errs.Invalid, "reading snapshot %s: it is damaged: take another one", s.Path)
		}
	}()
	return f()
}

// check reports whether the file has a sum, and the error if it is not right.
func (s Snapshot) check(ctx context.Context) (summed bool, err error) {
	f, err := os.Open(s.Path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, errs.Newf(errs.NotExist, "there is no snapshot %s", s.Path)
	case err != nil:
		return false, errs.Newf(errs.Denied, "opening snapshot: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return false, errs.Newf(errs.Unavailable, "looking at snapshot %s: %w", s.Path, err)
	}
	if !info.Mode().IsRegular() || info.Size() < 2*sector {
		return false, errs.Newf(errs.Invalid, "%s is not a snapshot of etcd: it is no file, or it is empty", s.Path)
	}
	if info.Size()%sector != sha256.Size {
		return false, nil
	}
	sum := sha256.New()
	if err := copyContext(ctx, sum, io.LimitReader(f, info.Size()-sha256.Size)); err != nil {
		return false, err
	}
	told, err := io.ReadAll(io.LimitReader(f, sha256.Size))
	if err != nil {
		return false, errs.Newf(errs.Unavailable, "reading snapshot %s: %w", s.Path, err)
	}
	if string(told) != string(sum.Sum(nil)) {
		return false, errs.Newf(errs.Invalid, "snapshot %s is not as it was written: its checksum is another: take another one", s.Path)
	}
	return true, nil
}

func copyContext(ctx context.Context, to hash.Hash, from io.Reader) error {
	block := make([]byte, 1<<20)
	for ctx.Err() == nil {
		n, err := from.Read(block)
		_, _ = to.Write(block[:n]) // a hash never errs
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return errs.Newf(errs.Unavailable, "reading snapshot: %w", err)
		}
	}
	return ctx.Err()
}

// history goes through all revisions, the oldest first, so that a later value of a
// key takes the place of the one before.
type history struct {
	folders  []string
	visit    func(Entry)
	last     map[string]version // of each key
	revision int64
}

// version is a value, in the file's own memory, and the revision that wrote it.
type version struct {
	value    []byte
	revision int64
}

func (h *history) read(ctx context.Context, tx *bolt.Tx) error {
	bucket := tx.Bucket([]byte("key"))
	if bucket == nil {
		return errs.New(errs.Invalid, `this is not a snapshot of etcd: it has no bucket "key"`)
	}
	cursor := bucket.Cursor()
	for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := h.add(k, v); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(h.last)) {
		h.visit(Entry{Key: []byte(key), Value: h.last[key].value, Revision: h.last[key].revision})
	}
	return nil
}

func (h *history) add(revision, stored []byte) error {
	if len(revision) < revisionSize || revision[8] != '_' {
		return errs.New(errs.Invalid, "this is not a snapshot of etcd: a revision in it is none")
	}
	h.revision = int64(binary.BigEndian.Uint64(revision))
	var key, value []byte
	if !fields(stored, func(number protowire.Number, content []byte) {
		switch number {
		case 1:
			key = content
		case 5:
			value = content
		}
	}) {
		return errs.Newf(errs.Invalid, "the snapshot is damaged at revision %d: take another one", h.revision)
	}
	if !h.wanted(string(key)) {
		return nil
	}
	if before, ok := h.last[string(key)]; ok {
		h.visit(Entry{Key: key, Value: before.value, Superseded: true, Revision: before.revision})
	}
	if strings.HasSuffix(string(revision[revisionSize:]), "t") {
		delete(h.last, string(key))
		return nil
	}
	h.last[string(key)] = version{value, h.revision}
	return nil
}

func (h *history) wanted(key string) bool {
	for _, f := range h.folders {
		if strings.HasPrefix(key, f) {
			return true
		}
	}
	return false
}
