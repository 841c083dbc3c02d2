package rig

import (
	"os"
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
