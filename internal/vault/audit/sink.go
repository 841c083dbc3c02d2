package audit

import (
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit/histogram"
)

// lazy is how long a line nobody waits for may lie in the queue.
const lazy = 50 * time.Millisecond

// group is the lines that are written and synced together, and fail together.
type group struct {
	sink   *sink
	lines  []byte
	count  int
	reload bool // reload the device first
	done   chan struct{}
	stir   chan struct{} // closed with done, or before it if the writer takes long; see stall
	awake  bool          // stir is closed; guarded by sink.mu
	err    error         // written under sink.mu before done is closed; read under sink.mu or after done
}

// sink is one device with its queue and its writer.
//
// At any time there is at most one open group, which takes lines, and one group
// in the writer's hands. A failure fails both: so a line never gets through
// when one queued before it was lost.
type sink struct {
	sinkConfig
	wake    chan struct{} // capacity 1: something is to be written now
	stop    chan struct{}
	stopped chan struct{} // the writer has ended
	timer   *time.Timer   // wakes the writer for lines nobody waits for
	waits   histogram.Shared
	stall   stall
	settler Settler     // dev, if it is one
	idle    *time.Timer // fires when the settler is to be asked; the writer's
	armed   bool        // idle runs; the writer's

	mu      sync.Mutex
	open    *group
	spare   [][]byte // buffers of earlier groups, at most two: one is filled while one is written
	closed  bool
	gone    bool  // disabled: lines pass it by; otherwise closed means refused
	failing error // of the last group; nil = it was written
	stats   Stats // counters; without Wait
	free    free  // of a best-effort device
}

type sinkConfig struct {
	name, kind string
	enabled    time.Time // of Spec
	dev        Device
	required   bool
	limit      int // bytes that may be queued
	lines      int // likewise lines, if not required
	log        *slog.Logger
	now        func() time.Time
	encoder    *encoder
}

// settleAfter is how long after a group a Settler is asked.
const settleAfter = time.Second

func newSink(c sinkConfig) *sink {
	s := &sink{
		sinkConfig: c,
		wake:       make(chan struct{}, 1),
		stop:       make(chan struct{}),
		stopped:    make(chan struct{}),
	}
	s.settler, _ = c.dev.(Settler)
	return s
}

// start begins writing. close ends it.
func (s *sink) start() {
	s.timer = time.AfterFunc(lazy, s.kick)
	s.timer.Stop()
	s.stall.timer = time.AfterFunc(patience, s.stalled)
	s.stall.timer.Stop()
	s.idle = time.NewTimer(settleAfter)
	s.armed = true // what was left open the last time is settled without a line
	if s.required {
		go s.run()
	} else {
		go s.runFree()
	}
}

func (s *sink) run() {
	defer close(s.stopped)
	defer s.idle.Stop()
	for {
		select {
		case <-s.wake:
			runtime.Gosched() // those just answered are about to ask again: let them into this group
			s.work(s.flush)
			s.arm()
		case <-s.idle.C:
			s.work(s.settle)
		case <-s.stop:
			s.work(s.flush)
			return
		}
	}
}

// arm has the settler asked in a while.
func (s *sink) arm() {
	if s.settler != nil && !s.armed {
		s.idle.Reset(settleAfter)
		s.armed = true
	}
}

// settle asks the settler. What it writes is no line of a request: a failure
// is logged and refuses nobody, but the next line meets the same device.
func (s *sink) settle() {
	s.armed = false
	if s.settler == nil {
		return
	}
	if err := s.settler.Settle(); err != nil {
		s.log.Warn("audit device cannot write its checkpoint", "device", s.name, "target", s.dev.Target(), "error", err)
		s.arm()
	}
}

// kick has the open group written now. It never blocks.
func (s *sink) kick() {
	select {
	case s.wake <- struct{}{}:
	default: // the writer is to look anyway
	}
}

// close writes what is queued, ends the writer and closes the device. Later
// lines are refused or, if the device is gone for good, pass it by.
func (s *sink) close(gone bool) error {
	s.mu.Lock()
	was := s.closed
	s.closed, s.gone = true, s.gone || gone
	s.mu.Unlock()
	if was {
		<-s.stopped
		return nil
	}
	s.timer.Stop()
	close(s.stop)
	<-s.stopped
	if err := s.dev.Close(); err != nil {
		return errs.Newf(errs.Unavailable, "closing %s: %w", s.describe(), err)
	}
	return nil
}

