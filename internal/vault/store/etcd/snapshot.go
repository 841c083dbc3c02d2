package etcd

import (
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

var _ store.Snapshotter = (*Store)(nil)

// Pages of a snapshot: as many entries as make about pageBytes, as the last page tells.
const (
	pageBytes = 4 << 20
	pageLeast = 16
	pageMost  = 4096
)

// Snapshot implements store.Snapshotter. It asks page by page at one revision, which
// etcd may compact meanwhile: Next is of kind Exhausted then.
func (s *Store) Snapshot(ctx context.Context) (store.Snapshot, error) {
	ctx, finish, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer finish()
	rev, err := s.revision(ctx)
	if err != nil {
		return nil, err
	}
	return &snapshot{store: s, rev: rev, from: s.keys.data, limit: 256, more: true}, nil
}

type snapshot struct {
	store *Store
	rev   store.Revision
	from  string // where the next page begins
	limit int64
	page  []*mvccpb.KeyValue
	more  bool // behind page
}

// Revision implements store.Snapshot.
func (s *snapshot) Revision() store.Revision { return s.rev }

// Next implements store.Snapshot.
func (s *snapshot) Next(ctx context.Context) (store.Entry, error) {
	for len(s.page) == 0 {
		if !s.more {
			return store.Entry{}, nil
		}
		if err := s.turn(ctx); err != nil {
			return store.Entry{}, err
		}
	}
	kv := s.page[0]
	s.page[0] = nil
	s.page = s.page[1:]
	return store.Entry{Key: string(kv.Key[len(s.store.keys.data):]), Value: kv.Value, Revision: store.Revision(kv.ModRevision)}, nil
}

func (s *snapshot) turn(ctx context.Context) error {
	ctx, finish, err := s.store.begin(ctx)
	if err != nil {
		return err
	}
	defer finish()
	r, err := s.store.client.Get(ctx, s.from, clientv3.WithRange(end(s.store.keys.data)), clientv3.WithRev(int64(s.rev)), clientv3.WithLimit(s.limit))
	switch {
	case is(err, rpctypes.ErrCompacted):
		return errs.New(errs.Exhausted, "etcd has compacted the revision that was being read: read anew; if this comes again, have etcd keep more (--auto-compaction-retention)")
	case err != nil:
		return failure("reading the store", err)
	}
	s.page, s.more = r.Kvs, r.More
	size := 1
	for _, kv := range r.Kvs {
		size += len(kv.Key) + len(kv.Value)
	}
	if n := len(r.Kvs); n > 0 {
		s.from = string(r.Kvs[n-1].Key) + "\x00"
		s.limit = min(max(int64(pageBytes*n/size), pageLeast), pageMost, 4*s.limit)
	}
	return nil
}

// Close implements store.Snapshot.
func (s *snapshot) Close() error {
	s.page, s.more = nil, false
	return nil
}
