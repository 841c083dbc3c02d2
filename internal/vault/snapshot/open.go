package snapshot

import (
	"context"
	"io"
	"sort"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// File is a snapshot as a store that nobody can write to. What it holds is found by an
// index of one key for each stretch of the file.
type File struct {
	at    io.ReaderAt
	info  Info
	index []place
	ends  int64 // of the last entry
}

// place is where an entry begins.
type place struct {
	key string
	at  int64
}

// stretch is how far apart the places of the index are, at least, in bytes.
const stretch = 64 << 10

var (
	_ store.Store       = (*File)(nil)
	_ store.Snapshotter = (*File)(nil)
)

// Open reads a whole snapshot and makes a store of it. at must stay readable, and the
// same, until the last use. Kinds are those of NewReader.
func Open(ctx context.Context, at io.ReaderAt, size int64) (*File, error) {
	r, err := NewReader(io.NewSectionReader(at, 0, size))
	if err != nil {
		return nil, err
	}
	f := &File{at: at}
	for {
		start := r.at
		e, err := r.Next(ctx)
		if err != nil {
			return nil, err
		}
		if e.Key == "" {
			f.info, f.ends = r.info, start
			return f, nil
		}
		if n := len(f.index); n == 0 || start-f.index[n-1].at >= stretch {
			f.index = append(f.index, place{e.Key, start})
		}
	}
}

// Info says what is in it.
func (f *File) Info() Info { return f.info }

// from returns a reader of the entries whose keys are not before key. Rows before them
// in their stretch are skipped.
func (f *File) from(ctx context.Context, key string) (*cursor, error) {
	i := sort.Search(len(f.index), func(i int) bool { return f.index[i].key > key })
	start := f.ends
	if len(f.index) > 0 {
		start = f.index[max(i-1, 0)].at
	}
	c := &cursor{r: newRowReader(io.NewSectionReader(f.at, start, f.ends-start), f.info.Header)}
	for {
		if err := c.step(ctx); err != nil || c.now.Key == "" || c.now.Key >= key {
			return c, err
		}
	}
}

// cursor stands on an entry; behind the last one its key is "".
type cursor struct {
	r   *Reader
	now store.Entry
}

func (c *cursor) step(ctx context.Context) (err error) {
	c.now, err = c.r.nextRow(ctx)
	return err
}

// Get implements store.Store.
func (f *File) Get(ctx context.Context, key string) (store.Entry, error) {
	if store.CheckKey(key) != nil {
		return store.Entry{Key: key}, nil
	}
	c, err := f.from(ctx, key)
	if err != nil || c.now.Key != key {
		return store.Entry{Key: key}, err
	}
	return c.now, nil // the reader is not used again
}

// List implements store.Store.
func (f *File) List(ctx context.Context, folder, after string, limit int) (names []string, err error) {
	if err := store.CheckFolder(folder); err != nil {
		return nil, err
	}
	c, err := f.from(ctx, folder+after)
	for err == nil && strings.HasPrefix(c.now.Key, folder) && c.now.Key != "" {
		name := c.now.Key[len(folder):]
		cut := strings.IndexByte(name, '/')
		if cut >= 0 {
			name = name[:cut+1]
		}
		if name > after {
			names = append(names, name)
		}
		if limit > 0 && len(names) == limit {
			return names, nil
		}
		if cut < 0 {
			err = c.step(ctx)
			continue
		}
		c, err = f.from(ctx, folder+name[:cut]+"0") // behind the subfolder: '0' follows '/'
	}
	return names, err
}

// Apply implements store.Store.
func (f *File) Apply(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	for i := range changes {
		if changes[i].Op != store.OpCheck {
			return 0, errs.New(errs.Unsupported, "a snapshot cannot be written to")
		}
		e, err := f.Get(ctx, changes[i].Key)
		if err != nil {
			return 0, err
		}
		if e.Revision != changes[i].Expect {
			return 0, errs.New(errs.Conflict, "an entry of the snapshot is not as expected")
		}
	}
	return f.info.Revision, nil
}

// Watch implements store.Store: there is nothing to watch.
func (f *File) Watch(context.Context, string, store.Revision) (store.Watcher, error) {
	return nil, errs.New(errs.Unsupported, "a snapshot does not change")
}

// Snapshot implements store.Snapshotter.
func (f *File) Snapshot(context.Context) (store.Snapshot, error) {
	return &rows{newRowReader(io.NewSectionReader(f.at, f.firstRow(), f.ends-f.firstRow()), f.info.Header)}, nil
}

func (f *File) firstRow() int64 {
	if len(f.index) == 0 {
		return f.ends
	}
	return f.index[0].at
}

// Close implements store.Store. What it reads from is its owner's to close.
func (f *File) Close() error { return nil }

// rows are the entries of a File that has been checked.
type rows struct{ r *Reader }

func (r *rows) Revision() store.Revision                      { return r.r.info.Revision }
func (r *rows) Next(ctx context.Context) (store.Entry, error) { return r.r.nextRow(ctx) }
func (r *rows) Close() error                                  { return nil }
