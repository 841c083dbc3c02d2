package shelf

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// Adopt implements target.Adopter: it ends the turn that a Rotation of the same name
// has left open, which is gone. What its readers see goes on: a new credential that
// nobody sees is discarded, removing that had begun is finished, and an old one that
// is open beside a new one is, from here on, one more version of what t will retire.
func (s *Shelf) Adopt(ctx context.Context, t target.Turn) error {
	return s.do(ctx, func(r *record) error {
		if r.over() || r.Holder != t.Rotation || t.Number <= r.Turn {
			return nil
		}
		if r.Step == retiring {
			return s.retireOld(ctx, r)
		}
		live, err := s.live.read(ctx)
		if err != nil {
			return err
		}
		if s.notSeen(ctx, r) == nil {
			return s.retireNew(ctx, r)
		}
		if err := s.survey(ctx, r, live); err != nil {
			return err
		}
		next := record{Format: 1, Turn: r.Turn, Holder: r.Holder, Step: discarded, Fence: r.Fence, Base: r.Base, Sides: map[int64]string{}, version: r.version}
		for version, side := range r.Sides {
			if side != gone {
				side = target.Old.String()
			}
			next.Sides[version] = side
		}
		*r = next
		return s.save(ctx, r)
	})
}
