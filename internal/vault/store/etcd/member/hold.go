package member

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// handOver moves leadership to another member. Writes wait meanwhile on all members that
// answer, 2 s at most; on those that do not, a write may end with an unknown outcome.
func (m *Member) handOver(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, holdFor)
	defer cancel()
	defer m.holdAll(ctx)()
	if err := m.server.Load().TryTransferLeadershipOnShutdown(); err != nil {
		return errs.Newf(errs.Unavailable, "moving leadership: %w", err)
	}
	return nil
}

// linger waits while another node starts without whose member the rest would have no majority: such
// a node may serve its clients through this one already, so that whoever restarts one node after the other
// takes it for ready.
func (m *Member) linger() {
	for end := time.Now().Add(lingerFor); time.Now().Before(end) && m.needed() && pause(m.ctx, askEvery); {
		m.lingers.Store(true)
		m.cfg.Log.Info("this node waits to end until another one has started")
	}
}

func (m *Member) needed() bool {
	answers, _ := m.caller.Survey(m.ctx, m.cfg.others())
	own := m.tell()
	there, starting := 0, 0
	for _, s := range answers {
		switch {
		case s.Cluster != own.Cluster || s.Epoch != own.Epoch:
		case s.Starting:
			starting++
		case s.Leader != 0:
			there++
		}
	}
	return starting > 0 && there < m.voters()/2+1
}

// holdAll has writes wait on all members, until release.
func (m *Member) holdAll(ctx context.Context) (release func()) {
	var mu sync.Mutex
	var releases []func()
	var asking sync.WaitGroup
	hold := func(who string, f func() (func(), error)) {
		asking.Go(func() {
			r, err := f()
			if err != nil {
				m.cfg.Log.Warn("a member does not wait while leadership moves", "address", who, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			releases = append(releases, r)
		})
	}
	hold("this one", func() (func(), error) { return m.hold(ctx) })
	for _, at := range m.addresses() {
		hold(at, func() (func(), error) { return m.caller.Hold(ctx, at) })
	}
	asking.Wait()
	return func() {
		for _, r := range releases {
			r()
		}
	}
}

// hold waits half as long for writes under way as it may last.
func (m *Member) hold(ctx context.Context) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, holdFor/2)
	defer cancel()
	return m.kv.Hold(ctx)
}

// serveHold is the other side: it lasts until who asked goes away. A node that starts has
// writes under way too, by another member.
func (m *Member) serveHold(w http.ResponseWriter, r *http.Request) {
	release, err := m.hold(r.Context())
	if err != nil {
		http.Error(w, "writes under way do not end", http.StatusConflict)
		return
	}
	defer release()
	w.WriteHeader(http.StatusOK)
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), holdFor)
	defer cancel()
	select {
	case <-ctx.Done():
	case <-m.ctx.Done():
	}
}

// serveShrink defragments; who asks waits for it. A node that starts would have its calls go to its own
// member amid it.
func (m *Member) serveShrink(w http.ResponseWriter, _ *http.Request) {
	if !m.TakesPart() {
		http.Error(w, "this node is no member yet", http.StatusServiceUnavailable)
		return
	}
	if err := m.shrink(); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	reply(w, m.Health())
}

func (m *Member) serveHealth(w http.ResponseWriter, _ *http.Request) {
	if !m.running() {
		http.Error(w, "this node is no member yet", http.StatusServiceUnavailable)
		return
	}
	reply(w, m.Health())
}
