package headroom

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestPercent(t *testing.T) {
	h := Config{40 << 20, 50}
	for live, want := range map[uint64]int{
		0:         1000, // of at least 4 MiB
		4 << 20:   1000,
		16 << 20:  250,
		40 << 20:  100,
		80 << 20:  50,
		100 << 30: 50,
	} {
		if got := h.percent(live); got != want {
			t.Errorf("a heap of %d may grow by %d %%, want %d %%", live, got, want)
		}
	}
}

// The next collection is headroom away; a heap that has grown beyond it only
// grows by half; at the end all is as before.
func TestHeadroom(t *testing.T) {
	t.Setenv("GOGC", "") // like not set
	t.Setenv("GOMEMLIMIT", "")
	before := setting()
	const headroom = 40 << 20
	release := Keep(Config{headroom, 50})
	if next, used := collect(); next < used+headroom*9/10 {
		t.Errorf("the next collection is at %d bytes, and %d are in use: it should be %d away", next, used, headroom)
	}
	kept := make([]byte, 3*headroom)
	if next, used := collect(); next > used+used/2+headroom/4 {
		t.Errorf("the next collection is at %d bytes, though %d are in use", next, used)
	}
	runtime.KeepAlive(kept)
	release()
	collect()
	if got := setting(); got != before {
		t.Errorf("the collector is set to %d, and was to %d before", got, before)
	}
}

func TestHeadroomIsTheUsersToDecide(t *testing.T) {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "1GiB")
			before := setting()
			defer Keep(Server())()
			if got := setting(); got != before {
				t.Errorf("the collector is set to %d, and was to %d before", got, before)
			}
		})
	}
}

// collect runs the collector until its finalizers have run too.
func collect() (next, used uint64) {
	done := make(chan struct{})
	runtime.SetFinalizer(&struct{ p *int }{new(int)}, func(any) { close(done) })
	for {
		runtime.GC()
		select {
		case <-done:
			runtime.GC() // with what the finalizers set
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.NextGC, m.HeapAlloc
		default:
		}
	}
}

func setting() int {
	p := debug.SetGCPercent(usualPercent)
	debug.SetGCPercent(p)
	return p
}
