package member_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member"
)

// patiently applies a change again while a machine with more to do lets it time out.
func patiently(t *testing.T, s store.Store, c store.Change) (err error) {
	t.Helper()
	eventually(t, "a change is made or refused", func() bool {
		_, err = s.Apply(t.Context(), c)
		return err == nil || !strings.Contains(err.Error(), "timed out")
	})
	return err
}

// A full cluster takes no writes and says so; deletes work, and once enough was deleted it
// compacts, defragments and takes writes again by itself.
func TestFull(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			all := list(t, n)
			for i := range all {
				all[i].Quota, all[i].Tend, all[i].Keep = 24<<20, 200*time.Millisecond, time.Second // what is deleted late is forgotten soon, too
			}
			nodes := together(t, all)
			s := storeOf(t, nodes[0], etcd.Config{})
			value := bytes.Repeat([]byte("v"), 1<<20)
			var err error
			written := 0
			warned := false
			for ; err == nil && written < 100; written++ {
				warned = warned || nodes[0].Health().Full()
				if err = patiently(t, s, store.Put(fmt.Sprintf("f/%d", written), value)); err == nil {
					// etcd commits to its file in batches, and counts what is there.
					eventually(t, "what was written is counted", func() bool { return nodes[0].Health().InUse > int64(written)<<20 })
				}
			}
			wantKind(t, err, errs.Unavailable, "out of space")
			if !warned {
				t.Error("nothing was said before it was full")
			}
			full := nodes[0].Health()
			if !full.NoSpace || !full.Full() {
				t.Errorf("%+v", full)
			}
			for i := range written { // while members defragment, and the leader hands over
				if err := patiently(t, s, store.Delete(fmt.Sprintf("f/%d", i))); err != nil {
					t.Fatalf("deleting from a full store: %v", err)
				}
			}
			eventually(t, "writes again", func() bool { return writes(t.Context(), s, "f/again") })
			eventually(t, "no alarm", func() bool { return !nodes[0].Health().NoSpace })
			for i, m := range nodes {
				if h := m.Health(); h.Size*10 >= h.Quota*9 {
					t.Errorf("the alarm ended while member %d had no space: %+v", i, h)
				}
				eventually(t, "a smaller file", func() bool { return m.Health().Size <= 12<<20 })
			}
		})
	}
}

// Old revisions are forgotten, deleted secrets among them.
func TestCompaction(t *testing.T) {
	t.Parallel()
	cfg := list(t, 1)[0]
	cfg.Keep, cfg.Tend = 100*time.Millisecond, 50*time.Millisecond
	m := open(t, cfg)
	s := storeOf(t, m, etcd.Config{})
	rev, err := s.Apply(t.Context(), store.Put("f/a", []byte("old")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), store.Put("f/a", []byte("new"))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the old revision is gone", func() bool {
		_, err := m.Client().Get(t.Context(), "strongkeep/k/f/a", clientv3.WithRev(int64(rev)))
		return errors.Is(rpctypes.Error(err), rpctypes.ErrCompacted)
	})
	if e, err := s.Get(t.Context(), "f/a"); err != nil || string(e.Value) != "new" {
		t.Errorf("%q, %v", e.Value, err)
	}
}

// When a majority is gone for good, a person makes a cluster of one out of what is left.
func TestRecover(t *testing.T) {
	t.Parallel()
	all := list(t, 3)
	nodes := together(t, all)
	first := storeOf(t, nodes[0], etcd.Config{})
	eventually(t, "a write", func() bool { return writes(t.Context(), first, "f/a") })
	if err := nodes[1].Close(); err != nil {
		t.Fatal(err)
	}
	if err := nodes[2].Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	before, _ := os.ReadFile(filepath.Join(all[0].Dir, "cluster.json"))
	wantKind(t, member.Recover(ctx, all[0]), errs.Conflict, "another process uses")
	_, err := member.Open(ctx, all[0])
	wantKind(t, err, errs.Conflict, "another process uses")
	if after, err := os.ReadFile(filepath.Join(all[0].Dir, "cluster.json")); err != nil || string(after) != string(before) {
		t.Errorf("what a node that runs has written down was changed: %s, %v", after, err)
	}
	if err := nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	nodes = together(t, all)
	if err := nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	wantKind(t, member.Recover(ctx, all[0]), errs.Conflict, "has data and answers")
	for _, m := range nodes {
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, cfg := range all[1:] {
		if err := os.Rename(cfg.Dir, cfg.Dir+"-old"); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, member.Recover(t.Context(), all[1]), errs.NotExist, "no data")
	if err := member.Recover(t.Context(), all[0]); err != nil {
		t.Fatal(err)
	}
	a := open(t, all[0])
	s := storeOf(t, a, etcd.Config{})
	if e, err := s.Get(t.Context(), "f/a"); err != nil || string(e.Value) != "f/a" {
		t.Errorf("%q, %v", e.Value, err)
	}
	eventually(t, "the recovered member takes writes", func() bool { return writes(t.Context(), s, "f/b") })
	old := all[1]
	old.Dir += "-old"
	ctx, cancel = context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err = member.Open(ctx, old)
	wantKind(t, err, errs.Invalid, "recovered from another member")
	for _, cfg := range all[1:] {
		open(t, cfg)
		eventually(t, cfg.Name+" votes", func() bool { return voters(t, a, cfg.Name) })
	}
	if members, err := a.Members(t.Context()); err != nil || len(members) != 3 {
		t.Errorf("%v, %v", members, err)
	}
}
