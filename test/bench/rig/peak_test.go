package rig

import (
	"os/exec"
	"runtime"
	"testing"
)

// What the process holds that starts a program is not the program's.
func TestPeakOf(t *testing.T) {
	own := make([]byte, 256<<20)
	for i := 0; i < len(own); i += 4096 {
		own[i] = 1
	}
	mb, err := PeakOf(exec.Command("sleep", "0.5"))
	if err != nil || mb <= 0 || mb > 50 {
		t.Errorf("sleep holds %.1f MB, %v", mb, err)
	}
	runtime.KeepAlive(own)
	if _, err := PeakOf(exec.Command("false")); err == nil {
		t.Error("a program that fails is none the worse")
	}
	if _, err := PeakOf(exec.Command("/nowhere")); err == nil {
		t.Error("a program that there is not is run")
	}
}
