package verify

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit/chain"
)

// Files verifies the files in the order given, which is the order they were
// written in: the oldest first. Those that end in .gz are decompressed. Beside
// a file its side file (FILE.tree), if there is one, counts as a checkpoint from
// elsewhere. Kinds: NotExist, Unavailable for what cannot be read, Invalid.
func Files(cfg Config, names ...string) (*Report, error) {
	v := newVerifier(cfg)
	for _, name := range names {
		v.beside(name)
	}
	for _, name := range names {
		if err := v.openFile(name); err != nil {
			return nil, err
		}
	}
	return v.end()
}

// Reader verifies one stream that is called name.
func Reader(cfg Config, name string, r io.Reader) (*Report, error) {
	v := newVerifier(cfg)
	if err := v.read(name, r); err != nil {
		return nil, err
	}
	return v.end()
}

// ref is a line that no checkpoint has proven yet.
type ref struct {
	short [chain.ShortSize]byte
	file  int32
	line  int64
}

// verifier walks through the lines. It begins at the first checkpoint.
type verifier struct {
	cfg    Config
	report Report
	names  []string
	sides  []string // read before the files, so that they are never newer than those

	at      Place
	began   bool
	origin  string
	key     string
	tree    chain.Tree // over all lines read
	proven  int64      // size at the last checkpoint that held
	pending []ref      // lines since
	elses   []elsewhere
	roots   map[int64]*tlog.Hash // at the sizes that elses are about; nil = not come by yet
}

// elsewhere is a checkpoint that stood not in the files.
type elsewhere struct {
	*chain.Checkpoint
	side bool // but right beside, and may be older than they begin
}

func newVerifier(cfg Config) *verifier {
	v := &verifier{cfg: cfg, roots: map[int64]*tlog.Hash{}}
	v.report.Problems = []Problem{}
	v.report.KeyGiven = len(cfg.Keys) > 0
	return v
}

func (v *verifier) openFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		kind := errs.Unavailable
		if errors.Is(err, os.ErrNotExist) {
			kind = errs.NotExist
		}
		return errs.Newf(kind, "opening an audit file: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	if !strings.HasSuffix(name, ".gz") {
		return v.read(name, f)
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return errs.Newf(errs.Invalid, "reading %s: %w", name, err)
	}
	return v.read(name, z)
}

// block is how much is read at a time.
const block = 1 << 20

// read takes the lines of one file.
func (v *verifier) read(name string, r io.Reader) error {
	v.names = append(v.names, name)
	v.report.Files++
	v.at = Place{File: name}
	buf := make([]byte, 0, 2*block)
	for {
		if cap(buf)-len(buf) < block { // a line longer than that
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
		}
		n, err := r.Read(buf[len(buf) : len(buf)+block])
		buf = buf[:len(buf)+n]
		v.report.Bytes += int64(n)
		rest := buf
		for {
			end := bytes.IndexByte(rest, '\n')
			if end < 0 {
				break
			}
			if err := v.line(rest[:end]); err != nil {
				return err
			}
			rest = rest[end+1:]
		}
		buf = buf[:copy(buf[:cap(buf)], rest)]
		switch {
		case err == io.EOF:
			v.torn(buf)
			return nil
		case err != nil:
			return errs.Newf(errs.Unavailable, "reading %s after line %d: %w", name, v.at.Line, err)
		}
	}
}

// torn notes an end without line end: a line that was being written when the
// server died, or is being written now.
func (v *verifier) torn(rest []byte) {
	if len(rest) > 0 {
		v.report.Torn = append(v.report.Torn, Place{v.at.File, v.at.Line + 1})
	}
}

func (v *verifier) line(line []byte) error {
	v.at.Line++
	if chain.IsCheckpoint(line) {
		return v.checkpoint(line)
	}
	v.report.Lines++
	if len(line) > 0 && line[len(line)-1] != '}' {
		v.report.Torn = append(v.report.Torn, v.at)
	}
	leaf := chain.Leaf(line)
	v.tree.Add(leaf)
	v.pending = append(v.pending, ref{[chain.ShortSize]byte(leaf[:]), int32(len(v.names) - 1), v.at.Line})
	v.passed()
	return nil
}

// passed notes the root if a checkpoint from elsewhere is about this size.
func (v *verifier) passed() {
	if !v.began || len(v.roots) == 0 {
		return
	}
	if _, asked := v.roots[v.tree.Size()]; asked {
		root := v.tree.Root()
		v.roots[v.tree.Size()] = &root
	}
}

