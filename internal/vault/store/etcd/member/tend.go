package member

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/peer"
)

// Health is how full a member is. Bytes.
type Health struct {
	Size    int64 // of etcd's file
	InUse   int64 // of Size
	Quota   int64
	NoSpace bool // some member is full, and no member takes writes
	Corrupt bool // some member differs from the others
	Leader  bool // this one leads
	Members int  // that vote
	Led     bool // this member sees a leader
	Term    uint64
	// Starting: etcd has not read its file yet. Only Quota is known.
	Starting bool
}

// Full reports whether it is time to look after the quota. etcd holds the file's size
// against it, whatever of it is free.
func (h Health) Full() bool { return h.NoSpace || max(h.Size, h.InUse)*5 >= h.Quota*4 }

// Warnings say what somebody has to look after, for people.
func (h Health) Warnings() (all []string) {
	switch {
	case h.NoSpace:
		all = append(all, "the cluster takes no writes, since a member is out of space: delete what is not needed, or raise cluster_quota on each node")
	case h.Full():
		all = append(all, fmt.Sprintf("this member's file has %d of the %d MiB of cluster_quota: delete what is not needed, or raise it on each node", max(h.Size, h.InUse)>>20, h.Quota>>20))
	}
	if h.Corrupt {
		all = append(all, "a member's data differs from that of the others: no member is to be trusted before it is known which")
	}
	return all
}

// Health is as of now, also while this member defragments. While it starts, only the quota is known.
func (m *Member) Health() Health {
	s := m.server.Load()
	if s == nil {
		return Health{Quota: m.cfg.Quota, Starting: true}
	}
	be := s.Backend()
	h := Health{
		Size: be.Size(), InUse: be.SizeInUse(), Quota: m.cfg.Quota, Leader: s.Leader() == s.MemberID(), Members: m.voters(),
		Led: s.Lead() != 0, Term: s.Term(),
	}
	for _, a := range s.Alarms() {
		h.NoSpace = h.NoSpace || a.Alarm == pb.AlarmType_NOSPACE
		h.Corrupt = h.Corrupt || a.Alarm == pb.AlarmType_CORRUPT
	}
	return h
}

func (m *Member) voters() int {
	n := 0
	for _, p := range m.server.Load().Cluster().Members() {
		if !p.IsLearner {
			n++
		}
	}
	return n
}

// mark is how far the store was at a time.
type mark struct {
	at  time.Time
	rev int64
}

// tend promotes learners, compacts and defragments, until Close.
func (m *Member) tend() {
	often := time.NewTicker(time.Second)
	defer often.Stop()
	var marks []mark
	var last time.Time
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.lost:
			return
		case <-often.C:
		}
		if m.Health().Leader {
			m.promote()
		}
		if time.Since(last) < m.cfg.Tend && !m.Health().NoSpace {
			continue
		}
		last = time.Now()
		marks = m.compact(append(marks, mark{last, m.server.Load().KV().Rev()}))
		m.tidy()
	}
}

// promote makes voters of learners that have caught up; etcd knows which have.
func (m *Member) promote() {
	for _, p := range m.server.Load().Cluster().Members() {
		if !p.IsLearner || p.Name == "" {
			continue
		}
		ctx, cancel := context.WithTimeout(m.ctx, peer.Patience)
		_, err := m.own.MemberPromote(ctx, uint64(p.ID))
		cancel()
		switch {
		case err == nil:
			m.cfg.Log.Info("a member has caught up and votes", "name", p.Name)
		case !is(err, rpctypes.ErrMemberLearnerNotReady):
			m.cfg.Log.Warn("promoting a member that has caught up", "name", p.Name, "error", err)
		}
	}
}

// compact forgets revisions that were replaced more than Keep ago; all of them when there is no
// space left. The leader does it for all. It returns the marks that are still of use.
func (m *Member) compact(marks []mark) []mark {
	now := marks[len(marks)-1]
	to := int64(0)
	for len(marks) > 1 && now.at.Sub(marks[0].at) >= m.cfg.Keep {
		to, marks = marks[0].rev, marks[1:]
	}
	h := m.Health()
	if h.NoSpace {
		to = now.rev
	}
	if to <= 0 || !h.Leader {
		return marks
	}
	ctx, cancel := context.WithTimeout(m.ctx, time.Minute)
	defer cancel()
	if _, err := m.own.Compact(ctx, to, clientv3.WithCompactPhysical()); err != nil && !is(err, rpctypes.ErrCompacted) {
		m.cfg.Log.Warn("compacting the store", "error", err)
	}
	return marks
}
