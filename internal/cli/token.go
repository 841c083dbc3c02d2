package cli

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	vault "github.com/hashicorp/vault/api"
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

func (a *app) tokenCommand() *cobra.Command {
	return session.Group("token", "Tokens: create, look up, renew, revoke",
		a.tokenCreate(), a.tokenLookup(), a.tokenRenew(), a.tokenRevoke(), a.tokenCapabilities(), a.tokenForget())
}

func (a *app) tokenCreate() *cobra.Command {
	var in vault.TokenCreateRequest
	var role string
	orphan := false
	renewable := true
	c := &cobra.Command{
		Use: "create", Short: "Create a token", Args: session.Args(0, 0),
		Example: "  strongkeep token create -policy=my-app -ttl=1h",
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			if c.Flags().Changed("renewable") {
				in.Renewable = &renewable
			}
			in.NoParent = orphan
			var s *vault.Secret
			if role != "" {
				s, err = client.Auth().Token().CreateWithRoleWithContext(c.Context(), &in, role)
			} else {
				s, err = client.Auth().Token().CreateWithContext(c.Context(), &in)
			}
			if err != nil {
				return err
			}
			return a.PrintSecret(s)
		},
	}
	f := c.Flags()
	f.StringSliceVar(&in.Policies, "policy", nil, "policy of the token; may be repeated; default: those of the caller")
	f.StringVar(&in.TTL, "ttl", "", "lifetime")
	f.StringVar(&in.ExplicitMaxTTL, "explicit-max-ttl", "", "lifetime that no renewal exceeds")
	f.StringVar(&in.Period, "period", "", "renewable for ever, each time for this long")
	f.IntVar(&in.NumUses, "use-limit", 0, "number of uses; 0 = any")
	f.StringVar(&in.DisplayName, "display-name", "", "name shown in lookups and audit lines")
	f.StringVar(&in.Type, "type", "", "service or batch")
	f.StringToStringVar(&in.Metadata, "metadata", nil, "NAME=VALUE notes; not secret")
	f.BoolVar(&in.NoDefaultPolicy, "no-default-policy", false, "without the default policy")
	f.BoolVar(&orphan, "orphan", false, "without parent: it outlives the caller's token")
	f.BoolVar(&renewable, "renewable", true, "may be renewed")
	f.StringVar(&in.ID, "id", "", "the token itself instead of a random one; needs sudo, and better not used")
	f.StringVar(&in.EntityAlias, "entity-alias", "", "alias of the entity it belongs to; with -role")
	f.StringVar(&role, "role", "", "token role to create it with")
	return c
}

func (a *app) tokenLookup() *cobra.Command {
	accessor := ""
	c := &cobra.Command{
		Use: "lookup [TOKEN|-]", Short: "Show what a token is", Args: session.Args(0, 1),
		Example: "  strongkeep token lookup\n  strongkeep token lookup -accessor=ACCESSOR",
		RunE: func(c *cobra.Command, given []string) error {
			api, token, err := a.tokenAPI(given)
			if err != nil {
				return err
			}
			var s *vault.Secret
			switch {
			case accessor != "":
				s, err = api.LookupAccessorWithContext(c.Context(), accessor)
			case token != "":
				s, err = api.LookupWithContext(c.Context(), token)
			default:
				s, err = api.LookupSelfWithContext(c.Context())
			}
			if err != nil {
				return err
			}
			return a.PrintSecret(s)
		},
	}
	c.Flags().StringVar(&accessor, "accessor", "", "look up the token with this accessor")
	return c
}

// tokenAPI returns the client's token calls and the optional TOKEN of a command.
func (a *app) tokenAPI(given []string) (*vault.TokenAuth, string, error) {
	client, err := a.Client()
	if err != nil {
		return nil, "", err
	}
	token, err := a.SecretArgument(given, "token")
	return client.Auth().Token(), token, err
}

func (a *app) tokenRenew() *cobra.Command {
	var accessor, increment string
	c := &cobra.Command{
		Use: "renew [TOKEN|-]", Short: "Lengthen a token's life", Args: session.Args(0, 1),
		Example: "  strongkeep token renew\n  strongkeep token renew -increment=1h -accessor=ACCESSOR",
		RunE: func(c *cobra.Command, given []string) error {
			seconds, err := session.Seconds("-increment", increment)
			if err != nil {
				return err
			}
			api, token, err := a.tokenAPI(given)
			if err != nil {
				return err
			}
			var s *vault.Secret
			switch {
			case accessor != "":
				s, err = api.RenewAccessorWithContext(c.Context(), accessor, seconds)
			case token != "":
				s, err = api.RenewWithContext(c.Context(), token, seconds)
			default:
				s, err = api.RenewSelfWithContext(c.Context(), seconds)
			}
			if err != nil {
				return err
			}
			return a.PrintSecret(s)
		},
	}
	c.Flags().StringVarP(&increment, "increment", "i", "", "for how long from now, such as 1h or 3600; default: as it was made")
	c.Flags().StringVar(&accessor, "accessor", "", "renew the token with this accessor")
	return c
}

