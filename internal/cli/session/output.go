package session

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

// Row is one line of a table.
type Row []string

// Print writes v as JSON or YAML, or the rows as a table.
func (s *Session) Print(v any, header Row, rows []Row) error {
	switch s.Format {
	case "json":
		enc := json.NewEncoder(s.Env.Stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	case "yaml":
		out, err := yaml.Marshal(v)
		if err != nil {
			return errs.Newf(errs.Internal, "encoding YAML: %w", err)
		}
		_, err = s.Env.Stdout.Write(out)
		return err
	}
	return table(s.Env.Stdout, header, rows)
}

func table(w io.Writer, header Row, rows []Row) error {
	tw := tabwriter.NewWriter(w, 0, 4, 4, ' ', 0)
	if header != nil {
		rule := make(Row, len(header))
		for i, h := range header {
			rule[i] = strings.Repeat("-", len(h))
		}
		rows = append([]Row{header, rule}, rows...)
	}
	for _, r := range rows {
		if _, err := fmt.Fprintln(tw, strings.Join(r, "\t")); err != nil {
			return err
		}
	}
	return tw.Flush()
}

// PrintSecret writes an answer: one field raw, or all of it.
func (s *Session) PrintSecret(answer *vault.Secret) error {
	if answer == nil {
		return nil
	}
	s.Warn(answer.Warnings)
	data := answer.Data
	if answer.Auth != nil {
		data = authFields(answer.Auth)
	}
	if answer.WrapInfo != nil {
		data = wrapFields(answer.WrapInfo)
	}
	if s.Field != "" {
		return s.PrintField(data)
	}
	if s.Format != "table" {
		return s.Print(answer, nil, nil)
	}
	rows := Pairs(data)
	if answer.LeaseID != "" || answer.LeaseDuration > 0 && answer.Auth == nil {
		lead := []Row{{"refresh_interval", fmt.Sprintf("%ds", answer.LeaseDuration)}}
		if answer.LeaseID != "" {
			lead = []Row{{"lease_id", answer.LeaseID}, {"lease_duration", fmt.Sprintf("%ds", answer.LeaseDuration)}, {"lease_renewable", fmt.Sprint(answer.Renewable)}}
		}
		rows = append(lead, rows...)
	}
	return s.Print(s, Row{"Key", "Value"}, rows)
}

// PrintField writes the field that -field names, raw.
func (s *Session) PrintField(data map[string]any) error {
	v, ok := data[s.Field]
	if !ok {
		return errs.Newf(errs.NotExist, "there is no field %q; there are: %s", s.Field, strings.Join(Sorted(data), ", "))
	}
	_, err := fmt.Fprint(s.Env.Stdout, Text(v))
	if err == nil && s.Env.ReadPassword != nil {
		_, err = fmt.Fprintln(s.Env.Stdout) // a terminal wants its prompt on a line of its own
	}
	return err
}

// Warn writes warnings to standard error.
func (s *Session) Warn(warnings []string) {
	for _, w := range warnings {
		_, _ = fmt.Fprintln(s.Env.Stderr, "Warning:", w)
	}
}

// Pairs makes a row of each field, sorted by name.
func Pairs(data map[string]any) []Row {
	rows := make([]Row, 0, len(data))
	for _, k := range Sorted(data) {
		rows = append(rows, Row{k, Text(data[k])})
	}
	return rows
}

// Sorted returns the names of the fields in order.
func Sorted(data map[string]any) []string {
	keys := make([]string, 0, len(data))
	for k := range data {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Text renders a value for a table: strings as they are, the rest as JSON.
func Text(v any) string {
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
			all[i] = Text(x)
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

// wrapFields are named as Vault's command line names them.
func wrapFields(w *vault.SecretWrapInfo) map[string]any {
	fields := map[string]any{
		"wrapping_token": w.Token, "wrapping_accessor": w.Accessor, "wrapping_token_ttl": fmt.Sprintf("%ds", w.TTL),
		"wrapping_token_creation_time": w.CreationTime.String(), "wrapping_token_creation_path": w.CreationPath,
	}
	if w.WrappedAccessor != "" {
		fields["wrapped_accessor"] = w.WrappedAccessor
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

// Done prints a line for people; programs that ask for JSON get none.
func (s *Session) Done(format string, args ...any) error {
	if s.Format != "table" || s.Field != "" {
		return nil
	}
	_, err := fmt.Fprintf(s.Env.Stdout, format+"\n", args...)
	return err
}
