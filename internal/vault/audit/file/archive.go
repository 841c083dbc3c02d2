package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
)

var _ audit.Archive = (*File)(nil)

// Files implements audit.Archive. What stands beside the log and has its name
// with "." or "-" and something behind, such as audit.log.1 and
// audit.log-20260101.gz, is what it was moved aside to, in the order in which
// these were last written. Links are not followed.
func (d *File) Files() ([]string, error) { //nolint:cyclop // flat: a case after the other
	folder, base := filepath.Split(d.path())
	all, err := os.ReadDir(folder)
	if err != nil {
		return nil, reason("", err)
	}
	type aside struct {
		name    string
		written time.Time
	}
	var found []aside
	there := false
	for _, e := range all {
		there = there || e.Name() == base
		rest, ok := strings.CutPrefix(e.Name(), base)
		if !ok || rest == "" || rest[0] != '.' && rest[0] != '-' || strings.HasSuffix(rest, sideSuffix) || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist): // it was moved on, or is gone: what it held is missed by who compares times
		case err != nil:
			return nil, reason("", err)
		default:
			found = append(found, aside{filepath.Join(folder, e.Name()), info.ModTime()})
		}
	}
	if !there {
		return nil, errs.Newf(errs.Unavailable, "there is no file %s", d.path())
	}
	slices.SortStableFunc(found, func(a, b aside) int { return a.written.Compare(b.written) })
	var names []string
	for _, f := range found {
		names = append(names, f.name)
	}
	return append(names, d.path()), nil
}
