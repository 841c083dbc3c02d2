package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	vault "github.com/hashicorp/vault/api"
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// kvTarget is a key in a kv mount of either version.
type kvTarget struct {
	client *vault.Client
	mount  string // without slashes at the ends
	key    string
	v2     bool
}

// path is where one of the API's folders ("data", "metadata", …) has the key.
func (t *kvTarget) path(folder string) string {
	if !t.v2 {
		return clean(t.mount + "/" + t.key)
	}
	return clean(t.mount + "/" + folder + "/" + t.key)
}

// target finds the mount that a path belongs to, and its version.
func (a *app) target(ctx context.Context, mount, path string) (*kvTarget, error) {
	client, err := a.client()
	if err != nil {
		return nil, err
	}
	full := clean(path)
	if mount != "" {
		full = clean(mount) + "/" + full
	}
	s, err := client.Logical().ReadWithContext(ctx, "sys/internal/ui/mounts/"+full)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, errs.Newf(errs.NotExist, "no mount holds %s", full)
	}
	at, _ := s.Data["path"].(string)
	options, _ := s.Data["options"].(map[string]any)
	if kind, _ := s.Data["type"].(string); kind != "kv" && kind != "cubbyhole" {
		return nil, errs.Newf(errs.Invalid, "the mount at %s is of type %s, not kv: use read and write", at, kind)
	}
	key := strings.TrimPrefix(full+"/", at)
	return &kvTarget{client, clean(at), clean(key), text(options["version"]) == "2"}, nil
}

func (a *app) kvCommand() *cobra.Command {
	g := group("kv", "Secrets in a kv engine, with versions",
		a.kvGet(), a.kvPut(), a.kvPatch(), a.kvList(), a.kvDelete(),
		a.kvVersions("undelete", "Bring back deleted versions"), a.kvVersions("destroy", "Remove versions for good"),
		a.kvMetadata())
	g.PersistentFlags().String("mount", "", "the mount, if it is not the first part of the path")
	return g
}

func mountFlag(c *cobra.Command) string { v, _ := c.Flags().GetString("mount"); return v }

func (a *app) kvGet() *cobra.Command {
	version := 0
	c := &cobra.Command{
		Use: "get PATH", Short: "Read a secret", Args: args(1, 1),
		Example: "  strongkeep kv get -mount=secret -field=password my-app/config",
		RunE: func(c *cobra.Command, given []string) error {
			t, err := a.target(c.Context(), mountFlag(c), given[0])
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
			return a.printKV(t, s)
		},
	}
	c.Flags().IntVar(&version, "version", 0, "which version; 0 = the latest")
	return c
}

func (a *app) printKV(t *kvTarget, s *vault.Secret) error {
	if s == nil {
		return errs.Newf(errs.NotExist, "no value found at %s", t.path("data"))
	}
	if !t.v2 || a.format != "table" {
		return a.printSecret(s)
	}
	data, _ := s.Data["data"].(map[string]any)
	metadata, _ := s.Data["metadata"].(map[string]any)
	if data == nil {
		return errs.Newf(errs.NotExist, "version %s of %s was deleted (destroyed: %s); undelete brings back what is not destroyed",
			text(metadata["version"]), t.path("data"), text(metadata["destroyed"]))
	}
	if a.field != "" {
		return a.printField(data)
	}
	if _, err := fmt.Fprintf(a.env.Stdout, "== Secret Path ==\n%s\n\n== Metadata ==\n", t.path("data")); err != nil {
		return err
	}
	if err := a.print(nil, row{"Key", "Value"}, pairs(metadata)); err != nil {
		return err
	}
	if _, err := fmt.Fprint(a.env.Stdout, "\n== Data ==\n"); err != nil {
		return err
	}
	return a.print(nil, row{"Key", "Value"}, pairs(data))
}

