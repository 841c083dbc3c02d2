package check

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// NewInput makes the Input of s. What settings leave zero has its default.
func NewInput(s *snapshot.Snapshot, now time.Time, settings Settings) *Input {
	return &Input{Snapshot: s, Now: now, Settings: settings.Defaults(), Finder: s.Finder(), Index: NewIndex(s)}
}

// Defaults are the settings with what is not chosen.
func (s Settings) Defaults() Settings {
	const day = 24 * time.Hour
	s.MaxAge = cmp.Or(s.MaxAge, 90*day)
	s.MaxTokenAge = cmp.Or(s.MaxTokenAge, day)
	s.Unused = cmp.Or(s.Unused, 90*day)
	s.Review = cmp.Or(s.Review, 90*day)
	s.Report = cmp.Or(s.Report, 26*time.Hour)
	return s
}

// Run asks checks about in. before is the last report, or nil; its findings are
// not new. Same input, same output.
func Run(checks []Check, in *Input, before *Report, exceptions []Exception) *Report {
	known := history(before)
	covers := newCover(exceptions, in.Now)
	out := &Report{Schema: Schema, Source: in.Source, Taken: in.Taken, Wrong: in.Wrong, Missing: in.missing()}
	seen := map[string]bool{}
	blind := map[string]bool{} // checks that did not see all, or were not asked
	asked := map[string]bool{}
	for _, c := range checks {
		r := c.ask(in)
		asked[c.ID] = true
		blind[c.ID] = !in.Coverage.Whole(c.Needs...) || r.Answer == Unknown
		for i := range r.Findings {
			m := &r.Findings[i]
			m.First, m.New = known.first(m.Fingerprint, in.Taken)
			m.Excepted = covers.take(&m.Finding, m.Fingerprint)
			seen[m.Fingerprint] = true
		}
		slices.SortStableFunc(r.Findings, compare)
		out.Results = append(out.Results, r)
	}
	slices.SortStableFunc(out.Results, func(a, b Result) int { return cmp.Compare(a.ID, b.ID) })
	out.Gone = known.gone(seen, func(id string) bool { return asked[id] && !blind[id] })
	out.Ended, out.Idle = covers.ended, covers.idle(asked)
	return out
}

// missing is what could not be read of what was asked for.
func (in *Input) missing() []string {
	var names []string
	for r, gap := range in.Coverage {
		if gap.Reason != "" {
			names = append(names, r)
		}
	}
	slices.Sort(names)
	return in.Coverage.Missing(names...)
}

// ask has c judge, and weighs its answer: without having seen all there is no yes.
func (c *Check) ask(in *Input) Result {
	v := c.Judge(in)
	r := Result{ID: c.ID, Title: c.Title, Answer: v.Answer, Needs: v.Needs, Summary: v.Summary, Evidence: v.Evidence}
	for _, m := range in.Coverage.Missing(c.Needs...) {
		if !slices.Contains(r.Needs, m) {
			r.Needs = append(r.Needs, m)
		}
	}
	switch v.Answer {
	case No, Partly:
	case Yes:
		if len(r.Needs) > 0 {
			r.Answer = Unknown
		}
	default:
		r.Answer = Unknown
	}
	same := make(map[string]bool, len(v.Findings))
	if len(v.Findings) > 0 {
		r.Findings = make([]Marked, 0, len(v.Findings))
	}
	for _, f := range v.Findings {
		f.Check = c.ID
		print := f.Fingerprint()
		if key := print + f.Place; !same[key] {
			same[key] = true
			r.Findings = append(r.Findings, Marked{Finding: f, Fingerprint: print})
		}
	}
	return r
}

// Fingerprint is the identity of f as 32 hexadecimal digits: SHA-256 over its
// check, rule, object and field, each ended by a zero byte, cut to 128 bits. No
// uid is in it: an object that is made anew has the same fault.
func (f *Finding) Fingerprint() string {
	o := f.Object
	sum := sha256.Sum256([]byte(strings.Join([]string{f.Check, f.Rule, o.Group, o.Kind, o.Namespace, o.Name, f.Field, ""}, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// compare orders findings: those that count first, of these the new ones, the worst
// first, then by name.
func compare(a, b Marked) int {
	return cmp.Or(
		first(a.Excepted == nil, b.Excepted == nil), first(a.New, b.New),
		cmp.Compare(a.Severity.Rank(), b.Severity.Rank()), cmp.Compare(a.Rule, b.Rule),
		cmp.Compare(a.Object.Namespace, b.Object.Namespace), cmp.Compare(a.Object.Kind, b.Object.Kind), cmp.Compare(a.Object.Name, b.Object.Name),
		cmp.Compare(a.Field, b.Field), cmp.Compare(a.Place, b.Place),
	)
}

// first puts what is true before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// past is what the report before says: of each fingerprint the check and when it was first seen.
type past struct {
	known map[string]sighting
	any   bool
}

// sighting is a finding of a report before.
type sighting struct {
	check string
	first time.Time
}

func history(before *Report) past {
	p := past{known: map[string]sighting{}, any: before != nil}
	if before == nil {
		return p
	}
	for i := range before.Results {
		r := &before.Results[i]
		for j := range r.Findings {
			m := &r.Findings[j]
			since := m.First
			if since.IsZero() {
				since = before.Taken
			}
			p.known[m.Fingerprint] = sighting{r.ID, since}
		}
	}
	return p
}

// first returns when a finding was first seen, and whether it is new now.
func (p past) first(print string, now time.Time) (time.Time, bool) {
	if o, ok := p.known[print]; ok {
		return o.first, false
	}
	return now, p.any
}

// gone returns what was known and is not seen any more, of the checks that could
// have seen it.
func (p past) gone(seen map[string]bool, able func(check string) bool) []string {
	var out []string
	for print, o := range p.known {
		if !seen[print] && able(o.check) {
			out = append(out, print)
		}
	}
	slices.Sort(out)
	return out
}
