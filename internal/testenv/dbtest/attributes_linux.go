package dbtest

import "syscall"

// attributes runs a program as somebody else, in a group of its own, and has the
// kernel kill it when this process ends.
func attributes(as *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: as}
}
