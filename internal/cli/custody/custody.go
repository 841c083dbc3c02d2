// Package custody is what those who keep the keys of a vault do: operator rekey, generate-root, seals,
// seal-migrate and seal-forget.
//
// Start reading at Commands.
package custody

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"strings"

	vault "github.com/hashicorp/vault/api"
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

type app struct{ *session.Session }

// Commands returns what stands below "operator".
func Commands(s *session.Session) []*cobra.Command {
	a := &app{s}
	return []*cobra.Command{a.rekey(), a.generateRoot(), a.seals(), a.migrate(), a.forget()}
}

// Keys reads recipients as they are given on a command line: an age recipient, or the file of a public PGP key, binary or
// armored, whose base64 is returned. Kind: Invalid.
func Keys(given []string) ([]string, error) {
	var all []string
	for _, text := range given {
		if strings.HasPrefix(text, "age1") || strings.HasPrefix(text, "keybase:") { // the server says why not
			all = append(all, text)
			continue
		}
		raw, err := os.ReadFile(strings.TrimPrefix(text, "@"))
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "reading a PGP key: %w; an age recipient begins with age1", err)
		}
		all = append(all, base64.StdEncoding.EncodeToString(raw))
	}
	return all, nil
}

// ask writes to a path and returns what the answer holds.
func (a *app) ask(ctx context.Context, path string, body map[string]any) (map[string]any, error) {
	if err := a.RefuseWrapping(); err != nil {
		return nil, err
	}
	client, err := a.Client()
	if err != nil {
		return nil, err
	}
	s, err := client.Logical().WriteWithContext(ctx, path, body)
	if s != nil {
		a.Warn(s.Warnings)
	}
	return data(s), err
}

func (a *app) read(ctx context.Context, path string) (map[string]any, error) {
	if err := a.RefuseWrapping(); err != nil {
		return nil, err
	}
	client, err := a.Client()
	if err != nil {
		return nil, err
	}
	s, err := client.Logical().ReadWithContext(ctx, path)
	return data(s), err
}

func (a *app) delete(ctx context.Context, path string, query map[string][]string) error {
	if err := a.RefuseWrapping(); err != nil {
		return err
	}
	client, err := a.Client()
	if err != nil {
		return err
	}
	_, err = client.Logical().DeleteWithDataWithContext(ctx, path, query)
	return err
}

func data(s *vault.Secret) map[string]any {
	if s == nil {
		return nil
	}
	return s.Data
}

// share is the one that is given: as an argument, on standard input, or asked for.
func (a *app) share(given []string) (string, error) {
	var text string
	var err error
	if len(given) == 0 {
		text, err = a.AskFor("share", "use - for standard input")
	} else {
		text, err = a.SecretArgument(given, "share")
	}
	return strings.TrimSpace(text), err
}

// show prints an answer: names and what they stand for, those that are empty left out.
func (a *app) show(answer map[string]any, fields ...string) error {
	var rows []session.Row
	for _, f := range fields {
		name, label, _ := strings.Cut(f, "=")
		if v := answer[name]; v != nil && fmt.Sprint(v) != "" && fmt.Sprint(v) != "[]" {
			rows = append(rows, session.Row{label, fmt.Sprint(v)})
		}
	}
	return a.Print(answer, session.Row{"Key", "Value"}, rows)
}

func list(v any) []string {
	var all []string
	items, _ := v.([]any)
	for _, i := range items {
		all = append(all, fmt.Sprint(i))
	}
	return all
}
