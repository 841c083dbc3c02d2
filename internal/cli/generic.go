package cli

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	vault "github.com/hashicorp/vault/api"
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// genericCommands work on any path of any engine.
func (a *app) genericCommands() []*cobra.Command {
	read := &cobra.Command{
		Use: "read PATH [KEY=VALUE...]", Short: "Read a path", Args: session.Args(1, -1),
		Example: "  strongkeep read auth/token/lookup-self",
		RunE: func(c *cobra.Command, given []string) error {
			return a.read(c, given[0], given[1:])
		},
	}
	force := false
	write := &cobra.Command{
		Use: "write PATH [KEY=VALUE...]", Short: "Write to a path", Args: session.Args(1, -1),
		Example: "  strongkeep write auth/kubernetes/role/my-app bound_service_account_names=my-app bound_service_account_namespaces=default policies=my-app",
		RunE: func(c *cobra.Command, given []string) error {
			if len(given) == 1 && !force {
				return errs.New(errs.Invalid, "there is nothing to write: give KEY=VALUE, or -force for an empty write")
			}
			return a.write(c, given[0], given[1:], (*vault.Logical).WriteWithContext)
		},
	}
	write.Flags().BoolVarP(&force, "force", "f", false, "write without fields")
	patch := &cobra.Command{
		Use: "patch PATH KEY=VALUE...", Short: "Change some fields of a path (JSON merge patch)", Args: session.Args(2, -1),
		Example: "  strongkeep patch secret/metadata/my-app max_versions=5",
		RunE: func(c *cobra.Command, given []string) error {
			return a.write(c, given[0], given[1:], (*vault.Logical).JSONMergePatch)
		},
	}
	list := &cobra.Command{
		Use: "list PATH", Short: "List the names below a path", Args: session.Args(1, 1),
		Example: "  strongkeep list secret/metadata/",
		RunE:    func(c *cobra.Command, given []string) error { return a.List(c.Context(), given[0]) },
	}
	remove := &cobra.Command{
		Use: "delete PATH", Short: "Delete a path", Args: session.Args(1, 1),
		Example: "  strongkeep delete secret/data/my-app/config",
		RunE: func(c *cobra.Command, given []string) error {
			client, err := a.Client()
			if err != nil {
				return err
			}
			s, err := client.Logical().DeleteWithContext(c.Context(), session.Clean(given[0]))
			if err != nil {
				return err
			}
			if s != nil && (len(s.Data) > 0 || s.WrapInfo != nil) {
				return a.PrintSecret(s)
			}
			return a.Done("Success! Deleted what was at %s", given[0])
		},
	}
	return []*cobra.Command{read, write, patch, list, remove}
}

func (a *app) read(c *cobra.Command, path string, query []string) error {
	client, err := a.Client()
	if err != nil {
		return err
	}
	parameters := map[string][]string{}
	for _, q := range query {
		k, v, ok := strings.Cut(q, "=")
		if !ok {
			return errs.Newf(errs.Invalid, "parameter %q must be KEY=VALUE", q)
		}
		parameters[k] = append(parameters[k], v)
	}
	res, err := client.Logical().ReadRawWithDataWithContext(c.Context(), session.Clean(path), parameters)
	if res == nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	var answer *vault.ResponseError
	if res.StatusCode == http.StatusNotFound && (!errors.As(err, &answer) || len(answer.Errors) == 0) {
		return errs.Newf(errs.NotExist, "no value found at %s", session.Clean(path))
	}
	if err != nil {
		return err
	}
	if a.Format == "raw" || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		_, err := io.Copy(a.Env.Stdout, res.Body) // metrics, certificates: as they are
		return err
	}
	s, err := vault.ParseSecret(res.Body)
	if err != nil {
		return errs.Newf(errs.Internal, "reading the answer: %w", err)
	}
	return a.PrintSecret(s)
}

// writer is Logical().Write or its PATCH form.
type writer func(*vault.Logical, context.Context, string, map[string]any) (*vault.Secret, error)

func (a *app) write(c *cobra.Command, path string, arguments []string, do writer) error {
	fields, err := a.Values(arguments, session.SecretKey)
	if err != nil {
		return err
	}
	client, err := a.Client()
	if err != nil {
		return err
	}
	s, err := do(client.Logical(), c.Context(), session.Clean(path), fields)
	if err != nil {
		return err
	}
	if s == nil || s.Auth == nil && s.WrapInfo == nil && len(s.Data) == 0 {
		if s != nil {
			a.Warn(s.Warnings)
		}
		return a.Done("Success! Data written to: %s", session.Clean(path))
	}
	return a.PrintSecret(s)
}
