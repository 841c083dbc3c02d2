package check

import (
	"time"

	"github.com/spf13/cobra"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/history"
)

// remembered is one run of check history.
type remembered struct {
	*session.Session
	now  func() time.Time
	from cluster.Flags

	operator string
	gone     bool
	only     string
}

// historyCommand shows what the operator remembers.
func historyCommand(s *session.Session, now func() time.Time) *cobra.Command {
	x := &remembered{Session: s, now: now}
	c := &cobra.Command{
		Use: "history", Short: "Show what the operator's checks found, since when, and what went", Args: session.Args(0, 0),
		Long: `Show what the checks of an operator that runs with -checks found: each finding
with when it was first seen, and those that went with when. It takes the right to
get the ConfigMap ` + history.Name + ` of the operator's namespace, and
none to look at anything else. With -o json answers and their changes are there too.`,
		Example: "  strongkeep check history\n  strongkeep check history -gone -o json",
		RunE:    func(c *cobra.Command, _ []string) error { return x.run(c) },
	}
	f := c.Flags()
	x.from.Add(f)
	f.StringVar(&x.operator, "own-namespace", "strongkeep-system", "namespace of the operator")
	f.BoolVar(&x.gone, "gone", false, "in the table, show what went instead of what is there")
	f.StringVar(&x.only, "only", "", "in the table, show findings of this question only, such as SEC-03")
	return c
}

func (x *remembered) run(c *cobra.Command) error {
	config, _, err := x.from.Rest(x.Env)
	if err != nil {
		return err
	}
	api, err := typed.NewForConfig(config)
	if err != nil {
		return errs.Newf(errs.Invalid, "making a client of %s: %w", config.Host, err)
	}
	book, version, err := history.Store{Maps: api.ConfigMaps(x.operator)}.Load(c.Context())
	if err != nil && errs.KindOf(err) != errs.Invalid {
		return cluster.Explain(err, "the history of checks in namespace "+x.operator)
	}
	if err != nil {
		return err
	}
	if version == "" {
		return errs.Newf(errs.NotExist, "namespace %s has no history of checks: run the operator with -checks (docs/checks/README.md), or name its namespace with -own-namespace", x.operator)
	}
	x.warn(book)
	return x.Print(book, session.Row{"Check", "Severity", "Object", "Rule", "First", "Gone", ""}, x.rows(book))
}

// warn says what a reader of the table would miss.
func (x *remembered) warn(b *history.Book) {
	out := []string{"the cluster was last looked at " + x.now().Sub(b.Taken).Round(time.Second).String() + " ago"}
	for i := range b.Ended {
		e := &b.Ended[i]
		out = append(out, "an exception of "+e.Owner+" for "+session.First(e.Check, e.Fingerprint)+" has ended: its findings count again")
	}
	if b.Untold > 0 {
		out = append(out, check.Count(b.Untold, "finding")+" more had no room: strongkeep check shows them")
	}
	if b.Forgotten > 0 {
		out = append(out, check.Count(b.Forgotten, "finding")+" that went longer ago are forgotten")
	}
	x.Warn(out)
}

func (x *remembered) rows(b *history.Book) []session.Row {
	var out []session.Row
	for i := range b.Entries {
		e := &b.Entries[i]
		if e.Here() == x.gone || x.only != "" && x.only != e.Check {
			continue
		}
		mark := ""
		switch {
		case e.New:
			mark = "new"
		case e.Excepted:
			mark = "accepted"
		case e.Here() && e.Last.Before(b.Taken):
			mark = "not looked at since " + minute(e.Last)
		}
		out = append(out, session.Row{e.Check, string(e.Severity), e.Object.String(), e.Rule, minute(e.First), minute(e.Gone), mark})
	}
	return out
}

func minute(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04")
}
