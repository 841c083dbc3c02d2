package member

import (
	"context"
	"slices"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/peer"
)

// admit takes a node in that has no data. Where a member has its name or address, that
// one's disk was lost, as the node proves by answering at the address under its new birth;
// the member is removed, which etcd does with a majority only.
func (m *Member) admit(ctx context.Context, who peer.Application) (peer.Admission, error) {
	if !m.running() {
		return peer.Admission{}, errs.New(errs.Unavailable, "this node is no member itself")
	}
	if err := m.checkApplicant(ctx, who); err != nil {
		return peer.Admission{}, err
	}
	all, err := m.Members(ctx)
	if err != nil {
		return peer.Admission{}, err
	}
	for _, p := range all {
		if p.Name != who.Name && !slices.Contains(p.URLs, who.URL) {
			continue
		}
		if err := m.checkGone(ctx, p, who); err != nil {
			return peer.Admission{}, err
		}
		if m.said.Due("lost "+who.Name, who.Birth) { // who was taken in and did not hear of it asks again
			m.cfg.Log.Warn("removing a member whose disk was lost", "name", who.Name)
		}
		if _, err := m.own.MemberRemove(ctx, p.ID); err != nil {
			return peer.Admission{}, errs.Newf(errs.Unavailable, "removing the member %q whose disk was lost: %w", who.Name, err)
		}
	}
	r, err := m.own.MemberAddAsLearner(ctx, []string{who.URL})
	if err != nil {
		return peer.Admission{}, errs.Newf(errs.Unavailable, "adding %q: %w", who.Name, err)
	}
	own := m.tell()
	return peer.Admission{Cluster: own.Cluster, Epoch: own.Epoch, Members: placed(r.Members)}, nil
}

func (m *Member) checkApplicant(ctx context.Context, who peer.Application) error {
	if _, err := parseURL(who.URL); err != nil {
		return err
	}
	s, err := m.caller.State(ctx, who.URL)
	if err != nil {
		return errs.Newf(errs.Unavailable, "the node %q cannot be reached at its own address: %w", who.Name, err)
	}
	if s.Name != who.Name || s.Birth != who.Birth || s.Birth == "" {
		return errs.Newf(errs.Conflict, "at %s answers another node than the one that asks: two nodes have the name %q", who.URL, who.Name)
	}
	if s.ID != 0 {
		return errs.Newf(errs.Conflict, "the node %q runs already", who.Name)
	}
	return nil
}

// checkGone refuses if a member still answers, at an address that is not the applicant's.
func (m *Member) checkGone(ctx context.Context, p Placed, who peer.Application) error {
	for _, at := range p.URLs {
		if at == who.URL {
			continue // there the applicant answers
		}
		if s, err := m.caller.State(ctx, at); err == nil && s.ID == p.ID {
			return errs.Newf(errs.Conflict, "the member %q answers at %s: two nodes have its name", p.Name, at)
		}
	}
	return nil
}

// Placed is a member as etcd has it.
type Placed = peer.Placed

// Members are those of the cluster, asked of a majority. Kind Unavailable without one.
func (m *Member) Members(ctx context.Context) ([]Placed, error) {
	var r *clientv3.MemberListResponse
	err := m.route.Do(ctx, func(ctx context.Context, c *clientv3.Client) (err error) {
		r, err = c.MemberList(ctx)
		return err
	})
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "listing the members: %w", err)
	}
	return placed(r.Members), nil
}

func placed(members []*clientMember) []Placed {
	all := make([]Placed, len(members))
	for i, p := range members {
		all[i] = Placed{ID: p.ID, Name: p.Name, URLs: p.PeerURLs, Learner: p.IsLearner}
	}
	return all
}

// Remove takes a member out of the cluster, for good: its data is of no use to it any
// more. Kinds: NotExist, Conflict (the rest would have no majority), Unavailable.
func (m *Member) Remove(ctx context.Context, name string) error {
	all, err := m.Members(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(p Placed) bool { return p.Name == name || p.Name == "" && idText(p.ID) == name })
	if i < 0 {
		return errs.Newf(errs.NotExist, "the cluster has no member %.100q", name)
	}
	if len(all) == 1 {
		return errs.New(errs.Conflict, "it is the only member")
	}
	return m.removeID(ctx, all[i].ID, name)
}

func (m *Member) removeID(ctx context.Context, id uint64, name string) error {
	err := m.route.Do(ctx, func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.MemberRemove(ctx, id)
		return err
	})
	switch {
	case err == nil, is(err, rpctypes.ErrMemberNotFound): // somebody has, or this did and its answer was lost
		return nil
	case is(err, errUnhealthy), is(err, errNotEnough):
		return errs.Newf(errs.Conflict, "without %q too few of the members that are there would be left for a majority: %w", name, err)
	}
	return errs.Newf(errs.Unavailable, "removing the member %q: %w", name, err)
}

// TakesPart reports whether the own member has caught up: calls go to it.
func (m *Member) TakesPart() bool {
	if m.route == nil {
		return false // Recover has none
	}
	_, own := m.route.Way()
	return own
}

// Client speaks to this member, without a network; while it starts, to another one (package
// relay). It reads, writes and watches, has no leases, and is closed with the Member.
func (m *Member) Client() *clientv3.Client { return m.client }
