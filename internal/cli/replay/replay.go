package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit/search"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/policy/replay"
)

// The exit codes of a simulation in which something would be lost, and of one in
// which nothing is known to be, but not all that was allowed could be judged.
const (
	DeniedExit = session.Exit(10)
	UnsureExit = session.Exit(11)
)

// span are the flags that say which part of the log counts.
type span struct{ since, until string }

func (s *span) flags(c *cobra.Command) {
	c.Flags().StringVar(&s.since, "since", "", "from then on: 2026-03-01, 2026-03-01T12:00:00Z, or 168h for a week ago")
	c.Flags().StringVar(&s.until, "until", "", "before then")
}

// query returns the part of the log as a search.
func (s *span) query(now time.Time) (search.Query, error) {
	q := search.Query{Type: "response"}
	var err error
	if q.Since, err = when("since", s.since, now); err != nil {
		return q, err
	}
	q.Until, err = when("until", s.until, now)
	return q, err
}

// when reads a time, a date, or how long ago.
func when(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errs.Newf(errs.Invalid, "-%s: use a date such as 2026-03-01, a time such as 2026-03-01T12:00:00Z, or a duration such as 168h", flag)
}

// read sums up what the files tell.
func read(ctx context.Context, s *session.Session, q search.Query, keep func(*replay.Use) bool, files []string) (*replay.Log, error) {
	log := &replay.Log{}
	result, err := search.Files(ctx, q, func(e *search.Entry) error {
		if u, ok := replay.FromLine(e.Raw, e.Time); ok && keep(&u) {
			log.Add(u)
		}
		return nil
	}, files...)
	if err != nil {
		return nil, err
	}
	if result.BadLines > 0 {
		s.Warn([]string{fmt.Sprintf("%d of %d lines are no audit entries and were left out; strongkeep audit verify says more", result.BadLines, result.Lines)})
	}
	return log, nil
}

// Simulate returns policy simulate.
func Simulate(s *session.Session) *cobra.Command {
	var when span
	remove := false
	c := &cobra.Command{
		Use: "simulate NAME FILE AUDITLOG...", Short: "Say what a change of a policy would have denied", Args: session.Args(2, -1),
		Long: `Ask again, under the policy NAME as it is in FILE (- is standard input), what the audit log says
was done by tokens that have it, and print what would have come out differently. The other policies
are read from the server. With -delete there is no FILE: what if the policy were gone?

Values of parameters are hashed in the log: what rests on them is "uncertain". Of who asked the log
tells the entity's ID, which templates are filled in with; requests that rest on a template for a name,
metadata, an alias or a group are not judged, but counted, by policy.

Exit code 10: something that was allowed would have been denied. 11: nothing is known to be, but some of
what was allowed is uncertain or could not be judged.`,
		Example: "  strongkeep policy simulate my-app new.hcl -since=168h /var/lib/strongkeep/audit/audit.log\n" +
			"  strongkeep policy simulate -delete old-app audit.log.1.gz audit.log",
		RunE: func(c *cobra.Command, given []string) error {
			name, err := policy.NormalizeName(given[0])
			if err != nil {
				return err
			}
			change := replay.Change{Home: home(s), Name: name}
			files := given[1:]
			if !remove {
				if len(given) < 3 {
					return errs.New(errs.Invalid, "give the policy's FILE and at least one AUDITLOG, or -delete")
				}
				files = given[2:]
				if change.Policy, err = parse(s, name, given[1]); err != nil {
					return err
				}
			}
			q, err := when.query(time.Now())
			if err != nil {
				return err
			}
			log, err := read(c.Context(), s, q, func(*replay.Use) bool { return true }, files)
			if err != nil {
				return err
			}
			client, err := s.Client()
			if err != nil {
				return err
			}
			result, err := log.Simulate(fromServer(c.Context(), client), change)
			if err != nil {
				return err
			}
			return show(s, name, result)
		},
	}
	when.flags(c)
	c.Flags().BoolVar(&remove, "delete", false, "simulate that the policy is deleted")
	return c
}

// home is the namespace that the command is about, as audit lines write it.
func home(s *session.Session) string {
	ns := strings.Trim(session.First(s.Conn.Namespace, s.Env.Lookup("NAMESPACE")), "/")
	if ns == "" || ns == "root" {
		return ""
	}
	return ns + "/"
}

func parse(s *session.Session, name, file string) (*policy.Policy, error) {
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(s.Env.Stdin)
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "reading the policy: %w", err)
	}
	p, err := policy.Parse(name, string(text))
	if err != nil {
		err = errs.Newf(errs.KindOf(err), "%s: %w", file, err)
	}
	return p, err
}

// fromServer reads policies as they are, each once.
func fromServer(ctx context.Context, client *vault.Client) replay.Policies {
	known := map[string]*policy.Policy{}
	return func(home, name string) (*policy.Policy, error) {
		if p, ok := known[home+name]; ok {
			return p, nil
		}
		here := client
		if home != "" {
			here = client.WithNamespace(strings.TrimSuffix(home, "/"))
		}
		text, err := here.Sys().GetPolicyWithContext(ctx, name)
		var answer *vault.ResponseError
		if err != nil && !(errors.As(err, &answer) && answer.StatusCode == 404) {
			return nil, err
		}
		var p *policy.Policy
		if text != "" {
			if p, err = policy.Parse(name, text); err != nil {
				return nil, errs.Newf(errs.KindOf(err), "reading policy %q: %w", name, err)
			}
		}
		known[home+name] = p
		return p, nil
	}
}

// outcome is one row of a simulation for programs.
type outcome struct {
	Verdict   replay.Verdict `json:"verdict"`
	Operation string         `json:"operation"`
	Path      string         `json:"path"`
	Count     int64          `json:"count"`
	Last      time.Time      `json:"last"`
	Who       []string       `json:"who"`
	Policies  []string       `json:"policies"`
	Reason    string         `json:"reason,omitempty"`
	Rule      string         `json:"rule,omitempty"`
}

