package member

import (
	"context"
	"errors"
	"net/http"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/peer"
)

const (
	shrinkFor = 10 * time.Minute // more than any file takes
	holdFor   = 2 * time.Second  // at most, while leadership moves
	lingerFor = 10 * time.Second // at most, at the end
)

// worth reports whether defragmenting is worth its pause.
func (h Health) worth() bool {
	if h.NoSpace {
		return h.Size*10 >= h.Quota*9 && h.InUse*10 < h.Size*9
	}
	enough := h.Size / 2
	if h.Full() {
		enough = h.Size / 10 * 7 // or the quota would be near for good
	}
	return h.Size >= min(minDefrag, h.Quota/4) && h.InUse <= enough
}

// roomy reports whether a member that was full takes writes again.
func (h Health) roomy() bool { return h.Size*10 < h.Quota*9 }

// tidy has all members give back what is free in their files: one at a time, since the leader
// asks them, and the leader last, after it has handed over. Unless the cluster is full all have
// to be there. The alarm ends when all have space: the first write that one is too full for
// would raise it again.
func (m *Member) tidy() {
	own := m.Health()
	if !own.Leader {
		return
	}
	ctx, cancel := context.WithTimeout(m.ctx, shrinkFor)
	defer cancel()
	others, err := m.healths(ctx)
	if err != nil && !own.NoSpace {
		m.cfg.Log.Warn("no member is defragmented now", "reason", err)
		return
	}
	roomy, err := m.shrinkAll(ctx, others)
	if err != nil {
		m.cfg.Log.Warn("another member is not defragmented", "error", err)
		return
	}
	if own.worth() {
		if err := m.ownTurn(ctx, own); err != nil {
			m.cfg.Log.Warn("this member is not defragmented", "error", err)
			return
		}
	}
	if own = m.Health(); own.NoSpace && own.Leader && own.roomy() && roomy {
		m.disarm(ctx)
	}
}

// shrinkAll has those of the others defragment that should, and reports whether all are roomy
// then.
func (m *Member) shrinkAll(ctx context.Context, others map[string]Health) (roomy bool, err error) {
	roomy = true
	for at, h := range others {
		if h.worth() {
			if err := m.patient.Ask(ctx, http.MethodPost, at+peer.ShrinkPath, nil, &h); err != nil {
				return false, err
			}
		}
		roomy = roomy && h.roomy()
	}
	return roomy, nil
}

// ownTurn has another member lead, which will ask this one; alone it defragments at once.
func (m *Member) ownTurn(ctx context.Context, own Health) error {
	if own.Members > 1 {
		return m.handOver(ctx)
	}
	return m.shrink()
}

// healths asks the other members, by address. The error names those that do not answer.
func (m *Member) healths(ctx context.Context) (map[string]Health, error) {
	ctx, cancel := context.WithTimeout(ctx, peer.Patience)
	defer cancel()
	var silent []error
	answers := map[string]Health{}
	for _, at := range m.addresses() {
		var h Health
		if err := m.caller.Ask(ctx, http.MethodGet, at+peer.HealthPath, nil, &h); err != nil {
			silent = append(silent, err)
			continue
		}
		answers[at] = h
	}
	return answers, errors.Join(silent...)
}

// addresses are those of the other members, as the cluster has them.
func (m *Member) addresses() []string {
	var all []string
	s := m.server.Load()
	for _, p := range s.Cluster().Members() {
		if p.ID != s.MemberID() && len(p.PeerURLs) > 0 {
			all = append(all, p.PeerURLs[0])
		}
	}
	return all
}

// shrink makes this member's file smaller. Meanwhile it answers nothing, and calls go by another.
func (m *Member) shrink() error {
	if !m.shrinking.TryLock() {
		return errs.New(errs.Conflict, "this member defragments already, or ends")
	}
	defer m.shrinking.Unlock()
	before, began := m.Health(), time.Now()
	if before.Leader && before.Members > 1 {
		return errs.New(errs.Conflict, "this member leads: another one has to, first")
	}
	if back, ok := m.aside(); ok {
		defer back()
	}
	if m.cfg.shrinking != nil {
		m.cfg.shrinking()
	}
	if err := m.server.Load().Defragment(); err != nil {
		return errs.Newf(errs.Unavailable, "defragmenting: %w", err)
	}
	m.cfg.Log.Info("the store is defragmented", "before", before.Size, "after", m.Health().Size, "took", time.Since(began))
	return nil
}

// aside has writes under way end, and then all calls go by another member until back is called. Calls
// wait for this one where no other answers.
func (m *Member) aside() (back func(), ok bool) {
	if release, err := m.hold(m.ctx); err == nil {
		defer release()
	}
	return m.route.Aside()
}

func (m *Member) disarm(ctx context.Context) {
	for _, a := range m.server.Load().Alarms() {
		if a.Alarm != pb.AlarmType_NOSPACE {
			continue
		}
		if _, err := m.own.AlarmDisarm(ctx, &clientv3.AlarmMember{MemberID: a.MemberID, Alarm: a.Alarm}); err != nil {
			m.cfg.Log.Warn("ending the alarm that space is short", "error", err)
			return
		}
	}
	m.cfg.Log.Warn("the cluster has space again")
}
