package check

import (
	"encoding/json"
	"io"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// ReadReport reads a report that was written as JSON. name is for errors.
func ReadReport(name string, from io.Reader) (*Report, error) {
	var r Report
	if err := json.NewDecoder(io.LimitReader(from, maxFile)).Decode(&r); err != nil {
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
