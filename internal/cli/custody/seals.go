package custody

import (
	"context"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
)

func (a *app) seals() *cobra.Command {
	return &cobra.Command{
		Use: "seals", Short: "List what opens the vault, and whether it works", Args: session.Args(0, 0),
		Example: "  strongkeep operator seals",
		RunE:    func(c *cobra.Command, _ []string) error { return a.listSeals(c.Context()) },
	}
}

func (a *app) listSeals(ctx context.Context) error {
	answer, err := a.read(ctx, "sys/seals")
	if err != nil {
		return err
	}
	items, _ := answer["seals"].([]any)
	var rows []session.Row
	for _, item := range items {
		one, _ := item.(map[string]any)
		text := func(name string) string {
			if v := one[name]; v != nil {
				return fmt.Sprint(v)
			}
			return "-"
		}
		state := "works"
		switch {
		case one["type"] == "shamir":
			state = "people's shares"
		case one["configured"] != true:
			state = "not configured on this node"
		case one["error"] != nil:
			state = text("error")
		case one["wrapped"] != true:
			state = "does not open the vault yet"
		case one["works"] != true:
			state = "not tried yet"
		}
		rows = append(rows, session.Row{text("name"), text("type"), text("key_id"), text("last_worked"), state})
	}
	return a.Print(answer, session.Row{"Name", "Type", "Key ID", "Last Worked", "State"}, rows)
}

func (a *app) migrate() *cobra.Command {
	return &cobra.Command{
		Use: "seal-migrate", Short: "Have a node read its unseal keys again and wrap by those that are new", Args: session.Args(0, 0),
		Long: `Have the node read the unseal keys of its configuration again, as SIGHUP does: those
that are new open the vault from then on, without a restart; all are tried. What keys
that are gone have wrapped stays until seal-forget.`,
		Example: "  strongkeep operator seal-migrate",
		RunE: func(c *cobra.Command, _ []string) error {
			if _, err := a.ask(c.Context(), "sys/seals/migrate", nil); err != nil {
				return err
			}
			return a.listSeals(c.Context())
		},
	}
}

func (a *app) forget() *cobra.Command {
	keyID, sharesOnly := "", false
	c := &cobra.Command{
		Use: "seal-forget NAME", Short: "Forget an unseal key that is gone: it opens the vault no more", Args: session.Args(1, 1),
		Example: "  strongkeep operator seal-forget old-kms",
		RunE: func(c *cobra.Command, given []string) error {
			query := map[string][]string{}
			if keyID != "" {
				query["key_id"] = []string{keyID}
			}
			if sharesOnly {
				query["shares_only"] = []string{"true"}
			}
			if err := a.delete(c.Context(), "sys/seals/"+url.PathEscape(given[0]), query); err != nil {
				return err
			}
			return a.Done("Success! %s opens the vault no more.", given[0])
		},
	}
	c.Flags().StringVar(&keyID, "key-id", "", "of several keys that had the name, this one")
	c.Flags().BoolVar(&sharesOnly, "shares-only", false, "also if people's shares alone open the vault then")
	return c
}
