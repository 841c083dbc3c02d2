package handover

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/raft/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// member answers with each of its errors in turn, then well.
type member struct {
	clientv3.KV
	problems []error
	asked    int
}

func (m *member) answer() error {
	m.asked++
	if m.asked <= len(m.problems) {
		return m.problems[m.asked-1]
	}
	return nil
}

func (m *member) Get(context.Context, string, ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	return &clientv3.GetResponse{}, m.answer()
}

func (m *member) Txn(context.Context) clientv3.Txn { return &writing{m: m} }

type writing struct {
	clientv3.Txn
	m *member
}

func (w *writing) Commit() (*clientv3.TxnResponse, error) {
	return &clientv3.TxnResponse{}, w.m.answer()
}

// What says that nothing was written is tried again; what leaves it open is the caller's.
func TestAgain(t *testing.T) {
	raftDropped := status.Error(codes.Unknown, raft.ErrProposalDropped.Error())
	for name, tc := range map[string]struct {
		problem    error
		get, write bool
	}{
		"the leader changed": {rpctypes.ErrGRPCLeaderChanged, true, true},
		"no leader":          {rpctypes.ErrNoLeader, true, true},
		"dropped":            {raftDropped, false, true},
		"timed out":          {rpctypes.ErrGRPCTimeoutDueToLeaderFail, false, false},
		"connection lost":    {rpctypes.ErrGRPCTimeoutDueToConnectionLost, false, false},
		"no space":           {rpctypes.ErrGRPCNoSpace, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := map[bool]int{false: 1, true: 3}
				m := &member{problems: []error{tc.problem, tc.problem}}
				if _, err := New(m).Get(t.Context(), "k"); (err == nil) != tc.get || m.asked != asked[tc.get] {
					t.Errorf("a read: %v, asked %d times", err, m.asked)
				}
				m = &member{problems: []error{tc.problem, tc.problem}}
				if _, err := New(m).Txn(t.Context()).Commit(); (err == nil) != tc.write || m.asked != asked[tc.write] {
					t.Errorf("a write: %v, asked %d times", err, m.asked)
				}
			})
		})
	}
}

// A hold waits for writes under way, keeps others from beginning, and lets reads go on.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &member{}
		k := New(m)
		release, err := k.Hold(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		given := make(chan error)
		go func() {
			_, err := k.Txn(ctx).Commit()
			given <- err
		}()
		written := make(chan error)
		go func() {
			_, err := k.Txn(t.Context()).Commit()
			written <- err
		}()
		synctest.Wait()
		if m.asked != 0 {
			t.Error("a write began while it was held")
		}
		if _, err := k.Get(t.Context(), "k"); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-given; !errors.Is(err, context.Canceled) {
			t.Errorf("a client that gave up is told %v", err)
		}
		release()
		if err := <-written; err != nil || m.asked != 2 {
			t.Errorf("%v, asked %d times", err, m.asked)
		}
	})
}
