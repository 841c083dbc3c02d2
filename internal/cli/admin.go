package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/audit"
	"github.com/strongkeep/strongkeep/internal/cli/policyfmt"
	"github.com/strongkeep/strongkeep/internal/cli/replay"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

func (a *app) auditCommand() *cobra.Command {
	detailed := false
	list := &cobra.Command{
		Use: "list", Short: "List the audit devices", Args: session.Args(0, 0), Example: "  strongkeep audit list -detailed",
		RunE: func(c *cobra.Command, _ []string) error {
			data, err := a.ReadData(c.Context(), "sys/audit")
			if err != nil {
				return err
			}
			header := session.Row{"Path", "Type", "Description", "Options"}
			if detailed {
				header = append(header, "Local", "Checkpoint Key")
			}
			rows := make([]session.Row, 0, len(data))
			for _, path := range session.Sorted(data) {
				m, _ := data[path].(map[string]any)
				row := session.Row{path, session.Text(m["type"]), session.Text(m["description"]), session.Text(m["options"])}
				if detailed {
					row = append(row, session.Text(m["local"]), session.Text(m["checkpoint_key"]))
				}
				rows = append(rows, row)
			}
			return a.Print(data, header, rows)
		},
	}
	list.Flags().BoolVar(&detailed, "detailed", false, "with the keys of their checkpoints")
	var path, description string
	enable := &cobra.Command{
		Use: "enable TYPE [OPTION=VALUE...]", Short: "Enable an audit device", Args: session.Args(1, -1),
		Example: "  strongkeep audit enable -path=second file file_path=second.log",
		RunE: func(c *cobra.Command, given []string) error {
			options, err := a.Values(given[1:], nil)
			if err != nil {
				return err
			}
			at := session.First(path, given[0])
			if err := a.WritePath(c.Context(), "sys/audit/"+session.Clean(at), map[string]any{"type": given[0], "description": description, "options": options}); err != nil {
				return err
			}
			return a.Done("Success! Enabled the %s audit device at: %s/", given[0], session.Clean(at))
		},
	}
	enable.Flags().StringVar(&path, "path", "", "its name; default: the type's")
	enable.Flags().StringVar(&description, "description", "", "what it is for")
	disable := &cobra.Command{
		Use: "disable PATH", Short: "Disable an audit device", Args: session.Args(1, 1), Example: "  strongkeep audit disable file/",
		RunE: func(c *cobra.Command, given []string) error {
			if err := a.DeletePath(c.Context(), "sys/audit/"+session.Clean(given[0])); err != nil {
				return err
			}
			return a.Done("Success! Disabled audit device (if it was enabled) at: %s/", session.Clean(given[0]))
		},
	}
	return session.Group("audit", "Where the record of every request goes, and what stands in it",
		append(audit.Commands(a.Session), list, enable, disable)...)
}

func (a *app) policyCommand() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List the policies", Args: session.Args(0, 0), Example: "  strongkeep policy list",
		RunE: func(c *cobra.Command, _ []string) error { return a.List(c.Context(), "sys/policies/acl") },
	}
	read := &cobra.Command{
		Use: "read NAME", Short: "Print a policy", Args: session.Args(1, 1), Example: "  strongkeep policy read default",
		RunE: func(c *cobra.Command, given []string) error {
			data, err := a.ReadData(c.Context(), "sys/policies/acl/"+session.Clean(given[0]))
			if err != nil {
				return err
			}
			if data["policy"] == nil {
				return errs.Newf(errs.NotExist, "no policy named %s", given[0])
			}
			if a.Format != "table" || a.Field != "" {
				return a.Print(data, nil, nil)
			}
			_, err = fmt.Fprintln(a.Env.Stdout, strings.TrimRight(session.Text(data["policy"]), "\n"))
			return err
		},
	}
	write := &cobra.Command{
		Use: "write NAME FILE", Short: "Write a policy from a file, or - for standard input", Args: session.Args(2, 2),
		Example: "  strongkeep policy write my-app my-app.hcl",
		RunE: func(c *cobra.Command, given []string) error {
			var content []byte
			var err error
			if given[1] == "-" {
				content, err = io.ReadAll(a.Env.Stdin)
			} else {
				content, err = os.ReadFile(given[1])
			}
			if err != nil {
				return errs.Newf(errs.Invalid, "reading the policy: %w", err)
			}
			if err := a.WritePath(c.Context(), "sys/policies/acl/"+session.Clean(given[0]), map[string]any{"policy": string(content)}); err != nil {
				return err
			}
			return a.Done("Success! Uploaded policy: %s", strings.ToLower(session.Clean(given[0])))
		},
	}
	remove := &cobra.Command{
		Use: "delete NAME", Short: "Delete a policy", Args: session.Args(1, 1), Example: "  strongkeep policy delete my-app",
		RunE: func(c *cobra.Command, given []string) error {
			if err := a.DeletePath(c.Context(), "sys/policies/acl/"+session.Clean(given[0])); err != nil {
				return err
			}
			return a.Done("Success! Deleted policy: %s", session.Clean(given[0]))
		},
	}
	return session.Group("policy", "Who may do what", list, read, write, remove, policyfmt.Command(a.Session), a.policyExplain(), replay.Simulate(a.Session), replay.Minimise(a.Session))
}
