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
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		v.add(core, Unknown, err.Error(), "")
		return
	}
	// A dump that is piped to a program is made whatever RLIMIT_CORE is (core(5)).
	v.ok(core, "the server makes itself not dumpable, which nothing overrides, and sets RLIMIT_CORE to 0; dumps of others go to %q", strings.TrimSpace(string(pattern)))
}

// process looks at the server that runs on this machine.
func (v *visit) process() {
	if p, ok := holder("/proc", v.cfg.Server.DataDir); ok {
		v.running(p)
	}
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

// limits are those of this process: a unit may give the server others, see running.
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
