package headroom

import (
	"os"
	"runtime"
	"runtime/debug"
	gometrics "runtime/metrics"
	"sync/atomic"
)

// Config is how much a process may allocate between two collections of garbage, in
// bytes, and how much of what is in use, at least, in percent.
type Config struct{ bytes, least int }

// Server is the vault's. Requests leave little behind and a server keeps
// little: by the collector's own rule, to run when the heap has doubled, it would run
// ten times a second under load and take a fifth of the time. A heap larger than twice
// these bytes grows by half: a cache that is full is worth less than what the machine
// has left.
func Server() Config { return Config{40 << 20, 50} }

// Operator is the operator's, which keeps some kilobytes for each object that it
// looks after. By the collector's own rule as much again would be garbage.
func Operator() Config { return Config{16 << 20, 25} }

// Keep has the collector leave c, which costs that much memory, until release
// is called. Whoever sets GOGC or GOMEMLIMIT has decided otherwise: then nothing is
// done.
func Keep(c Config) (release func()) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	p := &pacer{config: c}
	p.adjust()
	p.again()
	return func() {
		p.stopped.Store(true)
		debug.SetGCPercent(usualPercent)
	}
}

const usualPercent = 100 // the runtime's default

// pacer adjusts the collector after each of its runs.
type pacer struct {
	config  Config
	stopped atomic.Bool
}

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
	debug.SetGCPercent(p.config.percent(live[0].Value.Uint64()))
}

// percent is how much a heap may grow that has live bytes in use.
func (c Config) percent(live uint64) int {
	const smallest = 4 << 20 // the runtime lets every heap grow so far
	return max(c.least, int(100*uint64(c.bytes)/max(live, smallest)))
}
