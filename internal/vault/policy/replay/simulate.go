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
	Outcomes  []Outcome
	Affected  int64    // requests whose tokens have the policy
	Requests  int64    // all that were replayed
	Templates []string // policies with templates, whose paths were left out: nobody is known here
}

// Simulate asks again what was done under c.
func (l *Log) Simulate(find Policies, c Change) (*Simulation, error) {
	s := &Simulation{}
	b := bench{find: find, change: c, acls: map[string]*pair{}}
	for _, t := range l.all() {
		s.Requests += t.Count
		if t.Home != c.Home || !slices.Contains(t.Policies, c.Name) {
			continue
		}
		s.Affected += t.Count
		p, err := b.pair(t.Home, t.Policies)
		if err != nil {
			return nil, err
		}
		before, after := p.before.Decide(t.query()), p.after.Decide(t.query())
		if o, meant := judge(t, before, after); meant {
			s.Outcomes = append(s.Outcomes, o)
		}
	}
	s.Templates = b.templates
	return s, nil
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

// bench compiles each set of policies once, as it is and as it would be.
type bench struct {
	find      Policies
	change    Change
	acls      map[string]*pair
	templates []string
}

type pair struct{ before, after *policy.ACL }

func (b *bench) pair(home string, names []string) (*pair, error) {
	key := home + "\x00" + strings.Join(names, ",")
	if p := b.acls[key]; p != nil {
		return p, nil
	}
	var before, after []*policy.Policy
	for _, name := range names {
		p, err := b.find(home, name)
		if err != nil {
			return nil, err
		}
		if p != nil {
			before = append(before, p)
			b.note(p)
		}
		if name == b.change.Name {
			p = b.change.Policy
			b.note(p)
		}
		if p != nil {
			after = append(after, p)
		}
	}
	made := &pair{policy.CompileIn(home, nil, before...), policy.CompileIn(home, nil, after...)}
	b.acls[key] = made
	return made, nil
}

// note remembers policies with templates.
func (b *bench) note(p *policy.Policy) {
	if p == nil || slices.Contains(b.templates, p.Name()) {
		return
	}
	if slices.ContainsFunc(p.Paths(), func(path string) bool { return strings.Contains(path, "{{") }) {
		b.templates = append(b.templates, p.Name())
	}
}
