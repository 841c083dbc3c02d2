//go:build unix

package testenv_test

import (
	"syscall"
	"time"
)

// cpuUsed is the processor time that this process took until now.
func cpuUsed() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
