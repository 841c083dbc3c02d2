package session

import (
	"context"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Clean strips slashes and blanks from the ends of a path.
func Clean(path string) string { return strings.Trim(path, "/ ") }

// List prints the names below a path.
func (s *Session) List(ctx context.Context, path string) error {
	client, err := s.Client()
	if err != nil {
		return err
	}
	found, err := client.Logical().ListWithContext(ctx, Clean(path)+"/")
	if err != nil {
		return err
	}
	if found != nil && found.WrapInfo != nil {
		return s.PrintSecret(found)
	}
	if found == nil || found.Data["keys"] == nil {
		return errs.Newf(errs.NotExist, "nothing is below %s", Clean(path))
	}
	return s.printNames(found.Data["keys"])
}

func (s *Session) printNames(names any) error {
	all, _ := names.([]any)
	rows := make([]Row, len(all))
	for i, n := range all {
		rows[i] = Row{Text(n)}
	}
	return s.Print(names, Row{"Keys"}, rows)
}
