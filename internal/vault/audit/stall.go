package audit

import "time"

// patience is how long the writer may be at one piece of work before those who
// wait for it look at their context as well.
const patience = 250 * time.Millisecond

// stall tells those who wait for a device that it hangs. To wait for one channel
// costs a request half of what it costs to wait for the end of its context too,
// which nearly always is over before the context matters.
type stall struct {
	timer *time.Timer // runs while the writer works

	// guarded by sink.mu
	on    bool   // the writer has been at it for longer than patience
	group *group // in the writer's hands
}

// work has the writer do something, which others may wait for.
func (s *sink) work(do func()) {
	s.stall.timer.Reset(patience)
	do()
	s.stall.timer.Stop()
	s.mu.Lock()
	s.stall.on = false
	s.mu.Unlock()
}

// stalled wakes all who wait; who comes later does not sleep so deeply at all.
// It may come late, when the writer is at its next piece of work: then they are
// woken for nothing.
func (s *sink) stalled() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stall.on = true
	for _, g := range []*group{s.stall.group, s.open} {
		if g != nil {
			g.stirUp()
		}
	}
}

// stirUp closes stir. sink.mu is held.
func (g *group) stirUp() {
	if !g.awake {
		g.awake = true
		close(g.stir)
	}
}
