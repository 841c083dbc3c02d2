package sarif

import (
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/jsonstream"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
)

// fingerprint names the kind of identity, with its version.
const fingerprint = "strongkeepFinding/v1"

// Options are what is not in a report.
type Options struct {
	// Version of Strongkeep.
	Version string
	// Compared says that there was a report before: findings are new or unchanged.
	Compared bool
}

// Write writes r.
func Write(w io.Writer, r *check.Report, o Options) error {
	one := run{
		Tool: tool{driver{Name: "Strongkeep", Version: o.Version, Rules: []rule{}}}, ColumnKind: "utf16CodeUnits", Results: []result{},
		Invocations: []invocation{{ExecutionSuccessful: true, EndTimeUTC: r.Taken.UTC().Format("2006-01-02T15:04:05Z"), Notifications: notes(r)}},
	}
	index := map[string]int{}
	for i := range r.Results {
		s := &r.Results[i]
		for j := range s.Findings {
			m := &s.Findings[j]
			id := m.Check + "/" + m.Rule
			at, ok := index[id]
			if !ok {
				at = len(one.Tool.Driver.Rules)
				index[id] = at
				one.Tool.Driver.Rules = append(one.Tool.Driver.Rules, ruleOf(id, s, m))
			}
			one.Results = append(one.Results, resultOf(id, at, m, o.Compared))
		}
	}
	if err := jsonstream.Indented(w, log{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []run{one}}); err != nil {
		return errs.Newf(errs.Unavailable, "writing the report: %w", err)
	}
	return nil
}

// notes say what could not be answered or read.
func notes(r *check.Report) []notification {
	var out []notification
	for i := range r.Results {
		if s := &r.Results[i]; s.Answer == check.Unknown {
			out = append(out, notification{"warning", message{fmt.Sprintf("%s: cannot tell: %s", s.ID, strings.Join(s.Needs, "; "))}})
		}
	}
	for _, w := range r.Wrong {
		out = append(out, notification{"warning", message{w}})
	}
	return out
}

// numbers are the severities as code hosts sort them.
var numbers = map[check.Severity]string{check.Critical: "9.5", check.High: "8.0", check.Medium: "5.5", check.Low: "2.5"}

func ruleOf(id string, s *check.Result, m *check.Marked) rule {
	return rule{ID: id, Name: m.Rule, ShortDescription: message{s.Title}, Properties: properties{numbers[m.Severity], []string{"security", "kubernetes", s.ID}}}
}

func resultOf(id string, at int, m *check.Marked, compared bool) result {
	out := result{
		RuleID: id, RuleIndex: at, Level: level(m.Severity), Message: message{text(m)},
		Locations: []location{place(m)}, PartialFingerprints: map[string]string{fingerprint: m.Fingerprint},
	}
	if compared {
		out.BaselineState = "unchanged"
		if m.New {
			out.BaselineState = "new"
		}
	}
	if e := m.Excepted; e != nil {
		out.Suppressions = []suppression{{"external", "accepted", e.Owner + ": " + e.Reason}}
	}
	return out
}

func level(s check.Severity) string {
	switch {
	case s.AtLeast(check.High):
		return "error"
	case s == check.Medium:
		return "warning"
	}
	return "note"
}

func text(m *check.Marked) string {
	out := m.Object.String()
	if m.Field != "" {
		out += " " + m.Field
	}
	out += ": " + m.Message
	for _, next := range []string{m.Fix.Command, m.Fix.Text, m.Fix.Patch} {
		if next != "" {
			return out + "\nNext: " + next
		}
	}
	return out
}

// place is where a finding is: the file it was read from or, of a cluster, a path
// made of the object's name, since code hosts want one.
func place(m *check.Marked) location {
	file, _, ok := strings.Cut(m.Place, ": document ")
	if !ok {
		parts := []string{"cluster", m.Object.Namespace, m.Object.Kind, m.Object.Name}
		if m.Object.Namespace == "" {
			parts = append(parts[:1], parts[2:]...)
		}
		file = strings.Join(parts, "/")
	}
	name := m.Object.String()
	if m.Field != "" {
		name += "." + m.Field
	}
	return location{
		Physical: physical{artefact{(&url.URL{Path: filepath.ToSlash(file)}).String()}},
		Logical:  []logical{{Name: m.Object.Name, FullyQualifiedName: name, Kind: "resource"}},
	}
}