func (a *app) kvPut() *cobra.Command {
	cas := -1
	c := &cobra.Command{
		Use: "put PATH KEY=VALUE...", Short: "Write a secret; in version 2 as a new version", Args: args(2, -1),
		Example: "  strongkeep kv put -mount=secret my-app/config password=@password.txt\n  generate | strongkeep kv put secret/my-app/config password=-",
		RunE: func(c *cobra.Command, given []string) error {
			fields, err := a.values(given[1:], true)
			if err != nil {
				return err
			}
			t, err := a.target(c.Context(), mountFlag(c), given[0])
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
				return a.done("Success! Data written to: %s", t.path("data"))
			}
			return a.printSecret(s)
		},
	}
	c.Flags().IntVar(&cas, "cas", -1, "write only if this is the current version; 0 = only if there is none")
	return c
}

func (a *app) kvPatch() *cobra.Command {
	cas := 0
	var remove []string
	c := &cobra.Command{
		Use: "patch PATH KEY=VALUE...", Short: "Change some fields of a secret (version 2)", Args: args(1, -1),
		Example: "  strongkeep kv patch -mount=secret my-app/config password=@new.txt -remove-data=old",
		RunE: func(c *cobra.Command, given []string) error {
			fields, err := a.values(given[1:], true)
			if err != nil {
				return err
			}
			for _, k := range remove {
				fields[k] = nil
			}
			if len(fields) == 0 {
				return errs.New(errs.Invalid, "there is nothing to change: give KEY=VALUE or -remove-data=KEY")
			}
			t, err := a.target(c.Context(), mountFlag(c), given[0])
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
			if err != nil {
				return err
			}
			return a.printSecret(s)
		},
	}
	c.Flags().IntVar(&cas, "cas", 0, "patch only if this is the current version")
	c.Flags().StringSliceVar(&remove, "remove-data", nil, "fields to remove")
	return c
}

func (a *app) kvList() *cobra.Command {
	return &cobra.Command{
		Use: "list PATH", Short: "List the secrets below a path", Args: args(1, 1),
		Example: "  strongkeep kv list secret/",
		RunE: func(c *cobra.Command, given []string) error {
			t, err := a.target(c.Context(), mountFlag(c), given[0])
			if err != nil {
				return err
			}
			return a.list(c, t.path("metadata"))
		},
	}
}

func (a *app) kvDelete() *cobra.Command {
	var versions []string
	c := &cobra.Command{
		Use: "delete PATH", Short: "Delete the latest version, or some; undelete brings them back", Args: args(1, 1),
		Example: "  strongkeep kv delete -versions=3,4 secret/my-app/config",
		RunE: func(c *cobra.Command, given []string) error {
			t, err := a.target(c.Context(), mountFlag(c), given[0])
			if err != nil {
				return err
			}
			if len(versions) > 0 {
				return a.changeVersions(c, t, "delete", versions)
			}
			if _, err := t.client.Logical().DeleteWithContext(c.Context(), t.path("data")); err != nil {
				return err
			}
			return a.done("Success! Data deleted (if it existed) at: %s", t.path("data"))
		},
	}
	c.Flags().StringSliceVar(&versions, "versions", nil, "which versions")
	return c
}

func (a *app) kvVersions(verb, short string) *cobra.Command {
	var versions []string
	c := &cobra.Command{
		Use: verb + " PATH", Short: short, Args: args(1, 1),
		Example: "  strongkeep kv " + verb + " -versions=3 secret/my-app/config",
		RunE: func(c *cobra.Command, given []string) error {
			if len(versions) == 0 {
				return errs.New(errs.Invalid, "say which versions: -versions=1,2")
			}
			t, err := a.target(c.Context(), mountFlag(c), given[0])
			if err != nil {
				return err
			}
			return a.changeVersions(c, t, verb, versions)
		},
	}
	c.Flags().StringSliceVar(&versions, "versions", nil, "which versions")
	return c
}

