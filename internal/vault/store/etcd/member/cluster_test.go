package member_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member"
)

// writes reports whether the store takes a write that can be read.
func writes(ctx context.Context, s store.Store, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	rev, err := s.Apply(ctx, store.Put(name, []byte(name)))
	if err != nil {
		return false
	}
	e, err := s.Get(ctx, name)
	return err == nil && e.Revision == rev
}

func voters(t *testing.T, m *member.Member, name string) bool {
	t.Helper()
	all, err := m.Members(t.Context())
	if err != nil {
		return false
	}
	for _, p := range all {
		if p.Name == name {
			return !p.Learner
		}
	}
	return false
}

func wantKind(t *testing.T, err error, kind errs.Kind, says string) {
	t.Helper()
	if !errs.Is(err, kind) || !strings.Contains(err.Error(), says) {
		t.Errorf("%v; want kind %q that says %q", err, kind, says)
	}
}

// Any one of three nodes may go, and writes go on; it comes back and has what was
// written. Then each loses its disk, one after the other, and comes back without a human.
func TestThree(t *testing.T) {
	t.Parallel()
	all := list(t, 3)
	nodes := together(t, all)
	for gone := range nodes {
		if err := nodes[gone].Close(); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("f/gone-%d", gone)
		other := nodes[(gone+1)%3]
		s := storeOf(t, other, etcd.Config{})
		eventually(t, "writes without "+all[gone].Name, func() bool { return writes(t.Context(), s, name) })
		if lost := gone != 1; lost { // the disk, too
			if err := os.RemoveAll(all[gone].Dir); err != nil {
				t.Fatal(err)
			}
		}
		nodes[gone] = open(t, all[gone])
		again := storeOf(t, nodes[gone], etcd.Config{})
		e, err := again.Get(t.Context(), name)
		if err != nil || string(e.Value) != name {
			t.Errorf("the node that came back has %q, %v", e.Value, err)
		}
		eventually(t, all[gone].Name+" votes", func() bool { return voters(t, other, all[gone].Name) })
		if members, err := other.Members(t.Context()); err != nil || len(members) != 3 {
			t.Errorf("members: %v, %v", members, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// All nodes start again at once, as after a power cut.
func TestAllAgain(t *testing.T) {
	t.Parallel()
	all := list(t, 3)
	nodes := together(t, all)
	s := storeOf(t, nodes[0], etcd.Config{})
	eventually(t, "a write", func() bool { return writes(t.Context(), s, "f/a") })
	for _, m := range nodes {
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	nodes = together(t, all)
	if e, err := storeOf(t, nodes[2], etcd.Config{}).Get(t.Context(), "f/a"); err != nil || string(e.Value) != "f/a" {
		t.Errorf("%q, %v", e.Value, err)
	}
}

// Two clusters must never come of one list. Two of three nodes lose their disks: they are a
// majority of the list, and must not begin anew without the third, which still has what was
// acknowledged.
func TestNoSecondCluster(t *testing.T) {
	t.Parallel()
	all := list(t, 3)
	nodes := together(t, all)
	s := storeOf(t, nodes[0], etcd.Config{})
	eventually(t, "a write", func() bool { return writes(t.Context(), s, "f/a") })
	for i, m := range nodes {
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			if err := os.RemoveAll(all[i].Dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	results := make(chan error, 2*len(all))
	for _, cfg := range all[1:] { // first without the third, then with it
		go func() { _, err := member.Open(ctx, cfg); results <- err }()
	}
	for range all[1:] {
		wantKind(t, <-results, errs.Unavailable, "waiting to be a member")
	}
	ctx, cancel = context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	for _, cfg := range all {
		go func() { _, err := member.Open(ctx, cfg); results <- err }()
	}
	for range all {
		wantKind(t, <-results, errs.Unavailable, "waiting")
	}
}

// A node that starts alone for the first time waits for the others: it cannot know whether
// it is the first.
func TestFirstStartNeedsAll(t *testing.T) {
	t.Parallel()
	all := list(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	results := make(chan error, 2)
	for _, cfg := range all[:2] {
		go func() { _, err := member.Open(ctx, cfg); results <- err }()
	}
	for range 2 {
		wantKind(t, <-results, errs.Unavailable, "the first start needs all nodes")
	}
	together(t, all)
}

// Nodes with different lists do not form a cluster.
func TestListsDiffer(t *testing.T) {
	t.Parallel()
	all := list(t, 3)
	all[2].Peers = all[2].Peers[1:]
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	results := make(chan error, 3)
	for _, cfg := range all {
		go func() { _, err := member.Open(ctx, cfg); results <- err }()
	}
	differ := 0
	for range all {
		if err := <-results; err != nil && strings.Contains(err.Error(), "another list") {
			differ++
		} else if err == nil {
			t.Error("a node with another list formed a cluster")
		}
	}
	if differ == 0 {
		t.Error("nobody says that the lists differ")
	}
}

// The list grows, and a member leaves.
func TestGrowAndLeave(t *testing.T) {
	t.Parallel()
	all := list(t, 2)
	one := all[0]
	one.Peers = one.Peers[:1]
	a := open(t, one)
	if err := a.Remove(t.Context(), "a"); !errs.Is(err, errs.Conflict) {
		t.Errorf("the only member is removed: %v", err)
	}
	b := open(t, all[1])
	eventually(t, "b votes", func() bool { return voters(t, a, "b") })
	if err := a.Remove(t.Context(), "none"); !errs.Is(err, errs.NotExist) {
		t.Errorf("%v", err)
	}
	eventually(t, "b is removed", func() bool { return a.Remove(t.Context(), "b") == nil })
	select {
	case <-b.Lost():
	case <-time.After(time.Minute):
		t.Fatal("b does not know that it was removed")
	}
	s := storeOf(t, a, etcd.Config{})
	eventually(t, "a goes on alone", func() bool { return writes(t.Context(), s, "f/a") })
}

// Who has another key is refused, by the port and as a node.
func TestAnotherKey(t *testing.T) {
	t.Parallel()
	all := list(t, 2)
	all[1].Key = redact.New([]byte(strings.Repeat("other-ke", 4)))
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	results := make(chan error, 2)
	for _, cfg := range all {
		go func() { _, err := member.Open(ctx, cfg); results <- err }()
	}
	for range all {
		wantKind(t, <-results, errs.Unavailable, "certificate")
	}
	one := list(t, 1)[0]
	open(t, one)
	conn, err := tls.Dial("tcp", one.Listen, &tls.Config{InsecureSkipVerify: true})
	if err == nil {
		_, err = conn.Read(make([]byte, 1)) // TLS 1.3: only now the other end says no
		_ = conn.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without a certificate: %v", err)
	}
}

// All nodes are stopped and given another key: they are the cluster that they were.
func TestKeyChanged(t *testing.T) {
	t.Parallel()
	all := list(t, 3)
	nodes := together(t, all)
	s := storeOf(t, nodes[0], etcd.Config{})
	eventually(t, "a write", func() bool { return writes(t.Context(), s, "f/a") })
	for i, m := range nodes {
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		all[i].Key = redact.New([]byte(strings.Repeat("other-ke", 4)))
	}
	nodes = together(t, all)
	if e, err := storeOf(t, nodes[1], etcd.Config{}).Get(t.Context(), "f/a"); err != nil || string(e.Value) != "f/a" {
		t.Errorf("%q, %v", e.Value, err)
	}
}

// A second node with the name of one that runs is not taken for one that lost its disk.
func TestNameTwice(t *testing.T) {
	t.Parallel()
	all := list(t, 3)
	nodes := together(t, all)
	twin := all[2]
	moved := list(t, 1)[0]
	twin.Dir, twin.Listen = moved.Dir, moved.Listen
	twin.Peers = []member.Peer{twin.Peers[0], twin.Peers[1], {Name: "c", URL: moved.Peers[0].URL}}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	_, err := member.Open(ctx, twin)
	wantKind(t, err, errs.Unavailable, "two nodes have its name")
	if err := nodes[2].Close(); err != nil {
		t.Fatal(err)
	}
	open(t, twin) // moved, now that the other is gone
}
