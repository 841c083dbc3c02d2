package shelf

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// Shelf turns what is at one KV v2 path. It keeps no state: all of it is in the
// vault. It is safe for concurrent use.
type Shelf struct {
	vault  target.Vault
	live   kv // what readers see
	record kv
}

// New returns the shelf of a path. Invalid is a path that cannot be meant.
func New(vault target.Vault, at v1alpha1.KVPath) (*Shelf, error) {
	mount, path := at.Mount, at.Path
	if mount == "" {
		mount = "secret"
	}
	if err := checkPath("mount", mount); err != nil {
		return nil, err
	}
	if err := checkPath("path", path); err != nil {
		return nil, err
	}
	return &Shelf{vault: vault, live: kv{vault, mount, path}, record: kv{vault, mount, Prefix + path}}, nil
}

// maxVersions is how many versions a vault keeps at most.
const maxVersions = 400

// Draft is what a kind makes a new credential from.
type Draft struct {
	Turn target.Turn
	// Live is what readers see; nil when there is nothing.
	Live Values
	// Prepared is what Prepare was last given, if nothing was staged since.
	Prepared map[string]string
	// Prepare notes what must be known if what is made next is lost: by a crash
	// before it is stored. Its error, too, is returned as it is. Whoever else was
	// making something for this turn meanwhile stores it no more.
	Prepare func(context.Context, map[string]string) error
}

// Staged is what a kind has made.
type Staged struct {
	// Values are the properties that readers see from publishing on, null for one
	// that is then gone; others stay as they are.
	Values Values
	// Until names those of Values that go when the old credential is retired, such
	// as one that holds the old value for verifiers.
	Until []string
	// Notes are the kind's own, such as the identifier of a key at a provider. They
	// are kept sealed with the rest until the turn is over.
	Notes map[string]string
}

// Stage makes the new credential with make and stores it, once for a turn: when
// it is stored already make is not called. make may be called again if what it
// was given has changed meanwhile. An error of make is returned as it is.
func (s *Shelf) Stage(ctx context.Context, t target.Turn, make func(context.Context, Draft) (Staged, error)) (target.State, error) {
	err := s.do(ctx, func(r *record) error {
		if err := s.admitStage(r, t); err != nil {
			return err
		}
		if r.Turn == t.Number {
			return s.enter(ctx, r, t)
		}
		live, err := s.live.read(ctx)
		if err != nil {
			return err
		}
		made, err := make(ctx, Draft{Turn: t, Live: live.values, Prepared: r.before(t.Rotation), Prepare: s.preparer(r, t)})
		if err != nil {
			return err
		}
		if len(made.Values) == 0 {
			return errs.Newf(errs.Invalid, "nothing was made for %q", s.live.at("data"))
		}
		next := &record{
			Format: 1, Turn: t.Number, Holder: t.Rotation, Fence: t.Fence, Step: staged, First: live.values == nil, Base: live.version,
			New: made.Values, Old: live.values.of(made.Values), Until: made.Until, Notes: made.Notes, Sides: map[int64]string{}, version: r.version,
		}
		if r.Base > 0 && r.Sides != nil && live.values != nil {
			next.Base, next.Sides = max(r.Base, live.version-maxVersions), r.Sides
			maps.DeleteFunc(next.Sides, func(version int64, _ string) bool { return version < next.Base })
		}
		if live.values != nil {
			next.Sides[live.version] = target.Old.String()
		}
		return s.save(ctx, next)
	})
	if err != nil {
		return target.State{}, err
	}
	return s.Observe(ctx)
}

// Publish makes readers see side.
func (s *Shelf) Publish(ctx context.Context, t target.Turn, side target.Side) (target.State, error) {
	err := s.do(ctx, func(r *record) error {
		if err := s.enter(ctx, r, t); err != nil {
			return err
		}
		switch {
		case side == target.New && r.Step == discarded:
			return s.past(r, "publishing the new one")
		case side == target.Old && (r.Step == retiring || r.Step == retired):
			return s.past(r, "publishing the old one")
		case r.Step != staged:
			return nil
		}
		return s.show(ctx, r, side)
	})
	if err != nil {
		return target.State{}, err
	}
	return s.Observe(ctx)
}

