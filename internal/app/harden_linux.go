package app

import "golang.org/x/sys/unix"

// Harden keeps the process's memory, which holds keys, out of core dumps and
// away from debuggers of other processes of the same user. It cannot keep pages
// out of swap: run without swap, as Kubernetes does.
func Harden() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}
