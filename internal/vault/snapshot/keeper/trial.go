package keeper

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place"
	"github.com/strongkeep/strongkeep/internal/vault/store/pebble"
)

// attempts at a snapshot whose moment the store forgets while it is read.
const attempts = 3

// patience bounds the removal of what was not proven.
const patience = 30 * time.Second

// make makes a snapshot, proves it, and puts it into its place.
func (k *Keeper) make(ctx context.Context, p *Plan, to place.Place) (name string, entries uint64, err error) {
	if err := k.clean(); err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, k.clean()) }()
	file, err := os.OpenFile(filepath.Join(k.cfg.Scratch, "snapshot"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", 0, scratch(err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := k.write(ctx, file)
	if err != nil {
		return "", 0, err
	}
	if entries, err = k.try(ctx, file, &info); err != nil {
		return "", 0, errs.Newf(errs.KindOf(err), "trying the snapshot out: %w", err)
	}
	name = p.fileName(info.Time)
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", 0, scratch(err)
	}
	if err := to.Put(ctx, name, file, info.Bytes); err != nil {
		return "", 0, err
	}
	got, err := k.readBack(ctx, to, name)
	if err == nil && got.Digest != info.Digest {
		err = errs.Newf(errs.Internal, "the snapshot %s in its place is another than the one that was put there", name)
	}
	if err != nil {
		// Also when ctx has ended: what was not proven must not keep its name.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		return "", 0, errors.Join(err, to.Delete(ctx, name))
	}
	k.note(p.Name+"/"+name, nil)
	return name, entries, nil
}

// clean empties the scratch directory: trials that a crash has ended lie there.
func (k *Keeper) clean() error {
	if err := os.RemoveAll(k.cfg.Scratch); err != nil {
		return scratch(err)
	}
	if err := os.MkdirAll(k.cfg.Scratch, 0o700); err != nil {
		return scratch(err)
	}
	return nil
}

func scratch(err error) error {
	return errs.Newf(errs.Unavailable, "using the scratch directory of snapshots: %w", err)
}

func (k *Keeper) write(ctx context.Context, file *os.File) (info snapshot.Info, err error) {
	for range attempts {
		if err := errors.Join(file.Truncate(0), rewind(file)); err != nil {
			return info, scratch(err)
		}
		info, err = snapshot.Write(ctx, file, snapshot.Source{Store: k.cfg.Raw, Keys: k.cfg.Keys, Version: k.cfg.Version, Now: k.cfg.Now()})
		if !errs.Is(err, errs.Exhausted) {
			break
		}
	}
	return info, err
}

func rewind(f io.Seeker) error {
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// try restores the snapshot into a store of its own and opens every entry there.
func (k *Keeper) try(ctx context.Context, file io.ReadSeeker, info *snapshot.Info) (entries uint64, err error) {
	s, err := pebble.Open(pebble.Config{Dir: filepath.Join(k.cfg.Scratch, "store"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	got, err := snapshot.Restore(ctx, file, snapshot.Target{Store: s, Now: k.cfg.Now()})
	if err != nil {
		return 0, err
	}
	if got.Digest != info.Digest || got.Entries != info.Entries {
		return 0, errs.Newf(errs.Internal, "%d entries were written and %d are in the file", info.Entries, got.Entries)
	}
	if err := got.Authenticate(k.cfg.Keys); err != nil {
		return 0, err
	}
	if entries, err = snapshot.Prove(ctx, s, k.cfg.Keys); err != nil {
		return entries, err
	}
	if entries != info.Entries {
		return entries, errs.Newf(errs.Internal, "%d of %d entries open", entries, info.Entries)
	}
	return entries, nil
}

// readBack reads a snapshot whole from where it lies, and looks whether this vault signed it.
func (k *Keeper) readBack(ctx context.Context, from place.Place, name string) (got snapshot.Info, err error) {
	f, err := from.Get(ctx, name)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if got, err = snapshot.Check(ctx, f); err == nil {
		err = got.Authenticate(k.cfg.Keys)
	}
	if err != nil {
		return got, errs.Newf(errs.KindOf(err), "reading the snapshot %s back from its place: %w", name, err)
	}
	return got, nil
}
