package disk_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/test/chaos/disk"
)

// mounted is a disk whose files the test itself sees, and where they lie below.
func mounted(t *testing.T) (d *disk.Disk, dir, backing string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED without root: disks that fail are mounted")
	}
	dir, backing = t.TempDir(), t.TempDir()
	d, err := disk.Mount(backing, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return d, dir, backing
}

func create(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func write(t *testing.T, f *os.File, text string) {
	t.Helper()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func TestFull(t *testing.T) {
	d, dir, _ := mounted(t)
	f := create(t, filepath.Join(dir, "log"))
	write(t, f, "before")
	d.Full(true)
	if _, err := f.WriteString("more"); !errors.Is(err, syscall.ENOSPC) {
		t.Error("a write to a full disk:", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Error("a file on a full disk:", err)
	}
	if _, err := f.WriteAt([]byte("B"), 0); err != nil {
		t.Error("what is there can be overwritten:", err)
	}
	d.Full(false)
	write(t, f, "after")
	if got, _ := os.ReadFile(filepath.Join(dir, "log")); string(got) != "Beforeafter" {
		t.Errorf("the file has %q", got)
	}
}

func TestSlow(t *testing.T) {
	d, dir, _ := mounted(t)
	f := create(t, filepath.Join(dir, "log"))
	write(t, f, "x")
	d.Slow(50 * time.Millisecond)
	began := time.Now()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Error("a sync took", took)
	}
}

// What was synced is never lost; of the rest, the newest, in order.
func TestLose(t *testing.T) {
	d, dir, backing := mounted(t)
	some, none := false, false
	for seed := range uint64(40) {
		path := filepath.Join(dir, "log")
		f := create(t, path)
		write(t, f, "synced.")
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		const rest = "one.two.three."
		for _, s := range []string{"one.", "two.", "three."} {
			write(t, f, s)
		}
		if _, err := f.WriteAt([]byte("SYNC"), 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Lose(rand.New(rand.NewPCG(seed, 0))); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(backing, "log"))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) < 7 || !bytes.HasPrefix([]byte(rest), got[7:]) || !bytes.EqualFold(got[:7], []byte("synced.")) {
			t.Fatalf("seed %d left %q", seed, got)
		}
		some, none = some || len(got) < 7+len(rest), none || string(got) == "SYNCed."+rest
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if !some || !none {
		t.Error("40 cuts of power lost something:", some, "nothing:", none)
	}
}

// A write is torn between sectors only, wherever it began.
func TestTorn(t *testing.T) {
	const began, length = 100, 5000
	torn := 0
	for seed := range uint64(40) {
		d, dir, backing := mounted(t)
		f := create(t, filepath.Join(dir, "log"))
		write(t, f, string(make([]byte, 8192)))
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		_, err := f.WriteAt(bytes.Repeat([]byte{1}, length), began)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Lose(rand.New(rand.NewPCG(seed, 0))); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(backing, "log"))
		if err != nil || len(got) != 8192 {
			t.Fatal(len(got), err)
		}
		n := bytes.Count(got, []byte{1})
		switch end := began + n; {
		case n == 0, n == length:
		case end%512 != 0 || bytes.Contains(got[end:], []byte{1}):
			t.Errorf("seed %d left %d bytes", seed, n)
		default:
			torn++
		}
	}
	if torn == 0 {
		t.Error("40 cuts of power tore nothing")
	}
}

// What was not synced of a file that was moved since is lost as well.
func TestLoseOfMoved(t *testing.T) {
	lost := 0
	for seed := range uint64(20) {
		d, dir, backing := mounted(t)
		f := create(t, filepath.Join(dir, "new"))
		write(t, f, "one.")
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "log")); err != nil {
			t.Fatal(err)
		}
		write(t, f, "two.")
		other := create(t, filepath.Join(dir, "new")) // of the same name, and not the same
		write(t, other, "another one")
		if err := errors.Join(other.Sync(), other.Close(), f.Close()); err != nil {
			t.Fatal(err)
		}
		n, err := d.Lose(rand.New(rand.NewPCG(seed, 0)))
		if err != nil {
			t.Fatal(err)
		}
		lost += n
		if got, _ := os.ReadFile(filepath.Join(backing, "new")); string(got) != "another one" {
			t.Errorf("what was synced is %q", got)
		}
	}
	if lost == 0 {
		t.Error("20 cuts of power lost nothing")
	}
}

// A disk that is replaced has nothing, and none of what was written comes back.
func TestEmpty(t *testing.T) {
	d, dir, backing := mounted(t)
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	f := create(t, filepath.Join(dir, "a", "b", "log"))
	write(t, f, "something")
	if err := errors.Join(f.Close(), d.Empty(dir)); err != nil {
		t.Fatal(err)
	}
	if n, err := d.Lose(rand.New(rand.NewPCG(1, 0))); n > 0 || err != nil {
		t.Error("writes were lost of nothing:", n, err)
	}
	if left, err := os.ReadDir(backing); len(left) > 0 || err != nil {
		t.Error("an empty disk has", left, err)
	}
}

// A program that is started has no device of the disk: it would keep a disk alive whose harness
// was killed, and everybody who waits for it.
func TestDevicesAreNotInherited(t *testing.T) {
	mounted(t)
	out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", "ls -l /proc/self/fd").Output()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(out, []byte("/dev/fuse")) {
		t.Errorf("a program has\n%s", out)
	}
}