func (a *app) changeVersions(c *cobra.Command, t *kvTarget, verb string, versions []string) error {
	if !t.v2 {
		return errs.Newf(errs.Unsupported, "%s is kv version 1, which keeps no versions", t.mount)
	}
	if _, err := t.client.Logical().WriteWithContext(c.Context(), t.path(verb), map[string]any{"versions": versions}); err != nil {
		return err
	}
	return a.done("Success! Data written to: %s", t.path(verb))
}

func (a *app) kvMetadata() *cobra.Command {
	get := &cobra.Command{
		Use: "get PATH", Short: "Show the versions and settings of a secret", Args: args(1, 1),
		Example: "  strongkeep kv metadata get secret/my-app/config",
		RunE: func(c *cobra.Command, given []string) error {
			t, err := a.v2Target(c, given[0])
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
		Use: "delete PATH", Short: "Remove a secret with all its versions, for good", Args: args(1, 1),
		Example: "  strongkeep kv metadata delete secret/my-app/config",
		RunE: func(c *cobra.Command, given []string) error {
			t, err := a.v2Target(c, given[0])
			if err != nil {
				return err
			}
			if _, err := t.client.Logical().DeleteWithContext(c.Context(), t.path("metadata")); err != nil {
				return err
			}
			return a.done("Success! Data deleted (if it existed) at: %s", t.path("metadata"))
		},
	}
	return group("metadata", "Versions and settings of secrets (version 2)", get, remove,
		a.kvMetadataWrite("put", "Set the settings of a secret", (*vault.Logical).WriteWithContext),
		a.kvMetadataWrite("patch", "Change some settings of a secret", (*vault.Logical).JSONMergePatch))
}

func (a *app) v2Target(c *cobra.Command, path string) (*kvTarget, error) {
	t, err := a.target(c.Context(), mountFlag(c), path)
	if err == nil && !t.v2 {
		err = errs.Newf(errs.Unsupported, "%s is kv version 1, which has no metadata", t.mount)
	}
	return t, err
}

// printMetadata shows the versions as a table of their own, oldest first.
func (a *app) printMetadata(t *kvTarget, s *vault.Secret) error {
	versions, _ := s.Data["versions"].(map[string]any)
	if a.format != "table" || a.field != "" {
		return a.printSecret(s)
	}
	delete(s.Data, "versions")
	if err := a.printSecret(s); err != nil {
		return err
	}
	numbers := sorted(versions)
	slices.SortFunc(numbers, func(x, y string) int {
		m, _ := json.Number(x).Int64()
		n, _ := json.Number(y).Int64()
		return int(m - n)
	})
	rows := make([]row, 0, len(numbers))
	for _, n := range numbers {
		v, _ := versions[n].(map[string]any)
		rows = append(rows, row{n, text(v["created_time"]), text(v["deletion_time"]), text(v["destroyed"])})
	}
	if _, err := fmt.Fprintln(a.env.Stdout); err != nil {
		return err
	}
	return a.print(nil, row{"Version", "Created", "Deleted", "Destroyed"}, rows)
}

func (a *app) kvMetadataWrite(verb, short string, do writer) *cobra.Command {
	var maxVersions int
	var casRequired bool
	var deleteAfter string
	var custom map[string]string
	c := &cobra.Command{
		Use: verb + " PATH", Short: short, Args: args(1, 1),
		Example: "  strongkeep kv metadata " + verb + " -max-versions=5 -custom-metadata=owner=payments secret/my-app/config",
		RunE: func(c *cobra.Command, given []string) error {
			t, err := a.v2Target(c, given[0])
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
			return a.done("Success! Data written to: %s", t.path("metadata"))
		},
	}
	f := c.Flags()
	f.IntVar(&maxVersions, "max-versions", 0, "how many versions to keep; 0 = the mount's setting")
	f.BoolVar(&casRequired, "cas-required", false, "refuse writes without -cas")
	f.StringVar(&deleteAfter, "delete-version-after", "0s", "delete versions by themselves after this time")
	f.StringToStringVar(&custom, "custom-metadata", nil, "free NAME=VALUE notes; not secret")
	return c
}
