package etcd

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Holder is who writes below a prefix, as stored for people to read.
type Holder struct {
	ID    string    `json:"id"` // random, of one Open
	Host  string    `json:"host"`
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

func (h Holder) String() string {
	if h.ID == sharedID {
		return "several servers, with ha_enabled"
	}
	return fmt.Sprintf("process %d on %s, since %s", h.PID, h.Host, h.Since.Format(time.RFC3339))
}

// owner holds this process's claim on the prefix. A nil owner claims nothing.
type owner struct {
	store  *Store
	id     string
	doubts chan struct{} // holds one token if the claim may be lost

	mu      sync.Mutex
	created int64            // revision at which the claim was made and the term began
	lease   clientv3.LeaseID // 0 = none
}

// claim makes this process the owner. It waits until the lease of a process
// that died must have ended. Kind Unavailable: another one lives.
func claim(ctx context.Context, s *Store) (*owner, error) {
	o := &owner{store: s, id: rand.Text(), doubts: make(chan struct{}, 1)}
	return o, s.await(ctx, func() (string, error) { return o.try(0) })
}

// await tries until nobody else has the prefix. try returns who has.
func (s *Store) await(ctx context.Context, try func() (holder string, err error)) error {
	deadline := time.Now().Add(s.cfg.LeaseTTL + s.cfg.Timeout)
	for first := true; ; first = false {
		holder, err := try()
		switch {
		case err != nil:
			return err
		case holder == "":
			return nil
		case time.Now().After(deadline):
			return errs.Newf(errs.Unavailable, "the prefix %q in etcd is used by another strongkeep (%s); end that one, or give this one a prefix of its own", s.cfg.Prefix, holder)
		case first:
			s.cfg.Log.Info("waiting for the strongkeep that used this prefix in etcd last to be gone", slog.String("last", holder))
		}
		if !pause(ctx, min(500*time.Millisecond, s.cfg.LeaseTTL/4)) {
			return errs.Newf(errs.Unavailable, "waiting for the prefix %q in etcd: %w", s.cfg.Prefix, ctx.Err())
		}
	}
}

// try claims the prefix if nobody has it and, unless term is 0, nobody had it
// since that term began. It returns who has it, "" if this process has.
func (o *owner) try(term int64) (holder string, err error) {
	s := o.store
	ctx, finish, err := s.begin(s.ctx)
	if err != nil {
		return "", err
	}
	defer finish()
	lease, err := s.client.Grant(ctx, max(1, int64(s.cfg.LeaseTTL/time.Second)))
	if err != nil {
		return "", failure("getting a lease", err)
	}
	host, _ := os.Hostname() // empty is fine
	me, err := json.Marshal(Holder{ID: o.id, Host: host, PID: os.Getpid(), Since: time.Now().UTC()})
	if err != nil {
		return "", err
	}
	guards := []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(s.keys.owner), "=", 0)}
	if term != 0 {
		guards = append(guards, clientv3.Compare(clientv3.ModRevision(s.keys.term), "=", term))
	}
	r, err := s.client.Txn(ctx).If(guards...).
		Then(clientv3.OpPut(s.keys.owner, string(me), clientv3.WithLease(lease.ID)), clientv3.OpPut(s.keys.term, "")).
		Else(clientv3.OpGet(s.keys.owner), clientv3.OpGet(s.keys.term)).Commit()
	if err == nil && r.Succeeded {
		o.take(r.Header.Revision, lease.ID)
		return "", nil
	}
	_, _ = s.client.Revoke(ctx, lease.ID) // or it ends by itself
	if err != nil {
		return "", failure("claiming the prefix", err)
	}
	if now := r.Responses[1].GetResponseRange().GetKvs(); term != 0 && (len(now) == 0 || now[0].ModRevision != term) {
		return "", errTakenOver()
	}
	kvs := r.Responses[0].GetResponseRange().GetKvs()
	if len(kvs) == 0 {
		return "one that has just ended", nil
	}
	return o.look(kvs[0]), nil
}

// look returns whose claim kv is, "" if it is this process's: its answer may
// have been lost.
func (o *owner) look(kv *mvccpb.KeyValue) (holder string) {
	var h Holder
	if err := json.Unmarshal(kv.Value, &h); err != nil {
		return "one that is not known"
	}
	if h.ID != o.id {
		return h.String()
	}
	o.take(kv.CreateRevision, clientv3.LeaseID(kv.Lease))
	return ""
}

// take notes a claim; its term began in the same transaction.
func (o *owner) take(created int64, lease clientv3.LeaseID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.created, o.lease = created, lease
}

func errTakenOver() error {
	return errs.New(errs.Conflict, "another strongkeep took the store over; what this one has in memory may be old: restart it")
}

// keep renews the lease until Close, and claims the prefix again when it was lost.
func (o *owner) keep() {
	s := o.store
	for s.ctx.Err() == nil {
		o.renew()
		for s.ctx.Err() == nil {
			err := o.again()
			if err == nil {
				break
			}
			if errs.Is(err, errs.Conflict) {
				s.breakDown(errs.As(errs.Unavailable, err))
				return
			}
			s.cfg.Log.Warn("claiming the store in etcd again", slog.Any("error", err))
			pause(s.ctx, time.Second)
		}
	}
}

// renew returns when the claim is in doubt.
func (o *owner) renew() {
	s := o.store
	o.mu.Lock()
	lease := o.lease
	o.mu.Unlock()
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	alive, err := s.client.KeepAlive(ctx, lease)
	if err != nil {
		return
	}
	for {
		select {
		case _, ok := <-alive:
			if !ok {
				return
			}
		case <-o.doubts:
			return
		}
	}
}

// again makes sure that this process is the owner. Kind Conflict: another was
// in between.
func (o *owner) again() error {
	s := o.store
	ctx, finish, err := s.begin(s.ctx)
	if err != nil {
		return err
	}
	defer finish()
	r, err := s.client.Get(ctx, s.keys.owner)
	if err != nil {
		return failure("looking who owns the prefix", err)
	}
	holder := ""
	if len(r.Kvs) == 1 {
		holder = o.look(r.Kvs[0])
	} else {
		holder, err = o.try(o.fence())
	}
	if err == nil && holder != "" {
		err = errTakenOver()
	}
	return err
}

// fence is the revision that guards every write; 0 = none.
func (o *owner) fence() int64 {
	if o == nil {
		return 0
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.created
}

// doubt has the claim looked at.
func (o *owner) doubt() {
	select {
	case o.doubts <- struct{}{}:
	default:
	}
}

// release gives the prefix up, so that the next one need not wait.
func (o *owner) release() {
	if o == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(o.store.cfg.Timeout, 2*time.Second))
	defer cancel()
	o.mu.Lock()
	lease := o.lease
	o.mu.Unlock()
	if _, err := o.store.client.Revoke(ctx, lease); err != nil {
		o.store.cfg.Log.Debug("giving the lease in etcd back; it ends by itself", slog.Any("error", err))
	}
}
