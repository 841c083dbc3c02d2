package shelf

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// Prefix is where records are kept, below the mount and before the path.
const Prefix = "strongkeep-staged/"

// step is where a turn is.
type step string

// The steps. What is published is not one of them: the path itself says it.
const (
	staged    step = "staged"
	retiring  step = "retiring" // the old one goes; there is no way back
	retired   step = "retired"  // over: the new one is left
	discarded step = "discarded"
)

// record is what a turn remembers, as JSON in a KV v2 path of one version:
//
//	{"format":1,"turn":3,"holder":"team/signing-key","step":"staged","fence":12,"base":6,
//	 "new":{"key":"…"},"old":{"key":"…"},"until":["previousKey"],
//	 "sides":{"6":"old","7":"new"},"intent":{"side":"new","over":6},"notes":{}}
//
// When the turn is over, new, old, sides and notes are gone from it.
type record struct {
	Format int    `json:"format"`
	Turn   int64  `json:"turn"`
	Holder string `json:"holder"`
	Step   step   `json:"step"`
	// Fence is the highest that an act of the turn came with; every act stores its
	// own before it does anything else.
	Fence int64 `json:"fence,omitempty"`
	// First: nothing was published before.
	First bool `json:"first,omitempty"`
	// Base is the first version that may hold the old one: that which readers saw
	// when the turn was staged or, where turns before it went back, the first of them.
	Base     int64    `json:"base,omitempty"`
	New, Old Values   `json:"-"`
	Until    []string `json:"until,omitempty"`
	// Sides says of versions from Base on whose values they hold; gone for those
	// that were destroyed.
	Sides map[int64]string `json:"sides,omitempty"`
	// Intent is a write of a side that was begun: it may have happened, or may yet.
	Intent    *intent           `json:"intent,omitempty"`
	Notes     map[string]string `json:"notes,omitempty"`
	Confirmed []string          `json:"confirmed,omitempty"`
	Prepared  *prepared         `json:"prepared,omitempty"`

	version int64 // of the path that it was read from; 0: there is none
}

type intent struct {
	Side string `json:"side"`
	Over int64  `json:"over"`
}

// stored adds what record keeps from being printed by accident.
type stored struct {
	*record
	New Values `json:"new,omitempty"`
	Old Values `json:"old,omitempty"`
}

// String keeps values out of texts.
func (r *record) String() string { return "a record of " + r.Holder }

// GoString keeps values out of texts.
func (r *record) GoString() string { return r.String() }

func (r *record) over() bool { return r.Turn == 0 || r.Step == retired || r.Step == discarded }

// end forgets what the turn no longer needs.
func (r *record) end(s step) {
	next := record{Format: 1, Turn: r.Turn, Holder: r.Holder, Step: s, Fence: r.Fence, version: r.version}
	if s == discarded { // the old one is still in force, and where else it is must be known when it goes
		next.Base, next.Sides = r.Base, r.Sides
		for version, side := range next.Sides {
			if side == target.New.String() {
				next.Sides[version] = gone
			}
		}
	}
	*r = next
}

// gone is the side of a version that holds nothing any more.
const gone = "gone"

// holds returns the versions of a side.
func (r *record) holds(side target.Side) []int64 {
	var out []int64
	for version, s := range r.Sides {
		if s == side.String() {
			out = append(out, version)
		}
	}
	slices.Sort(out)
	return out
}

func (s *Shelf) load(ctx context.Context) (*record, error) {
	e, err := s.record.read(ctx)
	if err != nil {
		return nil, err
	}
	r := &record{Format: 1}
	if e.values != nil {
		raw, err := json.Marshal(e.values)
		to := stored{record: r}
		if err != nil || json.Unmarshal(raw, &to) != nil || r.Format != 1 {
			return nil, errs.Newf(errs.Invalid, "the record at %q is damaged or of a newer version of Strongkeep: if no rotation of it is under way, delete it with `strongkeep kv metadata delete`", s.record.at("data"))
		}
		r.New, r.Old = to.New, to.Old
	}
	r.version = e.version
	return r, nil
}

