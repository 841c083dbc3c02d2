package snapshot

import (
	"context"
	"io"
	"os"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/credential"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/address"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/depot"
)

// remoteHelp is said by the commands that take a URL in place of a file.
const remoteHelp = `

In place of a file it can be one in an object store:
  s3://BUCKET/FOLDER/NAME?region=eu-central-1
  s3://BUCKET/FOLDER/NAME?endpoint=https://minio.example:9000&path_style=true&credentials_file=FILE
  gs://BUCKET/FOLDER/NAME
  azblob://CONTAINER/FOLDER/NAME?account=NAME
Without credentials_file (key_file or sas_file for Azure) the login is what the cloud's own
tools find: environment, profile, identity of the machine. A copy passes through TMPDIR.`

// remote opens the place of a URL.
func remote(ctx context.Context, text string) (p place.Place, name string, err error) {
	at, folder, name, err := address.Parse(text, credential.Read)
	if err != nil {
		return nil, "", err
	}
	if name == "" {
		return nil, "", errs.New(errs.Invalid, "the place names no snapshot: add it behind the last slash")
	}
	p, err = depot.Open(ctx, &at, folder)
	return p, name, err
}

// scratch is a file without a name for others; done removes it.
func scratch() (f *os.File, done func(), err error) {
	if f, err = os.CreateTemp("", "strongkeep-snapshot-*"); err != nil {
		return nil, nil, session.Unwritable(err)
	}
	return f, func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}, nil
}

// fetch brings a snapshot here; done gives back what that took.
func fetch(ctx context.Context, text string) (_ *os.File, done func(), err error) {
	p, name, err := remote(ctx, text)
	if err != nil {
		return nil, nil, err
	}
	from, err := p.Get(ctx, name)
	if err != nil {
		return nil, nil, session.Local{Err: err}
	}
	defer func() { _ = from.Close() }()
	f, done, err := scratch()
	if err != nil {
		return nil, nil, err
	}
	if _, err = io.Copy(f, from); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		done()
		return nil, nil, session.Local{Err: errs.Newf(errs.Unavailable, "fetching the snapshot: %w", err)}
	}
	return f, done, nil
}

// keepRemote puts a snapshot into its place, where its name must be free, reads it back from
// there, and takes it away again if it is another.
func keepRemote(ctx context.Context, text string, write func(context.Context, io.Writer) error) (info snapshot.Info, err error) {
	p, name, err := remote(ctx, text)
	if err != nil {
		return info, err
	}
	f, done, err := scratch()
	if err != nil {
		return info, err
	}
	defer done()
	if err := write(ctx, f); err != nil {
		return info, session.Unwritable(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return info, session.Unwritable(err)
	}
	if info, err = snapshot.Check(ctx, f); err != nil {
		return info, err
	}
	err = place.Keep(ctx, p, name, f, func(back io.Reader) error {
		got, err := snapshot.Check(ctx, back)
		if err == nil && got.Digest != info.Digest {
			err = errs.New(errs.Internal, "it is another snapshot")
		}
		if err != nil {
			return errs.Newf(errs.KindOf(err), "reading the snapshot back from its place: %w", err)
		}
		return nil
	})
	if err != nil {
		return info, session.Local{Err: err}
	}
	return info, nil
}

// isRemote reports whether an argument is a URL and not a file.
func isRemote(text string) bool { return address.IsURL(text) }
