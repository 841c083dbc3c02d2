//go:build unix

package file

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
)

func device(t *testing.T) (*File, string) {
	t.Helper()
	dir := t.TempDir()
	d := newFile(location{dir: dir, name: "a.log", perm: 0o600})
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return d, d.Target()
}

func write(t *testing.T, d *File, lines string) {
	t.Helper()
	if err := d.Write([]byte(lines)); err != nil {
		t.Fatalf("writing %q: %v", lines, err)
	}
}

func want(t *testing.T, path, content string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != content {
		t.Errorf("%s holds %q, want %q", filepath.Base(path), got, content)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAppends(t *testing.T) {
	d, path := device(t)
	must(t, os.WriteFile(path, []byte("old\n"), 0o644))
	write(t, d, "1\n")
	write(t, d, "2\n3\n")
	want(t, path, "old\n1\n2\n3\n")
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("mode %v, want the option's", info.Mode())
	}
}

func TestModes(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		before os.FileMode // 0 = no file
		perm   os.FileMode
		keep   bool
		after  os.FileMode
		text   string // of the refusal
	}{
		"new":                  {0, 0o640, false, 0o640, ""},
		"new, keep":            {0, 0o600, true, 0o600, ""},
		"changed":              {0o644, 0o600, false, 0o600, ""},
		"kept":                 {0o644, 0o600, true, 0o644, ""},
		"execute bit is taken": {0o755, 0o600, false, 0o600, ""},
		"execute bit is kept":  {0o755, 0o600, true, 0, "executable"},
	} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "_"))
		if c.before != 0 {
			must(t, os.WriteFile(path, nil, 0o600))
			must(t, os.Chmod(path, c.before))
		}
		d := newFile(location{dir: dir, name: filepath.Base(path), perm: c.perm, keepMode: c.keep})
		err := d.Write([]byte("1\n"))
		if c.text != "" {
			if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		must(t, err)
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode() != c.after {
			t.Errorf("%s: mode %v, want %v", name, info.Mode(), c.after)
		}
		must(t, d.Close())
	}
}

// Guards against Vault's CVE-2025-6000 and its kin.
func TestRefusesWhatIsNoPlainFileOfOurs(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "victim"), []byte("v\n"), 0o600))
	must(t, os.Symlink(filepath.Join(outside, "victim"), filepath.Join(dir, "link")))
	must(t, os.Symlink("real", filepath.Join(dir, "inner")))
	must(t, os.Symlink(filepath.Join(outside, "new"), filepath.Join(dir, "dangling")))
	must(t, os.Symlink(outside, filepath.Join(dir, "folder")))
	must(t, os.Mkdir(filepath.Join(dir, "real"), 0o700))
	must(t, os.Symlink("real", filepath.Join(dir, "alias")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	for name, text := range map[string]string{
		"link": "symbolic link", "inner": "symbolic link", "dangling": "symbolic link", "folder/new": "symbolic link",
		"alias/new": "symbolic link", "real": "not a regular file", "pipe": "not a regular file",
	} {
		d := newFile(location{dir: dir, name: name, perm: 0o600})
		if err := d.Write([]byte("1\n")); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want it to be Invalid and say %q", name, err, text)
		}
	}
	want(t, filepath.Join(outside, "victim"), "v\n")
	if entries, _ := os.ReadDir(outside); len(entries) != 1 {
		t.Errorf("files were made outside: %v", entries)
	}
	// A file that becomes a link while it is open is not followed either.
	d, path := device(t)
	write(t, d, "1\n")
	must(t, os.Remove(path))
	must(t, os.Symlink(filepath.Join(outside, "victim"), path))
	if err := d.Write([]byte("2\n")); !errs.Is(err, errs.Invalid) {
		t.Errorf("a file that became a link: %v", err)
	}
	want(t, filepath.Join(outside, "victim"), "v\n")
}

