//go:build unix

package configure

import (
	"errors"
	"os"
	"syscall"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// lock keeps other runs out of a directory until unlock is called or the process ends.
// The kind is Conflict while another one has it.
func lock(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errs.Newf(errs.NotExist, "the directory %s is not there: make it, readable to root only", dir)
	}
	if err != nil {
		return nil, errs.Newf(errs.Denied, "opening the directory %s: %w: run this as root on a control-plane node", dir, err)
	}
	err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return func() { _ = d.Close() }, nil
	}
	_ = d.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errs.Newf(errs.Conflict, "another run is at work in %s: wait for its end", dir)
	}
	return nil, errs.Newf(errs.Unavailable, "locking the directory %s: %w", dir, err)
}
