package cluster

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member"
)

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
type collector struct{ m *member.Member }

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sizeDesc, inUseDesc, quotaDesc, fullDesc, corruptDesc, leaderDesc, seesDesc, votersDesc, termDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector. While etcd starts there is nothing to tell.
func (c collector) Collect(out chan<- prometheus.Metric) {
	h := c.m.Health()
	if h.Starting {
		return
	}
	for d, v := range map[*prometheus.Desc]float64{
		sizeDesc: float64(h.Size), inUseDesc: float64(h.InUse), quotaDesc: float64(h.Quota), fullDesc: flag(h.NoSpace),
		corruptDesc: flag(h.Corrupt), leaderDesc: flag(h.Leader), seesDesc: flag(h.Led),
		votersDesc: float64(h.Members), termDesc: float64(h.Term),
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
