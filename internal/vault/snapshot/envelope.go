package snapshot

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// MediaType is what a client accepts that wants a snapshot as it is. Others get it in an
// envelope.
const MediaType = "application/vnd.strongkeep.snapshot"

// The envelope is a tar.gz, as clients of Vault want it: they look for its last file to
// know that all has arrived. The files before it, in their order, are the snapshot.
const (
	partName = "strongkeep/snapshot.%06d"
	lastName = "SHA256SUMS.sealed"
	partSize = 4 << 20
	maxLast  = 4 << 10
)

// Envelope puts a snapshot that is written to it into an envelope. It is whole when Seal
// has returned.
type Envelope struct {
	zip  *gzip.Writer
	tar  *tar.Writer
	part bytes.Buffer
	n    int
}

// NewEnvelope returns one that is written to w.
func NewEnvelope(w io.Writer) *Envelope {
	// Entries are encrypted: compressing them costs time and gains nothing.
	zip, _ := gzip.NewWriterLevel(w, gzip.NoCompression) // the level is one
	return &Envelope{zip: zip, tar: tar.NewWriter(zip)}
}

// Write implements io.Writer.
func (e *Envelope) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), partSize-e.part.Len())
		e.part.Write(rest[:n])
		rest = rest[n:]
		if e.part.Len() == partSize {
			if err := e.flush(); err != nil {
				return 0, err
			}
		}
	}
	return len(b), nil
}

func (e *Envelope) flush() error {
	if e.part.Len() == 0 {
		return nil
	}
	e.n++
	defer e.part.Reset()
	return e.file(fmt.Sprintf(partName, e.n), e.part.Bytes())
}

func (e *Envelope) file(name string, content []byte) error {
	if err := e.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), Format: tar.FormatUSTAR}); err != nil {
		return err
	}
	_, err := e.tar.Write(content)
	return err
}

// Seal ends the envelope with what Write said of the snapshot.
func (e *Envelope) Seal(info *Info) error {
	if err := e.flush(); err != nil {
		return writing(err)
	}
	sums := fmt.Sprintf("sha256 %s\nhmac-sha256 %s\n", info.SHA256(), info.MAC())
	return writing(errors.Join(e.file(lastName, []byte(sums)), e.tar.Close(), e.zip.Close()))
}

// Unwrap returns the snapshot that r is, or that it has in an envelope.
func Unwrap(r io.Reader) (io.Reader, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	if start, err := in.Peek(2); err != nil || start[0] != 0x1f || start[1] != 0x8b {
		return in, nil // what it is NewReader says
	}
	zip, err := gzip.NewReader(in)
	if err != nil {
		return nil, torn(err)
	}
	return &parts{tar: tar.NewReader(zip), zip: zip}, nil
}

// parts reads the parts of an envelope one after the other.
type parts struct {
	tar  *tar.Reader
	zip  io.Reader
	n    int
	left int64 // of the part that is being read
	done bool
}

// Read implements io.Reader. An envelope without its end is an error, not the end.
func (p *parts) Read(b []byte) (int, error) {
	for p.left == 0 {
		if p.done {
			return 0, io.EOF
		}
		if err := p.next(); err != nil {
			return 0, err
		}
	}
	n, err := p.tar.Read(b[:min(int64(len(b)), p.left)])
	p.left -= int64(n)
	if n > 0 || err == nil {
		return n, nil
	}
	return 0, torn(err)
}

func (p *parts) next() error {
	h, err := p.tar.Next()
	switch {
	case errors.Is(err, io.EOF):
		return errs.New(errs.Invalid, "the snapshot is damaged: its envelope has no end, it was cut short; use another one")
	case err != nil:
		return torn(err)
	case p.n == 0 && !strings.HasPrefix(h.Name, "strongkeep/"):
		return errs.New(errs.Invalid, "this is no snapshot of Strongkeep: another program made the archive; a snapshot of Vault cannot be read")
	case h.Name == lastName && h.Size <= maxLast:
		p.done = true
		if _, err := io.Copy(io.Discard, io.MultiReader(p.tar, p.zip)); err != nil { // gzip's own checksum is behind it
			return torn(err)
		}
		return nil
	}
	if p.n++; h.Name != fmt.Sprintf(partName, p.n) || h.Size > partSize {
		return errs.Newf(errs.Invalid, "the snapshot is damaged: part %d of its envelope is another; use another one", p.n)
	}
	p.left = h.Size
	return nil
}

func torn(err error) error {
	return errs.Newf(errs.Invalid, "the snapshot is damaged: its envelope cannot be read: %w; use another one", err)
}
