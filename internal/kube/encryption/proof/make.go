package proof

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/config"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

// Config says what to look at.
type Config struct {
	// Stored is what is read; SnapshotPath the file if it is one of a snapshot.
	Stored       stored.Source
	SnapshotPath string
	Verify       stored.Config
	// REST reaches the cluster; nil: no API server is asked. Servers are the addresses of
	// all of them; none: that of REST.
	REST        *rest.Config
	Servers     []string
	TheseAreAll bool   // where no leases tell how many API servers there are
	File        string // this node's EncryptionConfiguration; "" is not looked at
	Host        string
	Version     string           // of this program
	Now         func() time.Time // default time.Now
}

// Make looks, and answers. What API servers do not tell is not checked, and said; errors are
// those of reading values, and Conflict: what was read is another cluster's.
func Make(ctx context.Context, cfg Config) (*Statement, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Verify.Prefix = cmp.Or(cfg.Verify.Prefix, stored.DefaultPrefix)
	s := &Statement{
		Schema: Schema, Time: cfg.Now().UTC(), By: By{cfg.Host, "strongkeep", cfg.Version},
		Read:     Read{Kind: Running, Prefix: cfg.Verify.Prefix},
		Expected: Expected{cfg.Verify.Resources, cfg.Verify.Provider, cfg.Verify.KeyID},
	}
	if err := s.file(cfg.File); err != nil {
		return nil, err
	}
	same, err := s.snapshot(ctx, cfg.SnapshotPath)
	if err != nil {
		return nil, err
	}
	before := ask(ctx, &cfg)
	from := newReading(cfg.Stored, cfg.Verify.Prefix)
	r, err := stored.Verify(ctx, from, cfg.Verify)
	if err != nil {
		return nil, err
	}
	if err := same(); err != nil {
		return nil, err
	}
	after := ask(ctx, &cfg)
	s.Evidence = append(s.Evidence, Digest{"what was read: keys, revisions, providers and key ids", from.digest()})
	s.Read.Origin, s.Resources, s.Findings, s.Found = r.Origin, r.Resources, r.Findings, r.Found
	for i, id := range []string{Encrypted, Provider, Key, History} {
		s.Answers = append(s.Answers, Answer{id, r.Answers[i]})
	}
	if err := s.judge(&before, &after, from); err != nil {
		return nil, err
	}
	s.Ended = cfg.Now().UTC()
	return s, nil
}

// Behind notes if the report before this one has a later time.
func (s *Statement) Behind(before time.Time) {
	if s.Time.Before(before) {
		s.Notes = append(s.Notes, "the clock of this machine stands before that of the report in front of this one, "+before.UTC().Format(time.RFC3339)+": one of them was wrong")
	}
}

// file takes the hash of this node's EncryptionConfiguration. One that is not there is said.
func (s *Statement) file(path string) error {
	if path == "" {
		return nil
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		s.Notes = append(s.Notes, "there is no file "+path+" on this machine")
		return nil
	}
	if err != nil {
		return errs.Newf(errs.Denied, "reading the EncryptionConfiguration: %w: run this as root on a control-plane node, or leave it out with -file=", err)
	}
	s.File = &File{path, config.Hash(raw)}
	clear(raw)
	return nil
}

// snapshot takes the digest of a snapshot's file. The function that it returns says
// Conflict if the file has become another since; "" is none, and stays so.
func (s *Statement) snapshot(ctx context.Context, path string) (same func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	s.Read.Kind = Snapshot
	before, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errs.Newf(errs.NotExist, "there is no snapshot %s", path)
	}
	if err != nil {
		return nil, errs.Newf(errs.Denied, "looking at snapshot: %w", err)
	}
	sum, err := fileSum(ctx, path)
	s.Evidence = append(s.Evidence, Digest{"the snapshot's file", sum})
	return func() error {
		after, err := os.Stat(path)
		if err != nil || !os.SameFile(before, after) || before.Size() != after.Size() || !before.ModTime().Equal(after.ModTime()) {
			return errs.Newf(errs.Conflict, "the snapshot %s was changed while it was read: run it again", path)
		}
		return nil
	}, err
}

// fileSum is the SHA-256 of a file.
func fileSum(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", errs.Newf(errs.Denied, "opening snapshot: %w", err)
	}
	defer func() { _ = f.Close() }()
	sum, block := sha256.New(), make([]byte, 1<<20)
	for ctx.Err() == nil {
		n, err := f.Read(block)
		_, _ = sum.Write(block[:n]) // a hash never errs
		if errors.Is(err, io.EOF) {
			return fmt.Sprintf("sha256:%x", sum.Sum(nil)), nil
		}
		if err != nil {
			return "", errs.Newf(errs.Unavailable, "reading snapshot %s: %w", path, err)
		}
	}
	return "", ctx.Err()
}
