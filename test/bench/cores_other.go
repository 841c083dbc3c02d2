//go:build !linux

package main

import (
	"fmt"
	"io"
	"runtime"
	"time"
)

// onTwoCores can bind to cores on Linux only.
func onTwoCores(stderr io.Writer) error {
	_, _ = fmt.Fprintf(stderr, "bench: note: the bounds are made for 2 cores of Linux, and this is %s with %d\n", runtime.GOOS, runtime.NumCPU())
	return nil
}

func inMemory(string) bool { return false }

func cpuTime(int) time.Duration { return 0 }
