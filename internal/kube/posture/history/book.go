package history

import (
	"cmp"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Schema is the version of the shape of a Book.
const Schema = "strongkeep.io/check-history/v1"

// Bounds of a Book, beside that of its bytes (see Store).
const (
	// maxGone is how many findings that went are remembered; maxAge for how long.
	maxGone = 5000
	maxAge  = 365 * 24 * time.Hour
	// maxTurns is how many changes of one answer are remembered.
	maxTurns = 20
	// maxEnded is how many ended exceptions are named.
	maxEnded = 100
)

// Book is what is remembered. The zero Book remembers nothing. Whoever has one does
// not change it.
type Book struct {
	Schema string `json:"schema"`
	Source string `json:"source"`
	// Taken is when the cluster was last looked at; Seconds is how long that and the
	// checks took.
	Taken   time.Time `json:"taken"`
	Seconds float64   `json:"seconds"`
	// Answers are in the order of their checks.
	Answers []Answers `json:"answers"`
	// Entries are the findings: those that are there first, the worst first; then those
	// that went, the latest first.
	Entries []Entry `json:"entries"`
	// Forgotten is how many that went were dropped since there was no room for them, or
	// they were too old; Untold how many that are there have no room.
	Forgotten int `json:"forgotten,omitempty"`
	Untold    int `json:"untold,omitempty"`
	// InForce and Idle are how many exceptions cover something, and nothing; Ended are
	// those whose day has come.
	InForce int               `json:"inForce"`
	Idle    int               `json:"idle"`
	Ended   []check.Exception `json:"ended,omitempty"`
}

// Answers are those of one check, the latest last. Each differs from the one before.
type Answers struct {
	Check string `json:"check"`
	Turns []Turn `json:"turns"`
}

// Turn is an answer and since when it is given.
type Turn struct {
	Answer check.Answer `json:"answer"`
	Since  time.Time    `json:"since"`
}

// Entry is a finding from when it was first seen until it went. One that comes back is
// another Entry.
type Entry struct {
	Check    string         `json:"check"`
	Rule     string         `json:"rule"`
	Severity check.Severity `json:"severity"`
	Object   snapshot.Ref   `json:"object"`
	Field    string         `json:"field,omitempty"`
	Message  string         `json:"message"`
	// Fingerprint is that of check.Marked. In storage it is left out: it follows from
	// the rest.
	Fingerprint string `json:"fingerprint,omitempty"`
	// First and Last are when it was first and last seen; Last lags behind Book.Taken
	// while its check cannot see. Gone is zero while it is there.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Gone  time.Time `json:"gone,omitzero"`
	// New says that the last look was the first to see it; Excepted that an exception
	// covers it.
	New      bool `json:"new,omitempty"`
	Excepted bool `json:"excepted,omitempty"`
	// Unseen is what its check could not see when e was last seen.
	Unseen []string `json:"unseen,omitempty"`
}

// Sight says what a check could not see at a look: an empty list if nothing.
type Sight func(check string) []string

// Here reports whether e is there, as far as is known.
func (e *Entry) Here() bool { return e.Gone.IsZero() }

// Before is the report before the next one, as check.Run wants it; nil if there was none.
func (b *Book) Before() *check.Report {
	if b.Taken.IsZero() {
		return nil
	}
	found := map[string][]check.Marked{}
	for i := range b.Entries {
		if e := &b.Entries[i]; e.Here() {
			found[e.Check] = append(found[e.Check], check.Marked{Fingerprint: e.Fingerprint, First: e.First})
		}
	}
	out := &check.Report{Schema: check.Schema, Source: b.Source, Taken: b.Taken}
	for id, all := range found {
		out.Results = append(out.Results, check.Result{ID: id, Findings: all})
	}
	slices.SortFunc(out.Results, func(a, c check.Result) int { return cmp.Compare(a.ID, c.ID) })
	return out
}

// Doubt takes New from those findings of r, which was made with Before, that may have been
// there at the look before: b had no room for all, and left out what is least bad.
func (b *Book) Doubt(r *check.Report) {
	if b.Untold == 0 {
		return
	}
	var last *Entry // that had room; nil: none had
	for i := range b.Entries {
		if b.Entries[i].Here() {
			last = &b.Entries[i]
		}
	}
	for i := range r.Results {
		for j := range r.Results[i].Findings {
			m := &r.Results[i].Findings[j]
			if e := entry(m, r.Taken, nil); last == nil || worst(e, *last) >= 0 {
				m.New = false
			}
		}
	}
}

// Since is when the answer of a check became what it is; zero if none is known.
func (b *Book) Since(id string) time.Time {
	for _, a := range b.Answers {
		if a.Check == id && len(a.Turns) > 0 {
			return a.Turns[len(a.Turns)-1].Since
		}
	}
	return time.Time{}
}

// Add returns a Book that knows r as well, which was made with Before. unseen is what r's
// checks could not see; seconds is how long it took.
func (b *Book) Add(r *check.Report, unseen Sight, seconds float64) *Book {
	out := &Book{
		Schema: Schema, Source: r.Source, Taken: r.Taken.UTC(), Seconds: seconds, Forgotten: b.Forgotten,
		Idle: len(r.Idle), Ended: r.Ended[:min(len(r.Ended), maxEnded)],
	}
	out.Answers = b.turned(r)
	covers := map[check.Exception]bool{}
	seen := map[string]bool{}
	for i := range r.Results {
		for j := range r.Results[i].Findings {
			m := &r.Results[i].Findings[j]
			if seen[m.Fingerprint] {
				continue
			}
			seen[m.Fingerprint] = true
			if m.Excepted != nil {
				covers[*m.Excepted] = true
			}
			out.Entries = append(out.Entries, entry(m, out.Taken, unseen(m.Check)))
		}
	}
	out.InForce = len(covers)
	out.keep(b, r, seen, unseen)
	return out
}

func entry(m *check.Marked, now time.Time, unseen []string) Entry {
	return Entry{
		Check: m.Check, Rule: m.Rule, Severity: m.Severity, Object: m.Object, Field: m.Field, Message: m.Message, Fingerprint: m.Fingerprint,
		First: m.First.UTC(), Last: now, New: m.New, Excepted: m.Excepted != nil, Unseen: unseen,
	}
}

// keep takes over what before knows of findings that are not seen now. They went if their
// check was asked, and could see at least what it saw when it found them; else nobody knows.
func (b *Book) keep(before *Book, r *check.Report, seen map[string]bool, unseen Sight) {
	asked := map[string]bool{}
	for i := range r.Results {
		asked[r.Results[i].ID] = true
	}
	went := func(e *Entry) bool {
		return asked[e.Check] && !slices.ContainsFunc(unseen(e.Check), func(u string) bool { return !slices.Contains(e.Unseen, u) })
	}
	var gone []Entry
	for _, e := range before.Entries {
		e.New = false
		switch {
		case e.Here() && seen[e.Fingerprint]:
			continue
		case e.Here() && went(&e):
			e.Gone = b.Taken
		}
		switch {
		case e.Here():
			b.Entries = append(b.Entries, e)
		case b.Taken.Sub(e.Gone) > maxAge:
			b.Forgotten++
		default:
			gone = append(gone, e)
		}
	}
	slices.SortStableFunc(b.Entries, worst)
	slices.SortStableFunc(gone, func(a, c Entry) int { return cmp.Or(c.Gone.Compare(a.Gone), worst(a, c)) })
	if len(gone) > maxGone {
		b.Forgotten += len(gone) - maxGone
		gone = gone[:maxGone]
	}
	b.Entries = append(b.Entries, gone...)
}

// worst orders entries: the worst first, then by check and name.
func worst(a, c Entry) int {
	return cmp.Or(cmp.Compare(a.Severity.Rank(), c.Severity.Rank()), cmp.Compare(a.Check, c.Check), cmp.Compare(a.Object.Namespace, c.Object.Namespace),
		cmp.Compare(a.Object.Kind, c.Object.Kind), cmp.Compare(a.Object.Name, c.Object.Name), cmp.Compare(a.Rule, c.Rule), cmp.Compare(a.Field, c.Field))
}

// turned are the answers of b with those of r.
func (b *Book) turned(r *check.Report) []Answers {
	var out []Answers
	for i := range r.Results {
		a := Answers{Check: r.Results[i].ID}
		if j := slices.IndexFunc(b.Answers, func(o Answers) bool { return o.Check == a.Check }); j >= 0 {
			a.Turns = slices.Clone(b.Answers[j].Turns)
		}
		if n := len(a.Turns); n == 0 || a.Turns[n-1].Answer != r.Results[i].Answer {
			a.Turns = append(a.Turns, Turn{r.Results[i].Answer, r.Taken.UTC()})
		}
		a.Turns = a.Turns[max(0, len(a.Turns)-maxTurns):]
		out = append(out, a)
	}
	return out
}
