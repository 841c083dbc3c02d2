package member

import (
	"context"
	"sync"
)

// Standing is a member and whether it takes part.
type Standing struct {
	Placed
	Leader bool
	There  bool // it answers as this member, and sees a leader
}

// Standings are those of all members, each asked itself. Kind Unavailable without a majority.
func (m *Member) Standings(ctx context.Context) ([]Standing, error) {
	all, err := m.Members(ctx)
	if err != nil {
		return nil, err
	}
	own := m.tell() // while it starts it knows of no ID and no leader
	standings := make([]Standing, len(all))
	var asking sync.WaitGroup
	for i, p := range all {
		standings[i] = Standing{Placed: p, Leader: p.ID == own.Leader, There: p.ID == own.ID}
		asking.Go(func() {
			for _, at := range p.URLs {
				if s, err := m.caller.state(ctx, at); err == nil && s.ID == p.ID && s.Leader != 0 {
					standings[i].There = true
					standings[i].Leader = standings[i].Leader || s.Leader == s.ID
				}
			}
		})
	}
	asking.Wait()
	return standings, nil
}

// Name is this node's.
func (m *Member) Name() string { return m.cfg.Name }
