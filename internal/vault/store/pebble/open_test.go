package pebble_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	upstream "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/pebble"
)

// raw changes a closed store behind its back.
func raw(t *testing.T, fs vfs.FS, change func(db *upstream.DB) error) {
	t.Helper()
	db, err := upstream.Open("/store", &upstream.Options{FS: fs, FormatMajorVersion: upstream.FormatTableFormatV6})
	if err != nil {
		t.Fatal(err)
	}
	if err := change(db); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		made   bool // by strongkeep, before
		change func(db *upstream.DB) error
		kind   errs.Kind
		says   string
	}{
		"newer format": {true, func(db *upstream.DB) error {
			return db.Set([]byte("\x00format"), binary.BigEndian.AppendUint32(nil, 2), upstream.Sync)
		}, errs.Unsupported, "run the newer version"},
		"another program's database": {false, func(db *upstream.DB) error {
			return db.Set([]byte("hello"), nil, upstream.Sync)
		}, errs.Invalid, "choose another directory"},
		"no revision": {true, func(db *upstream.DB) error {
			return db.Delete([]byte("\x00revision"), upstream.Sync)
		}, errs.Internal, "restore it from a backup"},
		"newer format of pebble": {true, func(db *upstream.DB) error { return nil }, errs.Unavailable, "format major version"},
	} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			if c.made {
				s := open(t, pebble.Config{Dir: "/store", FS: mem})
				_ = s.Close()
			}
			raw(t, mem, c.change)
			if name == "newer format of pebble" {
				names, _ := mem.List("/store")
				for _, n := range names {
					if strings.HasPrefix(n, "marker.format-version.") {
						if err := mem.Rename("/store/"+n, "/store/marker.format-version.009999.999"); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			_, err := pebble.Open(pebble.Config{Dir: "/store", FS: mem})
			if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Open: %v (%v), want %v with %q", err, errs.KindOf(err), c.kind, c.says)
			}
		})
	}
}

// Guards against a store that has lost its marker being taken for a new one.
func TestLostMarkerIsNoEmptyStore(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := open(t, pebble.Config{Dir: "/store", FS: mem, MemTableBytes: 256 << 10})
	for i := range 100 {
		if err := write(t.Context(), s, i); err != nil {
			t.Fatal(err)
		}
	}
	_ = s.Close()
	names, err := mem.List("/store")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, "marker.") {
			if err := mem.Remove("/store/" + n); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := pebble.Open(pebble.Config{Dir: "/store", FS: mem}); !errs.Is(err, errs.Internal) || !strings.Contains(err.Error(), "backup") {
		t.Errorf("Open: %v", err)
	}
}

// Guards against a power failure while pebble changes to a new manifest: any
// part of what was not synced may remain.
func TestPowerLossWhileOpening(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := open(t, pebble.Config{Dir: "/store", FS: mem, MemTableBytes: 256 << 10})
	const last = 50
	for i := 1; i <= last; i++ {
		if err := write(t.Context(), s, i); err != nil {
			t.Fatal(err)
		}
	}
	crashed := mem.CrashClone(vfs.CrashCloneCfg{})
	random := rand.New(rand.NewPCG(9, 9))
	pictures := 0
	for n := int32(0); ; n++ {
		fs := crashed.CrashClone(vfs.CrashCloneCfg{})
		var left []*vfs.MemFS
		var seen atomic.Int32
		s, err := pebble.Open(pebble.Config{Dir: "/store", FS: faulty(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && seen.Add(1) == n {
				for range 2 {
					left = append(left, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: random}))
				}
			}
			return nil
		}))})
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
		for _, fs := range left {
			again := open(t, pebble.Config{Dir: "/store", FS: fs})
			holds(t, again, last)
			_ = again.Close()
			pictures++
		}
		if n > 0 && len(left) == 0 {
			break
		}
	}
	if pictures < 40 {
		t.Errorf("only %d power failures were looked at", pictures)
	}
}

func TestDamagedEntryIsReported(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := open(t, pebble.Config{Dir: "/store", FS: mem})
	_ = s.Close()
	raw(t, mem, func(db *upstream.DB) error { return db.Set([]byte("kf/a"), []byte("canary"), upstream.Sync) })
	s = open(t, pebble.Config{Dir: "/store", FS: mem})
	if _, err := s.Get(t.Context(), "f/a"); !errs.Is(err, errs.Internal) || strings.Contains(err.Error(), "canary") {
		t.Errorf("Get: %v", err)
	}
	if _, err := s.Apply(t.Context(), store.Put("f/a", nil).If(3)); !errs.Is(err, errs.Internal) {
		t.Errorf("Apply: %v", err)
	}
	if _, err := s.Apply(t.Context(), store.Put("f/b", nil)); err != nil {
		t.Errorf("another key: %v", err)
	}
}

