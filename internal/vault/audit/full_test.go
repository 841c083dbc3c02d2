//go:build linux

package audit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/file"
	"github.com/strongkeep/strongkeep/internal/vault/audit/verify"
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
		t.Skip("SKIPPED: mounting a file system needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		t.Skipf("SKIPPED: no file system can be mounted here: %v", err)
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
	if err := b.Disable("file"); err != nil {
		t.Fatal(err)
	}
	if r, err := verify.Files(verify.Config{}, path); err != nil || !r.OK() {
		t.Errorf("what a full disk left is no proof: %+v %v", r, err)
	}
}

// A full disk under a best-effort device refuses nobody: lines wait, the newest
// are dropped and counted, and it goes on by itself when there is room.
func TestFullDiskOfABestEffortDevice(t *testing.T) {
	dir := tinyDisk(t)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 50<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	b := audit.NewBroker(audit.Config{Types: map[string]audit.Factory{"file": file.New(file.Config{Dir: dir})}})
	if err := b.Enable(spec("file", "a.log", "required", "false", "buffer_lines", "20")); err != nil {
		t.Fatal(err)
	}
	for i := 0; b.Stats()[0].Dropped < 10; i++ {
		if err := b.Append(entry(fmt.Sprint(i)), none).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for !b.Stats()[0].Failing {
		runtime.Gosched() // dropped lines may be told of before the disk is full
	}
	if st := b.Stats()[0]; !strings.Contains(st.LastError, "no space left on device") || st.Lost != 0 || st.QueuedLines > 20 {
		t.Errorf("%+v", st)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := b.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Disable("file"); err != nil { // and so have it written
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "a.log"))
	if err != nil || !strings.Contains(string(raw), `"type":"lost","lost":{"lines":`) {
		t.Errorf("the loss is not told: %v", err)
	}
	if r, err := verify.Files(verify.Config{}, filepath.Join(dir, "a.log")); err != nil || !r.OK() {
		t.Errorf("%+v %v", r, err)
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