// Vault does not notice that its log was deleted (hashicorp/vault#31718).
func TestFollowsItsName(t *testing.T) {
	d, path := device(t)
	write(t, d, "1\n")
	must(t, os.Rename(path, path+".1"))
	write(t, d, "2\n")
	want(t, path+".1", "1\n")
	want(t, path, "2\n")
	must(t, os.Remove(path))
	write(t, d, "3\n")
	want(t, path, "3\n")
	must(t, os.WriteFile(path+".new", []byte("n\n"), 0o600))
	must(t, os.Rename(path+".new", path))
	write(t, d, "4\n")
	want(t, path, "n\n4\n")
	must(t, os.Truncate(path, 0)) // logrotate's copytruncate
	write(t, d, "5\n")
	want(t, path, "5\n")
	must(t, os.Rename(path, path+".2"))
	must(t, d.Reload())
	want(t, path, "")
}

func TestVanishedDirectory(t *testing.T) {
	d, path := device(t)
	write(t, d, "1\n")
	must(t, os.RemoveAll(d.dir))
	for range 2 {
		if err := d.Write([]byte("2\n")); !errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), d.dir) {
			t.Errorf("without the directory: %v, want only the reason", err)
		}
	}
	must(t, os.Mkdir(d.dir, 0o700))
	write(t, d, "3\n")
	want(t, path, "3\n")
}

func TestEndsATornLine(t *testing.T) {
	d, path := device(t)
	must(t, os.WriteFile(path, []byte("1\n{\"time"), 0o600))
	write(t, d, "2\n")
	want(t, path, "1\n{\"time\n2\n")
	must(t, d.Reload())
	write(t, d, "3\n")
	want(t, path, "1\n{\"time\n2\n3\n")
}

func TestOneProcessWritesAFile(t *testing.T) {
	d, path := device(t)
	write(t, d, "1\n")
	other := newFile(d.location)
	if err := other.Write([]byte("x\n")); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "another process writes "+path) {
		t.Errorf("a second writer: %v", err)
	}
	must(t, d.Close())
	write(t, other, "2\n")
	must(t, other.Close())
	want(t, path, "1\n2\n")
}

// sick is a real file with faults. A fault is used up when it strikes.
type sick struct {
	handle
	f *faults
}

type faults struct {
	write    []error // nil entries pass
	partial  int     // how many bytes get through before a write fails
	sync     []error
	truncate []error
	stat     []error
	opens    int
}

func next(list *[]error) (err error) {
	if len(*list) > 0 {
		err = (*list)[0]
		*list = (*list)[1:]
	}
	return err
}

func (s sick) Write(p []byte) (int, error) {
	if err := next(&s.f.write); err != nil {
		n, _ := s.handle.Write(p[:min(s.f.partial, len(p))])
		return n, err
	}
	return s.handle.Write(p)
}

func (s sick) Sync() error {
	if err := next(&s.f.sync); err != nil {
		return err
	}
	return s.handle.Sync()
}

func (s sick) Truncate(n int64) error {
	if err := next(&s.f.truncate); err != nil {
		return err
	}
	return s.handle.Truncate(n)
}

func (s sick) Stat() (os.FileInfo, error) {
	if err := next(&s.f.stat); err != nil {
		return nil, err
	}
	return s.handle.Stat()
}

