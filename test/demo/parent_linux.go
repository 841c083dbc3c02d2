package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// dieWithParent has the kernel interrupt us when whoever started us dies.
func dieWithParent() {
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0, 0, 0)
}
