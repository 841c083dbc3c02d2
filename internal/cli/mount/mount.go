package mount

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// side is the secrets or the auth command.
type side struct {
	*session.Session
	use, noun, short string
	path             string // what lists, enables, tunes and disables
	prefix           string // of mounts of this side in paths of the API
	example          string // of enable
}

// Commands returns the secrets and the auth command.
func Commands(s *session.Session) []*cobra.Command {
	secrets := &side{s, "secrets", "secrets engine", "Mount and tune secrets engines", "sys/mounts", "", "kv"}
	auth := &side{s, "auth", "auth method", "Enable and tune auth methods", "sys/auth", "auth/", "kubernetes"}
	return []*cobra.Command{
		session.Group(secrets.use, secrets.short, secrets.list(), secrets.enable(), secrets.disable(), secrets.tune(), secrets.move()),
		session.Group(auth.use, auth.short, auth.list(), auth.enable(), auth.disable(), auth.tune(), auth.move(), auth.help()),
	}
}

func (s *side) auth() bool { return s.prefix != "" }

func (s *side) list() *cobra.Command {
	detailed := false
	c := &cobra.Command{
		Use: "list", Short: "List what is mounted", Args: session.Args(0, 0),
		Example: "  strongkeep " + s.use + " list -detailed",
		RunE: func(c *cobra.Command, _ []string) error {
			data, err := s.ReadData(c.Context(), s.path)
			if err != nil {
				return err
			}
			header := session.Row{"Path", "Type", "Accessor", "Description"}
			if detailed {
				header = session.Row{"Path", "Type", "Accessor", "Default TTL", "Max TTL", "Token Type", "Local", "Seal Wrap", "Options", "Description", "UUID"}
			}
			rows := make([]session.Row, 0, len(data))
			for _, path := range session.Sorted(data) {
				m, _ := data[path].(map[string]any)
				rows = append(rows, row(path, m, detailed))
			}
			return s.Print(data, header, rows)
		},
	}
	c.Flags().BoolVar(&detailed, "detailed", false, "with TTLs, options and the rest of the settings")
	return c
}

func row(path string, m map[string]any, detailed bool) session.Row {
	if !detailed {
		return session.Row{path, session.Text(m["type"]), session.Text(m["accessor"]), session.Text(m["description"])}
	}
	config, _ := m["config"].(map[string]any)
	ttl := func(name string) string {
		if v := session.Text(config[name]); v != "0" && v != "n/a" {
			return v
		}
		return "system"
	}
	options, _ := m["options"].(map[string]any)
	set := make([]string, 0, len(options))
	for _, name := range session.Sorted(options) {
		set = append(set, name+"="+session.Text(options[name]))
	}
	return session.Row{
		path, session.Text(m["type"]), session.Text(m["accessor"]), ttl("default_lease_ttl"), ttl("max_lease_ttl"),
		session.Text(config["token_type"]), session.Text(m["local"]), session.Text(m["seal_wrap"]),
		session.First(strings.Join(set, ","), "n/a"), session.Text(m["description"]), session.Text(m["uuid"]),
	}
}

func (s *side) disable() *cobra.Command {
	return &cobra.Command{
		Use: "disable PATH", Short: "Remove a " + s.noun + " with everything it holds", Args: session.Args(1, 1),
		Example: "  strongkeep " + s.use + " disable old/",
		RunE: func(c *cobra.Command, given []string) error {
			at := session.Clean(given[0])
			if err := s.Confirm(fmt.Sprintf("Everything that the %s at %s/ holds will be removed.", s.noun, at)); err != nil {
				return err
			}
			if err := s.DeletePath(c.Context(), s.path+"/"+at); err != nil {
				return err
			}
			return s.Done("Success! Disabled the %s (if it existed) at: %s/", s.noun, at)
		},
	}
}

func (s *side) move() *cobra.Command {
	return &cobra.Command{
		Use: "move FROM TO", Short: "Move a mount to another path", Args: session.Args(2, 2),
		Long: `Move a mount, with all it holds and the leases it gave, to another path. Policies
name paths and do not move with it. The command waits until the move is complete.`,
		Example: "  strongkeep " + s.use + " move old/ new/",
		RunE: func(c *cobra.Command, given []string) error {
			from, to := s.full(given[0]), s.full(given[1])
			client, err := s.Client()
			if err != nil {
				return err
			}
			if err := s.RefuseWrapping(); err != nil {
				return err
			}
			started, err := client.Sys().StartRemountWithContext(c.Context(), from, to)
			if err != nil {
				return err
			}
			for {
				now, err := client.Sys().RemountStatusWithContext(c.Context(), started.MigrationID)
				if err != nil {
					return errs.Newf(errs.KindOf(err), "asking how far the move %s is: %w", started.MigrationID, err)
				}
				switch now.MigrationInfo.MigrationStatus {
				case "success":
					return s.Done("Success! Moved %s to %s (migration ID %s)", given[0], given[1], started.MigrationID)
				case "failure":
					return errs.Newf(errs.Internal, "moving %s to %s did not work: the server's log has the cause (migration ID %s)", given[0], given[1], started.MigrationID)
				}
				if err := wait(c.Context(), time.Second); err != nil {
					return err
				}
			}
		},
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// full is a path as sys/remount has it; people may leave out auth/.
func (s *side) full(path string) string {
	path = session.Clean(path)
	if s.auth() && !strings.HasPrefix(path, s.prefix) {
		path = s.prefix + path
	}
	return path
}

// help says how an auth method is logged in to, from the server's own account
// of the fields its login takes.
func (s *side) help() *cobra.Command {
	return &cobra.Command{
		Use: "help PATH", Short: "Say what an auth method's login takes", Args: session.Args(1, 1),
		Example: "  strongkeep auth help kubernetes/",
		RunE: func(c *cobra.Command, given []string) error {
			at := session.Clean(given[0])
			data, err := s.ReadData(c.Context(), "sys/auth")
			if err != nil {
				return err
			}
			m, mounted := data[at+"/"].(map[string]any)
			if !mounted {
				return errs.Newf(errs.NotExist, "no auth method is mounted at auth/%s/; there are: %s", at, strings.Join(session.Sorted(data), ", "))
			}
			kind := session.Text(m["type"])
			if kind == "token" {
				return s.Done("Log in with a token, which is asked for:\n  strongkeep login")
			}
			client, err := s.Client()
			if err != nil {
				return err
			}
			login := "auth/" + at + "/login"
			if kind == "userpass" || kind == "ldap" {
				login += "/NAME"
			}
			if kind == "oidc" {
				login = "auth/" + at + "/oidc/auth_url"
			}
			h, err := client.HelpWithContext(c.Context(), login)
			if err != nil {
				return err
			}
			return s.Done("Log in to this method with:\n  strongkeep login -method=%s -path=%s [KEY=VALUE...]\n\nThe server says of %s:\n\n%s", kind, at, login, strings.TrimSpace(h.Help))
		},
	}
}
