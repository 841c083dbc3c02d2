package trace

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/jsonstream"
	"github.com/strongkeep/strongkeep/internal/kube/posture/trace"
)

// filter is which credentials are listed.
type filter struct {
	unused, orphaned bool
	copiesOver       int
	olderThan        string
	owner            string
	namespace        string
	summary          string

	days int // of olderThan; -2, which is less than any age, if it is not given
}

func (x *commands) inventory() *cobra.Command {
	var q scope
	var f filter
	c := &cobra.Command{
		Use: "inventory", Short: "List every credential: its copies, source, age, consumers, readers and owner", Args: session.Args(0, 0),
		Long: `List every credential that was found. What is at the same places throughout is one
line. "No consumers" is what nothing that was read uses; whether something outside
of the cluster does, nobody can see here.

-summary adds up by owner, team, environment or source.`,
		Example: "  strongkeep inventory -copies-over=1\n  strongkeep inventory -unused -older-than=90d -format=json\n  strongkeep inventory -summary=team",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			s, err := x.read(c.Context(), &q)
			if err != nil {
				return err
			}
			if c.Flags().Changed("kube-namespace") {
				f.namespace = q.Namespace
			}
			return x.list(s, &f)
		},
	}
	q.add(c.Flags())
	to := c.Flags()
	to.BoolVar(&f.unused, "unused", false, "only what nothing that was read uses")
	to.BoolVar(&f.orphaned, "orphaned", false, "only what has lost what made it, or whose source is not ready")
	to.IntVar(&f.copiesOver, "copies-over", 0, "only what more objects than these hold")
	to.StringVar(&f.olderThan, "older-than", "", "only values that are older: 90d, 12h")
	to.StringVar(&f.owner, "owner", "", "only of this owner or team")
	to.StringVar(&f.summary, "summary", "", "add up by owner, team, environment or source")
	return c
}

func (f *filter) check() error {
	if !slices.Contains([]string{"", "owner", "team", "environment", "source"}, f.summary) {
		return errs.Newf(errs.Invalid, "-summary=%q: say owner, team, environment or source", f.summary)
	}
	f.days = -2
	if f.olderThan == "" {
		return nil
	}
	if n, ok := strings.CutSuffix(f.olderThan, "d"); ok {
		days, err := strconv.Atoi(n)
		if err == nil && days >= 0 {
			f.days = days
			return nil
		}
	}
	d, err := time.ParseDuration(f.olderThan)
	if err != nil || d < 0 {
		return errs.Newf(errs.Invalid, "-older-than=%q is no length of time: say 90d or 12h", f.olderThan)
	}
	f.days = int(d.Hours() / 24)
	return nil
}

// takes reports whether r is listed. A value of unknown age is older than nothing.
func (f *filter) takes(r *trace.Report) bool {
	if f.unused && r.Unused != "yes" || f.orphaned && len(r.Orphaned) == 0 || len(r.Copies) <= f.copiesOver || r.Days <= f.days {
		return false
	}
	if f.owner != "" && f.owner != r.Owner.Owner && f.owner != r.Owner.Team {
		return false
	}
	return f.namespace == "" || slices.ContainsFunc(r.Copies, func(c trace.Copy) bool { return c.Object.Namespace == f.namespace })
}

func (x *commands) list(s *seen, f *filter) error {
	all := found(s, f)
	if f.summary != "" {
		return x.summary(all, f.summary)
	}
	if x.Format == "json" && x.Field == "" {
		return jsonstream.List(x.Env.Stdout, all)
	}
	reports, rows := []*trace.Report{}, []session.Row{}
	for r := range all {
		if x.Format == "yaml" || x.Field != "" {
			reports = append(reports, r)
			continue
		}
		rows = append(rows, session.Row{r.Name + keys(r), copyNumber(r), r.Source.String(), days(r), strconv.Itoa(len(r.Consumers)), strconv.Itoa(readers(r)), dash(owner(r.Owner)), dash(remarks(r))})
	}
	return x.Print(reports, session.Row{"Credential", "Copies", "Source", "Days", "Consumers", "Readers", "Owner", "Remarks"}, rows)
}

