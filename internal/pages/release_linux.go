package pages

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Release gives the pages of the program's own file back that the start has
// touched: the first steps of some thousand packages lie all over it, so that most of it
// is in memory then, and what runs afterwards needs half. A page that is needed again is
// mapped again, from the system's cache of the file: that takes about a microsecond.
// Nothing is lost but time if it fails.
func Release() error {
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return errs.Newf(errs.Unavailable, "finding the program's file: %w", err)
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return errs.Newf(errs.Unavailable, "reading what is in memory: %w", err)
	}
	defer func() { _ = f.Close() }()
	areas, err := unchanged(f, own)
	if err != nil {
		return err
	}
	for _, a := range areas {
		if _, _, e := unix.Syscall(unix.SYS_MADVISE, a.begin, a.end-a.begin, unix.MADV_DONTNEED); e != 0 {
			return errs.Newf(errs.Unavailable, "giving pages of the program back: %w", e)
		}
	}
	return nil
}

// area is of the address space, begin up to and without end.
type area struct{ begin, end uintptr }

// unchanged returns the areas of a file that nobody may write to and that are all as in
// the file, by what proc_pid_smaps(5) says:
//
//	00400000-0344a000 r-xp 00000000 fd:00 1234   /usr/bin/strongkeep
//	Size:              49448 kB
//	Anonymous:             0 kB
//
// What a loader has changed, or a debugger, is Anonymous, or in Swap: it would be lost.
func unchanged(smaps io.Reader, file string) (out []area, err error) {
	var current *area // of file, and not writable
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 5 && strings.Contains(fields[0], "-") {
			if current, err = areaOf(fields, file); err != nil {
				return nil, err
			}
		}
		if current != nil && len(fields) == 3 {
			out = counted(out, *current, fields[0], fields[1])
		}
	}
	if err := lines.Err(); err != nil {
		return nil, errs.Newf(errs.Unavailable, "reading what is in memory: %w", err)
	}
	return out, nil
}

// counted takes one line of a into account: a is there once its Anonymous is 0, and not
// any more if its Swap, which comes later, is not.
func counted(areas []area, a area, what, kb string) []area {
	n := len(areas) - 1
	switch {
	case what == "Anonymous:" && kb == "0":
		return append(areas, a)
	case what == "Swap:" && kb != "0" && n >= 0 && areas[n] == a:
		return areas[:n]
	}
	return areas
}

// areaOf is the area that a first line tells of; nil when it is of something else than
// the file, or may be written to.
func areaOf(fields []string, file string) (*area, error) {
	if len(fields) != 6 || fields[5] != file || strings.Contains(fields[1], "w") {
		return nil, nil //nolint:nilnil // see above
	}
	return parseArea(fields[0])
}

func parseArea(text string) (*area, error) {
	first, second, _ := strings.Cut(text, "-")
	begin, err := strconv.ParseUint(first, 16, 64)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "reading what is in memory, at %q: %w", text, err)
	}
	end, err := strconv.ParseUint(second, 16, 64)
	if err != nil || end <= begin {
		return nil, errs.Newf(errs.Internal, "reading what is in memory: %q is no area", text)
	}
	return &area{uintptr(begin), uintptr(end)}, nil
}
