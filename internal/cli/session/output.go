package session

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	vault "github.com/hashicorp/vault/api"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/printable"
)

// Row is one line of a table.
type Row []string

// Print writes v as JSON or YAML, or the rows as a table; with -field, only
// that field of v. A cell is one line: what else is in it stands for itself no more.
func (s *Session) Print(v any, header Row, rows []Row) error {
	if s.Field != "" && v != nil {
		data, err := fieldsOf(v)
		if err != nil {
			return err
		}
		return s.PrintField(data)
	}
	return s.print(v, header, clean(rows, printable.Line))
}

// PrintText is Print for cells that may have many lines, as values of secrets have.
func (s *Session) PrintText(v any, header Row, rows []Row) error {
	if s.Field != "" {
		return s.Print(v, header, rows)
	}
	return s.print(v, header, clean(rows, printable.Text))
}

func clean(rows []Row, cell func(string) string) []Row {
	out := make([]Row, len(rows))
	for i, r := range rows {
		out[i] = make(Row, len(r))
		for j, c := range r {
			out[i][j] = cell(c)
		}
	}
	return out
}

// fieldsOf is v as the fields of its JSON.
func fieldsOf(v any) (map[string]any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding JSON: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var data map[string]any
	if dec.Decode(&data) != nil {
		return nil, errs.New(errs.Invalid, "-field is for answers that have fields; this one is a list: use -format=json")
	}
	return data, nil
}

func (s *Session) print(v any, header Row, rows []Row) error {
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
	out := bufio.NewWriter(w)
	tw := tabwriter.NewWriter(out, 0, 4, 4, ' ', 0)
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
	return errors.Join(tw.Flush(), out.Flush())
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
		return s.PrintField(withLease(data, answer))
	}
	if s.Format != "table" {
		return s.print(answer, nil, nil)
	}
	rows := Pairs(data)
	if answer.LeaseID != "" || answer.LeaseDuration > 0 && answer.Auth == nil {
		lead := []Row{{"refresh_interval", fmt.Sprintf("%ds", answer.LeaseDuration)}}
		if answer.LeaseID != "" {
			lead = []Row{{"lease_id", answer.LeaseID}, {"lease_duration", fmt.Sprintf("%ds", answer.LeaseDuration)}, {"lease_renewable", fmt.Sprint(answer.Renewable)}}
		}
		rows = append(lead, rows...)
	}
	return s.PrintText(nil, Row{"Key", "Value"}, rows)
}

// withLease adds what -field may name beside the data.
func withLease(data map[string]any, answer *vault.Secret) map[string]any {
	if answer.LeaseID == "" {
		return data
	}
	all := map[string]any{"lease_id": answer.LeaseID, "lease_duration": answer.LeaseDuration, "lease_renewable": answer.Renewable}
	maps.Copy(all, data)
	return all
}

// dig finds a field: by its name, else a.b as field b of a.
func dig(data map[string]any, name string) (any, bool) {
	if v, ok := data[name]; ok {
		return v, true
	}
	for i := range len(name) {
		if name[i] != '.' {
			continue
		}
		if inner, ok := data[name[:i]].(map[string]any); ok {
			if v, ok := dig(inner, name[i+1:]); ok {
				return v, true
			}
		}
	}
	return nil, false
}

// PrintField writes the field that -field names: raw, or in the format asked for.
func (s *Session) PrintField(data map[string]any) error {
	v, ok := dig(data, s.Field)
	if !ok {
		return errs.Newf(errs.NotExist, "there is no field %q; there are: %s", s.Field, strings.Join(Sorted(data), ", "))
	}
	if s.Format == "json" || s.Format == "yaml" {
		return s.print(v, nil, nil)
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
		_, _ = fmt.Fprintln(s.Env.Stderr, "Warning:", printable.Text(w))
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
