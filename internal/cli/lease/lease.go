package lease

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	vault "github.com/hashicorp/vault/api"
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// app is one run of the program.
type app struct{ *session.Session }

// Command returns the lease command with all that is below it.
func Command(s *session.Session) *cobra.Command {
	a := &app{s}
	return session.Group("lease", "What was given for a time: look up, renew, revoke, count",
		a.lookup(), a.list(), a.renew(), a.revoke(), a.count(), a.irrevocable(), a.tidy(), a.hold(), a.resume())
}

func (a *app) lookup() *cobra.Command {
	return &cobra.Command{
		Use: "lookup LEASE_ID", Short: "Show when a lease was given and when it ends", Args: session.Args(1, 1),
		Example: "  strongkeep lease lookup database/creds/readonly/2f6a614c4c2a4b8c9f1e",
		RunE: func(c *cobra.Command, given []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			answer, err := client.Sys().LookupWithContext(c.Context(), given[0])
			if err != nil {
				return err
			}
			return a.PrintSecret(answer)
		},
	}
}

func (a *app) list() *cobra.Command {
	return &cobra.Command{
		Use: "list [PREFIX]", Short: "List the leases and folders of leases below a path", Args: session.Args(0, 1),
		Example: "  strongkeep lease list database/creds/readonly/",
		RunE: func(c *cobra.Command, given []string) error {
			prefix := ""
			if len(given) == 1 {
				prefix = session.Clean(given[0])
			}
			names, err := a.names(c.Context(), prefix)
			if err != nil {
				return err
			}
			if len(names) == 0 {
				return errs.Newf(errs.NotExist, "no lease is below %s", session.First(prefix, "this namespace"))
			}
			rows := make([]session.Row, len(names))
			for i, n := range names {
				rows[i] = session.Row{session.Text(n)}
			}
			return a.Print(names, session.Row{"Keys"}, rows)
		},
	}
}

// page is how many names are asked for at once.
const page = 10_000

// names are all names below a prefix, a page at a time.
func (a *app) names(ctx context.Context, prefix string) (all []any, err error) {
	client, err := a.Client()
	if err != nil {
		return nil, err
	}
	path := strings.TrimSuffix("sys/leases/lookup/"+prefix, "/") + "/"
	query := map[string][]string{"list": {"true"}, "limit": {strconv.Itoa(page)}}
	for {
		answer, err := client.Logical().ReadWithDataWithContext(ctx, path, query)
		if err != nil {
			return nil, err
		}
		data, err := session.Data(answer)
		if err != nil {
			return nil, err
		}
		more, _ := data["keys"].([]any)
		all = append(all, more...)
		if len(more) < page {
			return all, nil
		}
		query["after"] = []string{session.Text(more[len(more)-1])}
	}
}

func (a *app) renew() *cobra.Command {
	increment := ""
	c := &cobra.Command{
		Use: "renew LEASE_ID", Short: "Let a lease go on", Args: session.Args(1, 1),
		Example: "  strongkeep lease renew -increment=1h database/creds/readonly/2f6a614c4c2a4b8c9f1e",
		RunE: func(c *cobra.Command, given []string) error {
			seconds, err := session.Seconds("-increment", increment)
			if err != nil {
				return err
			}
			client, err := a.Client()
			if err != nil {
				return err
			}
			answer, err := client.Sys().RenewWithContext(c.Context(), given[0], seconds)
			if err != nil {
				return err
			}
			return a.PrintSecret(answer)
		},
	}
	c.Flags().StringVarP(&increment, "increment", "i", "", "for how long from now, such as 1h or 3600; a wish, which role and mount cap")
	return c
}

func (a *app) revoke() *cobra.Command {
	var prefix, force, wait bool
	c := &cobra.Command{
		Use: "revoke LEASE_ID|PREFIX", Short: "End a lease, or all below a path", Args: session.Args(1, 1),
		Long: `End a lease: what was given stops working. Without -sync it is queued and tried
until it works; with it the command waits, and fails if it did not work.

-prefix ends all leases below a path. -force, with -prefix, forgets leases also if
what they gave could not be removed: a database may then hold users that nobody
removes. See what is stuck with: strongkeep lease irrevocable`,
		Example: "  strongkeep lease revoke -sync database/creds/readonly/2f6a614c4c2a4b8c9f1e\n  strongkeep lease revoke -prefix database/creds/readonly",
		RunE: func(c *cobra.Command, given []string) error {
			if force && !prefix {
				return errs.New(errs.Invalid, "-force is about all leases below a path: give -prefix as well")
			}
			client, err := a.Client()
			if err != nil {
				return err
			}
			if err := a.confirm(given[0], prefix, force); err != nil {
				return err
			}
			err = client.Sys().RevokeWithOptionsWithContext(c.Context(), &vault.RevokeOptions{
				LeaseID: given[0], Prefix: prefix, Force: force, Sync: wait || force,
			})
			if err != nil {
				return err
			}
			return a.revoked(given[0], prefix, force, wait)
		},
	}
	c.Flags().BoolVar(&prefix, "prefix", false, "end all leases below the path")
	c.Flags().BoolVarP(&force, "force", "f", false, "with -prefix: forget them also if what they gave cannot be removed")
	c.Flags().BoolVar(&wait, "sync", false, "wait until it is done")
	return c
}

func (a *app) confirm(what string, prefix, force bool) error {
	switch {
	case force:
		return a.Confirm(fmt.Sprintf("All leases below %s will be forgotten, also those whose secrets cannot be removed.", what))
	case prefix:
		return a.Confirm(fmt.Sprintf("All leases below %s will end.", what))
	}
	return nil
}

func (a *app) revoked(what string, prefix, force, wait bool) error {
	switch {
	case force:
		return a.Done("Success! Force revoked any leases with prefix: %s", what)
	case !wait:
		return a.Done("All revocation operations queued successfully!")
	case prefix:
		return a.Done("Success! Revoked any leases with prefix: %s", what)
	}
	return a.Done("Success! Revoked lease: %s", what)
}
