// Package complete finishes paths and flags' values for the shell: mounts, and
// names by LIST with the caller's token.
//
// Start reading at Add.
package complete

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
)

// patience is how long a shell waits for names.
const patience = 2 * time.Second

// values are what flags take that take one of a few.
var values = map[string][]string{
	"format":             {"table", "json", "yaml"},
	"log-level":          {"debug", "info", "warn", "error"},
	"log-format":         {"standard", "json"},
	"listing-visibility": {"unauth", "hidden"},
	"token-type":         {"service", "batch", "default-service", "default-batch"},
	"method":             {"token", "userpass", "approle", "kubernetes", "jwt", "oidc", "cert"},
}

// finish proposes ends of what was typed so far.
type finish = func(c *cobra.Command, given []string, typed string) ([]string, cobra.ShellCompDirective)

// Add gives the commands below root, by what their first argument is called,
// completion of it, and flags that of their values.
func Add(s *session.Session, root *cobra.Command) {
	x := &names{s}
	arguments := map[string]finish{
		"read": x.path, "write": x.path, "patch": x.path, "list": x.path, "delete": x.path, "path-help": x.path,
		"kv get": x.kv, "kv put": x.kv, "kv patch": x.kv, "kv list": x.kv, "kv delete": x.kv, "kv undelete": x.kv, "kv destroy": x.kv,
		"kv metadata get": x.kv, "kv metadata put": x.kv, "kv metadata patch": x.kv, "kv metadata delete": x.kv,
		"policy read": x.below("sys/policies/acl"), "policy write": x.below("sys/policies/acl"), "policy delete": x.below("sys/policies/acl"),
		"secrets disable": x.mounts("secret"), "secrets tune": x.mounts("secret"), "secrets move": x.mounts("secret"),
		"auth disable": x.mounts("auth"), "auth tune": x.mounts("auth"), "auth move": x.mounts("auth"), "auth help": x.mounts("auth"),
	}
	for path, f := range arguments {
		c, _, err := root.Find(strings.Fields(path))
		if err == nil && c.ValidArgsFunction == nil {
			c.ValidArgsFunction = first(f)
		}
	}
	bash(root)
	each(root, func(c *cobra.Command) {
		for flag, list := range values {
			if c.LocalFlags().Lookup(flag) != nil && (c == root || root.PersistentFlags().Lookup(flag) == nil) {
				_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp))
			}
		}
	})
}

func each(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, child := range c.Commands() {
		each(child, f)
	}
}

// first completes the first argument alone; files may follow it.
func first(f finish) finish {
	return func(c *cobra.Command, given []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(given) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return f(c, given, typed)
	}
}

type names struct{ *session.Session }

// list returns the names below a path, none if there is any problem: a shell
// has no place for an error.
func (x *names) list(ctx context.Context, path string) (all []string) {
	client, err := x.Client()
	if err != nil {
		return nil
	}
	client.SetMaxRetries(0)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found, err := client.Logical().ListWithContext(ctx, path)
	if err != nil || found == nil {
		return nil
	}
	keys, _ := found.Data["keys"].([]any)
	for _, k := range keys {
		all = append(all, session.Text(k))
	}
	return all
}

// mounted returns the caller's mounts and their kv version: of side secret or auth.
func (x *names) mounted(ctx context.Context, side string) map[string]string {
	client, err := x.Client()
	if err != nil {
		return nil
	}
	client.SetMaxRetries(0)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	mounts := map[string]any{}
	if answer, err := client.Logical().ReadWithContext(ctx, lists[side]); err == nil && answer != nil {
		mounts = answer.Data
	} else if answer, err := client.Logical().ReadWithContext(ctx, "sys/internal/ui/mounts"); err == nil && answer != nil {
		mounts, _ = answer.Data[side].(map[string]any) // what anybody may see
	}
	all := map[string]string{}
	for path, v := range mounts {
		m, _ := v.(map[string]any)
		options, _ := m["options"].(map[string]any)
		all[path] = session.Text(m["type"]) + session.Text(options["version"])
	}
	return all
}

// lists are where all mounts of a side are listed, for those who may.
var lists = map[string]string{"secret": "sys/mounts", "auth": "sys/auth"}

// propose keeps what begins with what was typed. Folders take no blank behind them.
func propose(prefix string, found []string, typed string) ([]string, cobra.ShellCompDirective) {
	directive := cobra.ShellCompDirectiveNoFileComp
	var all []string
	for _, name := range found {
		if full := prefix + name; strings.HasPrefix(full, typed) {
			all = append(all, full)
			if strings.HasSuffix(full, "/") {
				directive |= cobra.ShellCompDirectiveNoSpace
			}
		}
	}
	return all, directive
}

func (x *names) below(path string) finish {
	return func(c *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return propose("", x.list(background(c), path), typed)
	}
}

func (x *names) mounts(side string) finish {
	return func(c *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return propose("", keys(x.mounted(background(c), side)), typed)
	}
}

func keys(m map[string]string) (all []string) {
	for k := range m {
		all = append(all, k)
	}
	return all
}

// path completes a path of the API as it is.
func (x *names) path(c *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	folder := typed[:strings.LastIndexByte(typed, '/')+1]
	if folder == "" {
		return propose("", append(keys(x.mounted(background(c), "secret")), "auth/"), typed)
	}
	return propose(folder, x.list(background(c), folder), typed)
}

// kv completes a path as the kv command has it, without metadata/.
func (x *names) kv(c *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	ctx := background(c)
	mounts := x.mounted(ctx, "secret")
	given := ""
	if f := c.Flag("mount"); f != nil && f.Value.String() != "" {
		given = session.Clean(f.Value.String()) + "/"
	}
	full := given + typed
	folder := full[:strings.LastIndexByte(full, '/')+1]
	for mount, kind := range mounts {
		if !strings.HasPrefix(folder, mount) {
			continue
		}
		at := folder
		if kind == "kv2" {
			at = mount + "metadata/" + strings.TrimPrefix(folder, mount)
		}
		return propose(strings.TrimPrefix(folder, given), x.list(ctx, at), typed)
	}
	var kvs []string
	for mount, kind := range mounts {
		if strings.HasPrefix(kind, "kv") {
			kvs = append(kvs, mount)
		}
	}
	return propose("", kvs, typed)
}

// background is the command's context; completion may run without one.
func background(c *cobra.Command) context.Context {
	c.SetErr(io.Discard)
	if ctx := c.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}
