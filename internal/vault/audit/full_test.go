//go:build linux

package audit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/file"
)

// limitFileSize limits the files of this process to text bytes; "0" does nothing.
func limitFileSize(text string) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 {
		return
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
		panic(err)
	}
}

// tinyDisk mounts a file system of 64 KiB.
func tinyDisk(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting %s: %v", dir, err)
		}
	})
	return dir
}

// A full disk refuses requests, keeps the file whole, and serves again as soon
// as there is room, by itself.
func TestFullDisk(t *testing.T) {
	dir := tinyDisk(t)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 40<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	b := audit.NewBroker(audit.Config{Types: map[string]audit.Factory{"file": file.New(file.Config{Dir: dir})}})
	if err := b.Enable(spec("file", "a.log")); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	path := filepath.Join(dir, "a.log")
	var acked []string
	fill := func() error {
		for i := range 1000 {
			id := fmt.Sprintf("%d-%d", len(acked), i)
			if err := b.Append(entry(id), none).Wait(t.Context()); err != nil {
				return err
			}
			acked = append(acked, id)
		}
		t.Fatal("the disk never became full")
		return nil
	}
	for round := range 3 {
		err := fill()
		wantUnavailable(t, err, "the audit device file/ at "+path+" cannot be written: no space left on device; requests are refused until it can")
		wantUnavailable(t, b.Append(entry("lost"), none).Wait(t.Context()))
		wantIDs(t, path, acked...) // whole lines, those acknowledged and no others
		if err := os.Truncate(ballast, int64(30-10*round)<<10); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Append(entry("after"), none).Wait(t.Context()); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	wantIDs(t, path, append(acked, "after")...)
	if st := b.Stats()[0]; st.Failures < 3 || st.Failing {
		t.Errorf("stats %+v", st)
	}
}

// A full disk at the time of enabling is told with its reason, and nothing is enabled.
func TestEnableOnAFullDisk(t *testing.T) {
	dir := tinyDisk(t)
	if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 64<<10), 0o600); err != nil && !strings.Contains(err.Error(), "no space") {
		t.Fatal(err)
	}
	b := audit.NewBroker(audit.Config{Types: map[string]audit.Factory{"file": file.New(file.Config{Dir: dir})}})
	wantUnavailable(t, b.Enable(spec("file", "a.log")), "cannot be enabled", "no space left on device")
	if len(b.Stats()) != 0 {
		t.Error("it is enabled")
	}
}
