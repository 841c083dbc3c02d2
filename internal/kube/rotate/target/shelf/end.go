package shelf

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// Close deletes the versions that hold the old one, so that who names a version
// fails; readers of the latest one do not notice.
func (s *Shelf) Close(ctx context.Context, t target.Turn) error {
	return s.do(ctx, func(r *record) error {
		if err := s.enter(ctx, r, t); err != nil {
			return err
		}
		switch {
		case r.Step == discarded:
			return s.past(r, "closing the old one")
		case r.Step != staged || r.First:
			return nil
		}
		live, err := s.showsNew(ctx, r)
		if err != nil {
			return err
		}
		if err := s.still(ctx, r); err != nil {
			return err
		}
		return s.live.versions(ctx, "delete", without(r.holds(target.Old), live.version))
	})
}

// Reopen brings the versions back that Close deleted, and reads them. One that
// the vault keeps no more is left out: the record has its values.
func (s *Shelf) Reopen(ctx context.Context, t target.Turn) error {
	return s.do(ctx, func(r *record) error {
		if err := s.enter(ctx, r, t); err != nil {
			return err
		}
		switch {
		case r.Step == retiring || r.Step == retired:
			return s.past(r, "reopening the old one")
		case r.Step != staged || r.First:
			return nil
		}
		old := r.holds(target.Old)
		if err := s.still(ctx, r); err != nil {
			return err
		}
		if err := s.live.versions(ctx, "undelete", old); err != nil || len(old) == 0 {
			return err
		}
		_, err := s.live.readable(ctx, old[len(old)-1])
		return err
	})
}

// Retire destroys every version that holds side, and forgets the values.
func (s *Shelf) Retire(ctx context.Context, t target.Turn, side target.Side) error {
	return s.do(ctx, func(r *record) error {
		if done, err := s.discards(ctx, r, t, side); done || err != nil {
			return err
		}
		if err := s.enter(ctx, r, t); err != nil {
			return err
		}
		if side == target.Old {
			return s.retireOld(ctx, r)
		}
		return s.retireNew(ctx, r)
	})
}

// MayRetire is the error that Retire would begin with, if any: who must do
// something else first asks before.
func (s *Shelf) MayRetire(ctx context.Context, t target.Turn, side target.Side) error {
	return s.do(ctx, func(r *record) error {
		if done, err := s.discards(ctx, r, t, side); done || err != nil {
			return err
		}
		if err := s.enter(ctx, r, t); err != nil {
			return err
		}
		if side == target.New {
			return s.notSeen(ctx, r)
		}
		switch r.Step {
		case discarded:
			return s.past(r, "retiring the old one")
		case retired:
			return nil
		}
		_, err := s.showsNew(ctx, r)
		return err
	})
}

func (s *Shelf) retireOld(ctx context.Context, r *record) error {
	switch r.Step {
	case discarded:
		return s.past(r, "retiring the old one")
	case retired:
		return nil
	}
	live, err := s.showsNew(ctx, r)
	if err != nil {
		return err
	}
	if r.Step != retiring {
		r.Step = retiring
		if err := s.save(ctx, r); err != nil {
			return err
		}
	}
	gone := Values{}
	for _, property := range r.Until {
		gone[property] = json.RawMessage("null")
	}
	if !live.values.Has(gone) {
		if live.version, err = s.live.write(ctx, live.version, live.values.with(gone)); err != nil {
			return err
		}
	}
	condemned := without(r.holds(target.Old), live.version)
	if len(r.Until) > 0 { // what was published holds the old one too, by another name
		condemned = append(condemned, without(r.holds(target.New), live.version)...)
	}
	if err := s.destroy(ctx, r, condemned); err != nil {
		return err
	}
	r.end(retired)
	return s.save(ctx, r)
}

func (s *Shelf) retireNew(ctx context.Context, r *record) error {
	if r.Step == discarded {
		return nil
	}
	if err := s.notSeen(ctx, r); err != nil {
		return err
	}
	live, err := s.live.read(ctx)
	if err != nil {
		return err
	}
	if err := s.survey(ctx, r, live); err != nil {
		return err
	}
	if err := s.destroy(ctx, r, without(r.holds(target.New), live.version)); err != nil {
		return err
	}
	r.end(discarded)
	return s.save(ctx, r)
}

