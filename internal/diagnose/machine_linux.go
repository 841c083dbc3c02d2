package diagnose

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// memory looks at where keys could leave memory for a disk.
func (v *visit) memory() {
	const swap = "no memory is written to swap"
	areas, err := os.ReadFile("/proc/swaps")
	switch names := swapAreas(string(areas)); {
	case err != nil:
		v.add(swap, Unknown, err.Error(), "run where /proc can be read")
	case len(names) > 0 && !noSwapHere():
		v.add(swap, Warning, "swap is on: "+join(names)+"; keys may be written to it", "swapoff -a, encrypt it, or run in a unit with MemorySwapMax=0 (deploy/systemd/strongkeep.service)")
	case len(names) > 0:
		v.ok(swap, "swap is on, and this control group may not use it (memory.swap.max is 0)")
	default:
		v.ok(swap, "there is none")
	}
	const core = "no core dump holds memory"
	var limit unix.Rlimit
	pattern, _ := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		v.add(core, Unknown, err.Error(), "")
		return
	}
	detail := fmt.Sprintf("the server sets RLIMIT_CORE to 0 and is not dumpable; here the limit is %s, and dumps go to %q", amount(limit.Cur), strings.TrimSpace(string(pattern)))
	if limit.Cur != 0 && strings.HasPrefix(string(pattern), "|") {
		v.add(core, Warning, detail+", a program, which no limit but 0 holds back", "LimitCORE=0 in the unit, or ulimit -c 0")
		return
	}
	v.ok(core, "%s", detail)
}

// swapAreas are the names in the form of /proc/swaps, whose first line is a header.
func swapAreas(table string) (names []string) {
	for i, line := range strings.Split(table, "\n") {
		if f := strings.Fields(line); i > 0 && len(f) > 0 {
			names = append(names, f[0])
		}
	}
	return names
}

// noSwapHere reports whether the control group of this process keeps it out of swap.
func noSwapHere() bool {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(own)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			limit, err := os.ReadFile("/sys/fs/cgroup" + path + "/memory.swap.max")
			return err == nil && strings.TrimSpace(string(limit)) == "0"
		}
	}
	return false
}

func amount(n uint64) string {
	if n == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}

const enoughFiles = 4096

// limits are those of this process: a unit may give the server others.
func (v *visit) limits() {
	const question = "enough files may be open"
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		v.add(question, Unknown, err.Error(), "")
		return
	}
	if limit.Max < enoughFiles {
		v.add(question, Warning, fmt.Sprintf("%s; a connection takes one, and so does each file of the store", amount(limit.Max)), "LimitNOFILE=65536 in the unit, or ulimit -n 65536")
		return
	}
	v.ok(question, "%s", amount(limit.Max))
}

// clock asks the kernel whether somebody keeps its time true.
func (v *visit) clock() {
	const question = "the clock is kept true"
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	switch {
	case err != nil:
		v.add(question, Unknown, "asking the kernel: "+err.Error(), "")
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		v.add(question, Warning, "the kernel says that nobody synchronises it; tokens, leases and certificates end by it", "run chrony or systemd-timesyncd (timedatectl set-ntp true)")
	default:
		v.ok(question, "synchronised; it is off by %v at most", (time.Duration(t.Maxerror) * time.Microsecond).Round(time.Millisecond))
	}
}

// owner is who owns a file, "" for this user.
func owner(path string) string {
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil || int(s.Uid) == os.Getuid() {
		return ""
	}
	if u, err := user.LookupId(strconv.Itoa(int(s.Uid))); err == nil {
		return u.Username
	}
	return strconv.Itoa(int(s.Uid))
}
