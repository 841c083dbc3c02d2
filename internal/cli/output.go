package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	vault "github.com/hashicorp/vault/api"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// row is one line of a table.
type row []string

// print writes v as JSON or YAML, or the rows as a table.
func (a *app) print(v any, header row, rows []row) error {
	switch a.format {
	case "json":
		enc := json.NewEncoder(a.env.Stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	case "yaml":
		out, err := yaml.Marshal(v)
		if err != nil {
			return errs.Newf(errs.Internal, "encoding YAML: %w", err)
		}
		_, err = a.env.Stdout.Write(out)
		return err
	}
	return table(a.env.Stdout, header, rows)
}

func table(w io.Writer, header row, rows []row) error {
	tw := tabwriter.NewWriter(w, 0, 4, 4, ' ', 0)
	if header != nil {
		rule := make(row, len(header))
		for i, h := range header {
			rule[i] = strings.Repeat("-", len(h))
		}
		rows = append([]row{header, rule}, rows...)
	}
	for _, r := range rows {
		if _, err := fmt.Fprintln(tw, strings.Join(r, "\t")); err != nil {
			return err
		}
	}
	return tw.Flush()
}

// printSecret writes an answer: one field raw, or all of it.
func (a *app) printSecret(s *vault.Secret) error {
	if s == nil {
		return nil
	}
	a.warn(s.Warnings)
	data := s.Data
	if s.Auth != nil {
		data = authFields(s.Auth)
	}
	if a.field != "" {
		return a.printField(data)
	}
	if a.format != "table" {
		return a.print(s, nil, nil)
	}
	rows := pairs(data)
	if s.LeaseID != "" || s.LeaseDuration > 0 && s.Auth == nil {
		lead := []row{{"refresh_interval", fmt.Sprintf("%ds", s.LeaseDuration)}}
		if s.LeaseID != "" {
			lead = []row{{"lease_id", s.LeaseID}, {"lease_duration", fmt.Sprintf("%ds", s.LeaseDuration)}, {"lease_renewable", fmt.Sprint(s.Renewable)}}
		}
		rows = append(lead, rows...)
	}
	return a.print(s, row{"Key", "Value"}, rows)
}

func (a *app) printField(data map[string]any) error {
	v, ok := data[a.field]
	if !ok {
		return errs.Newf(errs.NotExist, "there is no field %q; there are: %s", a.field, strings.Join(sorted(data), ", "))
	}
	_, err := fmt.Fprint(a.env.Stdout, text(v))
	if err == nil && a.env.ReadPassword != nil {
		_, err = fmt.Fprintln(a.env.Stdout) // a terminal wants its prompt on a line of its own
	}
	return err
}

func (a *app) warn(warnings []string) {
	for _, w := range warnings {
		_, _ = fmt.Fprintln(a.env.Stderr, "Warning:", w)
	}
}

func pairs(data map[string]any) []row {
	rows := make([]row, 0, len(data))
	for _, k := range sorted(data) {
		rows = append(rows, row{k, text(data[k])})
	}
	return rows
}

func sorted(data map[string]any) []string {
	keys := make([]string, 0, len(data))
	for k := range data {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// text renders a value for a table: strings as they are, the rest as JSON.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return "n/a"
	case string:
		return v
	case json.Number:
		return v.String()
	case []any:
		all := make([]string, len(v))
		for i, x := range v {
			all[i] = text(x)
		}
		return "[" + strings.Join(all, " ") + "]"
	}
	out, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(out)
}

func authFields(auth *vault.SecretAuth) map[string]any {
	fields := map[string]any{
		"token": auth.ClientToken, "token_accessor": auth.Accessor,
		"token_duration": fmt.Sprintf("%ds", auth.LeaseDuration), "token_renewable": auth.Renewable,
		"token_policies": anyList(auth.TokenPolicies), "policies": anyList(auth.Policies),
	}
	for k, v := range auth.Metadata {
		fields["token_meta_"+k] = v
	}
	return fields
}

func anyList(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// done prints a line for people; programs that ask for JSON get none.
func (a *app) done(format string, args ...any) error {
	if a.format != "table" || a.field != "" {
		return nil
	}
	_, err := fmt.Fprintf(a.env.Stdout, format+"\n", args...)
	return err
}
