//go:build !linux

package fleet

import "syscall"

func owned() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
