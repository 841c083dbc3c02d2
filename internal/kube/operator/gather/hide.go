package gather

import (
	"slices"
	"strconv"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// WithoutValues takes every secret value out of an error's text, plain and as
// %q writes it. Nothing should be in there; this is the last gate before a status
// that many may read. Long values go first: a short one may be part of them.
func (r Result) WithoutValues(err error) error {
	if err == nil {
		return nil
	}
	var values []string
	for _, v := range r.Data {
		if v.Len() < 4 {
			continue
		}
		plain := v.RevealString()
		quoted := strconv.Quote(plain)
		values = append(values, plain, quoted[1:len(quoted)-1])
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
	text := err.Error()
	clean := text
	for _, v := range values {
		clean = strings.ReplaceAll(clean, v, redact.Placeholder)
	}
	if clean == text {
		return err
	}
	return errs.New(errs.KindOf(err), clean)
}
