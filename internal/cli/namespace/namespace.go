package namespace

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// root is where the API has namespaces.
const root = "sys/namespaces"

// commands make the subcommands.
type commands struct{ *session.Session }

// Command returns the namespace command with what is below it.
func Command(s *session.Session) *cobra.Command {
	a := commands{s}
	return session.Group("namespace", "Tenants with mounts, policies and tokens of their own",
		a.list(), a.lookup(), a.write("create"), a.write("patch"), a.remove(),
		a.lock(), a.unlock())
}

func (a commands) list() *cobra.Command {
	var recursive bool
	c := &cobra.Command{
		Use: "list", Short: "List the namespaces below", Args: session.Args(0, 0),
		Example: "  strongkeep namespace list\n  strongkeep namespace list -namespace=team-a -recursive",
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			query := map[string][]string{"list": {"true"}}
			if recursive {
				query["recursive"] = []string{"true"}
			}
			s, err := client.Logical().ReadWithDataWithContext(c.Context(), root, query)
			if err != nil {
				return err
			}
			if s == nil {
				return errs.New(errs.NotExist, "there are no namespaces here: create one with strongkeep namespace create NAME")
			}
			keys, _ := s.Data["keys"].([]any)
			rows := make([]session.Row, 0, len(keys))
			for _, key := range keys {
				rows = append(rows, session.Row{session.Text(key)})
			}
			return a.Print(keys, session.Row{"Keys"}, rows)
		},
	}
	c.Flags().BoolVar(&recursive, "recursive", false, "those below them, too")
	return c
}

// show prints one namespace as the server describes it.
func (a commands) show(data map[string]any) error {
	rows := make([]session.Row, 0, len(data))
	for _, name := range session.Sorted(data) {
		rows = append(rows, session.Row{name, session.Text(data[name])})
	}
	return a.Print(data, session.Row{"Key", "Value"}, rows)
}

func (a commands) lookup() *cobra.Command {
	return &cobra.Command{
		Use: "lookup PATH", Short: "Show one namespace", Args: session.Args(1, 1), Example: "  strongkeep namespace lookup team-a",
		RunE: func(c *cobra.Command, given []string) error {
			data, err := a.ReadData(c.Context(), root+"/"+session.Clean(given[0]))
			if err == nil && len(data) == 0 {
				err = errs.Newf(errs.NotExist, "there is no namespace %q", given[0])
			}
			if err != nil {
				return err
			}
			return a.show(data)
		},
	}
}

// namespaceWrite is create or patch.
func (a commands) write(use string) *cobra.Command {
	var metadata map[string]string
	var remove []string
	c := &cobra.Command{
		Use: use + " PATH", Args: session.Args(1, 1),
		RunE: func(c *cobra.Command, given []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			custom := map[string]any{}
			for name, value := range metadata {
				custom[name] = value
			}
			for _, name := range remove {
				custom[name] = nil
			}
			body := map[string]any{}
			if len(custom) > 0 {
				body["custom_metadata"] = custom
			}
			path, write := root+"/"+session.Clean(given[0]), client.Logical().WriteWithContext
			if use == "patch" {
				write = client.Logical().JSONMergePatch
			}
			s, err := write(c.Context(), path, body)
			if err == nil && s == nil {
				err = errs.Newf(errs.NotExist, "there is no namespace %q", given[0])
			}
			if err != nil {
				return err
			}
			return a.show(s.Data)
		},
	}
	f := c.Flags()
	f.StringToStringVar(&metadata, "custom-metadata", nil, "names and values of your own, NAME=VALUE")
	c.Short, c.Example = "Create a namespace", "  strongkeep namespace create -custom-metadata=owner=ann team-a\n  strongkeep namespace create -namespace=team-a dev"
	if use == "patch" {
		f.StringSliceVar(&remove, "remove-custom-metadata", nil, "names to remove")
		c.Short, c.Example = "Change the metadata of a namespace", "  strongkeep namespace patch -custom-metadata=owner=bob team-a"
	}
	return c
}

func (a commands) remove() *cobra.Command {
	return &cobra.Command{
		Use: "delete PATH", Short: "Delete a namespace with everything in it", Args: session.Args(1, 1), Example: "  strongkeep namespace delete team-a",
		RunE: func(c *cobra.Command, given []string) error {
			if err := a.DeletePath(c.Context(), root+"/"+session.Clean(given[0])); err != nil {
				return err
			}
			return a.Done("Success! Namespace deleted (if it existed): %s/", session.Clean(given[0]))
		},
	}
}

func (a commands) lock() *cobra.Command {
	return &cobra.Command{
		Use: "lock [PATH]", Short: "Lock the API for a namespace and all within it", Args: session.Args(0, 1), Example: "  strongkeep namespace lock team-a",
		RunE: func(c *cobra.Command, given []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			s, err := client.Logical().WriteWithContext(c.Context(), lockPath("lock", given), nil)
			if err != nil {
				return err
			}
			return a.show(s.Data)
		},
	}
}

func (a commands) unlock() *cobra.Command {
	var key string
	c := &cobra.Command{
		Use: "unlock [PATH]", Short: "Unlock the API for a namespace", Args: session.Args(0, 1),
		Example: "  strongkeep namespace unlock -unlock-key=KEY team-a",
		RunE: func(c *cobra.Command, given []string) error {
			body := map[string]any{}
			if key != "" {
				body["unlock_key"] = key
			}
			if err := a.WritePath(c.Context(), lockPath("unlock", given), body); err != nil {
				return err
			}
			return a.Done("Success! The API is unlocked")
		},
	}
	c.Flags().StringVar(&key, "unlock-key", "", "what lock printed; root and sudo need none")
	return c
}

func lockPath(what string, given []string) string {
	return strings.TrimSuffix(root+"/api-lock/"+what+"/"+session.Clean(strings.Join(given, "")), "/")
}
