package lease

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
)

func (a *app) count() *cobra.Command {
	var kind, by string
	limit := 0
	c := &cobra.Command{
		Use: "count", Short: "Count leases or tokens, and say who made them", Args: session.Args(0, 0),
		Example: "  strongkeep lease count -by=role\n  strongkeep lease count -type=tokens -by=policy -limit=10",
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			query := map[string][]string{"type": {kind}, "limit": {strconv.Itoa(limit)}}
			if by != "" {
				query["group_by"] = []string{by}
			}
			answer, err := client.Logical().ReadWithDataWithContext(c.Context(), "sys/leases/count", query)
			if err != nil {
				return err
			}
			data, err := session.Data(answer)
			if err != nil {
				return err
			}
			header, rows := counted(data)
			return a.Print(data, header, rows)
		},
	}
	c.Flags().StringVar(&kind, "type", "leases", "leases, irrevocable or tokens")
	c.Flags().StringVar(&by, "by", "", "mount, role, path, entity or token; of tokens also policy")
	c.Flags().IntVar(&limit, "limit", 100, "show so many groups, the largest first; 0 = all")
	return c
}

// counted makes a table of the groups, else of the counts by mount.
func counted(data map[string]any) (session.Row, []session.Row) {
	total := session.First(text(data["lease_count"]), text(data["token_count"]), "0")
	rows := []session.Row{}
	groups, _ := data["groups"].([]any)
	for _, g := range groups {
		fields, _ := g.(map[string]any)
		who := make([]string, 0, len(fields))
		for _, name := range session.Sorted(fields) {
			if name != "count" {
				who = append(who, name+"="+session.Text(fields[name]))
			}
		}
		rows = append(rows, session.Row{session.Text(fields["count"]), session.First(strings.Join(who, " "), "unknown")})
	}
	counts, _ := data["counts"].(map[string]any)
	for _, accessor := range session.Sorted(counts) {
		rows = append(rows, session.Row{session.Text(counts[accessor]), "mount_accessor=" + accessor})
	}
	if more := text(data["more_groups"]); more != "" && more != "0" {
		rows = append(rows, session.Row{"", more + " more groups"})
	}
	return session.Row{"Count", "Of"}, append(rows, session.Row{total, "all"})
}

// text is a value as in a table, "" if there is none.
func text(v any) string {
	if v == nil {
		return ""
	}
	return session.Text(v)
}

func (a *app) irrevocable() *cobra.Command {
	limit := 0
	c := &cobra.Command{
		Use: "irrevocable", Short: "List the leases that could not be ended, and why", Args: session.Args(0, 0),
		Example: "  strongkeep lease irrevocable",
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			answer, err := client.Logical().ReadWithDataWithContext(c.Context(), "sys/leases",
				map[string][]string{"type": {"irrevocable"}, "limit": {strconv.Itoa(limit)}})
			if err != nil {
				return err
			}
			data, err := session.Data(answer)
			if err != nil {
				return err
			}
			all, _ := data["leases"].([]any)
			rows := make([]session.Row, 0, len(all))
			for _, l := range all {
				fields, _ := l.(map[string]any)
				rows = append(rows, session.Row{
					session.Text(fields["lease_id"]), session.Text(fields["attempts"]),
					session.Text(fields["next_attempt"]), session.Text(fields["error"]),
				})
			}
			if len(rows) == 0 && a.Format == "table" && a.Field == "" {
				return a.Done("There are none.")
			}
			return a.Print(data, session.Row{"Lease", "Attempts", "Next attempt", "Error"}, rows)
		},
	}
	c.Flags().IntVar(&limit, "limit", 1000, "show at most so many")
	return c
}

func (a *app) tidy() *cobra.Command {
	return a.order("tidy", "Try to end irrevocable leases again, now", "sys/leases/tidy",
		"Irrevocable leases are being tried again. See what stays with: strongkeep lease irrevocable")
}

func (a *app) hold() *cobra.Command {
	c := a.order("hold", "Let nothing end or rotate by itself, until resume", "sys/leases/hold",
		"Nothing ends by itself now, also after a restart. Go on with: strongkeep lease resume")
	c.Long = `Let nothing end or rotate by itself. It is for a restore from a backup: the
backup's leases may have been renewed since, and ending them would remove the users
of running programs. It outlives restarts; "strongkeep lease resume" ends it.`
	return c
}

func (a *app) resume() *cobra.Command {
	return a.order("resume", "Let leases end by themselves again", "sys/leases/resume", "Leases end by themselves again.")
}

// order is a command that writes nothing to a path.
func (a *app) order(use, short, path, done string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: session.Args(0, 0), Example: "  strongkeep lease " + use,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.WritePath(c.Context(), path, nil); err != nil {
				return err
			}
			return a.Done("%s", done)
		},
	}
}
