package shelf

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// prepared is what a kind noted before it made something elsewhere, so that what a
// crash leaves there can be told from what was there before:
//
//	"prepared":{"holder":"team/key","notes":{"known":"AKIA…"}}
//
// It is gone once a turn is staged.
type prepared struct {
	Holder string            `json:"holder"`
	Notes  map[string]string `json:"notes"`
}

// preparer returns what Draft.Prepare does to r. The record stays that of the
// turn before: nothing is staged yet.
func (s *Shelf) preparer(r *record, t target.Turn) func(context.Context, map[string]string) error {
	return func(ctx context.Context, notes map[string]string) error {
		if r.Format == 0 {
			r.Format = 1
		}
		r.Prepared = &prepared{t.Rotation, notes}
		return s.save(ctx, r)
	}
}

// before returns the notes that holder prepared and staged nothing after.
func (r *record) before(holder string) map[string]string {
	if r.Prepared == nil || r.Prepared.Holder != holder {
		return nil
	}
	return r.Prepared.Notes
}

// BeginRetire is MayRetire that, for the old one, also ends every way back: for
// who removes something elsewhere before Retire.
func (s *Shelf) BeginRetire(ctx context.Context, t target.Turn, side target.Side) error {
	if err := s.MayRetire(ctx, t, side); err != nil || side == target.New {
		return err
	}
	return s.do(ctx, func(r *record) error {
		if err := s.enter(ctx, r, t); err != nil || r.Step == retiring || r.Step == retired {
			return err
		}
		if _, err := s.showsNew(ctx, r); err != nil {
			return err
		}
		r.Step = retiring
		return s.save(ctx, r)
	})
}

// Live returns what readers see; nil when there is nothing.
func (s *Shelf) Live(ctx context.Context) (Values, error) {
	e, err := s.live.read(ctx)
	return e.values, err
}

// Text returns a property that is a JSON string and not empty.
func (v Values) Text(property string) (string, error) {
	text, ok := v.Secret(property)
	if !ok || text.Empty() {
		return "", errs.Newf(errs.Invalid, "it has no property %q that is a text", property)
	}
	return text.RevealString(), nil
}
