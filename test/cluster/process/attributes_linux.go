package process

import "syscall"

// attributes has the kernel kill the program when we die. The kernel ties that
// to the thread that started it; a Go runtime ends a thread only when a
// goroutine exits locked to it, and nothing in a minder locks one.
func attributes(cloneflags uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Setpgid:    true,
		Pdeathsig:  syscall.SIGKILL,
		Cloneflags: cloneflags,
	}
}
