package fleet

import "syscall"

// owned has the kernel end a node when the test's process ends.
func owned() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
