package kv

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	vault "github.com/hashicorp/vault/api"
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// target is a key in a kv mount of either version.
type target struct {
	client *vault.Client
	mount  string // without slashes at the ends
	key    string
	v2     bool
}

// path is where one of the API's folders ("data", "metadata", …) has the key.
func (t *target) path(folder string) string {
	if !t.v2 {
		return session.Clean(t.mount + "/" + t.key)
	}
	return session.Clean(t.mount + "/" + folder + "/" + t.key)
}

// target finds the mount that a path belongs to, and its version.
func (a *app) find(ctx context.Context, mount, path string) (*target, error) {
	client, err := a.Client()
	if err != nil {
		return nil, err
	}
	full := session.Clean(path)
	if mount != "" {
		full = session.Clean(mount) + "/" + full
	}
	defer session.Plain(client)()
	s, err := client.Logical().ReadWithContext(ctx, "sys/internal/ui/mounts/"+full)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, a.nowhere(client, full)
	}
	at, _ := s.Data["path"].(string)
	options, _ := s.Data["options"].(map[string]any)
	if kind, _ := s.Data["type"].(string); kind != "kv" && kind != "cubbyhole" {
		return nil, errs.Newf(errs.Invalid, "the mount at %s is of type %s, not kv: use read and write", at, kind)
	}
	key := strings.TrimPrefix(full+"/", at)
	return &target{client, session.Clean(at), session.Clean(key), session.Text(options["version"]) == "2"}, nil
}

// nowhere says that no mount has a path.
func (a *app) nowhere(client *vault.Client, path string) error {
	if ns := client.Namespace(); ns != "" {
		return errs.Newf(errs.NotExist, "no mount holds %s in the namespace %s, or there is no such namespace", path, ns)
	}
	return errs.Newf(errs.NotExist, "no mount holds %s", path)
}

// app is one run of the program.
type app struct{ *session.Session }

// writer is Logical().Write or its PATCH form.
type writer func(*vault.Logical, context.Context, string, map[string]any) (*vault.Secret, error)

// Command returns the kv command with all that is below it.
func Command(s *session.Session) *cobra.Command {
	a := &app{s}
	g := session.Group("kv", "Secrets in a kv engine, with versions",
		a.get(), a.put(), a.patch(), a.list(), a.delete(),
		a.versions("undelete", "Bring back deleted versions"), a.versions("destroy", "Remove versions for good"),
		a.metadata(), a.rollback())
	g.PersistentFlags().String("mount", "", "the mount, if it is not the first part of the path")
	return g
}

func mountFlag(c *cobra.Command) string { v, _ := c.Flags().GetString("mount"); return v }

func (a *app) get() *cobra.Command {
	version := 0
	c := &cobra.Command{
		Use: "get PATH", Short: "Read a secret", Args: session.Args(1, 1),
		Example: "  strongkeep kv get -mount=secret -field=password my-app/config",
		RunE: func(c *cobra.Command, given []string) error {
			t, err := a.find(c.Context(), mountFlag(c), given[0])
			if err != nil {
				return err
			}
			query := map[string][]string{}
			if version > 0 {
				query["version"] = []string{strconv.Itoa(version)}
			}
			s, err := t.client.Logical().ReadWithDataWithContext(c.Context(), t.path("data"), query)
			if err != nil {
				return err
			}
			return a.printSecret(t, s)
		},
	}
	c.Flags().IntVar(&version, "version", 0, "which version; 0 = the latest")
	return c
}

func (a *app) printSecret(t *target, s *vault.Secret) error {
	if s == nil {
		return errs.Newf(errs.NotExist, "no value found at %s", t.path("data"))
	}
	if !t.v2 || s.WrapInfo != nil || a.Format != "table" && a.Field == "" {
		return a.PrintSecret(s)
	}
	data, _ := s.Data["data"].(map[string]any)
	metadata, _ := s.Data["metadata"].(map[string]any)
	if data == nil {
		return errs.Newf(errs.NotExist, "version %s of %s was deleted (destroyed: %s); undelete brings back what is not destroyed",
			session.Text(metadata["version"]), t.path("data"), session.Text(metadata["destroyed"]))
	}
	if a.Field != "" {
		return a.PrintField(data)
	}
	if _, err := fmt.Fprintf(a.Env.Stdout, "== Secret Path ==\n%s\n\n== Metadata ==\n", t.path("data")); err != nil {
		return err
	}
	if err := a.PrintText(nil, session.Row{"Key", "Value"}, session.Pairs(metadata)); err != nil {
		return err
	}
	if _, err := fmt.Fprint(a.Env.Stdout, "\n== Data ==\n"); err != nil {
		return err
	}
	return a.PrintText(nil, session.Row{"Key", "Value"}, session.Pairs(data))
}

