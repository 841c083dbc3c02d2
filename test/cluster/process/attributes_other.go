//go:build !linux

package process

import "syscall"

func attributes(uintptr) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
