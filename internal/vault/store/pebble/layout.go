package pebble

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// layoutVersion is the version of the layout drawn in doc.go.
const layoutVersion = 1

// dataPrefix begins the pebble key of every entry; dataEnd is behind them all.
const (
	dataPrefix = 'k'
	dataEnd    = dataPrefix + 1
)

func formatKey() []byte   { return []byte("\x00format") }
func revisionKey() []byte { return []byte("\x00revision") }

// dataKey appends the pebble key of key to buf.
func dataKey(buf []byte, key string) []byte {
	return append(append(buf, dataPrefix), key...)
}

// put adds an entry to batch without copying the value twice.
func put(batch *pebble.Batch, key string, value []byte, rev store.Revision) error {
	op := batch.SetDeferred(1+len(key), 8+len(value))
	op.Key[0] = dataPrefix
	copy(op.Key[1:], key)
	binary.BigEndian.PutUint64(op.Value, uint64(rev))
	copy(op.Value[8:], value)
	return op.Finish()
}

func putRevision(batch *pebble.Batch, rev store.Revision) error {
	return batch.Set(revisionKey(), binary.BigEndian.AppendUint64(nil, uint64(rev)), nil)
}

// split takes a stored value apart. The result shares stored.
func split(stored []byte) (store.Revision, []byte, error) {
	if len(stored) < 8 {
		return 0, nil, errs.New(errs.Internal, "a stored entry is cut short: the store is damaged; restore it from a backup")
	}
	return store.Revision(binary.BigEndian.Uint64(stored)), stored[8:], nil
}

// prepare reads the revision of an opened database, and gives an empty one its
// format. It refuses what it does not know.
func prepare(db *pebble.DB, dir string) (store.Revision, error) {
	format, err := read(db, formatKey())
	if err != nil {
		return 0, err
	}
	if format == nil {
		return 0, initialize(db, dir)
	}
	if len(format) != 4 || binary.BigEndian.Uint32(format) > layoutVersion {
		return 0, errs.Newf(errs.Unsupported, "the store in %q has a format this version does not know (%x, known up to %d); run the newer version of strongkeep that wrote it", dir, format, layoutVersion)
	}
	rev, err := read(db, revisionKey())
	if err != nil {
		return 0, err
	}
	if len(rev) != 8 {
		return 0, errs.Newf(errs.Internal, "the store in %q has no revision: it is damaged; restore it from a backup", dir)
	}
	return store.Revision(binary.BigEndian.Uint64(rev)), nil
}

func initialize(db *pebble.DB, dir string) error {
	it, err := db.NewIter(nil)
	if err != nil {
		return failure("reading the store", err)
	}
	foreign := it.First()
	if err := it.Close(); err != nil {
		return failure("reading the store", err)
	}
	if foreign {
		return errs.Newf(errs.Invalid, "the database in %q was not made by strongkeep; choose another directory", dir)
	}
	batch := db.NewBatch()
	defer func() { _ = batch.Close() }()
	format := binary.BigEndian.AppendUint32(nil, layoutVersion)
	if err := batch.Set(formatKey(), format, nil); err != nil {
		return failure("writing the format", err)
	}
	if err := putRevision(batch, 0); err != nil {
		return failure("writing the format", err)
	}
	return failure("writing the format", db.Apply(batch, pebble.Sync))
}

// read returns a copy of the value at key, nil if there is none.
func read(db *pebble.DB, key []byte) ([]byte, error) {
	value, closer, err := db.Get(key)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, failure("reading the store", err)
	}
	value = bytes.Clone(value)
	return value, failure("reading the store", closer.Close())
}

// failure gives an error of pebble a kind. failure(_, nil) is nil.
func failure(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case pebble.IsCorruptionError(err):
		return errs.Newf(errs.Internal, "%s: the store is damaged; restore it from a backup: %w", doing, err)
	default:
		return errs.Newf(errs.Unavailable, "%s: %w", doing, err)
	}
}