// notSeen is an error unless readers do not see the new one for sure.
func (s *Shelf) notSeen(ctx context.Context, r *record) error {
	switch r.Step {
	case retiring, retired:
		return s.past(r, "retiring the new one")
	case discarded:
		return nil
	}
	live, err := s.live.read(ctx)
	if err != nil {
		return err
	}
	if r.Intent != nil || live.values != nil && live.values.Has(r.New) && !live.values.Has(r.Old) {
		return errs.Newf(errs.Conflict, "readers of %q see the new one, or soon may: publish the old one first", s.live.at("data"))
	}
	return nil
}

// destroy removes versions for good, and reads that they are gone.
func (s *Shelf) destroy(ctx context.Context, r *record, versions []int64) error {
	if err := s.still(ctx, r); err != nil {
		return err
	}
	if err := s.live.versions(ctx, "destroy", versions); err != nil {
		return err
	}
	for _, version := range versions {
		there, err := s.live.readable(ctx, version)
		if err != nil {
			return err
		}
		if there {
			return errs.Newf(errs.Unavailable, "version %d of %q was destroyed, and can still be read", version, s.live.at("data"))
		}
	}
	return nil
}

// showsNew returns what readers see, with the sides of every version up to it
// known; Conflict when it is not the new one.
func (s *Shelf) showsNew(ctx context.Context, r *record) (entry, error) {
	live, err := s.live.read(ctx)
	if err != nil {
		return live, err
	}
	if r.Intent != nil || live.values == nil || !live.values.Has(r.lasting()) {
		return live, errs.Newf(errs.Conflict, "readers of %q do not see the new one for sure: publish it first", s.live.at("data"))
	}
	known := len(r.Sides)
	if err := s.survey(ctx, r, live); err != nil || len(r.Sides) == known {
		return live, err
	}
	return live, s.save(ctx, r) // a version that is deleted next cannot be read later
}

// lasting are the new values that stay when the turn is over.
func (r *record) lasting() Values {
	out := Values{}
	for property, value := range r.New {
		if !slices.Contains(r.Until, property) {
			out[property] = value
		}
	}
	return out
}

// survey finds out whose values the versions hold that others wrote since the
// turn was staged, and notes it in r, which it does not save. Only those are read
// that the path's metadata says can be.
func (s *Shelf) survey(ctx context.Context, r *record, live entry) error {
	var strange []int64
	for version := max(r.Base, 1); version < live.version; version++ {
		if r.Sides[version] == "" {
			strange = append(strange, version)
		}
	}
	if len(strange) == 0 {
		return nil
	}
	there, err := s.live.there(ctx, live.created)
	if err != nil {
		return err
	}
	for _, version := range strange {
		if !there[version] {
			continue // deleted: not by us, who would know it
		}
		e, err := s.live.get(ctx, fmt.Sprintf("?version=%d", version))
		if errs.Is(err, errs.NotExist) {
			continue // meanwhile
		}
		if err != nil {
			return err
		}
		side := target.Old
		if e.values.Has(r.lasting()) {
			side = target.New
		}
		if r.Sides == nil {
			r.Sides = map[int64]string{}
		}
		r.Sides[version] = side.String()
	}
	return nil
}

func without(versions []int64, current int64) []int64 {
	return slices.DeleteFunc(versions, func(v int64) bool { return v == current })
}

// checkPath refuses a mount or path that a request could not name, or that is a
// record's own.
func checkPath(field, path string) error {
	for _, own := range []string{Prefix, Provided} {
		if strings.HasPrefix(path, own) {
			return errs.Newf(errs.Invalid, "%s %q is Strongkeep's own: what turns remember is kept there", field, path)
		}
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsAny(segment, "?#%") {
			return errs.Newf(errs.Invalid, "%s %q is not a path: names with single slashes between them, without '?', '#' and '%%'", field, path)
		}
	}
	return nil
}
