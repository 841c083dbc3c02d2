package alternating

import (
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Step is where the present turn is. Those that end in -ing are announced: the
// database may or may not have it yet.
type Step string

// The steps.
const (
	Idle        Step = "" // no turn was begun yet
	Staging     Step = "staging"
	Staged      Step = "staged" // both credentials work
	Closing     Step = "closing"
	Closed      Step = "closed" // the old one does not log in
	Reopening   Step = "reopening"
	RetiringOld Step = "retiring-old"
	RetiringNew Step = "retiring-new"
	Done        Step = "done"      // ended: only the new one is left
	Discarded   Step = "discarded" // ended: only the old one is left, if there was one
)

// carriedOut is the step that follows when one has been carried out.
func (s Step) carriedOut() (Step, bool) {
	switch s {
	case Staging, Reopening:
		return Staged, true
	case Closing:
		return Closed, true
	case RetiringOld:
		return Done, true
	case RetiringNew:
		return Discarded, true
	}
	return s, false
}

// Verb is what can be done with a turn.
type Verb string

// The verbs, as the routes are called.
const (
	Stage   Verb = "stage"
	Publish Verb = "publish"
	Close   Verb = "close"
	Reopen  Verb = "reopen"
	Retire  Verb = "retire"
)

// Side is one of a turn's two credentials.
type Side string

// The sides.
const (
	NewSide Side = "new"
	OldSide Side = "old"
)

// Act is what somebody asks for.
type Act struct {
	Verb   Verb
	Turn   int64
	Side   Side // of Publish and Retire
	Holder string
	// Fence grows from act to act of a turn, whoever of the holder's processes asks:
	// one that comes late, from a process that was stopped or by a slow way, is lower
	// than what was seen and refused. 0 is none, and lower than all.
	Fence int64
	Now   time.Time
}

// Asked is what came of asking.
type Asked struct {
	Changed  bool   // the role is not as it was: store it
	Noted    bool   // only who asks, or the highest Fence, is not as it was: store it, and announce nothing
	Begun    bool   // a turn was begun: New needs a password
	CarryOut bool   // the role's Step is to be carried out, behind the commit
	Note     string // why nothing is to be done, where that may surprise
}

// noOld is the note of a turn that replaces nothing.
const noOld = "the turn has no old credential, for nothing was published before it: there is nothing to do"

// Ask decides what an act means now and notes it in r, a copy of what is stored.
// Kinds of errors: Conflict, the turn is not the present one, has ended otherwise,
// or is another holder's; Invalid, it cannot be done from where the turn is.
func (r *Role) Ask(a Act) (Asked, error) {
	if err := r.admit(a); err != nil {
		return Asked{}, err
	}
	was := *r
	if a.Holder != "" {
		r.Holder = a.Holder
	}
	if a.Turn > r.Turn { // it begins here, and its numbers with it
		r.Fence = 0
	}
	r.Fence = max(r.Fence, a.Fence)
	asked, err := r.decide(a)
	asked.Changed = asked.Changed || r.Holder != was.Holder
	asked.Noted = !asked.Changed && r.Fence != was.Fence
	return asked, err
}

// admit is an error if the act is not the present turn's, not the holder's, or
// comes late. A turn may begin by being staged, or discarded before it was.
func (r *Role) admit(a Act) error { //nolint:cyclop // a flat list of conditions
	begins := a.Verb == Stage || a.Verb == Retire && a.Side == NewSide && !r.UnderWay()
	switch {
	case a.Turn < 1:
		return errs.New(errs.Invalid, "turn must be the number of the turn, from 1")
	case r.Holder != "" && r.Holder != a.Holder:
		return errs.Newf(errs.Conflict, "the alternating role %q is turned by %s: only that can go on; to hand it over, write holder=\"\" to alternating-roles/%s", r.Name, r.Holder, r.Name)
	case a.Fence < 0:
		return errs.New(errs.Invalid, "fence must be a number from 1 that grows from act to act, or be left out in turns that have none")
	case a.Turn == r.Turn && a.Fence < r.Fence:
		return errs.Newf(errs.Conflict, "%s with fence %d comes late: an act of turn %d of the alternating role %q came with %d already; to act by hand, write holder=\"\" to alternating-roles/%s, which forgets that", a.Verb, a.Fence, a.Turn, r.Name, r.Fence, r.Name)
	case a.Turn == r.Turn:
		return nil
	case a.Turn < r.Turn || !begins:
		return errs.Newf(errs.Conflict, "turn %d is not the present one of the alternating role %q: that is %s", a.Turn, r.Name, r.present())
	case r.UnderWay():
		return errs.Newf(errs.Conflict, "turn %d cannot begin while another one of the alternating role %q goes on: that is %s; end it by retire", a.Turn, r.Name, r.present())
	}
	return nil
}

// present names the present turn for people.
func (r *Role) present() string {
	if r.Turn == 0 {
		return "none yet; the first begins with stage"
	}
	return r.Describe()
}

// Describe says which turn is the present one and where it is.
func (r *Role) Describe() string {
	text := "turn " + itoa(r.Turn) + " (" + string(r.Step) + ")"
	if r.Holder != "" {
		text += " of " + r.Holder
	}
	return text
}

func (r *Role) decide(a Act) (Asked, error) {
	switch a.Verb {
	case Stage:
		return r.stage(a)
	case Publish:
		if a.Side == OldSide {
			return r.publishOld(a)
		}
		return r.publishNew(a)
	case Close:
		return r.close(a)
	case Reopen:
		return r.reopen(a)
	case Retire:
		if a.Side == OldSide {
			return r.retireOld(a)
		}
		return r.retireNew(a)
	}
	return Asked{}, errs.Newf(errs.Invalid, "there is no act %q", a.Verb)
}

// enter notes that a step begins, which the database has to do something for.
func (r *Role) enter(s Step, now time.Time) (Asked, error) {
	if r.Step == s {
		return Asked{CarryOut: true}, nil
	}
	r.Step, r.Since, r.Error = s, now, ""
	return Asked{Changed: true, CarryOut: true}, nil
}

// over is for an act that the turn's end has made impossible.
func (r *Role) over(what string) (Asked, error) {
	return Asked{}, errs.Newf(errs.Conflict, "%s: that is past for %s of the alternating role %q", what, r.Describe(), r.Name)
}

func (r *Role) stage(a Act) (Asked, error) {
	switch {
	case a.Turn > r.Turn:
		r.Turn = a.Turn
		r.New = &Credential{Username: r.next(), Version: a.Turn}
		asked, err := r.enter(Staging, a.Now)
		asked.Begun, asked.Changed = true, true
		return asked, err
	case r.Step == Staging:
		return Asked{CarryOut: true}, nil
	case r.Step == RetiringNew || r.Step == Discarded:
		return r.over("staging")
	}
	return Asked{}, nil // it is there
}

func (r *Role) publishNew(a Act) (Asked, error) {
	switch r.Step {
	case Staging:
		return Asked{}, errs.Newf(errs.Invalid, "the new credential of turn %d was not proved yet: stage it again until that succeeds", a.Turn)
	case RetiringNew, Discarded:
		return r.over("publishing the new credential")
	case Done:
		return Asked{}, nil
	}
	return r.show(true, a), nil
}

func (r *Role) publishOld(a Act) (Asked, error) {
	switch r.Step {
	case RetiringOld, Done:
		return r.over("publishing the old credential")
	case Closing, Closed, Reopening:
		return Asked{}, errs.Newf(errs.Invalid, "the old credential of turn %d is closed: reopen it first, for readers could not log in with it", a.Turn)
	}
	asked := r.show(false, a)
	if r.Live == nil {
		asked.Note = "the turn has no old credential: readers find none now"
	}
	return asked, nil
}

func (r *Role) show(newer bool, a Act) Asked {
	if r.ShowsNew == newer {
		return Asked{}
	}
	r.ShowsNew, r.Published = newer, a.Now
	if r.Shown() == nil {
		r.Published = time.Time{}
	}
	return Asked{Changed: true}
}

func (r *Role) close(a Act) (Asked, error) {
	switch {
	case r.Step == RetiringNew || r.Step == Discarded:
		return r.over("closing the old credential")
	case r.Step == Closed || r.Step == RetiringOld || r.Step == Done:
		return Asked{}, nil
	case r.Live == nil:
		return Asked{Note: noOld}, nil
	case !r.ShowsNew:
		return Asked{}, errs.Newf(errs.Invalid, "readers are still given the old credential of turn %d, and could not log in: publish the new one first", a.Turn)
	}
	return r.enter(Closing, a.Now)
}

func (r *Role) reopen(a Act) (Asked, error) {
	switch {
	case r.Step == RetiringOld || r.Step == Done:
		return r.over("reopening the old credential")
	case r.Step != Closing && r.Step != Closed && r.Step != Reopening:
		note := ""
		if r.Live == nil {
			note = noOld
		}
		return Asked{Note: note}, nil
	}
	return r.enter(Reopening, a.Now)
}

func (r *Role) retireOld(a Act) (Asked, error) {
	switch {
	case r.Step == RetiringNew || r.Step == Discarded:
		return r.over("retiring the old credential")
	case r.Step == Done:
		return Asked{}, nil
	case !r.ShowsNew:
		return Asked{}, errs.Newf(errs.Invalid, "readers are still given the old credential of turn %d: publish the new one first", a.Turn)
	case r.Live == nil:
		r.end(Done, a.Now)
		return Asked{Changed: true, Note: noOld}, nil
	case r.Step != Closed && r.Step != RetiringOld: // what is removed was closed and missed by nobody
		return Asked{}, errs.Newf(errs.Invalid, "the old credential of turn %d is not closed (the turn is %s): close it first, which can be undone, and retire it when nobody misses it", a.Turn, r.Step)
	}
	return r.enter(RetiringOld, a.Now)
}

// retireNew also discards a turn that was never staged: whoever stages it late is
// refused, and the next one is not kept waiting.
func (r *Role) retireNew(a Act) (Asked, error) {
	switch {
	case a.Turn > r.Turn:
		r.Turn, r.Step, r.Since, r.Error, r.Retired = a.Turn, Discarded, a.Now, "", ""
		return Asked{Changed: true, Note: "the turn was never staged: there is nothing to remove, and it cannot be staged any more"}, nil
	case r.Step == RetiringOld || r.Step == Done:
		return r.over("retiring the new credential")
	case r.Step == Discarded:
		return Asked{}, nil
	case r.ShowsNew:
		return Asked{}, errs.Newf(errs.Invalid, "readers are given the new credential of turn %d: publish the old one first", a.Turn)
	}
	return r.enter(RetiringNew, a.Now)
}

// CarriedOut returns the role as it is once its step has been carried out.
func (r *Role) CarriedOut(now time.Time) *Role {
	then := *r
	then.finish(now)
	return &then
}

// finish notes that the present step was carried out.
func (r *Role) finish(now time.Time) {
	next, ok := r.Step.carriedOut()
	if !ok {
		return
	}
	r.end(next, now)
}

func (c *Credential) proved() *Credential {
	p := *c
	p.Proved = true
	return &p
}

// end enters a step that needs nothing of the database; a turn may end with it.
func (r *Role) end(s Step, now time.Time) {
	r.Step, r.Since, r.Error = s, now, ""
	switch s {
	case Staged:
		r.New = r.New.proved()
	case Done:
		r.Retired = ""
		if r.Live != nil {
			r.Retired = r.Live.Username
		}
		r.Live, r.New, r.ShowsNew = r.New, nil, false
	case Discarded:
		r.Retired, r.New = r.New.Username, nil
	}
}
