package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/audit"
	"github.com/strongkeep/strongkeep/internal/cli/replay"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// mountSide is the secrets or the auth command.
type mountSide struct {
	use, noun, short, listPath, writePath string
}

var (
	secretsSide = mountSide{"secrets", "secrets engine", "Mount and tune secrets engines", "sys/mounts", "sys/mounts/"}
	authSide    = mountSide{"auth", "auth method", "Enable and tune auth methods", "sys/auth", "sys/auth/"}
)

func (a *app) mountCommand(side mountSide) *cobra.Command {
	children := []*cobra.Command{a.mountList(side), a.mountEnable(side), a.mountDisable(side), a.mountTune(side)}
	if side == secretsSide {
		children = append(children, a.mountMove())
	}
	return session.Group(side.use, side.short, children...)
}

func (a *app) mountList(side mountSide) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List what is mounted", Args: session.Args(0, 0), Example: "  strongkeep " + side.use + " list",
		RunE: func(c *cobra.Command, _ []string) error {
			data, err := a.readData(c.Context(), side.listPath)
			if err != nil {
				return err
			}
			rows := make([]session.Row, 0, len(data))
			for _, path := range session.Sorted(data) {
				m, _ := data[path].(map[string]any)
				rows = append(rows, session.Row{path, session.Text(m["type"]), session.Text(m["accessor"]), session.Text(m["description"])})
			}
			return a.Print(data, session.Row{"Path", "Type", "Accessor", "Description"}, rows)
		},
	}
}

func (a *app) readData(ctx context.Context, path string) (map[string]any, error) {
	client, err := a.Client()
	if err != nil {
		return nil, err
	}
	s, err := client.Logical().ReadWithContext(ctx, path)
	if err != nil {
		return nil, err
	}
	if s == nil || s.Data == nil {
		return map[string]any{}, nil
	}
	return s.Data, nil
}

func (a *app) mountEnable(side mountSide) *cobra.Command {
	var path, description, version string
	var options map[string]string
	c := &cobra.Command{
		Use: "enable TYPE", Short: "Mount a " + side.noun, Args: session.Args(1, 1),
		Example: map[mountSide]string{
			secretsSide: "  strongkeep secrets enable -path=secret -version=2 kv",
			authSide:    "  strongkeep auth enable kubernetes",
		}[side],
		RunE: func(c *cobra.Command, given []string) error {
			at := session.First(path, given[0])
			if version != "" {
				if options == nil {
					options = map[string]string{}
				}
				options["version"] = version
			}
			body := map[string]any{"type": given[0], "description": description, "options": options}
			if err := a.writePath(c, side.writePath+session.Clean(at), body); err != nil {
				return err
			}
			return a.Done("Success! Enabled the %s %s at: %s/", given[0], side.noun, session.Clean(at))
		},
	}
	f := c.Flags()
	f.StringVar(&path, "path", "", "where to mount it; default: the type's name")
	f.StringVar(&description, "description", "", "what it is for")
	f.StringToStringVar(&options, "options", nil, "options of the engine, NAME=VALUE")
	if side == secretsSide {
		f.StringVar(&version, "version", "", "version of the kv engine: 1 or 2")
	}
	return c
}

func (a *app) writePath(c *cobra.Command, path string, body map[string]any) error {
	client, err := a.Client()
	if err != nil {
		return err
	}
	s, err := client.Logical().WriteWithContext(c.Context(), path, body)
	if s != nil {
		a.Warn(s.Warnings)
	}
	return err
}

func (a *app) deletePath(c *cobra.Command, path string) error {
	client, err := a.Client()
	if err != nil {
		return err
	}
	_, err = client.Logical().DeleteWithContext(c.Context(), path)
	return err
}

func (a *app) mountDisable(side mountSide) *cobra.Command {
	return &cobra.Command{
		Use: "disable PATH", Short: "Remove a " + side.noun + " with everything it holds", Args: session.Args(1, 1),
		Example: "  strongkeep " + side.use + " disable old/",
		RunE: func(c *cobra.Command, given []string) error {
			if err := a.deletePath(c, side.writePath+session.Clean(given[0])); err != nil {
				return err
			}
			return a.Done("Success! Disabled the %s (if it existed) at: %s/", side.noun, session.Clean(given[0]))
		},
	}
}

