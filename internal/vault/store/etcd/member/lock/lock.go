package lock

import (
	"errors"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Take takes a member's directory for this process: etcd waits for another one without an
// end, and what is written down here must not change beneath a node that runs. The kernel
// drops the lock when the process dies. Kind Conflict: another process has it.
func Take(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, errs.Newf(errs.Unavailable, "making the directory %s: %w", dir, err)
	}
	l, err := fileutil.TryLockFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	switch {
	case errors.Is(err, fileutil.ErrLocked):
		return nil, errs.Newf(errs.Conflict, "another process uses %s: stop this node's server first", dir)
	case err != nil:
		return nil, errs.Newf(errs.Unavailable, "locking %s: %w", dir, err)
	}
	return func() { _ = l.Close() }, nil
}
