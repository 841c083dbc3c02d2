package whocan

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/look"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
)

// reach is what what-can prints of one Secret.
type reach struct {
	Secret string `json:"secret"`
	Steps  []step `json:"steps"`
}

func (x *commands) whatCan() *cobra.Command {
	var from look.Flags
	c := &cobra.Command{
		Use: "what-can SUBJECT", Short: "Show at which Secrets a user, group or ServiceAccount gets", Args: session.Args(1, 1),
		Long: `Show at the content of which Secrets somebody gets, and by the shortest chain
each. SUBJECT is User/NAME, Group/NAME or ServiceAccount/NAMESPACE/NAME. What a
ServiceAccount has by its groups counts; of a user no groups are known.`,
		Example: "  strongkeep what-can ServiceAccount/shop/web\n  strongkeep what-can Group/developers",
		RunE: func(c *cobra.Command, given []string) error {
			who, err := parse(given[0])
			if err != nil {
				return err
			}
			s, err := from.Read(c.Context(), x.Session, x.now())
			if err != nil {
				return err
			}
			if err := x.warnMissing(s.Snapshot); err != nil {
				return err
			}
			if m := s.Coverage.Missing("secrets"); len(m) > 0 {
				return errs.Newf(errs.Denied, "cannot tell: %s", strings.Join(m, "; "))
			}
			f, err := copying(s.Snapshot)
			if err != nil {
				return err
			}
			return x.reaches(f, s.Names(), who)
		},
	}
	from.Add(c.Flags())
	return c
}

// parse takes Kind/name.
func parse(given string) (access.Subject, error) {
	kind, rest, ok := strings.Cut(given, "/")
	if ok && rest != "" {
		switch strings.ToLower(kind) {
		case "user":
			return access.User(rest).Canonical(), nil
		case "group":
			return access.Group(rest), nil
		case "serviceaccount", "sa":
			if ns, name, ok := strings.Cut(rest, "/"); ok && ns != "" && name != "" && !strings.Contains(name, "/") {
				return access.ServiceAccount(ns, name), nil
			}
		}
	}
	return access.Subject{}, errs.Newf(errs.Invalid, "%q names nobody: say User/NAME, Group/NAME or ServiceAccount/NAMESPACE/NAME", given)
}

// reaches prints the Secrets that who gets at, by themselves or as a member of
// their groups.
func (x *commands) reaches(f *path.Finder, secrets []path.Name, who access.Subject) error {
	as := map[access.Subject]bool{who: true}
	for _, g := range who.Identity().Groups {
		as[access.Group(g)] = true
	}
	out := []reach{}
	var rows []session.Row
	for _, secret := range secrets {
		r, ok := shortest(f.Readers(secret), as)
		if !ok {
			continue
		}
		list := steps(r.Steps)
		out = append(out, reach{secret.String(), list})
		rows = append(rows, chain(secret.String(), list)...)
	}
	if len(rows) == 0 && x.Format == "table" {
		rows = []session.Row{{"none of the Secrets", "-", "-"}}
	}
	return x.Print(out, session.Row{"Secret", "How", "By"}, rows)
}

// shortest returns the shortest chain of those that begin with somebody in as.
func shortest(readers []path.Reader, as map[access.Subject]bool) (path.Reader, bool) {
	var best path.Reader
	for i := range readers {
		if r := readers[i]; as[r.Subject] && (best.Steps == nil || len(r.Steps) < len(best.Steps)) {
			best = r
		}
	}
	return best, best.Steps != nil
}
