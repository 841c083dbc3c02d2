package junit

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
)

type suites struct {
	XMLName  xml.Name `xml:"testsuites"`
	Name     string   `xml:"name,attr"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Suite    suite    `xml:"testsuite"`
}

type suite struct {
	Name      string `xml:"name,attr"`
	Tests     int    `xml:"tests,attr"`
	Failures  int    `xml:"failures,attr"`
	Errors    int    `xml:"errors,attr"`
	Skipped   int    `xml:"skipped,attr"`
	Timestamp string `xml:"timestamp,attr"`
	Cases     []test `xml:"testcase"`
}

type test struct {
	Name    string   `xml:"name,attr"`
	Class   string   `xml:"classname,attr"`
	Failure *outcome `xml:"failure,omitempty"`
	Skipped *outcome `xml:"skipped,omitempty"`
	Out     string   `xml:"system-out,omitempty"`
}

type outcome struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// Write writes r. A question fails if one of its findings is failing; one that
// could not be answered is skipped, with what it takes.
func Write(w io.Writer, r *check.Report, failing func(*check.Marked) bool) error {
	s := suite{Name: "strongkeep check " + r.Source, Timestamp: r.Taken.UTC().Format("2006-01-02T15:04:05")}
	for i := range r.Results {
		t := of(&r.Results[i], failing)
		s.Tests++
		if t.Failure != nil {
			s.Failures++
		}
		if t.Skipped != nil {
			s.Skipped++
		}
		s.Cases = append(s.Cases, t)
	}
	raw, err := xml.MarshalIndent(suites{Name: "strongkeep check", Tests: s.Tests, Failures: s.Failures, Suite: s}, "", "  ")
	if err != nil {
		return errs.Newf(errs.Internal, "encoding JUnit: %w", err)
	}
	if _, err := io.WriteString(w, xml.Header+string(raw)+"\n"); err != nil {
		return errs.Newf(errs.Unavailable, "writing the report: %w", err)
	}
	return nil
}

func of(s *check.Result, failing func(*check.Marked) bool) test {
	t := test{Name: s.ID + " " + s.Title, Class: "strongkeep.check"}
	var bad, others []string
	for i := range s.Findings {
		m := &s.Findings[i]
		if failing(m) {
			bad = append(bad, line(m))
		} else {
			others = append(others, line(m))
		}
	}
	switch {
	case len(bad) > 0:
		t.Failure = &outcome{Message: fmt.Sprintf("%s: %s", s.Answer, s.Summary), Type: string(s.Answer), Text: strings.Join(bad, "\n")}
	case s.Answer == check.Unknown:
		t.Skipped = &outcome{Message: "cannot tell: " + strings.Join(s.Needs, "; ")}
	}
	t.Out = strings.Join(append([]string{fmt.Sprintf("%s: %s", s.Answer, s.Summary)}, others...), "\n")
	return t
}

func line(m *check.Marked) string {
	where := m.Object.String()
	if m.Field != "" {
		where += " " + m.Field
	}
	if m.Place != "" {
		where += " (" + m.Place + ")"
	}
	return fmt.Sprintf("%s %s %s: %s [%s]", m.Severity, m.Rule, where, m.Message, m.Fingerprint)
}
