package history

import (
	"sync"
	"time"
)

// Stall is how late this machine lets those who are due run: a goroutine that wants to run each
// tick notes when it did not. What is promised within a time is held to that time and the
// longest gap since.
type Stall struct {
	log  *Log
	stop chan struct{}
	done sync.WaitGroup

	mu   sync.Mutex
	gaps []gap
}

type gap struct{ from, to time.Duration }

const (
	tick  = 5 * time.Millisecond
	worth = 20 * time.Millisecond // shorter gaps are not noted: they are no excuse
)

// Watch begins to measure, by l's clock, until Close.
func Watch(l *Log) *Stall {
	s := &Stall{log: l, stop: make(chan struct{})}
	s.done.Go(s.run)
	return s
}

func (s *Stall) run() {
	t := time.NewTicker(tick)
	defer t.Stop()
	last := s.log.Now()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
		}
		now := s.log.Now()
		if now-last > worth {
			s.mu.Lock()
			s.gaps = append(s.gaps, gap{last, now})
			s.mu.Unlock()
		}
		last = now
	}
}

// Within is the sum of the gaps that touch a time.
func (s *Stall) Within(from, to time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := time.Duration(0)
	for _, g := range s.gaps {
		if g.to > from && g.from < to {
			sum += g.to - g.from
		}
	}
	return sum
}

// Close ends the measuring.
func (s *Stall) Close() {
	close(s.stop)
	s.done.Wait()
}
