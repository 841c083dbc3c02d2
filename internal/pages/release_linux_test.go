package pages

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const exampleSmaps = `00400000-0344a000 r-xp 00000000 fd:00 1234                               /bin/own
Size:              49448 kB
Rss:               35944 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd 
0344a000-06895000 r--p 0304a000 fd:00 1234                               /bin/own
Anonymous:             0 kB
06895000-06982000 rw-p 06495000 fd:00 1234                               /bin/own
Anonymous:             0 kB
07000000-07001000 r--p 06495000 fd:00 1234                               /bin/own
Anonymous:             4 kB
07800000-07801000 r--p 06496000 fd:00 1234                               /bin/own
Anonymous:             0 kB
Swap:                  4 kB
08000000-08001000 r--p 00000000 fd:00 99                                 /bin/other
Anonymous:             0 kB
09000000-09001000 r--p 00000000 00:00 0 
Anonymous:             0 kB
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
Anonymous:            12 kB
`

// Only what the file has is given back: nothing that can be written, nothing that was
// changed (which a program with relocations has, or one with a breakpoint), and nothing
// of another file.
func TestUnchanged(t *testing.T) {
	got, err := unchanged(strings.NewReader(exampleSmaps), "/bin/own")
	if want := []area{{0x400000, 0x344a000}, {0x344a000, 0x6895000}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%x, %v; want %x", got, err, want)
	}
	for _, wrong := range []string{"x-y", "2-1", "1-", "fffffffffffffffff-1"} {
		line := wrong + " r-xp 0 0:0 1 /bin/own\n"
		if got, err := unchanged(strings.NewReader(line), "/bin/own"); err == nil {
			t.Errorf("%q is %x", line, got)
		}
	}
}

// Pages go, and the program runs on.
func TestRelease(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	areas, err := unchanged(f, own)
	if err != nil || len(areas) < 2 {
		t.Fatalf("%x of %s, %v", areas, own, err)
	}
	for _, a := range areas { // whatever an earlier run gave back
		if _, _, e := unix.Syscall(unix.SYS_MADVISE, a.begin, a.end-a.begin, unix.MADV_POPULATE_READ); e != 0 {
			t.Fatal(e)
		}
	}
	before := filePages(t)
	if err := Release(); err != nil {
		t.Fatal(err)
	}
	if after := filePages(t); after > before*3/4 {
		t.Errorf("%d kB of files are in memory, and were %d before", after, before)
	}
}

// filePages is how many kB of files are in this process's memory.
func filePages(t *testing.T) (kb int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssFile:")
	if _, err := fmt.Sscanf(rest, "%d kB", &kb); err != nil {
		t.Fatal(err)
	}
	return kb
}
