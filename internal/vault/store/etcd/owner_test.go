package etcd_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/testenv/etcdtest"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Two processes on one prefix: the second waits for the first to end, or says
// who is in its way.
func TestOneOwnerAtATime(t *testing.T) {
	cfg := etcdtest.Shared(t).Config()
	cfg.Exclusive = true
	first := open(t, cfg)
	put(t, first, "f/a", "x")
	hasty := cfg
	hasty.LeaseTTL, hasty.Timeout = time.Second, 3*time.Second
	refused(t, hasty, errs.Unavailable, cfg.Prefix, fmt.Sprintf("process %d on", os.Getpid()))
	put(t, first, "f/a", "y")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	long := cfg
	long.LeaseTTL = time.Hour // a lease that was given back need not be waited for
	second := open(t, long)
	if get(t, second, "f/a") != "y" {
		t.Error("the second owner does not see what the first wrote")
	}
}

// A lease that ended while nobody else came: the claim is made again.
func TestClaimIsMadeAgain(t *testing.T) {
	server := etcdtest.Shared(t)
	admin := server.Dial(t)
	cfg := server.Config()
	cfg.Exclusive = true
	s := open(t, cfg)
	for range 3 {
		r, err := admin.Get(t.Context(), cfg.Prefix+"meta/owner")
		if err != nil || len(r.Kvs) != 1 {
			t.Fatal(r, err)
		}
		if _, err := admin.Revoke(t.Context(), clientv3.LeaseID(r.Kvs[0].Lease)); err != nil {
			t.Fatal(err)
		}
		var first error
		eventually(t, "writing again", func() bool {
			_, err := s.Apply(t.Context(), store.Put("f/a", nil))
			if first == nil {
				first = err
			}
			return err == nil
		})
		if first != nil {
			wantKind(t, first, errs.Unavailable, "nothing was written")
		}
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
}

// A process that was stopped for longer than its lease, and comes back after
// another has been there, must neither write nor serve what it remembers.
func TestTakenOver(t *testing.T) {
	for name, gone := range map[string]bool{"the other is there": false, "the other is gone again": true} {
		t.Run(name, func(t *testing.T) {
			server := etcdtest.Shared(t)
			admin := server.Dial(t)
			cfg := server.Config()
			cfg.Exclusive = true
			old := open(t, cfg)
			put(t, old, "f/a", "1")
			w, err := old.Watch(t.Context(), "", 0)
			if err != nil {
				t.Fatal(err)
			}
			// At one stroke, so that the old owner cannot claim it in between.
			owner, term := cfg.Prefix+"meta/owner", cfg.Prefix+"meta/term"
			if _, err := admin.Delete(t.Context(), owner); err != nil {
				t.Fatal(err)
			}
			ops := []clientv3.Op{clientv3.OpPut(term, ""), clientv3.OpPut(owner, `{"id":"other","host":"there","pid":7}`)}
			if gone {
				ops = ops[:1]
			}
			if _, err := admin.Txn(t.Context()).Then(ops...).Commit(); err != nil {
				t.Fatal(err)
			}
			_, err = old.Apply(t.Context(), store.Put("f/a", []byte("2")))
			wantKind(t, err, errs.Unavailable)
			eventually(t, "the old owner knows", func() bool { return old.Err() != nil })
			_, err = old.Get(t.Context(), "f/a")
			wantKind(t, err, errs.Unavailable, "restart it")
			for range w.Events() {
			}
			wantKind(t, w.Err(), errs.Unavailable)
			cfg.Exclusive = false
			if got := get(t, open(t, cfg), "f/a"); got != "1" {
				t.Errorf("f/a is %q: the old owner wrote", got)
			}
		})
	}
}
