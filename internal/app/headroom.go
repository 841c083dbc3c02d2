package app

import (
	"os"
	"runtime"
	"runtime/debug"
	gometrics "runtime/metrics"
	"sync/atomic"
)

// headroom is how much a server may allocate between two collections of
// garbage, at least, in bytes. Requests leave little behind and a server keeps
// little: by the collector's own rule, to run when the heap has doubled, it
// would run ten times a second under load and take a fifth of the time.
const headroom = 40 << 20

// KeepHeadroom has the collector leave headroom, which costs that much memory,
// until release is called. A heap larger than twice headroom grows by half: a
// cache that is full is worth less than what the machine has left. Whoever sets
// GOGC or GOMEMLIMIT has decided otherwise: then nothing is done.
func KeepHeadroom() (release func()) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	p := &pacer{}
	p.adjust()
	p.again()
	return func() {
		p.stopped.Store(true)
		debug.SetGCPercent(usualPercent)
	}
}

const (
	usualPercent = 100 // the runtime's default
	leastPercent = 50
)

// pacer adjusts the collector after each of its runs.
type pacer struct{ stopped atomic.Bool }

// again has adjust called when the next collection has run: a finalizer is the
// runtime's only word of that.
func (p *pacer) again() {
	runtime.SetFinalizer(&struct{ *pacer }{p}, func(s *struct{ *pacer }) {
		if !s.stopped.Load() {
			s.adjust()
			s.again()
		}
	})
}

func (p *pacer) adjust() {
	live := []gometrics.Sample{{Name: "/gc/heap/live:bytes"}}
	gometrics.Read(live)
	debug.SetGCPercent(percent(live[0].Value.Uint64()))
}

// percent is how much a heap may grow that has live bytes in use.
func percent(live uint64) int {
	const least = 4 << 20 // the runtime lets every heap grow so far
	return int(max(leastPercent, 100*headroom/max(live, least)))
}
