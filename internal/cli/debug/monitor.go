package debug

import (
	"context"
	"fmt"

	vault "github.com/hashicorp/vault/api"
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Monitor returns the monitor command.
func Monitor(s *session.Session) *cobra.Command {
	var level, format string
	c := &cobra.Command{
		Use: "monitor", Short: "Show the server's log as it is written", Args: session.Args(0, 0),
		Long:    "Show the server's log as it is written, until it is interrupted. -log-level may ask for more than the server itself writes.",
		Example: "  strongkeep monitor -log-level=debug",
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := s.Client()
			if err != nil {
				return err
			}
			lines, err := follow(c.Context(), client, level, format)
			if err != nil {
				return err
			}
			for line := range lines {
				if _, err := fmt.Fprintln(s.Env.Stdout, line); err != nil {
					return err
				}
			}
			if c.Context().Err() == nil {
				return errs.New(errs.Unavailable, "the server has closed the log: it stopped, or was sealed")
			}
			return nil
		},
	}
	c.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	c.Flags().StringVar(&format, "log-format", "standard", "standard or json")
	return c
}

// follow returns the log's lines until ctx ends or the server closes it.
func follow(ctx context.Context, client *vault.Client, level, format string) (<-chan string, error) {
	switch level {
	case "trace", "debug", "info", "warn", "error":
	default:
		return nil, errs.Newf(errs.Invalid, "-log-level %q: use debug, info, warn or error", level)
	}
	if format != "standard" && format != "json" {
		return nil, errs.Newf(errs.Invalid, "-log-format %q: use standard or json", format)
	}
	if level == "trace" {
		level = "debug" // the server has no lower one
	}
	return client.Sys().Monitor(ctx, level, format)
}
