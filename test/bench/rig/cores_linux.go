package rig

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// cores is how many cores all processes of a run share.
const cores = 2

// OnTwoCores replaces this process by one that is bound to two cores, if it may
// use more: all it starts is bound with it.
func OnTwoCores(stderr io.Writer) error {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return errs.Newf(errs.Unavailable, "finding out which cores there are: %w", err)
	}
	switch n := allowed.Count(); {
	case n < cores:
		_, _ = fmt.Fprintf(stderr, "bench: note: the bounds are made for %d cores, and there is %d\n", cores, n)
		return nil
	case n == cores:
		return nil
	}
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return errs.New(errs.Unavailable, "the figures are those of two cores, and binding to two of this machine's needs taskset: apt-get install util-linux")
	}
	var list []string
	for cpu := 0; len(list) < cores; cpu++ {
		if allowed.IsSet(cpu) {
			list = append(list, strconv.Itoa(cpu))
		}
	}
	self, err := os.Executable()
	if err != nil {
		return errs.Newf(errs.Unavailable, "finding this program: %w", err)
	}
	args := append([]string{"taskset", "-c", strings.Join(list, ","), self}, os.Args[1:]...)
	return errs.Newf(errs.Unavailable, "running taskset: %w", unix.Exec(taskset, args, os.Environ()))
}

// CPUTime is how long a process has run on all cores together.
func CPUTime(pid int) time.Duration {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// Behind the name, which ends with the last parenthesis: state, then 10
	// numbers, then the ticks in user and in system mode (proc_pid_stat(5)).
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / ticks
}

// ticks per second of /proc, the same on every Linux.
const ticks = 100

// inMemory reports whether dir is on a file system without a disk.
func inMemory(dir string) bool {
	var s unix.Statfs_t
	return unix.Statfs(dir, &s) == nil && (s.Type == unix.TMPFS_MAGIC || s.Type == unix.RAMFS_MAGIC)
}
