package build

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// progress says which program is being built: on a terminal in one moving line,
// elsewhere in a line per program.
type progress struct {
	total int
	count int

	mu       sync.Mutex // guards log
	log      io.Writer
	terminal bool
	tick     time.Duration
}

func newProgress(log io.Writer) *progress {
	p := &progress{log: log, tick: time.Second}
	if f, ok := log.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
	}
	return p
}

func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = fmt.Fprintf(p.log, format+"\n", args...)
}

// skip counts n programs that were found in the cache.
func (p *progress) skip(n int) { p.count += n }

// begin shows that a program is being built until the function it returns is
// called.
func (p *progress) begin(name string) func(error) {
	p.count++
	step := fmt.Sprintf("%s (%d of %d)", name, p.count, p.total)
	start := time.Now()
	elapsed := func() time.Duration { return time.Since(start).Round(time.Second) }
	stop, stopped := make(chan struct{}), make(chan struct{})
	if !p.terminal {
		p.say("building %s", step)
		close(stopped)
	} else {
		go func() {
			defer close(stopped)
			t := time.NewTicker(p.tick)
			defer t.Stop()
			for {
				p.line("building %s %v", step, elapsed())
				select {
				case <-stop:
					p.line("")
					return
				case <-t.C:
				}
			}
		}()
	}
	return func(err error) {
		close(stop)
		<-stopped
		if err == nil {
			p.say("built %s in %v", step, elapsed())
		}
	}
}

// line replaces the line the cursor is in.
func (p *progress) line(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = fmt.Fprintf(p.log, "\r\x1b[K"+format, args...)
}