func (a *app) put() *cobra.Command {
	cas := -1
	c := &cobra.Command{
		Use: "put PATH KEY=VALUE...", Short: "Write a secret; in version 2 as a new version", Args: session.Args(2, -1),
		Example: "  strongkeep kv put -mount=secret my-app/config password=@password.txt\n  generate | strongkeep kv put secret/my-app/config password=-",
		RunE: func(c *cobra.Command, given []string) error {
			fields, err := a.Values(given[1:], session.AnyKey)
			if err != nil {
				return err
			}
			t, err := a.find(c.Context(), mountFlag(c), given[0])
			if err != nil {
				return err
			}
			body := fields
			if t.v2 {
				body = map[string]any{"data": fields}
				if cas >= 0 {
					body["options"] = map[string]any{"cas": cas}
				}
			}
			s, err := t.client.Logical().WriteWithContext(c.Context(), t.path("data"), body)
			if err != nil {
				return err
			}
			if s == nil {
				return a.Done("Success! Data written to: %s", t.path("data"))
			}
			return a.PrintSecret(s)
		},
	}
	c.Flags().IntVar(&cas, "cas", -1, "write only if this is the current version; 0 = only if there is none")
	return c
}

func (a *app) patch() *cobra.Command {
	cas := 0
	var remove []string
	c := &cobra.Command{
		Use: "patch PATH KEY=VALUE...", Short: "Change some fields of a secret (version 2)", Args: session.Args(1, -1),
		Example: "  strongkeep kv patch -mount=secret my-app/config password=@new.txt -remove-data=old",
		RunE: func(c *cobra.Command, given []string) error {
			fields, err := a.Values(given[1:], session.AnyKey)
			if err != nil {
				return err
			}
			for _, k := range remove {
				fields[k] = nil
			}
			if len(fields) == 0 {
				return errs.New(errs.Invalid, "there is nothing to change: give KEY=VALUE or -remove-data=KEY")
			}
			t, err := a.find(c.Context(), mountFlag(c), given[0])
			if err != nil {
				return err
			}
			if !t.v2 {
				return errs.Newf(errs.Unsupported, "%s is kv version 1, which cannot be patched: use put with all fields", t.mount)
			}
			body := map[string]any{"data": fields}
			if cas > 0 {
				body["options"] = map[string]any{"cas": cas}
			}
			s, err := t.client.Logical().JSONMergePatch(c.Context(), t.path("data"), body)
			if err != nil && errs.Is(a.Explain(err), errs.NotExist) {
				return errs.Newf(errs.NotExist, "there is nothing to patch at %s: use put", t.path("data"))
			}
			if err != nil {
				return err
			}
			return a.PrintSecret(s)
		},
	}
	c.Flags().IntVar(&cas, "cas", 0, "patch only if this is the current version")
	c.Flags().StringSliceVar(&remove, "remove-data", nil, "fields to remove")
	return c
}

func (a *app) list() *cobra.Command {
	return &cobra.Command{
		Use: "list PATH", Short: "List the secrets below a path", Args: session.Args(1, 1),
		Example: "  strongkeep kv list secret/",
		RunE: func(c *cobra.Command, given []string) error {
			t, err := a.find(c.Context(), mountFlag(c), given[0])
			if err != nil {
				return err
			}
			return a.List(c.Context(), t.path("metadata"))
		},
	}
}

func (a *app) delete() *cobra.Command {
	var versions []string
	c := &cobra.Command{
		Use: "delete PATH", Short: "Delete the latest version, or some; undelete brings them back", Args: session.Args(1, 1),
		Example: "  strongkeep kv delete -versions=3,4 secret/my-app/config",
		RunE: func(c *cobra.Command, given []string) error {
			t, err := a.find(c.Context(), mountFlag(c), given[0])
			if err != nil {
				return err
			}
			if len(versions) > 0 {
				return a.changeVersions(c, t, "delete", versions)
			}
			if _, err := t.client.Logical().DeleteWithContext(c.Context(), t.path("data")); err != nil {
				return err
			}
			return a.Done("Success! Data deleted (if it existed) at: %s", t.path("data"))
		},
	}
	c.Flags().StringSliceVar(&versions, "versions", nil, "which versions")
	return c
}

func (a *app) versions(verb, short string) *cobra.Command {
	var versions []string
	c := &cobra.Command{
		Use: verb + " PATH", Short: short, Args: session.Args(1, 1),
		Example: "  strongkeep kv " + verb + " -versions=3 secret/my-app/config",
		RunE: func(c *cobra.Command, given []string) error {
			if len(versions) == 0 {
				return errs.New(errs.Invalid, "say which versions: -versions=1,2")
			}
			t, err := a.find(c.Context(), mountFlag(c), given[0])
			if err != nil {
				return err
			}
			return a.changeVersions(c, t, verb, versions)
		},
	}
	c.Flags().StringSliceVar(&versions, "versions", nil, "which versions")
	return c
}

