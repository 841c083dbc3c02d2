package member

import (
	"errors"

	"go.etcd.io/etcd/server/v3/storage/wal"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// unstarted says why etcd did not start, and what helps against damage. Nothing is thrown away
// unasked: while a majority is gone, damaged data may be all that there is.
func (m *Member) unstarted(err error) error {
	for _, damage := range []error{wal.ErrCRCMismatch, wal.ErrMetadataConflict, wal.ErrSnapshotMismatch, wal.ErrSnapshotNotFound, wal.ErrSliceOutOfRange} {
		if errors.Is(err, damage) {
			return errs.Newf(errs.Invalid, "the data in %s is damaged: %w; if a majority of the other nodes is there, empty the directory and this node joins anew", m.cfg.Dir, err)
		}
	}
	return errs.Newf(errs.Unavailable, "starting the member in %s: %w", m.cfg.Dir, err)
}
