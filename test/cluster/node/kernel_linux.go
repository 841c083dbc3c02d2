package node

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

const namespaces = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET |
	syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC

func setHostname(name string) error { return syscall.Sethostname([]byte(name)) }

// Exec becomes the program in args, which the kernel kills when nsenter, its
// parent outside the node, ends. nsenter alone would leave it running.
func Exec(args []string) error {
	// The request is the thread's, and so must be the exec.
	runtime.LockOSThread()
	_, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0)
	if errno != 0 {
		return fmt.Errorf("tying %s to its parent: %w", args[0], errno)
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	return fmt.Errorf("running %s: %w", path, syscall.Exec(path, args, os.Environ()))
}