func TestFailures(t *testing.T) {
	full, eio, perm := error(syscall.ENOSPC), error(&os.PathError{Op: "write", Path: "/x", Err: syscall.EIO}), error(syscall.EPERM)
	for name, c := range map[string]struct {
		f     faults
		text  string // of the first failure
		tries int    // writes that fail
		after string // what the file holds right after the failures
		end   string // and after one more write, of "z\n"
	}{
		"nothing written":           {faults{write: []error{full}}, "no space left on device", 1, "1\n", "1\nz\n"},
		"part of a line":            {faults{write: []error{full}, partial: 3}, "no space left on device", 1, "1\n", "1\nz\n"},
		"a whole line and a part":   {faults{write: []error{eio}, partial: 7}, "input/output error", 1, "1\n", "1\nz\n"},
		"all of it":                 {faults{write: []error{eio}, partial: 99}, "input/output error", 1, "1\n", "1\nz\n"},
		"no sync":                   {faults{sync: []error{eio}}, "syncing: input/output error", 1, "1\n", "1\nz\n"},
		"cannot be cut, is ended":   {faults{write: []error{full}, partial: 3, truncate: []error{perm}}, "no space", 1, "1\nlin\n", "1\nlin\nz\n"},
		"neither, then cut":         {faults{write: []error{full, full}, partial: 3, truncate: []error{perm}}, "no space", 1, "1\nlin\n", "1\nz\n"},
		"neither, then ended":       {faults{write: []error{full, full}, partial: 3, truncate: []error{perm, perm}}, "no space", 1, "1\nlin\n", "1\nlin\n\nz\n"},
		"no stat":                   {faults{stat: []error{eio}}, "input/output error", 1, "1\n", "1\nz\n"},
		"fails for long":            {faults{write: []error{full, full, full}, partial: 5}, "no space", 3, "1\n", "1\nz\n"},
		"fails for long, uncutable": {faults{write: []error{full, full, full, full}, truncate: []error{perm, perm, perm, perm}}, "no space", 4, "1\n", "1\nz\n"},
	} {
		t.Run(name, func(t *testing.T) {
			d, path := device(t)
			write(t, d, "1\n")
			must(t, d.Close())
			d.open = func() (opened, error) {
				o, err := d.location.open()
				c.f.opens++
				o.handle = sick{o.handle, &c.f}
				return o, err
			}
			for i := range c.tries {
				err := d.Write([]byte("line1\nline2\n"))
				if err == nil || i == 0 && !strings.HasPrefix(err.Error(), c.text) {
					t.Fatalf("try %d: %v, want %q", i, err, c.text)
				}
			}
			want(t, path, c.after)
			opens := c.f.opens
			write(t, d, "z\n")
			want(t, path, c.end)
			if c.f.opens != opens+1 {
				t.Errorf("the file was not opened anew after a failure")
			}
		})
	}
}

// What failed in a file is not cut off another that took its name.
func TestRemainsBelongToTheirFile(t *testing.T) {
	d, path := device(t)
	f := faults{write: []error{syscall.ENOSPC, syscall.ENOSPC}, truncate: []error{syscall.EPERM}, partial: 2}
	d.open = func() (opened, error) {
		o, err := d.location.open()
		o.handle = sick{o.handle, &f}
		return o, err
	}
	if err := d.Write([]byte("line\n")); err == nil {
		t.Fatal("no failure")
	}
	must(t, os.Rename(path, path+".1"))
	must(t, os.WriteFile(path, []byte("another\n"), 0o600))
	write(t, d, "z\n")
	want(t, path, "another\nz\n")
}

func TestStream(t *testing.T) {
	var out bytes.Buffer
	dev, err := New(Config{Stdout: &out})(audit.Setup{Options: map[string]string{"file_path": "stdout"}})
	must(t, err)
	must(t, dev.Write([]byte("1\n2\n")))
	must(t, dev.Reload())
	must(t, dev.Close())
	if out.String() != "1\n2\n" {
		t.Errorf("wrote %q", out.String())
	}
}

// cut is a writer that fails after n bytes, once.
type cut struct {
	out bytes.Buffer
	n   int
}

func (c *cut) Write(p []byte) (int, error) {
	if c.n >= 0 && c.n < len(p) {
		n, _ := c.out.Write(p[:c.n])
		c.n = -1
		return n, io.ErrClosedPipe
	}
	return c.out.Write(p)
}

func TestStreamEndsATornLine(t *testing.T) {
	for n, want := range map[int]string{0: "3\n", 1: "1\n3\n", 2: "1\n3\n", 3: "1\n2\n3\n"} {
		c := &cut{n: n}
		s := &stream{w: c}
		if err := s.Write([]byte("1\n2\n")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%d: %v", n, err)
		}
		must(t, s.Write([]byte("3\n")))
		if c.out.String() != want {
			t.Errorf("after %d bytes: %q, want %q", n, c.out.String(), want)
		}
	}
}
