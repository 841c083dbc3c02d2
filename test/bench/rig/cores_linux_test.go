package rig

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"testing"
)

func TestCPUTime(t *testing.T) {
	for burn := 0; CPUTime(os.Getpid()) == 0 && burn < 1<<20; burn++ { // a tick is 10 ms
	}
	if got := CPUTime(os.Getpid()); got <= 0 {
		t.Errorf("this process used %v", got)
	}
	if got := CPUTime(0); got != 0 {
		t.Errorf("no process used %v", got)
	}
}

// A grandchild counts, unless its parent is left out.
func TestFamilyTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	child := exec.CommandContext(ctx, "sh", "-c", `while kill -0 $PPID; do n=0; while [ $n -lt 20000 ]; do n=$((n+1)); done; done & wait`)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = child.Wait() // it is killed
	}()
	for FamilyTime() == 0 {
		runtime.Gosched()
	}
	if got := FamilyTime(child.Process.Pid); got != 0 {
		t.Errorf("without its only child, this process has a family that used %v", got)
	}
}
