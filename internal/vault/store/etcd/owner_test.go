package etcd_test

import (
	"fmt"
	"os"
	"strings"
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
			if r, err := admin.Get(t.Context(), cfg.Prefix+"k/f/a"); err != nil || len(r.Kvs) != 1 || string(r.Kvs[0].Value) != "1" {
				t.Errorf("the old owner wrote: %v, %v", r, err)
			}
		})
	}
}

// Servers that share a prefix and one that wants it for itself keep out of each other's way; one
// of a version from before refuses the layout.
func TestSharedAndExclusive(t *testing.T) {
	server := etcdtest.Shared(t)
	admin := server.Dial(t)
	cfg := server.Config()
	alone := cfg
	alone.Exclusive = true
	owner := open(t, alone) // with a lease that it keeps on a busy machine too
	cfg.LeaseTTL, cfg.Timeout = time.Second, 5*time.Second
	alone.LeaseTTL, alone.Timeout = cfg.LeaseTTL, cfg.Timeout
	put(t, owner, "f/a", "1")
	refused(t, cfg, errs.Unavailable, cfg.Prefix, fmt.Sprintf("process %d on", os.Getpid()))
	put(t, owner, "f/a", "2")
	if err := owner.Close(); err != nil {
		t.Fatal(err)
	}
	one, two := open(t, cfg), open(t, cfg)
	put(t, one, "f/a", "3")
	put(t, two, "f/b", "3")
	if got := get(t, two, "f/a"); got != "3" {
		t.Errorf("f/a is %q", got)
	}
	refused(t, alone, errs.Invalid, cfg.Prefix, "ha_enabled")
	for key, want := range map[string]string{"meta/format": "2", "meta/owner": `"id":"shared"`} {
		r, err := admin.Get(t.Context(), cfg.Prefix+key)
		if err != nil || len(r.Kvs) != 1 || r.Kvs[0].Lease != 0 || !strings.Contains(string(r.Kvs[0].Value), want) {
			t.Errorf("%s: %v, %v", key, r, err)
		}
	}
	// Also one that looked at the format before it was another.
	if _, err := admin.Put(t.Context(), cfg.Prefix+"meta/format", "1"); err != nil {
		t.Fatal(err)
	}
	refused(t, alone, errs.Unavailable, cfg.Prefix, "several servers")
}

// An owner that was cut off when the prefix became a shared one is none any more.
func TestSharedWhileCutOff(t *testing.T) {
	server := etcdtest.Shared(t)
	admin := server.Dial(t)
	cfg := server.Config()
	cfg.Exclusive = true
	old := open(t, cfg)
	put(t, old, "f/a", "1")
	// At one stroke, so that the old owner cannot claim it in between.
	ops := []clientv3.Op{
		clientv3.OpPut(cfg.Prefix+"meta/term", ""), clientv3.OpPut(cfg.Prefix+"meta/format", "2"),
		clientv3.OpPut(cfg.Prefix+"meta/owner", `{"id":"shared"}`),
	}
	if _, err := admin.Delete(t.Context(), cfg.Prefix+"meta/owner"); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Txn(t.Context()).Then(ops...).Commit(); err != nil {
		t.Fatal(err)
	}
	_, err := old.Apply(t.Context(), store.Put("f/a", []byte("2")))
	wantKind(t, err, errs.Unavailable)
	eventually(t, "the old owner knows", func() bool { return old.Err() != nil })
	cfg.Exclusive = false
	if got := get(t, open(t, cfg), "f/a"); got != "1" {
		t.Errorf("f/a is %q: the old owner wrote", got)
	}
}
