package keeper

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/pebble"
)

// attempts at a snapshot whose moment the store forgets while it is read.
const attempts = 3

// make makes a snapshot, proves it, and puts it into its place.
func (k *Keeper) make(ctx context.Context, p *Plan, to place.Place) (name string, proof Proof, err error) {
	if err := k.clean(); err != nil {
		return "", proof, err
	}
	defer func() { err = errors.Join(err, k.clean()) }()
	file, err := os.OpenFile(filepath.Join(k.cfg.Scratch, "snapshot"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", proof, scratch(err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	guarded := &guard{File: file, free: k.cfg.Room}
	info, err := k.write(ctx, guarded)
	if err != nil {
		return "", proof, err
	}
	if proof, err = k.try(ctx, guarded, &info); err != nil {
		return "", proof, errs.Newf(errs.KindOf(err), "trying the snapshot out: %w", err)
	}
	name = p.fileName(info.Time)
	err = place.Keep(ctx, to, name, file, func(back io.Reader) error {
		got, err := k.check(ctx, back, name)
		if err == nil && got.Digest != info.Digest {
			err = errs.Newf(errs.Internal, "the snapshot %s in its place is another than the one that was put there", name)
		}
		return err
	})
	if err != nil {
		return "", proof, err
	}
	k.note(p.Name+"/"+name, nil)
	return name, proof, nil
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

func (k *Keeper) write(ctx context.Context, file *guard) (info snapshot.Info, err error) {
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

// Proof is what a trial has shown.
type Proof struct {
	snapshot.Proof
	Unsealed bool // a key that unseals without people has opened it; false: there is none, or none could be reached
}

// try restores the snapshot into a store of its own and opens every entry there, and
// the vault itself by what unseals it.
func (k *Keeper) try(ctx context.Context, file io.ReadSeeker, info *snapshot.Info) (proof Proof, err error) {
	s, err := pebble.Open(pebble.Config{Dir: filepath.Join(k.cfg.Scratch, "store"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return proof, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	got, err := snapshot.Restore(ctx, file, snapshot.Target{Store: s, Now: k.cfg.Now()})
	if err != nil {
		return proof, err
	}
	if got.Digest != info.Digest || got.Entries != info.Entries {
		return proof, errs.Newf(errs.Internal, "%d entries were written and %d are in the file", info.Entries, got.Entries)
	}
	if err := got.Authenticate(k.cfg.Keys); err != nil {
		return proof, err
	}
	if proof.Proof, err = snapshot.Prove(ctx, s, k.cfg.Keys); err != nil {
		return proof, err
	}
	if proof.Entries != info.Entries {
		return proof, errs.Newf(errs.Internal, "%d of %d entries open", proof.Entries, info.Entries)
	}
	if err := k.mounts(ctx, s, &proof); err != nil {
		return proof, err
	}
	return proof, k.unseal(ctx, s, &proof)
}

// mounts finds the mounts, without which nothing is reached.
func (k *Keeper) mounts(ctx context.Context, s store.Store, proof *Proof) error {
	open, err := k.cfg.Decrypt(s)
	if err != nil {
		return err
	}
	if err := errors.Join(proof.Count(ctx, open), open.Close()); err != nil {
		return errs.Newf(errs.KindOf(err), "reading the mounts: %w", err)
	}
	if proof.Mounts == 0 {
		return errs.New(errs.Internal, "it has no mounts")
	}
	return nil
}

// unseal opens the vault, last: it writes to the store. A key store that is away is no
// fault of the snapshot.
func (k *Keeper) unseal(ctx context.Context, s store.Store, proof *Proof) (err error) {
	proof.Unsealed, err = k.cfg.Unseal(ctx, s)
	switch {
	case errs.Is(err, errs.Unavailable), errs.Is(err, errs.Exhausted):
		k.cfg.Log.Warn("whether the unseal key opens the snapshot could not be tried", "error", err)
		return nil
	case err != nil:
		return errs.Newf(errs.KindOf(err), "opening it by its unseal key: %w", err)
	}
	return nil
}

// readBack reads a snapshot whole from where it lies, and looks whether this vault signed it.
func (k *Keeper) readBack(ctx context.Context, from place.Place, name string) (got snapshot.Info, err error) {
	f, err := from.Get(ctx, name)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return k.check(ctx, f, name)
}

func (k *Keeper) check(ctx context.Context, back io.Reader, name string) (got snapshot.Info, err error) {
	if got, err = snapshot.Check(ctx, back); err == nil {
		err = got.Authenticate(k.cfg.Keys)
	}
	if err != nil {
		return got, errs.Newf(errs.KindOf(err), "reading the snapshot %s back from its place: %w", name, err)
	}
	return got, nil
}