func (a *app) changeVersions(c *cobra.Command, t *target, verb string, versions []string) error {
	if !t.v2 {
		return errs.Newf(errs.Unsupported, "%s is kv version 1, which keeps no versions", t.mount)
	}
	if _, err := t.client.Logical().WriteWithContext(c.Context(), t.path(verb), map[string]any{"versions": versions}); err != nil {
		return err
	}
	return a.Done("Success! Data written to: %s", t.path(verb))
}

func (a *app) metadata() *cobra.Command {
	get := &cobra.Command{
		Use: "get PATH", Short: "Show the versions and settings of a secret", Args: session.Args(1, 1),
		Example: "  strongkeep kv metadata get secret/my-app/config",
		RunE: func(c *cobra.Command, given []string) error {
			t, err := a.findV2(c, given[0])
			if err != nil {
				return err
			}
			s, err := t.client.Logical().ReadWithContext(c.Context(), t.path("metadata"))
			if err != nil {
				return err
			}
			if s == nil {
				return errs.Newf(errs.NotExist, "no value found at %s", t.path("metadata"))
			}
			return a.printMetadata(t, s)
		},
	}
	remove := &cobra.Command{
		Use: "delete PATH", Short: "Remove a secret with all its versions, for good", Args: session.Args(1, 1),
		Example: "  strongkeep kv metadata delete secret/my-app/config",
		RunE: func(c *cobra.Command, given []string) error {
			t, err := a.findV2(c, given[0])
			if err != nil {
				return err
			}
			if _, err := t.client.Logical().DeleteWithContext(c.Context(), t.path("metadata")); err != nil {
				return err
			}
			return a.Done("Success! Data deleted (if it existed) at: %s", t.path("metadata"))
		},
	}
	return session.Group("metadata", "Versions and settings of secrets (version 2)", get, remove,
		a.metadataWrite("put", "Set the settings of a secret", (*vault.Logical).WriteWithContext),
		a.metadataWrite("patch", "Change some settings of a secret", (*vault.Logical).JSONMergePatch))
}

func (a *app) findV2(c *cobra.Command, path string) (*target, error) {
	t, err := a.find(c.Context(), mountFlag(c), path)
	if err == nil && !t.v2 {
		err = errs.Newf(errs.Unsupported, "%s is kv version 1, which has no metadata", t.mount)
	}
	return t, err
}

// printMetadata shows the versions as a table of their own, oldest first.
func (a *app) printMetadata(t *target, s *vault.Secret) error {
	versions, _ := s.Data["versions"].(map[string]any)
	if a.Format != "table" || a.Field != "" || s.WrapInfo != nil {
		return a.PrintSecret(s)
	}
	delete(s.Data, "versions")
	if err := a.PrintSecret(s); err != nil {
		return err
	}
	numbers := session.Sorted(versions)
	slices.SortFunc(numbers, func(x, y string) int {
		m, _ := json.Number(x).Int64()
		n, _ := json.Number(y).Int64()
		return int(m - n)
	})
	rows := make([]session.Row, 0, len(numbers))
	for _, n := range numbers {
		v, _ := versions[n].(map[string]any)
		rows = append(rows, session.Row{n, session.Text(v["created_time"]), session.Text(v["deletion_time"]), session.Text(v["destroyed"])})
	}
	if _, err := fmt.Fprintln(a.Env.Stdout); err != nil {
		return err
	}
	return a.Print(nil, session.Row{"Version", "Created", "Deleted", "Destroyed"}, rows)
}

func (a *app) metadataWrite(verb, short string, do writer) *cobra.Command {
	var maxVersions int
	var casRequired bool
	var deleteAfter string
	var custom map[string]string
	c := &cobra.Command{
		Use: verb + " PATH", Short: short, Args: session.Args(1, 1),
		Example: "  strongkeep kv metadata " + verb + " -max-versions=5 -custom-metadata=owner=payments secret/my-app/config",
		RunE: func(c *cobra.Command, given []string) error {
			t, err := a.findV2(c, given[0])
			if err != nil {
				return err
			}
			body := map[string]any{}
			for flag, v := range map[string]any{
				"max-versions": maxVersions, "cas-required": casRequired,
				"delete-version-after": deleteAfter, "custom-metadata": custom,
			} {
				if c.Flags().Changed(flag) {
					body[strings.ReplaceAll(flag, "-", "_")] = v
				}
			}
			if _, err := do(t.client.Logical(), c.Context(), t.path("metadata"), body); err != nil {
				return err
			}
			return a.Done("Success! Data written to: %s", t.path("metadata"))
		},
	}
	f := c.Flags()
	f.IntVar(&maxVersions, "max-versions", 0, "how many versions to keep; 0 = the mount's setting")
	f.BoolVar(&casRequired, "cas-required", false, "refuse writes without -cas")
	f.StringVar(&deleteAfter, "delete-version-after", "0s", "delete versions by themselves after this time")
	f.StringToStringVar(&custom, "custom-metadata", nil, "free NAME=VALUE notes; not secret")
	return c
}
