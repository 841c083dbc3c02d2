package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// sideSuffix is appended to a log's name for the file that keeps where its
// chain stands.
const sideSuffix = ".tree"

// slotSize is the size of one of the two records in a side file, in bytes.
const slotSize = 8 << 10

// side is the file beside a log that keeps the chain's last checkpoint, for
// when the log itself was moved away before the next start. It is two slots
// that are written in turn, so that one is whole whenever the process dies:
//
//	0     checkpoint line, zero bytes
//	8192  checkpoint line, zero bytes
//
// It is not synced: after a power cut the log's own last checkpoint is newer
// and counts.
type side struct {
	dir, name string
	turn      int64
	buf       []byte
}

func (s *side) path() string { return filepath.Join(s.dir, s.name) }

// read returns both slots; nil if there is nothing to read.
func (s *side) read() [][]byte {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil
	}
	defer func() { _ = root.Close() }() // it was only read
	info, err := root.Lstat(s.name)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	content, err := root.ReadFile(s.name)
	if err != nil || len(content) > 2*slotSize {
		return nil
	}
	cut := min(slotSize, len(content))
	return [][]byte{content[:cut], content[cut:]}
}

// write puts line into the slot whose turn it is.
func (s *side) write(line []byte) (err error) {
	if len(line) > slotSize {
		return errs.Newf(errs.Internal, "a checkpoint of %d bytes does not fit", len(line))
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return reason("", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if info, err := root.Lstat(s.name); err == nil && !info.Mode().IsRegular() {
		return errs.New(errs.Invalid, "it is not a regular file")
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return reason("", err)
	}
	f, err := root.OpenFile(s.name, os.O_WRONLY|os.O_CREATE, defaultMode)
	if err != nil {
		return reason("", err)
	}
	if s.buf == nil {
		s.buf = make([]byte, slotSize)
	}
	clear(s.buf[copy(s.buf, line):])
	_, err = f.WriteAt(s.buf, s.turn*slotSize)
	s.turn = 1 - s.turn
	return reason("", errors.Join(err, f.Close()))
}
