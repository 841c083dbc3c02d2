package document

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// What a packed stream may unpack to: some, and so many times its own size. Dumps of
// clusters become ten to twenty times as large; what is made to fill a memory a
// thousand times.
const (
	unpackedAtLeast = 64 << 20
	unpackedTimes   = 40
)

// unpacked is what from has, which may be packed by gzip.
func unpacked(from io.Reader) (io.Reader, error) {
	in := &counted{from: from}
	r := bufio.NewReader(in)
	if head, err := r.Peek(2); err != nil || !bytes.Equal(head, []byte("\x1f\x8b")) {
		return r, nil //nolint:nilerr // what is too short to be packed is not; what cannot be read says so again
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, broken(err)
	}
	return &bounded{from: z, packed: in}, nil
}

// counted counts what was read.
type counted struct {
	from io.Reader
	n    int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	return n, err
}

var errTooMuch = errs.Newf(errs.Invalid, "it unpacks to more than %d times its size: unpack it yourself if that is meant", unpackedTimes)

// bounded ends what unpacks to too much.
type bounded struct {
	from   io.Reader
	packed *counted
	n      int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.n > unpackedAtLeast+unpackedTimes*b.packed.n {
		return 0, errTooMuch
	}
	n, err := b.from.Read(p)
	b.n += int64(n)
	return n, err
}

// broken is err, or what is said of an archive that is damaged.
func broken(err error) error {
	var corrupt flate.CorruptInputError
	if errors.As(err, &corrupt) || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errs.New(errs.Invalid, "it is packed, and damaged or cut off")
	}
	return err
}
