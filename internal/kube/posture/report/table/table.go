package table

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/printable"
)

// few is how many findings of a check are shown, unless all are asked for.
const few = 5

// Options say how much is shown.
type Options struct {
	// All shows every finding with its patch and those affected, and evidence.
	All bool
}

// Write writes r.
func Write(w io.Writer, r *check.Report, o Options) error {
	p := &page{out: bufio.NewWriter(w), Options: o}
	p.head(r)
	p.answers(r)
	for i := range r.Results {
		p.result(&r.Results[i])
	}
	p.rest(r)
	if err := p.out.Flush(); err != nil {
		return errs.Newf(errs.Unavailable, "writing the report: %w", err)
	}
	return nil
}

type page struct {
	Options
	out *bufio.Writer
}

// line writes one line. What comes from objects cannot steer the terminal, nor make a
// line of its own.
func (p *page) line(format string, args ...any) {
	_, _ = p.out.WriteString(printable.Line(fmt.Sprintf(format, args...)) + "\n") // Flush has the error
}

// block writes a text of many lines, each after an indent.
func (p *page) block(indent, text string) {
	for l := range strings.Lines(text) {
		p.line("%s%s", indent, strings.ReplaceAll(strings.TrimRight(l, "\r\n"), "\t", "    "))
	}
}

func (p *page) head(r *check.Report) {
	p.line("%s, %s", r.Source, r.Taken.UTC().Format("2006-01-02 15:04 MST"))
	tally, parts := r.Tally(), []string{}
	for _, a := range []check.Answer{check.Yes, check.No, check.Partly, check.Unknown} {
		if n := tally[a]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, a))
		}
	}
	p.line("%s", strings.Join(parts, ", "))
	if n := len(r.Counting(check.Info, true)); n > 0 {
		p.line("%s since the report before, %d gone", check.Count(n, "new finding"), len(r.Gone))
	} else if len(r.Gone) > 0 {
		p.line("no new findings since the report before, %d gone", len(r.Gone))
	}
	p.line("")
}

func (p *page) answers(r *check.Report) {
	tw := tabwriter.NewWriter(p.out, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "CHECK\tANSWER\tFINDINGS\tNEW\tQUESTION")
	for i := range r.Results {
		s := &r.Results[i]
		var count, fresh int
		for j := range s.Findings {
			if s.Findings[j].Excepted == nil {
				count++
				if s.Findings[j].New {
					fresh++
				}
			}
		}
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%s\n", s.ID, s.Answer, count, fresh, printable.Line(s.Title))
	}
	_ = tw.Flush() // the page's Flush has the error
}

func (p *page) result(s *check.Result) {
	p.line("")
	p.line("%s  %s: %s", s.ID, s.Answer, s.Summary)
	for _, n := range s.Needs {
		p.line("  needs: %s", n)
	}
	if p.All {
		for _, e := range s.Evidence {
			p.line("  seen: %s", strings.TrimSpace(strings.Join([]string{object(e), e.Fact}, " ")))
		}
	}
	shown := len(s.Findings)
	if !p.All {
		shown = min(shown, few)
	}
	for i := range shown {
		p.finding(&s.Findings[i])
	}
	if rest := len(s.Findings) - shown; rest > 0 {
		p.line("  and %d more: strongkeep check --only=%s --all", rest, s.ID)
	}
}

func object(e check.Evidence) string {
	if e.Object.Kind == "" {
		return ""
	}
	return e.Object.String()
}

func (p *page) finding(m *check.Marked) {
	mark := ""
	if m.New {
		mark = "NEW "
	}
	if m.Excepted != nil {
		mark = fmt.Sprintf("accepted by %s until %s: ", m.Excepted.Owner, m.Excepted.Until.Add(-time.Nanosecond).UTC().Format(time.DateOnly))
	}
	where := m.Object.String()
	if m.Field != "" {
		where += " " + m.Field
	}
	if m.Place != "" {
		where += " (" + m.Place + ")"
	}
	p.line("  %s%s %s  %s", mark, m.Severity, m.Rule, where)
	p.line("      %s", m.Message)
	if p.All && len(m.Affected) > 0 {
		p.line("      affects %d: %s", m.Count, strings.Join(m.Affected, ", "))
	} else if m.Count > 0 {
		p.line("      affects %s", some(m))
	}
	p.fix(m)
}

// some names the first of those affected.
func some(m *check.Marked) string {
	const first = 3
	text := strings.Join(m.Affected[:min(len(m.Affected), first)], ", ")
	if m.Count > first {
		text += fmt.Sprintf(" and %d more", m.Count-first)
	}
	return text
}

func (p *page) fix(m *check.Marked) {
	switch {
	case m.Fix.Command != "":
		p.line("      next: %s", m.Fix.Command)
	case m.Fix.Patch != "" && p.All:
		p.block("      | ", m.Fix.Patch)
	case m.Fix.Patch != "":
		p.line("      next: a patch: strongkeep check --only=%s --all", m.Check)
	case m.Fix.Text != "":
		p.line("      next: %s", m.Fix.Text)
	}
}

func (p *page) rest(r *check.Report) {
	list := func(head string, lines []string) {
		if len(lines) == 0 {
			return
		}
		p.line("")
		p.line("%s", head)
		for _, l := range lines {
			p.line("  %s", l)
		}
	}
	list("Not read:", r.Missing)
	list("Not understood:", r.Wrong)
	list("Exceptions that have ended:", exceptions(r.Ended))
	list("Exceptions that cover nothing:", exceptions(r.Idle))
}

func exceptions(all []check.Exception) []string {
	var out []string
	for _, e := range all {
		what := strings.Join(strings.Fields(strings.Join([]string{e.Check, e.Rule, e.Kind, e.Namespace, e.Name, e.Fingerprint}, " ")), " ")
		out = append(out, fmt.Sprintf("%s, of %s, until %s: %s", what, e.Owner, e.Until.Add(-time.Nanosecond).UTC().Format(time.DateOnly), e.Reason))
	}
	return out
}
