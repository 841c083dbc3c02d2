package place_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/draft"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/placetest"
)

func TestPlace(t *testing.T) {
	placetest.Run(t, func(t *testing.T) placetest.World {
		d, err := place.OpenDirectory(filepath.Join(t.TempDir(), "a", "b"))
		if err != nil {
			t.Fatal(err)
		}
		return placetest.World{Place: d}
	})
}

// Snapshots are for their owner alone.
func TestMode(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	d, err := place.OpenDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Put(t.Context(), "v", strings.NewReader("v"), 1); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "v"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Error(path, info, err)
		}
	}
}

// torn is a source that ends in an error.
type torn struct{ io.Seeker }

func (torn) Read(b []byte) (int, error) { return copy(b, "half"), io.ErrUnexpectedEOF }

// What is not written whole leaves no file, and what was left by a crash goes.
func TestHalf(t *testing.T) {
	dir := t.TempDir()
	d, err := place.OpenDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	left, err := draft.Open(filepath.Join(dir, "v"))
	if err != nil {
		t.Fatal(err)
	}
	defer left.Discard()
	if err := d.Put(t.Context(), "v", torn{strings.NewReader("")}, 9); !errs.Is(err, errs.Unavailable) {
		t.Error(err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 0 {
		t.Errorf("%d files, %v", len(all), err)
	}
}

// ending is a place at which ctx ends while what was put is read back.
type ending struct {
	place.Place
	end context.CancelFunc
}

func (e ending) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	e.end()
	return e.Place.Get(ctx, name)
}

func (e ending) Delete(ctx context.Context, name string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return e.Place.Delete(ctx, name)
}

// What is not read back as it was put goes again, also when it is interrupted; what had the
// name before stays.
func TestKeep(t *testing.T) {
	d, err := place.OpenDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	file := strings.NewReader("content")
	_, _ = file.Seek(3, io.SeekStart)
	whole := func(back io.Reader) error {
		got, err := io.ReadAll(back)
		if err == nil && string(got) != "content" {
			err = errs.New(errs.Invalid, "another")
		}
		return err
	}
	if err := place.Keep(t.Context(), d, "good", file, whole); err != nil {
		t.Error(err)
	}
	spoilt := func(io.Reader) error { return errs.New(errs.Invalid, "spoilt") }
	if err := place.Keep(ctx, ending{d, cancel}, "bad", file, spoilt); !errs.Is(err, errs.Invalid) {
		t.Error(err)
	}
	if err := place.Keep(t.Context(), d, "good", file, spoilt); !errs.Is(err, errs.Exist) {
		t.Error(err)
	}
	if names, err := d.List(t.Context(), ""); err != nil || !slices.Equal(names, []string{"good"}) {
		t.Error(names, err)
	}
}
