package audit

import (
	"bytes"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// A best-effort device (required=false) never holds up a request: lines wait
// in a bounded buffer, are tried again until they are written, and the newest
// are dropped when it is full. Where lines were dropped, one line says how many:
//
//	{"time":…,"type":"lost","lost":{"lines":…,"since":…}}
//
// Lines that a failure interrupted are written again, so a place that cannot
// take them back (a socket) may get some twice.

// How long a device that fails is left alone; doubled from first to most.
const (
	firstBackoff = 100 * time.Millisecond
	mostBackoff  = 30 * time.Second
)

// free is what a best-effort sink has beyond others. sink.mu guards it, except
// where it is the writer's.
type free struct {
	held    *group    // that is being written, maybe not for the first time
	dropped int       // lines since the last that was taken
	since   time.Time // when the first of them came
	reload  bool
	backoff time.Duration // the writer's; 0 = the device works
}

// addFree queues line or drops it. s.mu is held.
func (s *sink) addFree(line []byte) {
	if s.closed || !s.hasRoom(len(line)) {
		if s.free.dropped == 0 {
			s.free.since = s.now()
		}
		s.free.dropped++
		s.stats.Dropped++
		return
	}
	s.tellLost()
	g := s.openGroup()
	g.lines = append(g.lines, line...)
	g.count++
}

// hasRoom reports whether n more bytes may wait. One line always may.
func (s *sink) hasRoom(n int) bool {
	size, count := n, 0
	for _, g := range []*group{s.open, s.free.held} {
		if g != nil {
			size += len(g.lines)
			count += g.count
		}
	}
	return count == 0 || size <= s.limit && count < s.lines
}

// tellLost queues the line that says what was dropped before. s.mu is held.
func (s *sink) tellLost() {
	if s.free.dropped == 0 {
		return
	}
	g := s.openGroup()
	l := liner{encoder: s.encoder, b: append(g.lines, s.encoder.format.Prefix...)}
	l.b = append(l.b, '{')
	l.time("time", s.now())
	l.text("type", "lost")
	l.open("lost")
	l.number("lines", int64(s.free.dropped))
	l.time("since", s.free.since)
	g.lines = append(l.b, "}}\n"...)
	s.free.dropped = 0
}

func (s *sink) reloadFree() {
	s.mu.Lock()
	s.free.reload = true
	s.mu.Unlock()
	s.kick()
}

// runFree is run of a best-effort device.
func (s *sink) runFree() {
	defer close(s.stopped)
	defer s.idle.Stop()
	retry := time.NewTimer(mostBackoff)
	defer retry.Stop()
	retry.Stop()
	for {
		due := false
		select {
		case <-s.wake:
		case <-retry.C:
			due = true
		case <-s.idle.C:
			if s.free.backoff == 0 {
				s.settle()
			}
			s.armed = false
			continue
		case <-s.stop:
			s.free.backoff = 0
			_ = s.flushFree()
			s.abandon()
			return
		}
		if s.reloaded() {
			due = true
		}
		if s.free.backoff > 0 && !due {
			continue
		}
		if err := s.flushFree(); err != nil {
			s.free.backoff = min(max(2*s.free.backoff, firstBackoff), mostBackoff)
			retry.Reset(s.free.backoff)
			continue
		}
		s.free.backoff = 0
		s.arm()
	}
}

// reloaded has the device reopen if that was asked for, and reports whether it was.
func (s *sink) reloaded() bool {
	s.mu.Lock()
	asked := s.free.reload
	s.free.reload = false
	s.mu.Unlock()
	if asked {
		if err := s.dev.Reload(); err != nil {
			s.log.Warn("reopening an audit device", "device", s.name, "error", err)
		}
	}
	return asked
}

// flushFree writes what waits, until nothing does or the device fails.
func (s *sink) flushFree() error {
	for {
		s.mu.Lock()
		if s.free.held == nil {
			s.free.held, s.open = s.open, nil
			s.timer.Stop()
		}
		if s.free.held == nil && s.free.dropped > 0 {
			s.tellLost()
			s.free.held, s.open = s.open, nil
			s.timer.Stop()
		}
		g := s.free.held
		s.mu.Unlock()
		if g == nil {
			return nil
		}
		began := time.Now()
		tooLarge, err := s.writeFree(g)
		if err != nil {
			err = errs.Newf(errs.Unavailable, "%s cannot be written: %w", s.describe(), err)
		}
		s.finishFree(g, tooLarge, err, time.Since(began))
		if err != nil {
			return err
		}
	}
}

// writeFree writes g. Lines the device can never take are left out and counted.
func (s *sink) writeFree(g *group) (tooLarge int, err error) {
	if err = s.dev.Write(g.lines); !errs.Is(err, errs.TooLarge) {
		return 0, err
	}
	for line := range bytes.Lines(g.lines) {
		err := s.dev.Write(line)
		switch {
		case errs.Is(err, errs.TooLarge):
			tooLarge++
		case err != nil:
			return 0, err
		}
	}
	return tooLarge, nil
}

func (s *sink) finishFree(g *group, tooLarge int, err error, took time.Duration) {
	s.mu.Lock()
	s.stats.Write.Add(took)
	before := s.failing
	s.failing = err
	if err == nil {
		s.stats.Groups++
		s.stats.Lines += uint64(g.count - min(tooLarge, g.count))
		s.stats.Bytes += uint64(len(g.lines))
		s.stats.Dropped += uint64(tooLarge)
		if tooLarge > 0 && s.free.dropped == 0 {
			s.free.since = s.now()
		}
		s.free.dropped += tooLarge
		s.free.held = nil
		if cap(g.lines) <= keepGroup && len(s.spare) < 2 {
			s.spare = append(s.spare, g.lines)
		}
		g.end()
	} else {
		s.stats.Failures++
		s.stats.LastError = err.Error()
	}
	s.mu.Unlock()
	s.report(before, err)
}

// abandon counts what could not be written before the end.
func (s *sink) abandon() {
	s.mu.Lock()
	left := 0
	for _, g := range []*group{s.open, s.free.held} {
		if g != nil {
			left += g.count
		}
	}
	s.open, s.free.held = nil, nil
	s.stats.Dropped += uint64(left)
	s.mu.Unlock()
	if left > 0 {
		s.log.Warn("audit device is closed with lines that it never got", "device", s.name, "target", s.dev.Target(), "lines", left)
	}
}
