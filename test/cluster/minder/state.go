package minder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/strongkeep/strongkeep/test/cluster/lock"
	"github.com/strongkeep/strongkeep/test/cluster/node"
	"github.com/strongkeep/strongkeep/test/cluster/slot"
)

// lockName is the file in a state directory that a running cluster holds, and
// by which a directory is known to be one.
const lockName = "cluster.lock"

// parts are all that a state directory holds beside the lock.
var parts = []string{"control", "node", "log"}

// state is the directory of a cluster.
type state struct {
	dir  string
	temp bool
	lock *lock.Lock
}

// openState makes dir ready for a new cluster; if dir is empty, a temporary one.
// It removes what an earlier cluster left, and touches nothing else.
func openState(dir string) (*state, error) {
	s := &state{dir: dir}
	var err error
	if dir == "" {
		s.temp = true
		s.dir, err = os.MkdirTemp("", "strongkeep-cluster-")
	} else {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("making state directory: %w", err)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	s.lock, err = lock.Try(s.path(lockName))
	if errors.Is(err, lock.ErrHeld) {
		return nil, fmt.Errorf("state directory %q belongs to a running cluster; stop it or choose another", dir)
	}
	if err != nil {
		return nil, err
	}
	for _, name := range parts {
		if err := os.RemoveAll(s.path(name)); err != nil {
			return nil, fmt.Errorf("removing an earlier cluster: %w", err)
		}
		if err := os.Mkdir(s.path(name), 0o700); err != nil {
			return nil, fmt.Errorf("making state directory: %w", err)
		}
	}
	return s, nil
}

// check refuses directories with files that are not a cluster's.
func (s *state) check() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("looking into state directory: %w", err)
	}
	_, err = os.Lstat(s.path(lockName))
	if len(entries) > 0 && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("state directory %q holds files that are not a cluster's; choose an empty one", s.dir)
	}
	return nil
}

// close leaves a directory that somebody chose as it is.
func (s *state) close(keepLogs bool) error {
	defer s.lock.Drop()
	switch {
	case !s.temp:
		return nil
	case keepLogs:
		return errors.Join(os.RemoveAll(s.path("control")), os.RemoveAll(s.path("node")))
	default:
		return os.RemoveAll(s.dir)
	}
}

func (s *state) path(name string) string { return filepath.Join(s.dir, name) }

// sweep removes what is left of clusters whose minders were killed.
func (m *minder) sweep() {
	stale, err := slot.Stale()
	if err != nil {
		m.progress("looking for remains of other clusters: %v", err)
		return
	}
	for _, s := range stale {
		st := s.State()
		if st == (slot.State{}) {
			s.Release()
			continue
		}
		err := node.Clean(s.Number)
		if st.Temp {
			err = errors.Join(err, os.RemoveAll(st.Dir))
		}
		if err != nil {
			m.progress("removing remains of cluster in %s: %v", st.Dir, err)
			s.Drop()
			continue
		}
		m.progress("removed remains of a killed cluster in %s", st.Dir)
		s.Release()
	}
}
