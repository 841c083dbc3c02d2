package session

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// aliases are other names by which people know flags, and those by which charts of the
// External Secrets Operator give them to it.
var aliases = map[string]string{
	"ns": "namespace", "addr": "address",
	"concurrent": "concurrency", "controller-class": "class", "enable-leader-election": "leader-election",
	"live-addr": "health-addr", "loglevel": "log-level", "store-requeue-interval": "store-interval",
}

// Alias is a normalisation of flag names that knows the aliases.
func Alias(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	if to, ok := aliases[name]; ok {
		name = to
	}
	return pflag.NormalizedName(name)
}

// FlagError explains a wrong flag, and names the one that was meant.
func FlagError(c *cobra.Command, err error) error {
	_, wrong, found := strings.Cut(err.Error(), "unknown flag: --")
	if !found {
		return errs.Newf(errs.Invalid, "%w; see %s --help", err, c.CommandPath())
	}
	if meant := nearest(c, wrong); meant != "" {
		return errs.Newf(errs.Invalid, "%w; did you mean -%s? See %s --help", err, meant, c.CommandPath())
	}
	return errs.Newf(errs.Invalid, "%w; see %s --help", err, c.CommandPath())
}

// nearest is the command's flag that differs from name in few letters, or ""
// if none is near.
func nearest(c *cobra.Command, name string) string {
	best, least := "", len(name)/3+2
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if d := distance(f.Name, name); d < least && !f.Hidden {
			best, least = f.Name, d
		}
	})
	return best
}

// distance is how many letters must be added, dropped or changed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// filled is the value of a flag that is not empty if it is given.
type filled string

// String implements pflag.Value.
func (v *filled) String() string { return string(*v) }

// Type implements pflag.Value.
func (v *filled) Type() string { return "string" }

// Set implements pflag.Value.
func (v *filled) Set(text string) error {
	if text == "" {
		return errs.New(errs.Invalid, "it is empty: what was to give it has failed")
	}
	*v = filled(text)
	return nil
}

// Filled is a flag that often stands before "$(COMMAND)": when that fails nothing is left, which must
// not be taken for a flag that was not given.
func Filled(f *pflag.FlagSet, to *string, name, usage string) {
	f.Var((*filled)(to), name, usage)
}