func (v *verifier) place(r ref) Place { return Place{v.names[r.file], r.line} }

func (v *verifier) problem(at Place, kind Kind, format string, args ...any) {
	if len(v.report.Problems) == maxProblems {
		v.report.More++
		return
	}
	v.report.Problems = append(v.report.Problems, Problem{at, kind, fmt.Sprintf(format, args...)})
}

// checkpoint compares what was read with what a checkpoint line says.
func (v *verifier) checkpoint(line []byte) error {
	if line[len(line)-1] != '}' {
		v.report.Torn = append(v.report.Torn, v.at)
		return nil // it covered nothing: the next one goes on from the one before
	}
	if len(v.cfg.Keys) == 0 {
		v.cfg.Keys = chain.Keys{chain.KeyIn(line)}
	}
	c, err := chain.ParseLine(line, v.cfg.Keys)
	if err == nil {
		v.signed(c)
		return nil
	}
	switch {
	case errors.Is(err, chain.ErrUnknownKey):
		v.problem(v.at, Foreign, "this checkpoint is signed by a key that was not given; its line says it is %s", chain.KeyIn(line))
		return nil
	case !v.report.KeyGiven && v.report.Checkpoints == 0 && v.cfg.Keys.Check() != nil:
		return errs.Newf(errs.Invalid, "%s: the first checkpoint names no usable key: %w; give one with --key", v.at, err)
	}
	v.problem(v.at, Forged, "this checkpoint does not hold: %v", err)
	return nil
}

// signed takes a checkpoint whose signature holds.
func (v *verifier) signed(c *chain.Checkpoint) {
	switch {
	case !c.Full:
		v.problem(v.at, Forged, "this checkpoint does not hold: its edge was taken out")
		return
	case !c.Listed:
		v.problem(v.at, Forged, "this checkpoint does not hold: its list of lines was taken out")
		return
	}
	v.report.Checkpoints++
	v.report.Root = c.Root.String()
	if !v.began || c.Key != v.key {
		v.begin(c)
		return
	}
	v.compare(c)
}

// begin takes c for where a chain begins, or where the first file takes it up.
func (v *verifier) begin(c *chain.Checkpoint) {
	lines := len(c.Short) / chain.ShortSize
	if !v.began {
		v.report.From = c.Size
	}
	unchained := len(v.pending)
	if !v.began && lines > 0 && unchained > 0 {
		// The file begins within the log: the lines that c lists and that stand
		// here can be compared all the same, if all of them do.
		v.compareList(c)
		unchained = max(0, unchained-lines)
		v.report.From = c.From()
	}
	v.report.Unchained += int64(unchained)
	v.began, v.origin, v.key = true, c.Origin, c.Key
	v.report.Key = c.Key
	v.adopt(c)
	v.expect()
}

// adopt goes on from c.
func (v *verifier) adopt(c *chain.Checkpoint) {
	v.tree, v.proven = c.Tree, c.Size
	v.pending = v.pending[:0]
	v.passed()
}

// compare finds out whether the lines since the last checkpoint are those that
// c was signed for, and goes on from c whatever the answer.
func (v *verifier) compare(c *chain.Checkpoint) {
	switch {
	case c.Size == v.tree.Size() && c.Root == v.tree.Root():
		if c.From() > v.proven {
			v.problem(v.first(), Removed, "all lines are there, but the checkpoint at %d lines is missing before %s", c.From(), v.at)
		}
	case c.Size < v.proven:
		v.problem(v.at, Reordered, "this checkpoint is about %d lines, but an earlier one is about %d already: the files are in the wrong order, or an old part was put in", c.Size, v.proven)
		if len(v.pending) > 0 {
			return // the lines belong to a later checkpoint
		}
	case c.From() > v.proven:
		v.problem(v.first(), Removed, "%s", v.gap(c))
	default:
		v.compareList(c)
	}
	v.adopt(c)
}

// first is where the lines begin that c covers: the first that may be wrong.
func (v *verifier) first() Place {
	if len(v.pending) > 0 {
		return v.place(v.pending[0])
	}
	return v.at
}

func (v *verifier) gap(c *chain.Checkpoint) string {
	missing := c.Size - v.proven - int64(len(v.pending))
	if missing > 0 {
		return fmt.Sprintf("%d lines and a checkpoint between are missing between here and %s: the last proven state has %d lines, the next %d", missing, v.at, v.proven, c.Size)
	}
	return fmt.Sprintf("a checkpoint is missing between here and %s, and lines were added or changed: %d lines stand where %d were written", v.at, len(v.pending), c.Size-v.proven)
}
