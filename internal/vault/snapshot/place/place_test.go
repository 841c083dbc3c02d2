package place_test

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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

func TestDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	d, err := place.OpenDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"v-2", "v-1", "w-1", "v-1"} {
		if err := d.Put(t.Context(), name, strings.NewReader("of "+name), 6); err != nil {
			t.Fatal(err)
		}
	}
	names, err := d.List(t.Context(), "v-")
	if err != nil || !slices.Equal(names, []string{"v-1", "v-2"}) {
		t.Error(names, err)
	}
	f, err := d.Get(t.Context(), "v-1")
	if err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(f)
	_ = f.Close()
	if string(got) != "of v-1" {
		t.Errorf("%q", got)
	}
	if info, err := os.Stat(filepath.Join(dir, "v-1")); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	for range 2 {
		if err := d.Delete(t.Context(), "v-1"); err != nil {
			t.Error(err)
		}
	}
	if _, err := d.Get(t.Context(), "v-1"); !errs.Is(err, errs.NotExist) {
		t.Error(err)
	}
	for _, name := range []string{"", "../x", "a/b", ".hidden", "..", "a\x00b"} {
		if err := d.Put(t.Context(), name, strings.NewReader(""), 0); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := d.Get(t.Context(), name); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", name, err)
		}
		if err := d.Delete(t.Context(), name); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// torn is a source that ends in an error.
type torn struct{ io.Seeker }

func (torn) Read(b []byte) (int, error) { return copy(b, "half"), io.ErrUnexpectedEOF }

// What is not written whole is not there, and what was there before is.
func TestHalf(t *testing.T) {
	dir := t.TempDir()
	d, err := place.OpenDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Put(t.Context(), "v", strings.NewReader("whole"), 5); err != nil {
		t.Fatal(err)
	}
	if err := d.Put(t.Context(), "v", torn{strings.NewReader("")}, 9); !errs.Is(err, errs.Unavailable) {
		t.Error(err)
	}
	if err := d.Put(t.Context(), "v", strings.NewReader("short"), 9); !errs.Is(err, errs.Unavailable) {
		t.Error("of 9 bytes 5 came, and they got the name: ", err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "v"))
	all, _ := os.ReadDir(dir)
	if err != nil || string(raw) != "whole" || len(all) != 1 {
		t.Errorf("%q, %d files, %v", raw, len(all), err)
	}
}
