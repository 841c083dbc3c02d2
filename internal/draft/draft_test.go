package draft_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/draft"
)

func open(t *testing.T, path, content string) *draft.Draft {
	t.Helper()
	d, err := draft.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Discard)
	if _, err := d.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	return d
}

// holds fails unless the directory has these files and no other.
func holds(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(want) {
		t.Errorf("%d files are there, want %d: %v", len(entries), len(want), entries)
	}
	for name, content := range want {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != content {
			t.Errorf("%s has %q, %v; want %q", name, got, err, content)
		}
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	for _, content := range []string{"first", "second"} {
		d := open(t, path, content)
		if now, err := os.ReadFile(path); string(now) == content {
			t.Errorf("it is there before it is finished: %v", err)
		}
		if err := d.Replace(); err != nil {
			t.Fatal(err)
		}
		d.Discard() // has nothing to do
		holds(t, dir, map[string]string{"a": content})
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
}

func TestDiscard(t *testing.T) {
	dir := t.TempDir()
	d := open(t, filepath.Join(dir, "a"), "half")
	d.Discard()
	d.Discard()
	holds(t, dir, nil)
}

// What cannot be finished leaves all as it was.
func TestReplaceThatFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	d := open(t, path, "new")
	if err := d.Replace(); err == nil {
		t.Error("it replaces a directory")
	}
	d.Discard()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	if err := open(t, path, "first").Create(); err != nil {
		t.Fatal(err)
	}
	second := open(t, path, "second")
	if err := second.Create(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("what is there is replaced: %v", err)
	}
	second.Discard()
	holds(t, dir, map[string]string{"a": "first"})
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	for _, mode := range []fs.FileMode{0o644, 0o400, 0o600} {
		if err := draft.Write(path, []byte(mode.String()), mode); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("its mode is %v, %v; want %v", info.Mode(), err, mode)
		}
		holds(t, dir, map[string]string{"a": mode.String()})
	}
	if err := draft.Write(filepath.Join(dir, "none", "a"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without its directory: %v", err)
	}
}

func TestLikeAndChtimes(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(other, 0o640); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(other)
	if err != nil {
		t.Fatal(err)
	}
	d, at := open(t, filepath.Join(dir, "a"), ""), time.Unix(1_700_000_000, 0)
	if err := errors.Join(d.Like(info), d.Chtimes(at), d.Replace()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.Stat(filepath.Join(dir, "a")); err != nil || got.Mode() != 0o640 || !got.ModTime().Equal(at) {
		t.Errorf("%v of %v, %v", got.Mode(), got.ModTime(), err)
	}
}

// A link stays one, and what it leads to is replaced.
func TestResolve(t *testing.T) {
	dir := t.TempDir()
	link, real := filepath.Join(dir, "link"), filepath.Join(dir, "real")
	if err := errors.Join(os.WriteFile(real, nil, 0o600), os.Symlink("real", link)); err != nil {
		t.Fatal(err)
	}
	got, err := draft.Resolve(link)
	if err != nil {
		t.Fatal(err)
	}
	if err := draft.Write(got, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
	holds(t, dir, map[string]string{"link": "new", "real": "new"})
	if got, err := draft.Resolve(filepath.Join(dir, "none")); err != nil || got != filepath.Join(dir, "none") {
		t.Errorf("what is not there is %q, %v", got, err)
	}
}

// Sweep removes what a killed process has left of this file, and nothing else.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	killed, err := draft.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	open(t, path+"-b", "of another file, whose name begins as this one's does")
	keep := []string{"a", "a-1", ".strongkeep-draft-a", ".strongkeep-draft-a-x", "b"}
	for _, name := range keep {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := draft.Sweep(path); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	for _, name := range keep {
		if !slices.Contains(left, name) {
			t.Errorf("%s is gone", name)
		}
	}
	if len(left) != len(keep)+1 {
		t.Errorf("there are %q", left)
	}
	if err := killed.Replace(); err == nil {
		t.Error("what was swept gets its name")
	}
	if err := draft.Sweep(filepath.Join(dir, "none", "a")); err != nil {
		t.Errorf("without the directory: %v", err)
	}
	for name, want := range map[string]bool{".strongkeep-draft-a-1": true, "/b/.strongkeep-draft-a-1": true, "a": false} {
		if draft.Unfinished(name) != want {
			t.Errorf("%s is unfinished: %v", name, !want)
		}
	}
}