// A flipped bit in a table must be found by its checksum, and neither end the
// process nor be read as something else.
func TestFlippedBit(t *testing.T) {
	dir := t.TempDir() + "/store"
	var logged bytes.Buffer
	cfg := pebble.Config{Dir: dir, MemTableBytes: 256 << 10, Log: slog.New(slog.NewTextHandler(&logged, nil))}
	s := open(t, cfg)
	const last = 200
	for i := 1; i <= last; i++ {
		if err := write(t.Context(), s, i); err != nil {
			t.Fatal(err)
		}
	}
	_ = s.Close()
	tables, _ := filepath.Glob(dir + "/*.sst")
	if len(tables) == 0 {
		t.Fatal("nothing was flushed to a table")
	}
	for _, table := range tables {
		b, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/3] ^= 1
		if err := os.WriteFile(table, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, cfg)
	damaged := 0
	for i := 1; i <= last; i++ {
		e, err := s.Get(t.Context(), fmt.Sprintf("f/%d", i))
		switch {
		case errs.Is(err, errs.Internal) && strings.Contains(err.Error(), "backup"):
			damaged++
		case err != nil:
			t.Errorf("Get: %v (%v)", err, errs.KindOf(err))
		case string(e.Value) != strings.Repeat("v", 8000):
			t.Error("a damaged value was read")
		}
	}
	if damaged == 0 {
		t.Error("no entry was found damaged")
	}
	_ = s.Close()
	if !strings.Contains(logged.String(), "damaged") {
		t.Error("the log says nothing of the damage")
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir() + "/store"
	s := open(t, pebble.Config{Dir: dir})
	if _, err := pebble.Open(pebble.Config{Dir: dir}); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "is open already") {
		t.Errorf("opening twice in one process: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is open already") {
		t.Errorf("opening in another process: %v, %s", err, out)
	}
	if _, err := s.Apply(t.Context(), store.Put("a", nil)); err != nil {
		t.Errorf("the first store: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, pebble.Config{Dir: dir})
}

func TestNobodyElseMayRead(t *testing.T) {
	dir := t.TempDir() + "/deep/store"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := open(t, pebble.Config{Dir: dir, MemTableBytes: 256 << 10})
	for i := range 150 { // through flushes and new logs
		if err := write(t.Context(), s, i); err != nil {
			t.Fatal(err)
		}
	}
	_ = s.Close()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		files++
		return err
	})
	if err != nil || files < 5 {
		t.Errorf("%d files, %v", files, err)
	}
}

func TestDirectoryThatCannotBeMade(t *testing.T) {
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pebble.Open(pebble.Config{Dir: file + "/store"}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("Open below a file: %v", err)
	}
}

// A new store must survive a power failure right after its first write, with
// every directory above it.
func TestNewDirectoryIsDurable(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := open(t, pebble.Config{Dir: "/a/b/c/store", FS: mem})
	if err := write(t.Context(), s, 1); err != nil {
		t.Fatal(err)
	}
	left := mem.CrashClone(vfs.CrashCloneCfg{})
	holds(t, open(t, pebble.Config{Dir: "/a/b/c/store", FS: left}), 1)
}

// TestNoFileOnlyGrows overwrites the same keys with two hundred times what
// they hold: the directory must stay within a few times the limits.
func TestNoFileOnlyGrows(t *testing.T) {
	dir := t.TempDir() + "/store"
	s := open(t, pebble.Config{Dir: dir, MemTableBytes: 1 << 20})
	const keys, size, rounds = 256, 2 << 10, 200 // 512 KiB, written 200 times
	largest := int64(0)
	for round := range rounds {
		var changes []store.Change
		for k := range keys {
			value := bytes.Repeat([]byte{byte(round), byte(k)}, size/2)
			changes = append(changes, store.Put(fmt.Sprintf("f/%d", k), value))
		}
		if _, err := s.Apply(t.Context(), changes...); err != nil {
			t.Fatal(err)
		}
		if round%10 == 9 {
			largest = max(largest, usage(t, dir))
		}
	}
	if limit := int64(48 << 20); largest > limit {
		t.Errorf("%d MiB on disk while writing, limit %d MiB", largest>>20, limit>>20)
	}
	limit := int64(16 << 20)
	for deadline := time.Now().Add(time.Minute); ; {
		now := usage(t, dir)
		if now <= limit {
			t.Logf("100 MiB written; at most %d KiB on disk, %d KiB in the end", largest>>10, now>>10)
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d MiB on disk after writing, limit %d MiB", now>>20, limit>>20)
		}
		<-time.After(10 * time.Millisecond)
	}
	if e, err := s.Get(t.Context(), "f/7"); err != nil || e.Value[0] != rounds-1 {
		t.Errorf("the last round is not there: %v", err)
	}
}

func usage(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil { // it may be gone meanwhile
			bytes += info.Size()
		}
	}
	return bytes
}

func TestQuietInNormalWork(t *testing.T) {
	var logged bytes.Buffer
	cfg := pebble.Config{Dir: t.TempDir(), MemTableBytes: 256 << 10, Log: slog.New(slog.NewTextHandler(&logged, nil))}
	s := open(t, cfg)
	for i := range 100 {
		if err := write(t.Context(), s, i); err != nil {
			t.Fatal(err)
		}
	}
	_ = s.Close()
	if logged.Len() > 0 {
		t.Errorf("logged: %s", logged.String())
	}
}
