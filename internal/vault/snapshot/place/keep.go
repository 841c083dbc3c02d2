package place

import (
	"context"
	"errors"
	"io"
	"time"
)

// patience bounds the removal of what is not what was put.
const patience = 30 * time.Second

// Keep puts a file, whole, into a place and has check read it back from there. If that fails nothing
// keeps the name, also when ctx has ended. Kinds: those of Put and of check.
func Keep(ctx context.Context, p Place, name string, file io.ReadSeeker, check func(io.Reader) error) error {
	size, err := file.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return failure("reading a snapshot again", err)
	}
	if err := p.Put(ctx, name, file, size); err != nil {
		return err
	}
	back, err := p.Get(ctx, name)
	if err == nil {
		err = errors.Join(check(back), back.Close())
	}
	if err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return errors.Join(err, p.Delete(ctx, name))
}
