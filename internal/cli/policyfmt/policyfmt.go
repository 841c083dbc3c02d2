package policyfmt

import (
	"bytes"
	"io"
	"os"

	"github.com/hashicorp/hcl/hcl/printer"
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
)

// app is one run of the program.
type app struct{ *session.Session }

// Command returns policy fmt, which formats policy files without a server.
func Command(s *session.Session) *cobra.Command {
	a := &app{s}
	check := false
	c := &cobra.Command{
		Use: "fmt FILE...", Short: "Check a policy and write it in the usual form", Args: session.Args(1, -1),
		Long: `Check policies as the server would, and write each back to its file in the usual
form; - reads standard input and writes standard output. No server is needed.`,
		Example: "  strongkeep policy fmt my-app.hcl\n  strongkeep policy fmt -check policies/*.hcl",
		RunE: func(_ *cobra.Command, files []string) error {
			other := false
			for _, file := range files {
				changed, err := a.format(file, check)
				if err != nil {
					return err
				}
				other = other || changed
			}
			if check && other {
				return session.Exit(errs.Invalid.ExitCode())
			}
			return nil
		},
	}
	c.Flags().BoolVar(&check, "check", false, "write nothing: name the files that have another form, exit code 2")
	return c
}

// format formats one file and says whether it had another form.
func (a *app) format(file string, check bool) (bool, error) {
	var content []byte
	var err error
	if file == "-" {
		content, err = io.ReadAll(a.Env.Stdin)
	} else {
		content, err = os.ReadFile(file)
	}
	if err != nil {
		return false, errs.Newf(errs.Invalid, "reading the policy: %w", err)
	}
	if _, err := policy.Parse(file, string(content)); err != nil {
		return false, errs.Newf(errs.Invalid, "policy %s: %w", file, err)
	}
	formatted, err := printer.Format(content)
	if err != nil {
		return false, errs.Newf(errs.Invalid, "formatting %s: %w", file, err)
	}
	formatted = append(bytes.TrimRight(formatted, "\n"), '\n')
	same := bytes.Equal(formatted, content)
	switch {
	case check && same:
		return false, nil
	case check:
		return true, a.Done("%s", file)
	case file == "-":
		_, err := a.Env.Stdout.Write(formatted)
		return !same, err
	case !same:
		if err := rewrite(file, formatted); err != nil {
			return false, errs.Newf(errs.Invalid, "writing the policy: %w", err)
		}
	}
	return !same, a.Done("Success! Formatted policy: %s", file)
}

// rewrite replaces a file's content and keeps its mode.
func rewrite(file string, content []byte) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, content, info.Mode().Perm())
}
