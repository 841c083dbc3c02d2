package member

import (
	"context"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Standing is a member and whether it takes part.
type Standing struct {
	Placed
	Leader bool
	There  bool // it answers as this member, and sees a leader
}

// Standings are those of all members, each asked itself. Kind Unavailable without a majority.
func (m *Member) Standings(ctx context.Context) ([]Standing, error) {
	all, err := m.Members(ctx)
	if err != nil {
		return nil, err
	}
	own := m.tell() // while it starts it knows of no ID and no leader
	standings := make([]Standing, len(all))
	var asking sync.WaitGroup
	for i, p := range all {
		standings[i] = Standing{Placed: p, Leader: p.ID == own.Leader, There: p.ID == own.ID}
		asking.Go(func() {
			for _, at := range p.URLs {
				if s, err := m.caller.state(ctx, at); err == nil && s.ID == p.ID && s.Leader != 0 {
					standings[i].There = true
					standings[i].Leader = standings[i].Leader || s.Leader == s.ID
				}
			}
		})
	}
	asking.Wait()
	return standings, nil
}

// Name is this node's.
func (m *Member) Name() string { return m.cfg.Name }

func gauge(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("strongkeep_cluster_"+name, help, nil, nil)
}

var (
	sizeDesc    = gauge("size_bytes", "Of this member's file.")
	inUseDesc   = gauge("in_use_bytes", "Of this member's file, what holds data; the rest is free for more.")
	quotaDesc   = gauge("quota_bytes", "At which the cluster takes no more writes.")
	fullDesc    = gauge("full", "1 while the cluster takes no writes, since a member is out of space.")
	corruptDesc = gauge("corrupt", "1 while a member's data differs from that of the others.")
	leaderDesc  = gauge("leader", "1 on the member that leads.")
	seesDesc    = gauge("has_leader", "1 while this member sees a leader.")
	votersDesc  = gauge("voters", "Members that count for a majority.")
	termDesc    = gauge("term", "Grows with each election.")
)

// collector tells of a member's health when Prometheus asks.
type collector struct{ m *Member }

// Collector is for a registry.
func (m *Member) Collector() prometheus.Collector { return collector{m} }

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, out) }

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := c.m.server.Load()
	if s == nil {
		return // it starts
	}
	h := c.m.Health()
	for d, v := range map[*prometheus.Desc]float64{
		sizeDesc: float64(h.Size), inUseDesc: float64(h.InUse), quotaDesc: float64(h.Quota), fullDesc: flag(h.NoSpace),
		corruptDesc: flag(h.Corrupt), leaderDesc: flag(h.Leader), seesDesc: flag(s.Lead() != 0),
		votersDesc: float64(h.Members), termDesc: float64(s.Term()),
	} {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
