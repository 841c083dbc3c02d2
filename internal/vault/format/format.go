package format

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Where it is kept, in the base store.
const (
	Key     = "core/format"
	JoinKey = "core/format-join"
)

// first is the format of stores that say nothing.
const first = 1

// maxRecord bounds the entry.
const maxRecord = 4 << 10

// Program is what one version of Strongkeep can do.
type Program struct {
	Version string // semver, for people
	Newest  int    // the format that it writes where it may
	Oldest  int    // the oldest it reads
	Reader  int    // the oldest Newest of a program that can read what this one writes in Newest
}

// This is the present program, but for its version. A change of what is stored that an earlier
// program would not understand is a new number, a line in docs/operations/upgrades.md, and a
// store in internal/testenv/testdata/stores.
var This = Program{Newest: 1, Oldest: 1, Reader: 1}

// Record is the entry.
type Record struct {
	Written int    `json:"written"` // the format in which is written
	Reader  int    `json:"reader"`  // a program whose Newest is lower must not open the store
	Program string `json:"program"` // the version that wrote this, for people

	Revision store.Revision `json:"-"` // of the entry; 0 = there is none
}

// Read returns what a base store says. Kinds: Internal (the entry is damaged), and those of the store.
func Read(ctx context.Context, raw store.Store) (Record, error) {
	e, err := raw.Get(ctx, Key)
	if err != nil {
		return Record{}, errs.Newf(errs.KindOf(err), "reading the format of the store: %w", err)
	}
	r, err := Decode(e.Value)
	r.Revision = e.Revision
	return r, err
}

// Decode reads the value of the entry; an empty one is that of a store that has none. Fields
// that are not known are those of a later program.
func Decode(value []byte) (Record, error) {
	if len(value) == 0 {
		return Record{Written: first, Reader: first}, nil
	}
	var r Record
	if len(value) > maxRecord || json.Unmarshal(value, &r) != nil || r.Reader < first || r.Written < r.Reader {
		return Record{}, errs.Newf(errs.Internal, "the entry %s of the store cannot be read: restore it from a backup", Key)
	}
	return r, nil
}

// Check returns what the store says, and Unsupported if p is too old or too new for it.
// It changes nothing. The zero Program is This.
func (p Program) Check(ctx context.Context, raw store.Store) (Record, error) {
	if p.Newest == 0 {
		p = This
	}
	r, err := Read(ctx, raw)
	if err != nil {
		return r, err
	}
	return r, p.refuses(r)
}

// refuses returns Unsupported if p must not use a store that says r.
func (p Program) refuses(r Record) error {
	switch {
	case r.Reader > p.Newest:
		return errs.Newf(errs.Unsupported, "the store is in format %d, switched on by version %.40q, and this version %s reads %s: "+
			"run a newer version; nothing was changed", r.Written, r.Program, p.Version, p.span())
	case r.Written < p.Oldest:
		return errs.Newf(errs.Unsupported, "the store is in format %d, and this version %s reads %s: "+
			"run a version between first, which takes the store one step on; nothing was changed", r.Written, p.Version, p.span())
	}
	return nil
}

func (p Program) span() string {
	if p.Oldest == p.Newest {
		return fmt.Sprintf("format %d only", p.Newest)
	}
	return fmt.Sprintf("formats %d to %d", p.Oldest, p.Newest)
}

// Downgrade says whether the program before, which writes one format less, may still open the
// store.
func (r Record) Downgrade(p Program) bool { return r.Reader < p.Newest || p.Newest == first }