// table is a simulation's outcomes as rows, for eyes and for programs, and whether
// something would be lost.
func table(result *replay.Simulation) (rows []session.Row, out []outcome, lost bool) {
	rows, out = []session.Row{}, []outcome{}
	for _, o := range result.Outcomes {
		lost = lost || o.Verdict == replay.Lost
		why := ""
		if o.Verdict != replay.Gained {
			why = o.Reason
			if o.Rule != "" {
				why += " (" + o.Rule + ")"
			}
		}
		rows = append(rows, session.Row{string(o.Verdict), o.Operation, o.Path, fmt.Sprint(o.Count), o.Last.UTC().Format(time.RFC3339), strings.Join(o.Names, ", "), why})
		out = append(out, outcome{o.Verdict, o.Operation, o.Path, o.Count, o.Last, o.Names, o.Policies, why, o.Rule})
	}
	return rows, out, lost
}

func show(s *session.Session, name string, result *replay.Simulation) error {
	unjudged := result.Unjudged
	if unjudged.Requests > 0 {
		s.Warn([]string{notJudged(unjudged)})
	}
	rows, out, lost := table(result)
	data := map[string]any{"policy": name, "requests": result.Requests, "affected": result.Affected, "outcomes": out,
		"unjudged": map[string]any{"requests": unjudged.Requests, "allowed": unjudged.Allowed, "policies": unjudged.Policies}}
	var err error
	switch {
	case s.Format != "table" || len(rows) > 0:
		err = s.Print(data, session.Row{"Would be", "Operation", "Path", "Requests", "Last", "By", "Because"}, rows)
	case unjudged.Requests > 0:
		err = s.Done("Of %d requests by tokens with policy %s, of %d in all, nothing would have changed for the %d that could be judged.",
			result.Affected, name, result.Requests, result.Affected-unjudged.Requests)
	default:
		err = s.Done("Nothing would have changed: %d of %d requests were by tokens with policy %s.", result.Affected, result.Requests, name)
	}
	switch {
	case err != nil:
		return err
	case lost:
		return DeniedExit
	case !result.Sure():
		return UnsureExit
	}
	return nil
}

// notJudged says how many requests rest on which policies.
func notJudged(u replay.Unjudged) string {
	var by []string
	for _, name := range slices.Sorted(maps.Keys(u.Policies)) {
		by = append(by, fmt.Sprintf("%s (%d)", name, u.Policies[name]))
	}
	return fmt.Sprintf("could not be judged, for want of what templates stand for: %d of the requests, of which %d were allowed; by the policies with the templates: %s",
		u.Requests, u.Allowed, strings.Join(by, ", "))
}

// Minimise returns policy minimise.
func Minimise(s *session.Session) *cobra.Command {
	var when span
	var q search.Query
	var with string
	fold := 0
	c := &cobra.Command{
		Use: "minimise AUDITLOG...", Short: "Print the least policy that covers what somebody really did", Args: session.Args(1, -1),
		Long: `Print the policy that allows what the audit log says was done and allowed, and nothing else. Say whose
doings count: all tokens with a policy, of an entity, or by display name. Without -fold each path has a
rule; with it, more than so many paths that differ in one segment share one with +.

What the policy default grants to all is left out. The log must be long enough to hold what is done rarely.`,
		Example: "  strongkeep policy minimise -policy=my-app -since=720h audit.log.1.gz audit.log > my-app.hcl\n" +
			"  strongkeep policy minimise -display-name='kubernetes-default-my-app' -fold=5 audit.log",
		RunE: func(c *cobra.Command, files []string) error {
			if with == "" && q.DisplayName == "" && q.Entity == "" && q.Accessor == "" {
				return errs.New(errs.Invalid, "whose doings? Give -policy, -display-name, -entity or -token-accessor")
			}
			part, err := when.query(time.Now())
			if err != nil {
				return err
			}
			part.DisplayName, part.Entity, part.Accessor = q.DisplayName, q.Entity, q.Accessor
			log, err := read(c.Context(), s, part, func(u *replay.Use) bool {
				return with == "" || slices.Contains(u.Policies, strings.ToLower(with))
			}, files)
			if err != nil {
				return err
			}
			rules, err := log.Minimise(fold)
			if err != nil {
				return err
			}
			return print(s, rules)
		},
	}
	when.flags(c)
	c.Flags().StringVar(&with, "policy", "", "tokens that have this policy")
	c.Flags().StringVar(&q.DisplayName, "display-name", "", "glob of the token's display name")
	c.Flags().StringVar(&q.Entity, "entity", "", "ID of the entity")
	c.Flags().StringVar(&q.Accessor, "token-accessor", "", "accessor of the token, as it stands in the log")
	c.Flags().IntVar(&fold, "fold", 0, "merge more than so many paths that differ in one segment; 0 = none")
	return c
}

func print(s *session.Session, rules []replay.Rule) error {
	if len(rules) == 0 {
		return errs.New(errs.NotExist, "these files tell of nothing that such tokens did, were allowed, and need more than the policy default for: there is no policy to print; is it the right name, time and log?")
	}
	if s.Format == "table" {
		_, err := io.WriteString(s.Env.Stdout, replay.HCL(rules))
		return err
	}
	out := make([]any, len(rules))
	for i, r := range rules {
		out[i] = map[string]any{"path": r.Path, "capabilities": r.Capabilities.Names(), "requests": r.Count, "paths": r.Paths, "last": r.Last}
	}
	return s.Print(map[string]any{"rules": out, "policy": replay.HCL(rules)}, nil, nil)
}
