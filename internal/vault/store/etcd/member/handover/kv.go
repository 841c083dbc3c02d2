package handover

import (
	"context"
	"errors"
	"math"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/raft/v3"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/status"
)

// KV is a client in the process of its member: unlike one of a network it has nobody who
// asks again. Get and Txn are treated; the store uses nothing else. Any number of goroutines
// may call it.
type KV struct {
	clientv3.KV
	writes *semaphore.Weighted // of everything while held; one each while under way
}

const (
	everything = math.MaxInt32
	askAgain   = 20 * time.Millisecond
)

// New treats kv.
func New(kv clientv3.KV) *KV { return &KV{KV: kv, writes: semaphore.NewWeighted(everything)} }

// Hold returns once no write is under way and none begins, until release is called, which
// must be. An error is ctx's: writes go on.
func (k *KV) Hold(ctx context.Context) (release func(), err error) {
	if err := k.writes.Acquire(ctx, everything); err != nil {
		return nil, err
	}
	return func() { k.writes.Release(everything) }, nil
}

// Get implements clientv3.KV.
func (k *KV) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	for {
		r, err := k.KV.Get(ctx, key, opts...)
		if err == nil || !moved(err) || !wait(ctx) {
			return r, err
		}
	}
}

// Txn implements clientv3.KV.
func (k *KV) Txn(ctx context.Context) clientv3.Txn {
	return &txn{Txn: k.KV.Txn(ctx), kv: k, ctx: ctx}
}

type txn struct {
	clientv3.Txn
	kv  *KV
	ctx context.Context
}

// If implements clientv3.Txn.
func (t *txn) If(guards ...clientv3.Cmp) clientv3.Txn {
	t.Txn = t.Txn.If(guards...)
	return t
}

// Then implements clientv3.Txn.
func (t *txn) Then(ops ...clientv3.Op) clientv3.Txn {
	t.Txn = t.Txn.Then(ops...)
	return t
}

// Else implements clientv3.Txn.
func (t *txn) Else(ops ...clientv3.Op) clientv3.Txn {
	t.Txn = t.Txn.Else(ops...)
	return t
}

// Commit implements clientv3.Txn. It is tried again only when nothing was written.
func (t *txn) Commit() (*clientv3.TxnResponse, error) {
	for {
		r, err := t.once()
		if err == nil || !moved(err) && !dropped(err) || !wait(t.ctx) {
			return r, err
		}
	}
}

func (t *txn) once() (*clientv3.TxnResponse, error) {
	if err := t.kv.writes.Acquire(t.ctx, 1); err != nil {
		return nil, err
	}
	defer t.kv.writes.Release(1)
	return t.Txn.Commit()
}

// moved reports whether a read found no leader, or another than it began with. No write has
// this error.
func moved(err error) bool {
	err = rpctypes.Error(err)
	return errors.Is(err, rpctypes.ErrLeaderChanged) || errors.Is(err, rpctypes.ErrNoLeader)
}

// dropped reports whether this member leads, is handing over, and did not take a write.
// etcd gives this error of raft's no code.
func dropped(err error) bool { return status.Convert(err).Message() == raft.ErrProposalDropped.Error() }

func wait(ctx context.Context) bool {
	t := time.NewTimer(askAgain)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
