package html

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
)

//go:embed report.gohtml
var source string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"day":   func(t time.Time) string { return t.UTC().Format(time.DateOnly) },
	"last":  func(t time.Time) string { return t.Add(-time.Nanosecond).UTC().Format(time.DateOnly) },
	"time":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") },
	"class": func(a check.Answer) string { return strings.ReplaceAll(string(a), " ", "-") },
	"join":  func(all []string) string { return strings.Join(all, ", ") },
}).Parse(source))

// view is what the page shows.
type view struct {
	*check.Report
	Answers  []answer
	New      []item
	Sections []section
}

type answer struct {
	Answer check.Answer
	Count  int
}

// section is one question; Count is how many findings count.
type section struct {
	*check.Result
	Items []item
	Count int
}

// item is a finding with an ID that no other has on the page: the same finding may be
// in two files.
type item struct {
	*check.Marked
	ID string
}

// Write writes r.
func Write(w io.Writer, r *check.Report) error {
	v := view{Report: r}
	tally := r.Tally()
	for _, a := range []check.Answer{check.Yes, check.No, check.Partly, check.Unknown} {
		v.Answers = append(v.Answers, answer{a, tally[a]})
	}
	for i := range r.Results {
		s := section{Result: &r.Results[i]}
		for j := range s.Findings {
			m := item{&s.Findings[j], fmt.Sprintf("%s-%d", s.ID, j+1)}
			s.Items = append(s.Items, m)
			if m.Excepted == nil {
				s.Count++
			}
			if m.New && m.Excepted == nil {
				v.New = append(v.New, m)
			}
		}
		v.Sections = append(v.Sections, s)
	}
	if err := page.Execute(w, v); err != nil {
		return errs.Newf(errs.Unavailable, "writing the report: %w", err)
	}
	return nil
}
