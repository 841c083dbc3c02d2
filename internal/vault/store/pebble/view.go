package pebble

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// view is the store as it stood after one sync. The store holds one reference
// to the newest view, every running call one to the view it uses.
type view struct {
	rev  store.Revision
	snap *pebble.Snapshot
	refs atomic.Int64
}

// views hands out the newest view without a lock.
type views struct {
	newest atomic.Pointer[view]
	open   sync.WaitGroup // views whose snapshot is not closed yet
}

// publish makes the state of db, all of it synced, the newest view.
func (v *views) publish(db *pebble.DB, rev store.Revision) {
	next := &view{rev: rev, snap: db.NewSnapshot()}
	next.refs.Store(1)
	v.open.Add(1)
	v.release(v.newest.Swap(next))
}

// acquire returns the newest view, to be released, or nil after close.
func (v *views) acquire() *view {
	for {
		now := v.newest.Load()
		if now == nil {
			return nil
		}
		// A view whose references are used up has been replaced meanwhile.
		if n := now.refs.Load(); n > 0 && now.refs.CompareAndSwap(n, n+1) {
			return now
		}
	}
}

func (v *views) release(old *view) {
	if old != nil && old.refs.Add(-1) == 0 {
		_ = old.snap.Close() // always nil
		v.open.Done()
	}
}

// close makes acquire return nil and waits until nobody uses a view.
func (v *views) close() {
	v.release(v.newest.Swap(nil))
	v.open.Wait()
}

func (v *view) get(key string) (store.Entry, error) {
	stored, closer, err := v.snap.Get(dataKey(make([]byte, 0, 128), key))
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return store.Entry{Key: key}, nil
	case err != nil:
		return store.Entry{}, failure("reading an entry", err)
	}
	rev, value, err := split(stored)
	value = bytes.Clone(value)
	if closeErr := closer.Close(); err == nil {
		err = failure("reading an entry", closeErr)
	}
	if err != nil {
		return store.Entry{}, err
	}
	return store.Entry{Key: key, Value: value, Revision: rev}, nil
}

// revision returns the revision of key, 0 if it does not exist.
func (v *view) revision(key string) (store.Revision, error) {
	stored, closer, err := v.snap.Get(dataKey(make([]byte, 0, 128), key))
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return 0, nil
	case err != nil:
		return 0, failure("reading an entry", err)
	}
	rev, _, err := split(stored)
	if closeErr := closer.Close(); err == nil {
		err = failure("reading an entry", closeErr)
	}
	return rev, err
}

// list returns the names in folder. It reads one key per subfolder, however
// much the subfolder holds.
func (v *view) list(ctx context.Context, folder, after string, limit int) (names []string, err error) {
	it, err := v.snap.NewIter(&pebble.IterOptions{
		LowerBound: dataKey(nil, folder+after),
		UpperBound: behind(folder),
	})
	if err != nil {
		return nil, failure("listing a folder", err)
	}
	defer func() {
		if closeErr := it.Close(); err == nil && closeErr != nil {
			names, err = nil, failure("listing a folder", closeErr)
		}
	}()
	ok := it.First()
	for n := 1; ok; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return nil, errs.Newf(errs.Unavailable, "listing a folder: %w", ctx.Err())
		}
		name := string(it.Key()[1+len(folder):])
		if i := strings.IndexByte(name, '/'); i >= 0 {
			name = name[:i+1]
		}
		if name > after {
			names = append(names, name)
		}
		if limit > 0 && len(names) == limit {
			break
		}
		if name[len(name)-1] == '/' {
			ok = it.SeekGE(behind(folder + name))
		} else {
			ok = it.Next()
		}
	}
	return names, nil
}

// behind returns the first pebble key that is behind all of folder: '0'
// follows '/'.
func behind(folder string) []byte {
	if folder == "" {
		return []byte{dataEnd}
	}
	end := dataKey(nil, folder)
	end[len(end)-1] = '0'
	return end
}
