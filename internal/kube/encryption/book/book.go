package book

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/strongkeep/strongkeep/internal/attest"
	"github.com/strongkeep/strongkeep/internal/draft"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Signer signs a statement as the next one of a chain. Both are for one user at a time.
type Signer interface {
	// Sign returns the envelope of a statement behind last, which is nil at the beginning of a
	// chain. Kind Conflict: there is a later one than last, which Missing returns.
	Sign(ctx context.Context, last *attest.Verified, statement []byte) ([]byte, error)
	// Missing returns envelopes behind a turn that were signed and never written here. Turns may
	// leave gaps, so that one can be greater than its report's number.
	Missing(ctx context.Context, turn int64) ([][]byte, error)
	// Keys are those with which it signs.
	Keys(ctx context.Context) (attest.Keys, error)
}

// Book is a folder of reports.
type Book struct {
	Dir    string
	Signer Signer
}

const (
	prefix, suffix = "report-", ".json"
	digits         = 6
)

// path is the file of a number.
func (b *Book) path(seq int64) string {
	return filepath.Join(b.Dir, fmt.Sprintf("%s%0*d%s", prefix, digits, seq, suffix))
}

// numbers are those of the reports in the folder, in order. A folder that is not there is empty.
func (b *Book) numbers() ([]int64, error) {
	entries, err := os.ReadDir(b.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, errs.Newf(errs.Denied, "reading the folder of reports: %w", err)
	}
	var out []int64
	for _, e := range entries {
		middle, ours := strings.CutPrefix(strings.TrimSuffix(e.Name(), suffix), prefix)
		n, err := strconv.ParseInt(middle, 10, 64)
		if ours && err == nil && n > 0 && e.Name() == filepath.Base(b.path(n)) {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, cmp.Compare)
	return out, nil
}

// Last is the newest report here, nil if there is none. What is signed and not here yet is
// written first. Kind Conflict: the newest file is not what was signed, or not by this
// signer; nothing is added behind such a one.
func (b *Book) Last(ctx context.Context) (*attest.Verified, error) {
	keys, err := b.Signer.Keys(ctx)
	if err != nil {
		return nil, err
	}
	last, err := b.newest(keys)
	if err != nil {
		return nil, err
	}
	turn := int64(0)
	if last != nil {
		turn = last.Turn
	}
	missing, err := b.Signer.Missing(ctx, turn)
	if err != nil {
		return nil, err
	}
	for _, envelope := range missing {
		if last, err = b.keep(keys, last, envelope); err != nil {
			return nil, err
		}
	}
	return last, nil
}

func (b *Book) newest(keys attest.Keys) (*attest.Verified, error) {
	all, err := b.numbers()
	if err != nil || len(all) == 0 {
		return nil, err
	}
	path := b.path(all[len(all)-1])
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, errs.Newf(errs.Denied, "reading the report before: %w", err)
	}
	v, err := attest.Verify(keys, []byte(strings.TrimSuffix(string(raw), "\n")))
	if err != nil {
		return nil, errs.Newf(errs.Conflict, "the newest report %s is not one that this key signed (%w): find out who changed it, or begin in another folder", path, err)
	}
	if v.Seq != all[len(all)-1] {
		return nil, errs.Newf(errs.Conflict, "the report %s has number %d: find out who renamed it, or begin in another folder", path, v.Seq)
	}
	return &v, nil
}

// keep writes an envelope that was signed behind last.
func (b *Book) keep(keys attest.Keys, last *attest.Verified, envelope []byte) (*attest.Verified, error) {
	v, err := attest.Verify(keys, envelope)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "what was signed does not verify: %w", err)
	}
	if last != nil {
		if err := v.Follows(*last); err != nil {
			return nil, errs.Newf(errs.Conflict, "what was signed does not continue what is in %s (%w): if the vault was restored from a backup, keep that folder and begin in another", b.Dir, err)
		}
	}
	return &v, b.write(v.Seq, envelope)
}

// write makes the file of a number. What somebody who was killed left behind goes.
func (b *Book) write(seq int64, envelope []byte) error {
	if err := os.MkdirAll(b.Dir, 0o750); err != nil {
		return errs.Newf(errs.Denied, "making the folder of reports: %w", err)
	}
	path := b.path(seq)
	_ = draft.Sweep(path) // or it stays, which harms nobody
	d, err := draft.Open(path)
	if err == nil {
		defer d.Discard()
		_, err = d.Write(append(slices.Clone(envelope), '\n'))
	}
	if err == nil {
		err = d.Chmod(0o640)
	}
	if err == nil {
		err = d.Create()
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return errs.Newf(errs.Conflict, "another run wrote report %d of %s meanwhile: run it again", seq, b.Dir)
	case err != nil:
		return errs.Newf(errs.Unavailable, "writing report %d to %s: %w", seq, b.Dir, err)
	}
	return nil
}

// Add signs a statement as the next report behind last, which Last returned, and writes it.
// It returns its file.
func (b *Book) Add(ctx context.Context, last *attest.Verified, statement []byte) (attest.Verified, string, error) {
	keys, err := b.Signer.Keys(ctx)
	if err != nil {
		return attest.Verified{}, "", err
	}
	envelope, err := b.Signer.Sign(ctx, last, statement)
	if err != nil {
		return attest.Verified{}, "", err
	}
	v, err := b.keep(keys, last, envelope)
	if err != nil {
		return attest.Verified{}, "", err
	}
	return *v, b.path(v.Seq), nil
}
