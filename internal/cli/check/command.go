package check

import (
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/evidence"
	"github.com/strongkeep/strongkeep/internal/cli/look"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
)

// What the command ends with beside what every command does: docs/checks/README.md.
const (
	exitFound  session.Exit = 10
	exitUnsure session.Exit = 11
)

// Config is what the command is made of.
type Config struct {
	Checks  []check.Check
	Version string
}

// Command returns the command check.
func Command(s *session.Session, c Config) *cobra.Command {
	x := &command{Session: s, Config: c, now: time.Now}
	out := x.command()
	out.AddCommand(historyCommand(s, time.Now))
	return out
}

// command is one run.
type command struct {
	*session.Session
	Config
	now func() time.Time

	from      look.Flags
	manifests []string
	given     evidence.Flags
	settings  check.Settings

	only               []string
	failOn             string
	before, exceptions string
	file               string
	newOnly            bool
	strict, all        bool
}

func (x *command) command() *cobra.Command {
	c := &cobra.Command{
		Use: "check", Short: "Answer the fourteen questions of the secrets checklist about a cluster or manifests, with evidence", Args: session.Args(0, 0),
		Long: `Ask whether a cluster keeps its secrets as it should: encryption, RBAC, sources,
rotation, certificates, tokens, variables, audit, pipelines. Each question is
answered yes, no, partly, or cannot tell, with what it takes to tell; nothing
that was not read is answered with yes. Each finding has one command or patch.

No output has a value of a Secret in it. It exits with 10 if there is a finding
at or above -fail-on, and with -strict with 11 if a question is not answered.`,
		Example: "  strongkeep check\n  helm template shop ./chart | strongkeep check -f - -fail-on=medium\n  strongkeep check -o html --output-file=report.html\n  strongkeep check -before=yesterday.json -new-only -o sarif",
		RunE:    x.run,
	}
	f := c.Flags()
	x.from.AddWhole(f)
	f.StringSliceVar(&x.manifests, "manifests", nil, "the same as -f, for pipelines")
	x.given.Add(f)
	f.StringSliceVar(&x.only, "only", nil, "ask these questions only, such as SEC-03,SEC-09")
	f.StringVar(&x.failOn, "fail-on", "high", "exit with 10 if there is a finding as bad: critical, high, medium, low, info or none")
	f.BoolVar(&x.strict, "strict", false, "exit with 11 if a question could not be answered")
	f.StringVar(&x.before, "before", "", "a report of -o json: what it has is not new")
	f.BoolVar(&x.newOnly, "new-only", false, "only new findings count for the exit code; needs -before")
	f.StringVar(&x.exceptions, "exceptions", "", "file of findings that are accepted, each with owner, reason and end (docs/checks/README.md)")
	f.StringVar(&x.file, "output-file", "", "write the report to this file")
	f.BoolVar(&x.all, "all", false, "in the table, show every finding with its patch, and evidence")
	f.DurationVar(&x.settings.MaxAge, "max-age", 0, "how old a credential may be that nothing rotates (default 2160h)")
	f.DurationVar(&x.settings.MaxTokenAge, "max-token-age", 0, "how long a projected token may live (default 24h)")
	f.DurationVar(&x.settings.Unused, "unused", 0, "after how long without use a right or token counts as unused (default 2160h)")
	f.DurationVar(&x.settings.Review, "review-age", 0, "how old a review of access may be (default 2160h)")
	f.DurationVar(&x.settings.Report, "encryption-report-age", 0, "how old a report of -encryption-report may be (default 26h)")
	return c
}

func (x *command) run(c *cobra.Command, _ []string) error {
	least, never, err := x.threshold()
	if err != nil {
		return err
	}
	report, compared, err := x.ask(c)
	if err != nil {
		return err
	}
	x.warn(report)
	failing := func(m *check.Marked) bool {
		return !never && m.Excepted == nil && m.Severity.AtLeast(least) && (m.New || !x.newOnly)
	}
	if err := x.write(report, compared, failing); err != nil {
		return err
	}
	return x.exit(report, least, never)
}

