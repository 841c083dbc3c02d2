package snapshot

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Source says what is saved.
type Source struct {
	Store   store.Store // the base store, which is a store.Snapshotter
	Keys    Keys        // nil = the snapshot is not signed
	Version string
	Now     time.Time
}

// Write writes a snapshot of one moment, whatever is written to the store meanwhile. It
// keeps one entry in memory. Kinds: Invalid (there is no vault in the store), Exhausted
// (the store does not remember the moment any more: begin anew), Unsupported, those of
// the store; and what writing to w gives.
func Write(ctx context.Context, w io.Writer, src Source) (Info, error) {
	from, ok := src.Store.(store.Snapshotter)
	if !ok {
		return Info{}, errs.New(errs.Unsupported, "this kind of store has no snapshots")
	}
	config, err := src.Store.Get(ctx, seal.ConfigKey)
	if err != nil {
		return Info{}, err
	}
	if !config.Exists() {
		return Info{}, errs.New(errs.Invalid, "there is no vault in the store to make a snapshot of: it is not initialized")
	}
	id, err := vaultID(config.Value)
	if err != nil {
		return Info{}, err
	}
	snap, err := from.Snapshot(ctx)
	if err != nil {
		return Info{}, err
	}
	out := newWriter(w)
	out.info.Header = Header{VaultID: id, Revision: snap.Revision(), Time: src.Now.UTC().Truncate(time.Second), Version: src.Version}
	err = out.all(ctx, snap, src.Keys)
	return out.info, errors.Join(err, snap.Close())
}

// writer writes the rows.
type writer struct {
	out  *bufio.Writer
	sum  interface{ Sum([]byte) []byte }
	row  []byte
	info Info
}

func newWriter(w io.Writer) *writer {
	sum := sha256.New()
	return &writer{out: bufio.NewWriterSize(io.MultiWriter(w, sum), 256<<10), sum: sum, info: Info{Folders: map[string]uint64{}}}
}

func (w *writer) all(ctx context.Context, snap store.Snapshot, keys Keys) error {
	first, err := encodeHeader(w.info.Header)
	if err != nil {
		return err
	}
	if err := w.write(first); err != nil {
		return err
	}
	for {
		e, err := snap.Next(ctx)
		if err != nil {
			return err
		}
		if e.Key == "" {
			return w.end(keys)
		}
		if isMark(e.Key) {
			continue
		}
		w.row = appendEntry(w.row[:0], &e)
		if err := w.write(w.row); err != nil {
			return err
		}
		w.info.count(e.Key)
	}
}

func (w *writer) write(row []byte) error {
	n, err := w.out.Write(row)
	w.info.Bytes += int64(n)
	return writing(err)
}

// end writes the last row.
func (w *writer) end(keys Keys) error {
	row := binary.BigEndian.AppendUint64([]byte{tagEnd}, w.info.Entries)
	if err := w.write(row); err != nil {
		return err
	}
	if err := writing(w.out.Flush()); err != nil {
		return err
	}
	digest := w.sum.Sum(nil)
	copy(w.info.Digest[:], digest)
	row = append(row, digest...)
	if keys == nil {
		row = append(append(row, 0), make([]byte, sha256.Size)...)
	} else {
		mac, err := sign(keys, digest)
		if err != nil {
			return err
		}
		w.info.mac = mac
		row = append(append(row, 1), mac...)
	}
	if err := w.write(check(row)[1+8:]); err != nil {
		return err
	}
	return writing(w.out.Flush())
}

// maxFolders bounds what a file can make us remember; a vault has about 20.
const maxFolders = 256

func (i *Info) count(key string) {
	i.Entries++
	folder := key
	if cut := strings.IndexByte(key, '/'); cut >= 0 {
		folder = key[:cut+1]
	}
	if _, known := i.Folders[folder]; !known && len(i.Folders) >= maxFolders {
		folder = "…"
	}
	i.Folders[folder]++
}

func writing(err error) error {
	if err == nil {
		return nil
	}
	return errs.Newf(errs.Unavailable, "writing the snapshot: %w", err)
}
