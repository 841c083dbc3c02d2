package search

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Bad is a line that is no entry.
type Bad struct {
	File string `json:"file"`
	Line int64  `json:"line"`
}

// Result is what a search saw.
type Result struct {
	Bytes    int64 // read, after decompression
	Lines    int64
	Found    int64
	BadLines int64
	Bad      []Bad // the first of them, at most maxBad
}

const maxBad = 100

// chunkSize is how much one goroutine takes at a time; lines that cross its end
// belong to it.
const chunkSize = 4 << 20

// ErrStop ends a search without an error when what Files calls returns it.
var ErrStop = errors.New("enough")

// Files calls found for every entry that fits, in the order of the files and
// of their lines, until it returns an error. Files that end in .gz are
// decompressed. Lines that are no entries are counted, not fatal. Kinds:
// Invalid for the query, NotExist and Unavailable for files.
func Files(ctx context.Context, q Query, found func(*Entry) error, names ...string) (*Result, error) {
	s, err := newScan(q, found)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := s.file(ctx, name); err != nil {
			if errors.Is(err, ErrStop) {
				break
			}
			return &s.result, err
		}
	}
	return &s.result, nil
}

func newScan(q Query, found func(*Entry) error) (*scan, error) {
	m, err := newMatcher(q)
	if err != nil {
		return nil, err
	}
	s := &scan{m: m, found: found, workers: runtime.GOMAXPROCS(0)}
	s.buffers.New = func() any { return new(make([]byte, 0, chunkSize+chunkSize/4)) }
	return s, nil
}

// Tail is Files for what is behind an offset in an open file that is not
// compressed, and that may be written to meanwhile: it returns the offset behind
// the last whole line. Lines are counted from the offset.
func Tail(ctx context.Context, q Query, found func(*Entry) error, f *os.File, from int64) (end int64, _ *Result, err error) {
	s, err := newScan(q, found)
	if err != nil {
		return from, nil, err
	}
	if end, err = lastLine(f, from); err != nil {
		return from, nil, errs.Newf(errs.Unavailable, "reading %s: %w", f.Name(), err)
	}
	err = s.read(ctx, f.Name(), io.NewSectionReader(f, from, end-from))
	if errors.Is(err, ErrStop) {
		err = nil
	}
	return end, &s.result, err
}

// lastLine returns the offset behind the last line end of f, from if there is
// none behind it.
func lastLine(f *os.File, from int64) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return from, err
	}
	var buf [32 << 10]byte
	for end := info.Size(); end > from; {
		n := min(int64(len(buf)), end-from)
		if _, err := f.ReadAt(buf[:n], end-n); err != nil {
			return from, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			return end - n + int64(i) + 1, nil
		}
		end -= n
	}
	return from, nil
}

// scan is one search.
type scan struct {
	m       *matcher
	found   func(*Entry) error
	workers int
	buffers sync.Pool
	result  Result
}

// chunk is whole lines of a file, and what was found in them.
type chunk struct {
	buf     *[]byte
	done    chan struct{}
	entries []Entry
	lines   int64
	bad     []int64 // line numbers within
	err     error   // of reading; the chunk is then the last
}

// file searches one file.
func (s *scan) file(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		kind := errs.Unavailable
		if errors.Is(err, os.ErrNotExist) {
			kind = errs.NotExist
		}
		return errs.Newf(kind, "opening an audit file: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return errs.Newf(errs.Invalid, "reading %s: %w", name, err)
		}
	}
	return s.read(ctx, name, r)
}

// read searches what r holds: one goroutine reads, several look, and the caller
// takes their results in order. No more than twice as many chunks as workers
// are held.
func (s *scan) read(ctx context.Context, name string, r io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	work, order := make(chan *chunk), make(chan *chunk, 2*s.workers)
	wg.Go(func() { s.readChunks(ctx, r, work, order) })
	for range s.workers {
		wg.Go(func() {
			for c := range work {
				s.search(c)
			}
		})
	}
	return s.collect(ctx, name, order)
}

// readChunks cuts r into chunks of whole lines.
func (s *scan) readChunks(ctx context.Context, r io.Reader, work, order chan<- *chunk) {
	defer close(order)
	defer close(work)
	var rest []byte
	for {
		c := &chunk{buf: s.buffers.Get().(*[]byte), done: make(chan struct{})}
		rest, c.err = fill(c.buf, r, rest)
		if ctx.Err() != nil {
			return
		}
		select {
		case order <- c:
		case <-ctx.Done():
			return
		}
		select {
		case work <- c:
		case <-ctx.Done():
			return
		}
		if c.err != nil {
			return
		}
	}
}

// fill puts rest and the next chunk into buf, and returns what came after the
// last line end.
func fill(buf *[]byte, r io.Reader, rest []byte) ([]byte, error) {
	b := append((*buf)[:0], rest...)
	for {
		from := len(b)
		if cap(b)-from < chunkSize {
			b = append(make([]byte, 0, 2*cap(b)+chunkSize), b...)
		}
		n, err := io.ReadFull(r, b[from:from+chunkSize])
		b = b[:from+n]
		*buf = b
		if err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = io.EOF
			}
			return nil, err
		}
		if end := bytes.LastIndexByte(b, '\n'); end >= 0 {
			*buf = b[:end+1]
			return bytes.Clone(b[end+1:]), nil
		}
	}
}

// search looks at the lines of one chunk.
func (s *scan) search(c *chunk) {
	defer close(c.done)
	for rest := *c.buf; len(rest) > 0; {
		line := rest
		if end := bytes.IndexByte(rest, '\n'); end >= 0 {
			line, rest = rest[:end], rest[end+1:]
		} else {
			rest = nil
		}
		c.lines++
		if len(line) == 0 {
			continue // what a failed write can leave
		}
		if line[len(line)-1] != '}' {
			c.bad = append(c.bad, c.lines)
			continue
		}
		if !s.m.candidate(line) {
			continue
		}
		e, verdict := s.m.look(line)
		switch verdict {
		case fits:
			e.Line = c.lines
			c.entries = append(c.entries, e)
		case broken:
			c.bad = append(c.bad, c.lines)
		}
	}
}

// collect hands on what was found, in order.
func (s *scan) collect(ctx context.Context, name string, order <-chan *chunk) error {
	before := int64(0) // lines of the file in earlier chunks
	for c := range order {
		select {
		case <-c.done:
		case <-ctx.Done():
			return errs.Newf(errs.Unavailable, "searching %s: %w", name, ctx.Err())
		}
		s.result.Bytes += int64(len(*c.buf))
		s.result.Lines += c.lines
		s.result.BadLines += int64(len(c.bad))
		for _, line := range c.bad {
			if len(s.result.Bad) < maxBad {
				s.result.Bad = append(s.result.Bad, Bad{name, before + line})
			}
		}
		for i := range c.entries {
			e := &c.entries[i]
			e.File, e.Line = name, e.Line+before
			s.result.Found++
			if err := s.found(e); err != nil {
				return err
			}
		}
		before += c.lines
		if c.err != nil && !errors.Is(c.err, io.EOF) {
			return errs.Newf(errs.Unavailable, "reading %s behind line %d: %w", name, before, c.err)
		}
		*c.buf = (*c.buf)[:0]
		s.buffers.Put(c.buf)
	}
	return nil
}