// exit is what the command ends with.
func (x *command) exit(report *check.Report, least check.Severity, never bool) error {
	switch {
	case !never && len(report.Counting(least, x.newOnly)) > 0:
		return exitFound
	case x.strict && report.Tally()[check.Unknown] > 0:
		return exitUnsure
	}
	return nil
}

// ask asks the chosen checks. compared says that there was a report before.
func (x *command) ask(c *cobra.Command) (_ *check.Report, compared bool, err error) {
	checks, err := x.chosen()
	if err != nil {
		return nil, false, err
	}
	before, exceptions, err := x.known()
	if err != nil {
		return nil, false, err
	}
	x.from.Files = append(x.from.Files, x.manifests...)
	seen, err := x.from.Look(c.Context(), x.Session, x.now())
	if err != nil {
		return nil, false, err
	}
	if err := x.given.Into(c.Context(), x.Session, seen); err != nil {
		return nil, false, err
	}
	if err := x.from.Keep(x.Session, seen); err != nil {
		return nil, false, err
	}
	return check.Run(checks, check.NewInput(seen.Snapshot, x.now(), x.settings), before, exceptions), before != nil, nil
}

// chosen are the checks to ask.
func (x *command) chosen() ([]check.Check, error) {
	if len(x.only) == 0 {
		return x.Checks, nil
	}
	var out []check.Check
	for _, id := range x.only {
		i := slices.IndexFunc(x.Checks, func(c check.Check) bool { return strings.EqualFold(c.ID, strings.TrimSpace(id)) })
		if i < 0 {
			var ids []string
			for _, c := range x.Checks {
				ids = append(ids, c.ID)
			}
			return nil, errs.Newf(errs.Invalid, "there is no check %q; there are: %s", id, strings.Join(ids, ", "))
		}
		out = append(out, x.Checks[i])
	}
	return out, nil
}

// threshold is how bad a finding has to be to count; never: none does.
func (x *command) threshold() (least check.Severity, never bool, err error) {
	if x.failOn == "none" {
		return check.Critical, true, nil
	}
	least, err = check.ParseSeverity(x.failOn)
	if err != nil {
		return "", false, errs.Newf(errs.Invalid, "-fail-on: %w; or none", err)
	}
	return least, false, nil
}

// known is what was known before, and what is accepted.
func (x *command) known() (*check.Report, []check.Exception, error) {
	if x.newOnly && x.before == "" {
		return nil, nil, errs.New(errs.Invalid, "-new-only needs -before=REPORT.json: without one nothing is new")
	}
	var before *check.Report
	var exceptions []check.Exception
	if x.before != "" {
		f, err := os.Open(x.before)
		if err != nil {
			return nil, nil, errs.Newf(errs.Invalid, "reading the report before: %w", err)
		}
		defer func() { _ = f.Close() }()
		if before, err = check.ReadReport(x.before, f); err != nil {
			return nil, nil, err
		}
	}
	if x.exceptions != "" {
		f, err := os.Open(x.exceptions)
		if err != nil {
			return nil, nil, errs.Newf(errs.Invalid, "reading exceptions: %w", err)
		}
		defer func() { _ = f.Close() }()
		if exceptions, err = check.ReadExceptions(x.exceptions, f); err != nil {
			return nil, nil, err
		}
	}
	return before, exceptions, nil
}

// warn says on standard error what a reader of another format than the table would miss.
func (x *command) warn(r *check.Report) {
	var out []string
	for _, e := range r.Ended {
		out = append(out, "an exception of "+e.Owner+" for "+session.First(e.Check, e.Fingerprint)+" has ended: its findings count again")
	}
	if x.from.Files == nil && r.Tally()[check.Unknown] == len(r.Results) {
		out = append(out, "no question could be answered: see what each needs")
	}
	x.Warn(out)
}