func (a *app) mountTune(side mountSide) *cobra.Command {
	flags := map[string]*string{"default-lease-ttl": nil, "max-lease-ttl": nil, "description": nil, "listing-visibility": nil}
	c := &cobra.Command{
		Use: "tune PATH", Short: "Change TTLs and description", Args: session.Args(1, 1),
		Example: "  strongkeep " + side.use + " tune -max-lease-ttl=24h PATH/",
		RunE: func(c *cobra.Command, given []string) error {
			body := map[string]any{}
			for name, v := range flags {
				if c.Flags().Changed(name) {
					body[strings.ReplaceAll(name, "-", "_")] = *v
				}
			}
			if len(body) == 0 {
				return errs.New(errs.Invalid, "there is nothing to tune: give a flag")
			}
			if err := a.writePath(c, side.writePath+session.Clean(given[0])+"/tune", body); err != nil {
				return err
			}
			return a.Done("Success! Tuned the %s at: %s/", side.noun, session.Clean(given[0]))
		},
	}
	flags["default-lease-ttl"] = c.Flags().String("default-lease-ttl", "", "lifetime given when none is asked for")
	flags["max-lease-ttl"] = c.Flags().String("max-lease-ttl", "", "the longest lifetime")
	flags["description"] = c.Flags().String("description", "", "what it is for")
	flags["listing-visibility"] = c.Flags().String("listing-visibility", "", "unauth or hidden")
	return c
}

func (a *app) mountMove() *cobra.Command {
	return &cobra.Command{
		Use: "move FROM TO", Short: "Move a mount to another path", Args: session.Args(2, 2),
		Example: "  strongkeep secrets move secret/ kv/",
		RunE: func(c *cobra.Command, given []string) error {
			if err := a.writePath(c, "sys/remount", map[string]any{"from": given[0], "to": given[1]}); err != nil {
				return err
			}
			return a.Done("Success! Moved %s to %s", given[0], given[1])
		},
	}
}

func (a *app) auditCommand() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List the audit devices", Args: session.Args(0, 0), Example: "  strongkeep audit list",
		RunE: func(c *cobra.Command, _ []string) error {
			data, err := a.readData(c.Context(), "sys/audit")
			if err != nil {
				return err
			}
			rows := make([]session.Row, 0, len(data))
			for _, path := range session.Sorted(data) {
				m, _ := data[path].(map[string]any)
				rows = append(rows, session.Row{path, session.Text(m["type"]), session.Text(m["description"]), session.Text(m["options"])})
			}
			return a.Print(data, session.Row{"Path", "Type", "Description", "Options"}, rows)
		},
	}
	var path, description string
	enable := &cobra.Command{
		Use: "enable TYPE [OPTION=VALUE...]", Short: "Enable an audit device", Args: session.Args(1, -1),
		Example: "  strongkeep audit enable file file_path=second.log",
		RunE: func(c *cobra.Command, given []string) error {
			options, err := a.Values(given[1:], false)
			if err != nil {
				return err
			}
			at := session.First(path, given[0])
			if err := a.writePath(c, "sys/audit/"+session.Clean(at), map[string]any{"type": given[0], "description": description, "options": options}); err != nil {
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
			if err := a.deletePath(c, "sys/audit/"+session.Clean(given[0])); err != nil {
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
			data, err := a.readData(c.Context(), "sys/policies/acl/"+session.Clean(given[0]))
			if err != nil {
				return err
			}
			if data["policy"] == nil {
				return errs.Newf(errs.NotExist, "no policy named %s", given[0])
			}
			if a.Format != "table" {
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
			if err := a.writePath(c, "sys/policies/acl/"+session.Clean(given[0]), map[string]any{"policy": string(content)}); err != nil {
				return err
			}
			return a.Done("Success! Uploaded policy: %s", strings.ToLower(session.Clean(given[0])))
		},
	}
	remove := &cobra.Command{
		Use: "delete NAME", Short: "Delete a policy", Args: session.Args(1, 1), Example: "  strongkeep policy delete my-app",
		RunE: func(c *cobra.Command, given []string) error {
			if err := a.deletePath(c, "sys/policies/acl/"+session.Clean(given[0])); err != nil {
				return err
			}
			return a.Done("Success! Deleted policy: %s", session.Clean(given[0]))
		},
	}
	return session.Group("policy", "Who may do what", list, read, write, remove, a.policyExplain(), replay.Simulate(a.Session), replay.Minimise(a.Session))
}
