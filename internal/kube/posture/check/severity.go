package check

import (
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Severities are all there are, the worst first.
func Severities() []Severity { return []Severity{Critical, High, Medium, Low, Info} }

// Rank is 0 for Critical, and more for what is less bad. What is no Severity ranks as the worst.
func (s Severity) Rank() int { return max(0, slices.Index(Severities(), s)) }

// AtLeast reports whether s is as bad as o, or worse.
func (s Severity) AtLeast(o Severity) bool { return s.Rank() <= o.Rank() }

// ParseSeverity takes the word of a Severity.
func ParseSeverity(word string) (Severity, error) {
	if s := Severity(strings.ToLower(word)); slices.Contains(Severities(), s) {
		return s, nil
	}
	return "", errs.Newf(errs.Invalid, "%q is no severity: use critical, high, medium, low or info", word)
}

// Counting returns the findings that count: neither excepted nor less bad than
// least; only the new ones if onlyNew.
func (r *Report) Counting(least Severity, onlyNew bool) []*Marked {
	var out []*Marked
	for i := range r.Results {
		for j := range r.Results[i].Findings {
			m := &r.Results[i].Findings[j]
			if m.Excepted == nil && m.Severity.AtLeast(least) && (m.New || !onlyNew) {
				out = append(out, m)
			}
		}
	}
	return out
}
