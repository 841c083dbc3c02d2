package main

import (
	"os"
	"testing"
)

func TestCPUTime(t *testing.T) {
	for burn := 0; cpuTime(os.Getpid()) == 0 && burn < 1<<20; burn++ { // a tick is 10 ms
	}
	if got := cpuTime(os.Getpid()); got <= 0 {
		t.Errorf("this process used %v", got)
	}
	if got := cpuTime(0); got != 0 {
		t.Errorf("no process used %v", got)
	}
}
