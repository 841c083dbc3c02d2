package diagnose

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// lay writes what /proc shows of process 4711, which has the store of dir open.
func lay(t *testing.T, dir, uid, swap, files string) (proc string) {
	t.Helper()
	proc = t.TempDir()
	for _, d := range []string{filepath.Join(proc, "4711"), filepath.Join(dir, "store")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	lock := filepath.Join(dir, "store", "LOCK")
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var s unix.Stat_t
	if err := unix.Stat(lock, &s); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"locks": fmt.Sprintf("1: FLOCK  ADVISORY  WRITE 12 %[1]s:1%[3]d 0 EOF\n2: FLOCK  ADVISORY  WRITE 13 fe:%[2]x:%[3]d 0 EOF\n3: POSIX  ADVISORY  WRITE 4711 %[1]s:%[3]d 0 EOF\n",
			fmt.Sprintf("%02x:%02x", unix.Major(s.Dev), unix.Minor(s.Dev)), unix.Minor(s.Dev)+1, s.Ino),
		"4711/status": "Name:\tstrongkeep\nUid:\t" + uid + "\nVmSwap:\t" + swap + "\n",
		"4711/limits": "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            " + files + "                 1048576              files     \n",
	} {
		if err := os.WriteFile(filepath.Join(proc, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return proc
}

// The server that holds the store is found, and judged by its own process.
func TestRunning(t *testing.T) {
	me := fmt.Sprint(os.Getuid() + 1) // so that files here are another's, as those of a process that is not dumpable
	mine := fmt.Sprint(os.Getuid())
	for name, c := range map[string]struct {
		uid, swap, files string
		levels           [3]Level
	}{
		"well":       {me + "\t" + me + "\t" + me + "\t" + me, "0 kB", "65536", [3]Level{OK, OK, OK}},
		"no limit":   {me + "\t" + me, "0 kB", "unlimited", [3]Level{OK, OK, OK}},
		"swapped":    {me + "\t" + me, "12 kB", "1024", [3]Level{Failed, OK, Warning}},
		"not told":   {"", "", "many", [3]Level{Unknown, Unknown, Unknown}},
		"root's own": {"0\t0", "0 kB", "65536", [3]Level{OK, Unknown, OK}},
	} {
		dir := t.TempDir()
		p, ok := holder(lay(t, dir, c.uid, c.swap, c.files), dir)
		if !ok || p.pid != 4711 {
			t.Fatalf("%s: found %v %+v", name, ok, p)
		}
		v := &visit{}
		v.running(p)
		for i, f := range v.found {
			if f.Level != c.levels[i] || f.Level == Failed && !strings.Contains(f.Detail, "4711") {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
	if mine != "0" {
		dir := t.TempDir()
		p, _ := holder(lay(t, dir, mine+"\t"+mine, "0 kB", "65536"), dir)
		if yes, known := p.dumpable(); !yes || !known {
			t.Error("a process whose files are its own is dumpable: ", yes, known)
		}
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "cluster/etcd/member/snap"), 0o700); err != nil {
		t.Fatal(err)
	}
	held, err := os.Create(filepath.Join(dir, "cluster/etcd/member/snap/db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	if err := unix.Flock(int(held.Fd()), unix.LOCK_EX); err != nil { // as etcd does
		t.Fatal(err)
	}
	if p, ok := holder("/proc", dir); !ok || p.pid != os.Getpid() {
		t.Error("this process, which holds a member's file, is not found: ", ok, p)
	}
	if _, ok := holder("/proc", t.TempDir()); ok {
		t.Error("a store that is not there is held")
	}
}
