package json

import (
	"encoding/json"
	"io"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
)

// Write writes r.
func Write(w io.Writer, r *check.Report) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	if err := out.Encode(r); err != nil {
		return errs.Newf(errs.Unavailable, "writing the report: %w", err)
	}
	return nil
}
