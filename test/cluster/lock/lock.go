package lock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// ErrHeld says that another process, or another [Lock] of this one, holds the
// file.
var ErrHeld = errors.New("lock is held")

// pollInterval is how often Wait looks again. flock(2) could block instead, but
// not until a context ends.
const pollInterval = 200 * time.Millisecond

// Lock is a held lock. Its methods are not safe for concurrent use.
type Lock struct {
	file *os.File
}

// Try takes the lock on path, creating the file if needed, or returns ErrHeld.
// The descriptor is closed on exec, so children do not prolong the lock.
func Try(path string) (*Lock, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("opening lock: %w", err)
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			_ = f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, ErrHeld
			}
			return nil, fmt.Errorf("locking %q: %w", path, err)
		}
		if current(f, path) {
			return &Lock{file: f}, nil
		}
		// Its last holder removed the file between our open and our flock: what
		// we hold guards nothing.
		_ = f.Close()
	}
}

// Wait takes the lock on path; when somebody else holds it, it calls held once
// and waits until the lock is free or ctx ends.
func Wait(ctx context.Context, path string, held func()) (*Lock, error) {
	for told := false; ; told = true {
		l, err := Try(path)
		if !errors.Is(err, ErrHeld) {
			return l, err
		}
		if !told {
			held()
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for lock %q: %w", path, ctx.Err())
		case <-time.After(pollInterval):
		}
	}
}

// Content returns what the last holder wrote with SetContent.
func (l *Lock) Content() ([]byte, error) {
	b, err := os.ReadFile(l.file.Name())
	if err != nil {
		return nil, fmt.Errorf("reading lock: %w", err)
	}
	return b, nil
}

// SetContent leaves a note for whoever finds the lock after its holder died.
func (l *Lock) SetContent(b []byte) error {
	if err := l.file.Truncate(0); err != nil {
		return fmt.Errorf("emptying lock: %w", err)
	}
	if _, err := l.file.WriteAt(b, 0); err != nil {
		return fmt.Errorf("writing lock: %w", err)
	}
	return nil
}

// Drop gives up the lock and leaves the file with its note.
func (l *Lock) Drop() { _ = l.file.Close() }

// Release removes the file and gives up the lock.
func (l *Lock) Release() {
	_ = os.Remove(l.file.Name())
	_ = l.file.Close()
}

func current(f *os.File, path string) bool {
	held, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(held, named)
}
