package bucket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place"
)

// Service is one bucket. Keys may have slashes. Methods may be called at once; their
// errors are made by Fail.
type Service interface {
	// Put keeps size bytes, which is all that from has. The key is there when all of it is.
	// Kind Exist: something has it, and stays. A store that knows no condition replaces it.
	Put(ctx context.Context, key string, from io.ReadSeeker, size int64) error
	// Get reads from offset on. Kind NotExist.
	Get(ctx context.Context, key string, offset int64) (io.ReadCloser, error)
	// List gives each key that begins with prefix, in any order.
	List(ctx context.Context, prefix string, each func(key string)) error
	// Delete removes a key; that there is none may be an error of kind NotExist.
	Delete(ctx context.Context, key string) error
}

// Bucket is a folder of a Service as a place.Place.
type Bucket struct {
	service Service
	folder  string // ends with a slash, or is ""
}

// New returns what lies in a folder; "" is the bucket itself.
func New(s Service, folder string) *Bucket {
	if folder = strings.Trim(folder, "/"); folder != "" {
		folder += "/"
	}
	return &Bucket{s, folder}
}

// Put implements place.Place.
func (b *Bucket) Put(ctx context.Context, name string, from io.ReadSeeker, size int64) error {
	if err := place.CheckName(name); err != nil {
		return err
	}
	has, err := from.Seek(0, io.SeekEnd)
	if err == nil && has != size {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		_, err = from.Seek(0, io.SeekStart)
	}
	if err != nil {
		return errs.Newf(errs.Unavailable, "reading what is to be kept: %w", err)
	}
	key := b.folder + name
	if body, err := b.service.Get(ctx, key, 0); err == nil { // stores without conditions would replace it
		_ = body.Close()
		return place.Taken(name)
	}
	err = b.service.Put(ctx, key, from, size)
	if errs.Is(err, errs.Exist) && b.holds(ctx, name, from) {
		return nil // by a request that was sent again, since its answer was lost
	}
	return err
}

// holds reports whether a name has what is in want.
func (b *Bucket) holds(ctx context.Context, name string, want io.ReadSeeker) bool {
	if _, err := want.Seek(0, io.SeekStart); err != nil {
		return false
	}
	got, err := b.Get(ctx, name)
	if err != nil {
		return false
	}
	defer func() { _ = got.Close() }()
	sums := [2][]byte{}
	for i, r := range []io.Reader{want, got} {
		sum := sha256.New()
		if _, err := io.Copy(sum, r); err != nil {
			return false
		}
		sums[i] = sum.Sum(nil)
	}
	return bytes.Equal(sums[0], sums[1])
}

// Get implements place.Place.
func (b *Bucket) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := place.CheckName(name); err != nil {
		return nil, err
	}
	body, err := b.service.Get(ctx, b.folder+name, 0)
	if err != nil {
		return nil, err
	}
	return &reader{ctx: ctx, service: b.service, key: b.folder + name, body: body}, nil
}

// List implements place.Place.
func (b *Bucket) List(ctx context.Context, prefix string) ([]string, error) {
	var names []string
	err := b.service.List(ctx, b.folder+prefix, func(key string) {
		if name, ok := strings.CutPrefix(key, b.folder); ok && place.CheckName(name) == nil {
			names = append(names, name)
		}
	})
	slices.Sort(names)
	return names, err
}

// Delete implements place.Place.
func (b *Bucket) Delete(ctx context.Context, name string) error {
	if err := place.CheckName(name); err != nil {
		return err
	}
	err := b.service.Delete(ctx, b.folder+name)
	if errs.Is(err, errs.NotExist) {
		return nil
	}
	return err
}

// tries at one byte, the first at once, each after a pause twice as long.
const tries = 5

// reader goes on where reading broke.
type reader struct {
	ctx     context.Context // of Get: what it returns is read under it
	service Service
	key     string
	body    io.ReadCloser
	at      int64
	failed  int // since the last byte
}

// Read implements io.Reader.
func (r *reader) Read(b []byte) (int, error) {
	for {
		n, err := r.body.Read(b)
		r.at += int64(n)
		switch {
		case n > 0:
			r.failed = 0
			if errors.Is(err, io.EOF) {
				return n, io.EOF
			}
			return n, nil // an error comes again
		case err == nil, errors.Is(err, io.EOF):
			return 0, err
		}
		if err := r.again(err); err != nil {
			return 0, err
		}
	}
}

// again opens the rest, after a failure.
func (r *reader) again(why error) error {
	for {
		if r.ctx.Err() != nil || r.failed == tries {
			if errs.Is(why, errs.Unavailable) { // of the last attempt to open it
				return why
			}
			return Fail("reading "+r.key, Answer{Err: why})
		}
		if r.failed > 0 {
			pause := time.NewTimer(time.Second << (r.failed - 1))
			select {
			case <-r.ctx.Done():
			case <-pause.C:
			}
			pause.Stop()
		}
		r.failed++
		body, err := r.service.Get(r.ctx, r.key, r.at)
		if err == nil {
			_ = r.body.Close()
			r.body = body
			return nil
		}
		if !errs.Is(err, errs.Unavailable) {
			return err
		}
		why = err
	}
}

// Close implements io.Closer.
func (r *reader) Close() error { return r.body.Close() }

// Part is a stretch of a source, for one request, which may be read again.
type Part struct {
	from         io.ReadSeeker
	start, size  int64
	at           int64
	positionedAt int64 // of from; -1 = not known
}

// PartOf returns the stretch of size bytes from start. One source has one Part in use.
func PartOf(from io.ReadSeeker, start, size int64) *Part {
	return &Part{from: from, start: start, size: size, positionedAt: -1}
}

// Read implements io.Reader.
func (p *Part) Read(b []byte) (int, error) {
	if p.at >= p.size {
		return 0, io.EOF
	}
	if p.positionedAt != p.at {
		if _, err := p.from.Seek(p.start+p.at, io.SeekStart); err != nil {
			return 0, err
		}
	}
	n, err := p.from.Read(b[:min(int64(len(b)), p.size-p.at)])
	p.at += int64(n)
	p.positionedAt = p.at
	if errors.Is(err, io.EOF) && p.at < p.size {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Seek implements io.Seeker.
func (p *Part) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += p.at
	case io.SeekEnd:
		offset += p.size
	}
	if offset < 0 {
		return 0, errs.New(errs.Internal, "seeking before the beginning")
	}
	p.at = offset
	return offset, nil
}

// Close implements io.Closer: the source is its owner's.
func (p *Part) Close() error { return nil }

// PartSize is how long the parts of a source are: 16 MiB, or more, so that there are 9,000 at most.
func PartSize(size int64) int64 {
	const least, most = 16 << 20, 9000
	return max(least, (size+most-1)/most)
}
