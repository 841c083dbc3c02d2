package session

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Args checks the number of positional arguments with a message that shows the form.
func Args(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		if len(given) < least || most >= 0 && len(given) > most {
			return errs.Newf(errs.Invalid, "wrong number of arguments: the form is %q; see %s --help", c.UseLine(), c.CommandPath())
		}
		return nil
	}
}

// Group is a command that only holds others; an unknown one is an error.
func Group(use, short string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, RunE: Unknown}
	c.AddCommand(children...)
	return c
}

// Unknown is what a command does that only holds others: it shows its help, or
// names the command that was meant.
func Unknown(c *cobra.Command, given []string) error {
	if len(given) == 0 {
		return c.Help()
	}
	c.SuggestionsMinimumDistance = 2
	if meant := c.SuggestionsFor(given[0]); len(meant) > 0 {
		return errs.Newf(errs.Invalid, "unknown command %q; did you mean %s? See %s --help", given[0], strings.Join(meant, " or "), c.CommandPath())
	}
	return errs.Newf(errs.Invalid, "unknown command %q; see %s --help", given[0], c.CommandPath())
}
