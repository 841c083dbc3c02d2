package chain

import (
	"bytes"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// When a checkpoint is due: after so many lines, so many bytes of lines, or so
// much time with lines that none covers yet.
const (
	EveryLines = 1024
	EveryBytes = 4 << 20
	Every      = time.Second
)

// publishEvery is how often a checkpoint is made known outside the log, while
// the log grows.
const publishEvery = 10 * time.Minute

// Config is what a Log needs.
type Config struct {
	Name   string        // of the device, "file/"
	Key    redact.Secret // that its values are hashed with
	Prefix string        // precedes every line
	Now    func() time.Time
	Log    *slog.Logger
	// Publish is given a line with the last checkpoint's note, of type
	// "published", every ten minutes and at the end; nil = nobody is told.
	Publish func(line []byte)
}

// Log turns the lines of one audit device into a tamper-evident log. One
// goroutine calls its methods, except Latest and PublicKey.
//
// Who writes the file calls Resume whenever it was opened, then for each write
// Extend, and Settle with how the write ended.
type Log struct {
	cfg    Config
	signer *signer

	cur     state // what is durable
	next    state // with what Extend returned last
	known   bool  // cur is from a checkpoint of ours or from this process
	lead    bool  // a checkpoint is to be written before the next line
	failed  bool  // what Extend returned last may stand in the file though it was rolled back
	out     []byte
	saved   []byte
	told    time.Time
	latest  atomic.Pointer[Checkpoint]
	changed bool // saved is newer than what Saved returned
}

// state is how far the log has come.
type state struct {
	tree  Tree
	short []byte // of the lines since the last checkpoint
	bytes int    // of those lines
	last  *Checkpoint
}

// base returns size and root at the last checkpoint.
func (s *state) base() (int64, tlog.Hash) {
	if s.last == nil {
		var empty Tree
		return 0, empty.Root()
	}
	return s.last.Size, s.last.Root
}

func (s *state) copyTo(d *state) {
	d.tree, d.bytes, d.last = s.tree, s.bytes, s.last
	d.short = append(d.short[:0], s.short...)
}

func (s *state) add(line []byte) {
	leaf := Leaf(line)
	s.tree.Add(leaf)
	s.short = append(s.short, leaf[:ShortSize]...)
	s.bytes += len(line)
}

// New returns a Log that has not begun.
func New(cfg Config) (*Log, error) {
	s, err := newSigner(cfg.Name, cfg.Key)
	if err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Log{cfg: cfg, signer: s}, nil
}

// PublicKey returns what checkpoints are verified with: "strongkeep-audit/file+1a2b3c4d+…".
func (l *Log) PublicKey() string { return l.signer.public }

// Latest returns the last durable checkpoint, nil if there is none yet. Its
// Short is nil.
func (l *Log) Latest() *Checkpoint { return l.latest.Load() }

// Due reports whether Extend would add a checkpoint to lines. If not, lines may
// be written before Extend is called, and hashed while the disk is at work.
func (l *Log) Due(lines []byte) bool {
	c := &l.cur
	return l.lead || c.last == nil || c.bytes+len(lines) >= EveryBytes ||
		len(c.short)/ShortSize+bytes.Count(lines, []byte("\n")) >= EveryLines ||
		l.cfg.Now().Sub(c.last.Time) >= Every
}

// Extend returns what is to be written for lines, which are whole and end in a
// newline: themselves, and checkpoints where they are due. The result is valid
// until the next call.
func (l *Log) Extend(lines []byte) ([]byte, error) { //nolint:cyclop // a flat list of conditions
	l.cur.copyTo(&l.next)
	l.out = l.out[:0]
	if l.lead {
		if err := l.sign(false); err != nil {
			return nil, err
		}
	}
	now := l.cfg.Now()
	from, at := 0, 0 // what lies between is not in out yet
	for line := range bytes.Lines(lines) {
		at += len(line)
		l.next.add(bytes.TrimSuffix(line, []byte("\n")))
		if len(l.next.short) < EveryLines*ShortSize && l.next.bytes < EveryBytes {
			continue
		}
		l.out = append(l.out, lines[from:at]...)
		from = at
		if err := l.sign(false); err != nil {
			return nil, err
		}
	}
	due := len(l.next.short) > 0 && (l.next.last == nil || now.Sub(l.next.last.Time) >= Every)
	if !due && len(l.out) == 0 {
		return lines, nil
	}
	l.out = append(l.out, lines[from:]...)
	if due {
		if err := l.sign(false); err != nil {
			return nil, err
		}
	}
	return l.out, nil
}

// Checkpoint returns a checkpoint line if there are lines that none covers, or
// the log is being closed; nil otherwise. Settle must follow if it is not nil.
func (l *Log) Checkpoint(closing bool) ([]byte, error) {
	l.cur.copyTo(&l.next)
	l.out = l.out[:0]
	if !l.known && !l.lead {
		return nil, nil // nothing was ever written
	}
	if len(l.next.short) == 0 && !l.lead && (!closing || l.next.last == nil || l.next.last.Closed) {
		return nil, nil
	}
	if err := l.sign(closing); err != nil {
		return nil, err
	}
	return l.out, nil
}

// sign appends a checkpoint of next to out.
func (l *Log) sign(closing bool) error {
	n := &l.next
	c := &Checkpoint{
		Size: n.tree.size, Root: n.tree.Root(), Time: l.cfg.Now().UTC(), Short: n.short, Tree: n.tree, Full: true, Closed: closing,
	}
	if err := c.sign(l.signer); err != nil {
		return err
	}
	var err error
	if l.out, err = c.appendLine(l.out, l.cfg.Prefix); err != nil {
		return err
	}
	c.Short = nil // its memory is used again
	n.last, n.short, n.bytes = c, n.short[:0], 0
	return nil
}

// Settle says how the write of what Extend or Checkpoint returned ended. With
// an error the log is where it was before.
func (l *Log) Settle(err error) {
	if err != nil {
		l.failed = true
		return
	}
	before := l.cur.last
	l.cur, l.next = l.next, l.cur
	l.lead, l.known, l.failed = false, true, false
	if l.cur.last != before {
		l.note()
	}
}

// note makes the last checkpoint known.
func (l *Log) note() {
	c := l.cur.last
	l.latest.Store(c)
	line, err := c.appendLine(nil, "")
	if err != nil {
		return // it was encoded once already
	}
	l.saved, l.changed = line, true
	if !c.Closed && !l.told.IsZero() && c.Time.Sub(l.told) < publishEvery {
		return
	}
	l.told = c.Time
	l.cfg.Log.Info("audit checkpoint", "device", l.cfg.Name, "size", c.Size, "root", c.Root.String(), "note", c.Note)
	if l.cfg.Publish == nil {
		return
	}
	if line, err = c.publishedLine(); err == nil {
		l.cfg.Publish(line)
	}
}

// Saved returns the last checkpoint in the form that Resume takes, to be kept
// beside the log, and whether it changed since the last call.
func (l *Log) Saved() (line []byte, changed bool) {
	changed, l.changed = l.changed, false
	return l.saved, changed
}

// errRolledBack is what the log says when a file lacks what was in it.
var errRolledBack = errs.New(errs.Conflict, "the audit log lacks lines that were written to it: somebody cut or replaced it; strongkeep audit verify says where")
