package json

import (
	"io"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/jsonstream"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
)

// Write writes r bit by bit. If it returns an error, some of r may have been written.
func Write(w io.Writer, r *check.Report) error {
	if err := jsonstream.Indented(w, r); err != nil {
		return errs.Newf(errs.Unavailable, "writing the report: %w", err)
	}
	return nil
}
