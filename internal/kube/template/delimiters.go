package template

import (
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Delimiters stand around the actions of a template, for those whose templates hold
// texts of others that use the usual ones. The zero value is those: {{ and }}.
type Delimiters struct{ Left, Right string }

// Check is Invalid for what no template could be written with.
func (d Delimiters) Check() error {
	switch {
	case d == Delimiters{}:
		return nil
	case d.Left == "" || d.Right == "":
		return errs.New(errs.Invalid, "of the delimiters of templates only one is given: give the left and the right one")
	case d.Left == d.Right:
		return errs.Newf(errs.Invalid, "the delimiters of templates are both %q: they must differ", d.Left)
	case len(d.Left) > 16 || len(d.Right) > 16 || strings.ContainsAny(d.Left+d.Right, " \t\r\n\"'`"):
		return errs.New(errs.Invalid, "the delimiters of templates have at most 16 bytes, and no space or quote in them")
	}
	return nil
}

// Inputs are what a result depends on beside its template: nothing with the usual ones.
func (d Delimiters) Inputs() []any {
	if d == (Delimiters{}) {
		return nil
	}
	return []any{d}
}

// left is what an action begins with.
func (d Delimiters) left() string {
	if d.Left == "" {
		return "{{"
	}
	return d.Left
}
