//go:build unix && !solaris && !aix

package file

import (
	"errors"
	"os"
	"syscall"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// lock takes f for this process. Taking back a line that failed cuts the file;
// that must never cut another process's lines. The kernel drops the lock when
// f is closed or the process dies. A file system without locks is tolerated.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errs.Newf(errs.Unavailable, "another process writes %s", f.Name())
	}
	return nil
}
