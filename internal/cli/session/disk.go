package session

import (
	"errors"
	"io/fs"
	"os"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Unwritable is err of kind Invalid, if it is of a file that cannot be written or has no
// room: the user named it. Other errors, and nil, are as they were.
func Unwritable(err error) error {
	if file := (*fs.PathError)(nil); errors.As(err, &file) || errors.As(err, new(*os.LinkError)) {
		return errs.Newf(errs.Invalid, "%w", err)
	}
	return err
}
