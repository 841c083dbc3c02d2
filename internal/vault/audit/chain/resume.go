package chain

import (
	"bytes"
	"io"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// maxTail bounds how far from the end of a file its last checkpoint is looked for.
const maxTail = 64 << 20

// Resume finds out where the log goes on in a file of size bytes that was just
// opened, and that ends in a line end. saved is what was kept beside it, in any
// order, also torn or of another log; it only counts the first time.
//
// A file that says less than is known is not followed: the next checkpoint
// says what is known, and verification finds the gap.
func (l *Log) Resume(r io.ReaderAt, size int64, saved ...[]byte) error {
	first := !l.known
	if first {
		l.recall(saved)
	}
	if size == 0 {
		l.lead = true
		return nil
	}
	tail, err := l.scan(r, size)
	if err != nil {
		return err
	}
	known, root := l.cur.base()
	switch {
	case tail == nil:
		l.lead = true
		l.cfg.Log.Warn("the audit file holds lines that are not of this device's chain; the chain goes on behind them", "device", l.cfg.Name, "size", known)
	case tail.last.Size > known, tail.last.Size == known && tail.last.Root == root && l.follows(tail, first):
		l.cur, l.lead = *tail, false
		l.latest.Store(tail.last)
	default:
		l.lead = true
		l.cfg.Log.Error("audit log", "device", l.cfg.Name, "error", errRolledBack, "size_known", l.cur.tree.size, "size_found", tail.tree.size)
	}
	l.known, l.failed = true, false
	return nil
}

// follows reports whether what stands behind the last checkpoint in the file
// may be ours: all that this process wrote, and more only after a crash or a
// failed write.
func (l *Log) follows(tail *state, first bool) bool {
	switch {
	case tail.last.Closed && len(tail.short) > 0:
		return false // nobody of us wrote it
	case first:
		return true
	case l.failed:
		return bytes.HasPrefix(tail.short, l.cur.short)
	}
	return bytes.Equal(tail.short, l.cur.short)
}

// recall takes the newest checkpoint that was kept beside the log.
func (l *Log) recall(saved [][]byte) {
	for _, line := range saved {
		c, err := ParseLine(bytes.TrimRight(line, "\n\x00"), Keys{l.signer.public})
		if err != nil || !c.Full {
			continue
		}
		if known, _ := l.cur.base(); c.Size < known || l.known && c.Size == known {
			continue
		}
		c.Short = nil
		l.cur = state{tree: c.Tree, last: c}
		l.latest.Store(c)
		l.known = true
	}
}

// scan returns the state at the end of a file: its last checkpoint of ours, and
// the lines behind that. nil: there is none.
func (l *Log) scan(r io.ReaderAt, size int64) (*state, error) {
	for window := int64(256 << 10); ; window *= 4 {
		window = min(window, size, maxTail)
		buf := make([]byte, window)
		if _, err := r.ReadAt(buf, size-window); err != nil && err != io.EOF {
			return nil, errs.Newf(errs.Unavailable, "reading the end of the log: %w", err)
		}
		if s := l.last(buf, window == size); s != nil {
			return s, nil
		}
		if window == size || window == maxTail {
			return nil, nil
		}
	}
}

// last looks for the last checkpoint of ours in buf and adds the lines behind it.
// whole says that buf begins with a line.
func (l *Log) last(buf []byte, whole bool) *state {
	for end := len(buf); ; {
		at := bytes.LastIndex(buf[:end], []byte(marker))
		if at < 0 {
			return nil
		}
		begin := bytes.LastIndexByte(buf[:at], '\n') + 1
		stop := bytes.IndexByte(buf[at:], '\n')
		end = at
		if stop < 0 || begin == 0 && !whole || !IsCheckpoint(buf[begin:at+stop]) {
			continue
		}
		c, err := ParseLine(buf[begin:at+stop], Keys{l.signer.public})
		if err != nil || !c.Full {
			continue
		}
		c.Short = nil
		s := &state{tree: c.Tree, last: c}
		for line := range bytes.Lines(buf[at+stop+1:]) {
			if line = bytes.TrimSuffix(line, []byte("\n")); !IsCheckpoint(line) {
				s.add(line)
			}
		}
		return s
	}
}