// add queues line, behind the group after if that is this sink's. Without a
// group and an error there is nothing to wait for.
func (s *sink) add(line []byte, after *group) (*group, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.required:
		s.addFree(line)
		return nil, nil
	case s.closed:
		return nil, s.passBy(after)
	case after != nil && after.err != nil:
		s.stats.Lost++
		return nil, after.err
	case s.open != nil && len(s.open.lines)+len(line) > s.limit && len(s.open.lines) > 0:
		s.stats.Lost++
		return nil, errs.Newf(errs.Unavailable, "%s does not keep up: over %d bytes wait to be written; requests are refused until it does", s.describe(), s.limit)
	}
	g := s.openGroup()
	g.lines = append(g.lines, line...)
	g.count++
	return g, nil
}

// passBy is add on a device that takes no more lines. s.mu is held.
func (s *sink) passBy(after *group) error {
	switch {
	case !s.gone:
		return errs.Newf(errs.Unavailable, "%s is closed", s.describe())
	case after != nil && after.err != nil:
		s.stats.Lost++
		return after.err
	}
	return nil // as if it had never been asked; what it was given before is written
}

// openGroup returns the open group, making one if there is none. s.mu is held.
func (s *sink) openGroup() *group {
	if s.open == nil {
		s.open = &group{sink: s, done: make(chan struct{}), stir: make(chan struct{})}
		if s.stall.on {
			s.open.stirUp()
		}
		if n := len(s.spare); n > 0 {
			s.open.lines, s.spare = s.spare[n-1][:0], s.spare[:n-1]
		}
		s.timer.Reset(lazy)
	}
	return s.open
}

// reload queues a reload of the device and returns what it is done with.
func (s *sink) reload() (*group, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errs.Newf(errs.Unavailable, "%s is disabled", s.describe())
	}
	g := s.openGroup()
	g.reload = true
	return g, nil
}

// flush writes the open group, if there is one.
func (s *sink) flush() {
	s.mu.Lock()
	g := s.open
	s.open, s.stall.group = nil, g
	s.timer.Stop()
	s.mu.Unlock()
	if g == nil {
		return
	}
	began := time.Now()
	err := s.write(g)
	took := time.Since(began)
	if err != nil {
		err = errs.Newf(errs.Unavailable, "%s cannot be written: %w; requests are refused until it can", s.describe(), err)
	}
	s.finish(g, err, took)
}

func (s *sink) write(g *group) error {
	if g.reload {
		if err := s.dev.Reload(); err != nil {
			return err
		}
	}
	if len(g.lines) == 0 {
		return nil
	}
	return s.dev.Write(g.lines)
}

// finish answers everyone who waits for g and, after a failure, for whatever
// was queued behind it.
func (s *sink) finish(g *group, err error, took time.Duration) {
	s.mu.Lock()
	g.err = err
	s.stats.Write.Add(took)
	var behind *group
	if err == nil {
		s.stats.Groups++
		s.stats.Lines += uint64(g.count)
		s.stats.Bytes += uint64(len(g.lines))
	} else {
		behind = s.open
		s.open = nil
		s.stats.Failures++
		s.stats.Lost += uint64(g.count)
	}
	if behind != nil {
		behind.err = err
		behind.stirUp() // the watchdog does not know it any more, and the log may hang
		s.stats.Lost += uint64(behind.count)
	}
	before := s.failing
	s.failing = err
	if err != nil {
		s.stats.LastError = err.Error()
	}
	if cap(g.lines) <= keepGroup && len(s.spare) < 2 {
		s.spare = append(s.spare, g.lines)
	}
	g.lines = nil
	s.mu.Unlock()
	s.report(before, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stall.group = nil
	g.end()
	if behind != nil {
		behind.end()
	}
}

// end wakes whoever waits for g. sink.mu is held.
func (g *group) end() {
	close(g.done)
	g.stirUp()
}

// keepGroup is the largest buffer kept for the next group, in bytes.
const keepGroup = 1 << 20

// report logs when a device begins and ceases to fail, not every failure.
func (s *sink) report(before, now error) {
	switch {
	case before == nil && now != nil:
		s.log.Error("audit device fails", "device", s.name, "target", s.dev.Target(), "required", s.required, "error", now)
	case before != nil && now == nil:
		s.log.Info("audit device works again", "device", s.name, "target", s.dev.Target())
	}
}

// describe names the device in messages.
func (s *sink) describe() string { return "the audit device " + s.name + " at " + s.dev.Target() }

// snapshot returns the counters.
func (s *sink) snapshot() Stats {
	s.mu.Lock()
	st := s.stats
	st.Failing = s.failing != nil
	for _, g := range []*group{s.open, s.free.held} {
		if g != nil {
			st.Queued += len(g.lines)
			st.QueuedLines += g.count
		}
	}
	s.mu.Unlock()
	st.Path, st.Type, st.Target, st.Required = s.name, s.kind, s.dev.Target(), s.required
	st.Wait = s.waits.Snapshot()
	return st
}
