package check

import (
	"encoding/json"
	"io"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// maxReport bounds a report, in bytes.
const maxReport = 64 << 20

// ReadReport reads a report that was written as JSON. name is for errors.
func ReadReport(name string, from io.Reader) (*Report, error) {
	var r Report
	bounded := &io.LimitedReader{R: from, N: maxReport}
	err := json.NewDecoder(bounded).Decode(&r)
	if err != nil && bounded.N == 0 {
		return nil, errs.Newf(errs.TooLarge, "the report %s is over %d MiB: compare with one of fewer checks (-only)", name, maxReport>>20)
	}
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "reading the report %s: %w; make one with: strongkeep check -o json", name, err)
	}
	if r.Schema != Schema {
		return nil, errs.Newf(errs.Invalid, "%s is no report of the shape %s (it says %q): make one with: strongkeep check -o json", name, Schema, r.Schema)
	}
	return &r, nil
}

// Tally is how many results have each answer.
func (r *Report) Tally() map[Answer]int {
	out := map[Answer]int{}
	for i := range r.Results {
		out[r.Results[i].Answer]++
	}
	return out
}
