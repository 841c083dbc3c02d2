package relay

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// kv has what the store uses: Get, Txn, and Compact of a member's own.
type kv struct {
	clientv3.KV
	router *Router
}

// Get implements clientv3.KV.
func (k kv) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (r *clientv3.GetResponse, err error) {
	err = k.router.Do(ctx, func(ctx context.Context, c *clientv3.Client) error {
		r, err = c.Get(ctx, key, opts...)
		return err
	})
	return r, err
}

// Txn implements clientv3.KV.
func (k kv) Txn(ctx context.Context) clientv3.Txn { return &txn{ctx: ctx, router: k.router} }

// txn is kept until it is known by which way it goes. Each Commit sends it once.
type txn struct {
	ctx               context.Context
	router            *Router
	guards            []clientv3.Cmp
	then, alternative []clientv3.Op
}

// If implements clientv3.Txn.
func (t *txn) If(guards ...clientv3.Cmp) clientv3.Txn {
	t.guards = append(t.guards, guards...)
	return t
}

// Then implements clientv3.Txn.
func (t *txn) Then(ops ...clientv3.Op) clientv3.Txn {
	t.then = append(t.then, ops...)
	return t
}

// Else implements clientv3.Txn.
func (t *txn) Else(ops ...clientv3.Op) clientv3.Txn {
	t.alternative = append(t.alternative, ops...)
	return t
}

// Commit implements clientv3.Txn.
func (t *txn) Commit() (r *clientv3.TxnResponse, err error) {
	once := func(ctx context.Context, c *clientv3.Client) error {
		r, err = c.Txn(ctx).If(t.guards...).Then(t.then...).Else(t.alternative...).Commit()
		return err
	}
	if t.reads() {
		err = t.router.Do(t.ctx, once)
		return r, err
	}
	w, err := t.router.enter(t.ctx)
	if err != nil {
		return nil, err
	}
	defer t.router.exit(w)
	if w.at == "" {
		err = t.router.within(t.ctx, func(ctx context.Context) error { return once(ctx, w.client) })
		return r, err
	}
	if once(t.ctx, w.client) != nil {
		t.router.away(w, err)
	}
	return r, err
}

// reads reports whether nothing would be written, whatever the guards say.
func (t *txn) reads() bool {
	for _, op := range append(t.then[:len(t.then):len(t.then)], t.alternative...) {
		if !op.IsGet() {
			return false
		}
	}
	return true
}

// watcher has what the store uses.
type watcher struct {
	clientv3.Watcher
	router *Router
}

// Watch implements clientv3.Watcher.
func (w watcher) Watch(ctx context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan {
	way, err := w.router.enter(ctx)
	if err != nil {
		none := make(chan clientv3.WatchResponse)
		close(none)
		return none
	}
	defer w.router.exit(way)
	ctx, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(way.left, cancel)
	context.AfterFunc(ctx, func() { unhook() })
	return way.client.Watch(ctx, key, opts...)
}

// RequestProgress implements clientv3.Watcher. Amid a change of ways it finds no watch, and says so.
func (w watcher) RequestProgress(ctx context.Context) error {
	way, err := w.router.enter(ctx)
	if err != nil {
		return err
	}
	defer w.router.exit(way)
	return way.client.RequestProgress(ctx)
}

// Close implements clientv3.Watcher.
func (w watcher) Close() error { return nil }
