package app

import (
	"runtime"
	"testing"
)

func TestSpareForSyncs(t *testing.T) {
	t.Setenv("GOMAXPROCS", "") // like not set
	runtime.GOMAXPROCS(runtime.NumCPU())
	t.Cleanup(runtime.SetDefaultGOMAXPROCS)
	release := SpareForSyncs()
	if got := runtime.GOMAXPROCS(0); got != runtime.NumCPU()+syncers {
		t.Errorf("%d threads on %d processors", got, runtime.NumCPU())
	}
	release()
	if got := runtime.GOMAXPROCS(0); got > runtime.NumCPU() {
		t.Errorf("%d threads on %d processors at the end", got, runtime.NumCPU())
	}
}

func TestLimitsOfThreadsHold(t *testing.T) {
	t.Cleanup(runtime.SetDefaultGOMAXPROCS)
	t.Run("environment", func(t *testing.T) {
		t.Setenv("GOMAXPROCS", "1")
		holds(t)
	})
	t.Run("container", func(t *testing.T) {
		t.Setenv("GOMAXPROCS", "")
		runtime.GOMAXPROCS(runtime.NumCPU() + 1) // any other number is somebody's decision
		holds(t)
	})
}

func holds(t *testing.T) {
	t.Helper()
	before := runtime.GOMAXPROCS(0)
	defer SpareForSyncs()()
	if got := runtime.GOMAXPROCS(0); got != before {
		t.Errorf("%d threads, were %d", got, before)
	}
}