// save writes r over the version it was read from; errMoved when it is not the
// current one any more.
func (s *Shelf) save(ctx context.Context, r *record) error {
	if r.version == 0 {
		// One version: what a record held must not stay behind it.
		if _, err := s.vault.Call(ctx, http.MethodPost, s.record.at("metadata"), map[string]int{"max_versions": 1}); err != nil {
			return err
		}
	}
	version, err := s.record.write(ctx, r.version, stored{r, r.New, r.Old})
	if err != nil {
		return err
	}
	r.version = version
	return nil
}

// tries bounds how often an act begins anew because somebody else wrote.
const tries = 5

// do runs act on the record, anew when somebody wrote what it is based on.
func (s *Shelf) do(ctx context.Context, act func(*record) error) error {
	for range tries {
		r, err := s.load(ctx)
		if err != nil {
			return err
		}
		if err := act(r); !errors.Is(err, errMoved) {
			return err
		}
	}
	return errs.Newf(errs.Unavailable, "%q is written by others all the time", s.live.at("data"))
}

// admit is an error for an act of a turn that is not the present one, of somebody
// who does not hold it, or that comes late.
func (s *Shelf) admit(r *record, t target.Turn) error {
	switch {
	case r.Turn != t.Number:
		return errs.Newf(errs.Conflict, "turn %d of %q is not the present one: that is %s", t.Number, s.live.at("data"), r.present())
	case r.Holder != t.Rotation:
		return s.held(r)
	case t.Fence < r.Fence:
		return errs.Newf(errs.Conflict, "an act with fence %d comes late: one of turn %d of %q came with %d already", t.Fence, r.Turn, s.live.at("data"), r.Fence)
	}
	return nil
}

// enter is admit for what is going to change something: from here on acts that
// were sent before this one are refused.
func (s *Shelf) enter(ctx context.Context, r *record, t target.Turn) error {
	if err := s.admit(r, t); err != nil || t.Fence == r.Fence {
		return err
	}
	r.Fence = t.Fence
	return s.save(ctx, r)
}

// still is errMoved if the record was written since it was read. It comes right
// before what KV v2 does without comparing versions, so that whoever was stopped
// finds out; only what it has sent already, or is about to, comes through.
func (s *Shelf) still(ctx context.Context, r *record) error {
	now, err := s.load(ctx)
	if err == nil && now.version != r.version {
		return errMoved
	}
	return err
}

// discards notes that a turn is over which was never staged, and reports whether
// it is such: whoever stages it late is refused.
func (s *Shelf) discards(ctx context.Context, r *record, t target.Turn, side target.Side) (bool, error) {
	if side != target.New || !r.over() || t.Number <= r.Turn {
		return false, nil
	}
	r.Format, r.Turn, r.Holder, r.Fence, r.Step = 1, t.Number, t.Rotation, t.Fence, discarded
	return true, s.save(ctx, r)
}

func (s *Shelf) held(r *record) error {
	return errs.Newf(errs.Conflict, "%q is turned by the Rotation %s: only that can go on; delete one of the two Rotations", s.live.at("data"), r.Holder)
}

// admitStage is admit for the act that may begin a turn.
func (s *Shelf) admitStage(r *record, t target.Turn) error {
	switch {
	case t.Number < 1:
		return errs.Newf(errs.Invalid, "turn %d: turns are counted from 1", t.Number)
	case r.over() && t.Number > r.Turn:
		return nil
	case !r.over() && r.Holder != t.Rotation:
		return s.held(r)
	case r.Turn != t.Number:
		return errs.Newf(errs.Conflict, "turn %d of %q cannot begin: the present one is %s", t.Number, s.live.at("data"), r.present())
	case r.Step == discarded:
		return s.past(r, "staging")
	}
	return s.admit(r, t)
}

func (s *Shelf) past(r *record, what string) error {
	return errs.Newf(errs.Conflict, "%s is past for %s of %q", what, r.present(), s.live.at("data"))
}

// present names the present turn.
func (r *record) present() string {
	if r.Turn == 0 {
		return "none yet; the first begins with staging"
	}
	return "turn " + itoa(r.Turn) + " (" + string(r.Step) + ") of " + r.Holder
}