// show writes the values of side, unless they are there. A write of the other
// side that was begun and may still come is made void by writing over the version
// that it would replace.
func (s *Shelf) show(ctx context.Context, r *record, side target.Side) error {
	live, err := s.live.read(ctx)
	if err != nil {
		return err
	}
	want := r.New
	if side == target.Old {
		want = r.Old
	}
	there := live.values.Has(want) && (live.values != nil || side == target.Old && r.First)
	if there && !r.otherMayCome(side, live.version) {
		return s.shown(ctx, r, side, live)
	}
	if now := (intent{side.String(), live.version}); r.Intent == nil || *r.Intent != now {
		r.Intent = &now
		if err := s.save(ctx, r); err != nil {
			return err
		}
	}
	values := live.values.with(want)
	version, err := s.live.write(ctx, live.version, values)
	if err != nil {
		return err
	}
	return s.shown(ctx, r, side, entry{version: version, values: values})
}

// otherMayCome reports whether a write of the other side over version was begun.
func (r *record) otherMayCome(side target.Side, version int64) bool {
	return r.Intent != nil && r.Intent.Side != side.String() && r.Intent.Over == version
}

// shown notes that readers see side in version. Where there was nothing before
// the turn, an empty secret is deleted.
func (s *Shelf) shown(ctx context.Context, r *record, side target.Side, live entry) error {
	if r.First && side == target.Old && live.values != nil && len(live.values) == 0 {
		if err := s.live.versions(ctx, "delete", []int64{live.version}); err != nil {
			return err
		}
	}
	if r.Intent == nil && (live.version == 0 || r.Sides[live.version] == side.String()) {
		return nil
	}
	r.Intent = nil
	if live.version > 0 {
		if r.Sides == nil {
			r.Sides = map[int64]string{}
		}
		r.Sides[live.version] = side.String()
	}
	return s.save(ctx, r)
}

// Observe says what readers see.
func (s *Shelf) Observe(ctx context.Context) (target.State, error) {
	r, err := s.load(ctx)
	if err != nil {
		return target.State{}, err
	}
	live, err := s.live.read(ctx)
	if err != nil {
		return target.State{}, err
	}
	state := target.State{Location: s.Location(), Turn: r.Turn}
	if live.values != nil {
		state.Version, state.Changed = itoa(live.version), live.created
	}
	return state, nil
}

// Location is where the credential is read.
func (s *Shelf) Location() string { return s.vault.Locate(s.live.at("data")) }

// View is what a turn has remembered.
type View struct {
	// Over: the turn has ended, and New, Old and Notes are forgotten.
	Over     bool
	New, Old Values // Old has null for a property that there was not
	Notes    map[string]string
	// First: there was nothing before the turn.
	First bool
	// Confirmed are the sides that a person says are removed.
	Confirmed []target.Side
}

// Look returns what the turn has remembered; Conflict when it is not the present one.
func (s *Shelf) Look(ctx context.Context, t target.Turn) (View, error) {
	r, err := s.load(ctx)
	if err != nil {
		return View{}, err
	}
	if err := s.admit(r, t); err != nil {
		return View{}, err
	}
	v := View{Over: r.over(), New: r.New, Old: r.Old, Notes: r.Notes, First: r.First}
	for _, side := range []target.Side{target.New, target.Old} {
		if slices.Contains(r.Confirmed, side.String()) {
			v.Confirmed = append(v.Confirmed, side)
		}
	}
	return v, nil
}

// MarkRemoved remembers that a person says that side is removed.
func (s *Shelf) MarkRemoved(ctx context.Context, t target.Turn, side target.Side) error {
	return s.do(ctx, func(r *record) error {
		if err := s.enter(ctx, r, t); err != nil || r.over() || slices.Contains(r.Confirmed, side.String()) {
			return err
		}
		r.Confirmed = append(r.Confirmed, side.String())
		return s.save(ctx, r)
	})
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
