package replay

import (
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/vault/policy"
)

// Policies finds a policy of a namespace by name; nil if there is none.
type Policies func(home, name string) (*policy.Policy, error)

// Change is a policy as it would be; a nil Policy is one that would be deleted.
type Change struct {
	Home, Name string
	Policy     *policy.Policy
}

// Verdict is what a change would have meant for a use.
type Verdict string

// The verdicts. Uses that a change means nothing for have none.
const (
	Lost      Verdict = "denied"    // was allowed and would have been denied
	Gained    Verdict = "allowed"   // is denied by the policies as they are, and would have been allowed
	Uncertain Verdict = "uncertain" // rests on values of parameters, which the log does not tell
)

// Outcome is a use and what the change would have meant for it.
type Outcome struct {
	Tally
	Verdict Verdict
	Reason  string // of the denial
	Rule    string // the path that decided, "" if none did
}

// Simulation is what a change would have meant.
type Simulation struct {
	Outcomes []Outcome
	Affected int64 // requests whose tokens have the policy
	Requests int64 // all that were replayed
	Unjudged Unjudged
}

// Unjudged are requests that rest on templates which the log does not tell the
// values of: of who asked it knows the entity's ID, and no name, metadata, alias
// or group.
type Unjudged struct {
	Requests int64
	Allowed  int64            // those of them that were allowed, and might have been denied
	Policies map[string]int64 // by the policies that have the templates; one request may rest on several
}

// Sure reports whether nothing that was allowed could have been denied without
// being among the Outcomes as Lost.
func (s *Simulation) Sure() bool {
	return s.Unjudged.Allowed == 0 && !slices.ContainsFunc(s.Outcomes, func(o Outcome) bool { return o.Verdict == Uncertain && o.Allowed })
}

// Simulate asks again what was done under c.
func (l *Log) Simulate(find Policies, c Change) (*Simulation, error) {
	s := &Simulation{Unjudged: Unjudged{Policies: map[string]int64{}}}
	b := bench{find: find, change: c, acls: map[string]*pair{}}
	for _, t := range l.all() {
		s.Requests += t.Count
		if t.Home != c.Home || !slices.Contains(t.Policies, c.Name) {
			continue
		}
		s.Affected += t.Count
		p, err := b.pair(t)
		if err != nil {
			return nil, err
		}
		if doubtful := p.doubtful(t); doubtful != nil {
			if !policy.SayAlike(p.old, c.Policy, t.Entity, t.within()) {
				s.Unjudged.add(t, doubtful)
			}
			continue
		}
		before, after := p.before.Decide(t.query()), p.after.Decide(t.query())
		if o, meant := judge(t, before, after); meant {
			s.Outcomes = append(s.Outcomes, o)
		}
	}
	return s, nil
}

func (u *Unjudged) add(t *Tally, policies []string) {
	u.Requests += t.Count
	if t.Allowed {
		u.Allowed += t.Count
	}
	for _, name := range policies {
		u.Policies[name] += t.Count
	}
}

func judge(t *Tally, before, after policy.Decision) (Outcome, bool) {
	o := Outcome{Tally: *t, Reason: after.Reason.String(), Rule: after.Rule}
	switch {
	case before.Allowed == after.Allowed && before.Reason == after.Reason:
		return o, false
	case restsOnValues(before) || restsOnValues(after):
		o.Verdict = Uncertain
	case t.Allowed && !after.Allowed:
		o.Verdict = Lost
	case !before.Allowed && after.Allowed:
		o.Verdict = Gained
	default:
		return o, false
	}
	return o, true
}

// restsOnValues reports whether the log lacks what decided.
func restsOnValues(d policy.Decision) bool {
	return d.Reason == policy.ValueNotAllowed || d.Reason == policy.WrapTTL
}

// bench compiles each set of policies once, as it is and as it would be, for
// everybody in whose paths no entity stands.
type bench struct {
	find   Policies
	change Change
	acls   map[string]*pair
}

type pair struct {
	before, after *policy.ACL
	old           *policy.Policy   // the one that changes, as it is
	all           []*policy.Policy // those of before, and the one that changed
}

func (b *bench) pair(t *Tally) (*pair, error) {
	key := t.Home + "\x00" + t.Entity + "\x00" + strings.Join(t.Policies, ",")
	if p := b.acls[key]; p != nil {
		return p, nil
	}
	made := &pair{}
	var before, after []*policy.Policy
	for _, name := range t.Policies {
		p, err := b.find(t.Home, name)
		if err != nil {
			return nil, err
		}
		if p != nil {
			before = append(before, p)
		}
		if name == b.change.Name {
			made.old, p = p, b.change.Policy
		}
		if p != nil {
			after = append(after, p)
		}
	}
	made.all = before
	if b.change.Policy != nil {
		made.all = append(slices.Clip(before), b.change.Policy)
	}
	var who *policy.Identity
	if t.Entity != "" {
		who = &policy.Identity{ID: t.Entity}
	}
	made.before, made.after = policy.CompileIn(t.Home, who, before...), policy.CompileIn(t.Home, who, after...)
	b.acls[key] = made
	return made, nil
}

// doubtful returns the names of the policies that have templates which could
// match a use and stand for what the log does not tell. Templates stand for
// nothing to whom has no entity.
func (p *pair) doubtful(t *Tally) (some []string) {
	if t.Entity == "" {
		return nil
	}
	for _, one := range p.all {
		if one.Doubtful(t.Entity, t.within()) && !slices.Contains(some, one.Name()) {
			some = append(some, one.Name())
		}
	}
	return some
}