func (a *app) tokenRevoke() *cobra.Command {
	var accessor, mode string
	self := false
	c := &cobra.Command{
		Use: "revoke [TOKEN|-]", Short: "End a token and those made with it", Args: session.Args(0, 1),
		Example: "  strongkeep token revoke -accessor=ACCESSOR\n  strongkeep token revoke -self\n  strongkeep token revoke -mode=path auth/userpass",
		RunE: func(c *cobra.Command, given []string) error {
			api, token, err := a.tokenAPI(given)
			if err != nil {
				return err
			}
			switch {
			case self:
				err = api.RevokeSelfWithContext(c.Context(), "")
			case accessor != "":
				err = api.RevokeAccessorWithContext(c.Context(), accessor)
			case token == "":
				return errs.New(errs.Invalid, "say which token: TOKEN, - for standard input, -accessor or -self")
			case mode == "path":
				return a.revokeLogins(c, token)
			case mode == "orphan":
				err = api.RevokeOrphanWithContext(c.Context(), token)
			case mode == "":
				err = api.RevokeTreeWithContext(c.Context(), token)
			default:
				return errs.Newf(errs.Invalid, "mode %q: use orphan or path", mode)
			}
			if err != nil {
				return err
			}
			return a.Done("Success! Revoked token (if it existed)")
		},
	}
	c.Flags().StringVar(&accessor, "accessor", "", "revoke the token with this accessor")
	c.Flags().BoolVar(&self, "self", false, "revoke the caller's own token")
	c.Flags().StringVar(&mode, "mode", "", "orphan: leave the tokens made with it alive; path: the argument is a path such as auth/userpass, and all who logged in there lose their tokens (sudo)")
	return c
}

// revokeLogins ends the tokens of all who logged in below path.
func (a *app) revokeLogins(c *cobra.Command, path string) error {
	path = session.Clean(path)
	if path != "auth" && !strings.HasPrefix(path, "auth/") {
		return errs.Newf(errs.Invalid, "%q is no path of logins: it begins with auth/; what secrets engines gave is ended by lease revoke -prefix", path)
	}
	client, err := a.Client()
	if err != nil {
		return err
	}
	if err := client.Sys().RevokePrefixWithContext(c.Context(), path); err != nil {
		return err
	}
	return a.Done("Success! Revoked the tokens of logins at: %s", path)
}

func (a *app) tokenCapabilities() *cobra.Command {
	accessor := ""
	c := &cobra.Command{
		Use: "capabilities [TOKEN|-] PATH", Short: "What a token may do at a path", Args: session.Args(1, 2),
		Example: "  strongkeep token capabilities secret/data/my-app/config\n  strongkeep token capabilities -accessor=ACCESSOR secret/data/my-app/config",
		RunE: func(c *cobra.Command, given []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			if err := a.RefuseWrapping(); err != nil {
				return err
			}
			var list []string
			switch {
			case accessor != "" && len(given) == 2:
				return errs.New(errs.Invalid, "give -accessor or TOKEN, not both")
			case accessor != "":
				list, err = client.Sys().CapabilitiesAccessorWithContext(c.Context(), accessor, given[0])
			case len(given) == 1:
				list, err = client.Sys().CapabilitiesSelfWithContext(c.Context(), given[0])
			default:
				var token string
				if token, err = a.SecretArgument(given[:1], "token"); err != nil {
					return err
				}
				list, err = client.Sys().CapabilitiesWithContext(c.Context(), token, given[1])
			}
			if err != nil {
				return err
			}
			return a.Print(list, nil, []session.Row{{strings.Join(list, ", ")}})
		},
	}
	c.Flags().StringVar(&accessor, "accessor", "", "ask about the token with this accessor")
	return c
}

func (a *app) tokenForget() *cobra.Command {
	return &cobra.Command{
		Use: "forget", Short: "Remove the token that login kept on this machine", Args: session.Args(0, 0),
		Example: "  strongkeep token forget",
		RunE: func(*cobra.Command, []string) error {
			if err := os.Remove(a.TokenFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return errs.Newf(errs.Invalid, "removing the kept token: %w", err)
			}
			return a.Done("Success! No token is kept here now.")
		},
	}
}