// found goes through what is known of each credential that f takes, by name. They are
// looked at one by one: of a large cluster all are most of what a command would hold.
func found(s *seen, f *filter) iter.Seq[*trace.Report] {
	type named struct {
		name string
		*trace.Credential
	}
	var all []named
	for _, c := range s.graph.Credentials() {
		if f.copiesOver > 0 && len(c.Holders()) <= f.copiesOver {
			continue // without looking further
		}
		all = append(all, named{c.Title(), c})
	}
	slices.SortStableFunc(all, func(a, b named) int { return cmp.Compare(a.name, b.name) })
	return func(yield func(*trace.Report) bool) {
		for _, c := range all {
			if r := s.graph.Trace(c.Credential); f.takes(r) && !yield(r) {
				return
			}
		}
	}
}

func copyNumber(r *trace.Report) string {
	if !r.Known {
		return "?"
	}
	return strconv.Itoa(len(r.Copies))
}

func days(r *trace.Report) string {
	switch {
	case r.Days < 0:
		return "?"
	case r.Age.AtMost:
		return "<=" + strconv.Itoa(r.Days)
	}
	return strconv.Itoa(r.Days)
}

func readers(r *trace.Report) int {
	n := 0
	for i := range r.Readers {
		n += r.Readers[i].Count
	}
	return n
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func remarks(r *trace.Report) string {
	var out []string
	if r.Unused == "yes" {
		out = append(out, "no consumers")
	}
	if len(r.Orphaned) > 0 {
		out = append(out, "orphaned")
	}
	if r.Rotation != nil {
		out = append(out, "rotated")
	}
	return strings.Join(out, ", ")
}

// total is one line of a summary. Fields are only ever added.
type total struct {
	Of          string `json:"of"`
	Credentials int    `json:"credentials"`
	Copied      int    `json:"copied"`   // held by more than one object
	Copies      int    `json:"copies"`   // objects that hold one
	Unused      int    `json:"unused"`   // nothing that was read uses them
	Orphaned    int    `json:"orphaned"` // have lost what made them
	Rotated     int    `json:"rotated"`
	Oldest      int    `json:"oldestDays"`
}

func (x *commands) summary(reports iter.Seq[*trace.Report], by string) error {
	totals := map[string]*total{}
	for r := range reports {
		of := map[string]string{"owner": r.Owner.String(), "team": r.Owner.Team, "environment": r.Owner.Environment, "source": string(r.Source.Kind)}[by]
		t := totals[of]
		if t == nil {
			t = &total{Of: of}
			totals[of] = t
		}
		t.count(r)
	}
	out := []*total{}
	var rows []session.Row
	for _, of := range slices.Sorted(maps.Keys(totals)) {
		t := totals[of]
		out = append(out, t)
		rows = append(rows, session.Row{dash(t.Of), fmt.Sprint(t.Credentials), fmt.Sprint(t.Copied), fmt.Sprint(t.Copies), fmt.Sprint(t.Unused), fmt.Sprint(t.Orphaned), fmt.Sprint(t.Rotated), fmt.Sprint(t.Oldest)})
	}
	head := strings.ToUpper(by[:1]) + by[1:]
	return x.Print(out, session.Row{head, "Credentials", "Copied", "Copies", "No consumers", "Orphaned", "Rotated", "Oldest (days)"}, rows)
}

func (t *total) count(r *trace.Report) {
	t.Credentials++
	t.Copies += len(r.Copies)
	t.Oldest = max(t.Oldest, r.Days)
	if len(r.Copies) > 1 {
		t.Copied++
	}
	if r.Unused == "yes" {
		t.Unused++
	}
	if len(r.Orphaned) > 0 {
		t.Orphaned++
	}
	if r.Rotation != nil {
		t.Rotated++
	}
}
