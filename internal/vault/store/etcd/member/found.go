package member

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/peer"
)

// plan is how etcd starts.
type plan struct {
	form    bool // with all members of urls, for the first time
	cluster string
	urls    types.URLsMap
}

const (
	askEvery = 300 * time.Millisecond
	sayEvery = 10 * time.Second
)

// found decides how this node takes part, and asks until it can. What it decides is
// written down. It returns when ctx ends, or when a person has to do something.
func (m *Member) found(ctx context.Context) (plan, error) {
	if hasData(m.cfg.Dir) {
		return plan{}, m.checkLeft(ctx)
	}
	var said time.Time
	var reason error
	for {
		p, err := m.attempt(ctx)
		if err == nil || !errs.Is(err, errs.Unavailable) {
			return p, err
		}
		if reason == nil || ctx.Err() == nil { // else ctx cut the attempt short: the one before knows more
			reason = err
		}
		if time.Since(said) > sayEvery {
			said = time.Now()
			m.cfg.Log.Warn("this node waits to be a member of the cluster", "reason", reason)
		}
		if !pause(ctx, askEvery) {
			return plan{}, errs.Newf(errs.Unavailable, "waiting to be a member of the cluster: %w", reason)
		}
	}
}

// attempt is one try; Unavailable means that there may be another.
func (m *Member) attempt(ctx context.Context) (plan, error) {
	answers, silent := m.caller.Survey(ctx, m.cfg.others())
	r := m.tell()
	if r.Cluster != "" && len(r.Births) > 0 {
		return formPlan(r.Cluster, r.URLs)
	}
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		s := answers[name]
		switch {
		case s.Cluster == "":
		case s.Births[r.Name] == r.Birth:
			return m.settle(s.URLs, s.Births)
		case s.Leader != 0:
			return m.apply(ctx, m.url(name))
		default:
			silent = append(silent, errs.Newf(errs.Unavailable, "%s has a cluster without this node and sees no leader; a majority of its members has to be there to take this node in", name))
		}
	}
	if len(silent) > 0 {
		return plan{}, errs.Newf(errs.Unavailable, "the first start needs all nodes of the list: %w", errors.Join(silent...))
	}
	return m.form(answers)
}

// form has all nodes of the list be members of a new cluster. All are new.
func (m *Member) form(answers map[string]peer.State) (plan, error) {
	own := m.tell()
	births, urls := map[string]string{own.Name: own.Birth}, map[string]string{}
	for name, s := range answers {
		if s.List != own.List {
			return plan{}, errs.Newf(errs.Unavailable, "the node %q has another list of members than this one; give all of them the same", name)
		}
		births[name] = s.Birth
	}
	for _, p := range m.cfg.Peers {
		urls[p.Name] = p.URL
	}
	return m.settle(urls, births)
}

// settle writes a formation down, once and for all.
func (m *Member) settle(urls, births map[string]string) (plan, error) {
	cluster := formation(urls, births)
	err := m.write(func(r *record) { r.Cluster, r.URLs, r.Births = cluster, urls, births })
	if err != nil {
		return plan{}, err
	}
	m.cfg.Log.Info("forming a cluster", "members", strings.Join(slices.Sorted(maps.Keys(urls)), ", "))
	return formPlan(cluster, urls)
}

func formPlan(cluster string, urls map[string]string) (plan, error) {
	all, err := types.NewURLsMapFromStringMap(urls, ",")
	if err != nil {
		return plan{}, errs.Newf(errs.Invalid, "the list of the cluster: %w", err)
	}
	return plan{form: true, cluster: cluster, urls: all}, nil
}

// apply asks to be taken in, as who has lost its disk or is new in the list.
func (m *Member) apply(ctx context.Context, at string) (plan, error) {
	own := m.cfg.own()
	var a peer.Admission
	err := m.caller.Ask(ctx, "POST", at+peer.JoinPath, peer.Application{Name: own.Name, URL: own.URL, Birth: m.tell().Birth}, &a)
	if err != nil {
		return plan{}, err
	}
	urls := make(map[string]string, len(a.Members))
	for _, p := range a.Members {
		name := p.Name
		switch {
		case slices.Contains(p.URLs, own.URL):
			name = own.Name
		case name == "" || name == own.Name:
			name = fmt.Sprintf("member-%x", p.ID)
		}
		urls[name] = strings.Join(p.URLs, ",")
	}
	all, err := types.NewURLsMapFromStringMap(urls, ",")
	if err != nil || all[own.Name] == nil || a.Cluster == "" {
		return plan{}, errs.Newf(errs.Unavailable, "%s took this node in and does not say into what: %w", at, err)
	}
	if err := m.write(func(r *record) { r.Cluster, r.Epoch = a.Cluster, a.Epoch }); err != nil {
		return plan{}, err
	}
	m.cfg.Log.Info("taken into the cluster", "by", at)
	return plan{cluster: a.Cluster, urls: all}, nil
}

// checkLeft refuses to go on with data that the others have left behind: they were
// recovered from one member by hand, or form another cluster.
func (m *Member) checkLeft(ctx context.Context) error {
	answers, _ := m.caller.Survey(ctx, m.cfg.others())
	own := m.tell()
	var elsewhere []string
	for name, s := range answers {
		if s.Cluster == own.Cluster && s.Epoch > own.Epoch {
			return errs.Newf(errs.Invalid, "the cluster was recovered from another member (%s knows epoch %d, the data here is of epoch %d): move %s away, and this node joins anew", name, s.Epoch, own.Epoch, m.cfg.Dir)
		}
		if s.Cluster != "" && s.Cluster != own.Cluster {
			elsewhere = append(elsewhere, name)
		}
	}
	slices.Sort(elsewhere)
	if 2*len(elsewhere) > len(m.cfg.Peers) {
		return errs.Newf(errs.Invalid, "%d of the other nodes are of another cluster than the data in %s: move it away, and this node joins theirs", len(elsewhere), m.cfg.Dir)
	}
	if len(elsewhere) > 0 {
		m.cfg.Log.Warn("some of the other nodes are of another cluster than the data here, so that there may be two vaults: stop those whose data is not to stay, and empty their directories",
			"other_cluster", elsewhere, "data", m.cfg.Dir)
	}
	return nil
}

func (m *Member) url(name string) string {
	return m.cfg.Peers[slices.IndexFunc(m.cfg.Peers, func(p Peer) bool { return p.Name == name })].URL
}

// pause waits; false means that ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
