package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// unwrapCommand shows what a wrapping token holds, which works once.
func (a *app) unwrapCommand() *cobra.Command {
	return &cobra.Command{
		Use: "unwrap [TOKEN|-]", Short: "Show what a wrapping token holds; it works once", Args: session.Args(0, 1),
		Long: `Show what a wrapping token holds: the answer of a request that was made with
-wrap-ttl. It works once; who finds the token used already knows that somebody else
has seen it. Without TOKEN the caller's own token is the wrapping token.`,
		Example: "  strongkeep kv get -wrap-ttl=5m -field=wrapping_token secret/my-app/config > wrapped\n  strongkeep unwrap - < wrapped",
		RunE: func(c *cobra.Command, given []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			token, err := a.SecretArgument(given, "wrapping token")
			if err != nil {
				return err
			}
			if token == "" && client.Token() == "" {
				return errs.New(errs.Invalid, "say which token: TOKEN, - for standard input, or VAULT_TOKEN")
			}
			answer, err := client.Logical().UnwrapWithContext(c.Context(), token)
			if err != nil {
				return err
			}
			if answer == nil {
				return a.Done("Success! The wrapped answer was empty.")
			}
			return a.PrintSecret(answer)
		},
	}
}

// printCommand shows what commands would use.
func (a *app) printCommand() *cobra.Command {
	token := &cobra.Command{
		Use: "token", Short: "Print the token that commands use", Args: session.Args(0, 0),
		Example: "  curl -H \"X-Vault-Token: $(strongkeep print token)\" $VAULT_ADDR/v1/sys/mounts",
		RunE: func(*cobra.Command, []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			if client.Token() == "" {
				return errs.New(errs.Unauthenticated, "there is no token: log in (strongkeep login), or set VAULT_TOKEN")
			}
			return a.Print(map[string]string{"token": client.Token()}, nil, []session.Row{{client.Token()}})
		},
	}
	return session.Group("print", "Print what commands use", token)
}

// pathHelpCommand shows what the server says of a path.
func (a *app) pathHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "path-help PATH", Short: "Say what a path of the API is for and which fields it takes", Args: session.Args(1, 1),
		Example: "  strongkeep path-help sys/mounts/",
		RunE: func(c *cobra.Command, given []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			h, err := client.HelpWithContext(c.Context(), strings.TrimPrefix(given[0], "/"))
			if err != nil {
				return err
			}
			return a.PrintText(h, nil, []session.Row{{strings.TrimSpace(h.Help)}})
		},
	}
}
