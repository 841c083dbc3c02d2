package shelf

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Beside is another path of the shelf's mount, which a kind keeps in step with
// the credential.
type Beside struct{ at kv }

// Beside returns the path below the shelf's mount, or what is remembered of it
// (record). Invalid is one that cannot be meant.
func (s *Shelf) Beside(path string, record bool) (Beside, error) {
	if err := checkPath("path", path); err != nil {
		return Beside{}, err
	}
	if path == s.live.path {
		return Beside{}, errs.Newf(errs.Invalid, "path %q is the credential's own", path)
	}
	if record {
		path = Prefix + path
	}
	return Beside{kv{s.vault, s.live.mount, path}}, nil
}

// Page is a version of a path; Version is 0 where there was never one.
type Page struct {
	Values  Values
	Version int64
	Created time.Time
}

// Read returns what is there now.
func (b Beside) Read(ctx context.Context) (Page, error) {
	e, err := b.at.read(ctx)
	return Page{e.values, e.version, e.created}, err
}

// Write replaces the page that was read; Unavailable when somebody else did.
func (b Beside) Write(ctx context.Context, over Page, values Values) error {
	_, err := b.at.write(ctx, over.Version, values)
	if errs.Is(err, errs.Conflict) {
		return errs.Newf(errs.Unavailable, "%q was written by somebody else meanwhile", b.At())
	}
	return err
}

// At is the path of the vault's API.
func (b Beside) At() string { return b.at.at("data") }

// Path is the credential's own, of the vault's API.
func (s *Shelf) Path() string { return s.live.at("data") }
