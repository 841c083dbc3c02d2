package store

import "context"

// Snapshotter is a store that can be read whole as it stood at one moment. Base
// stores are.
type Snapshotter interface {
	// Snapshot returns the store as it stands, all that was acknowledged included.
	// The caller closes it, before the store is closed.
	Snapshot(ctx context.Context) (Snapshot, error)
}

// Snapshot is a store at one moment, whatever is written meanwhile. It belongs to
// one goroutine.
type Snapshot interface {
	// Revision is that of the last commit that is in it.
	Revision() Revision
	// Next returns the entries in the order of the bytes of their keys, and behind
	// the last one an entry without a key. The value stays as it is until the next
	// call. Kind Exhausted: the store does not remember that moment any more; begin
	// anew with another snapshot.
	Next(ctx context.Context) (Entry, error)
	// Close may be called at any time, and again.
	Close() error
}
