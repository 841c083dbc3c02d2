package app

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/strongkeep/strongkeep/internal/vault/audit/histogram"
	"github.com/strongkeep/strongkeep/internal/vault/gate"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/keeper"
	"github.com/strongkeep/strongkeep/internal/vault/store/cached"
)

// collector reads what the parts of a server count by themselves, when asked.
type collector struct {
	gate   *gate.Gate
	newest int                          // format of the store that this program could write
	cache  atomic.Pointer[cached.Store] // of the latest unsealed period
	keeper *keeper.Keeper
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("strongkeep_"+name, help, labels, nil)
}

var (
	formatDesc       = describe("store_format", "Formats of the store: written, reader (the oldest that may use it), newest (that this program could write).", "what")
	unsealedDesc     = describe("unsealed", "1 while the vault serves requests.")
	cacheHitsDesc    = describe("cache_hits_total", "Reads answered from memory.")
	cacheMissesDesc  = describe("cache_misses_total", "Reads that went to the store.")
	cacheEntriesDesc = describe("cache_entries", "Decrypted entries in memory.")
	cacheBytesDesc   = describe("cache_bytes", "Memory for decrypted entries.")
	leasesDesc       = describe("leases_total", "What was done with leases since the unseal; failed are attempts to end one.", "what")
	leasesHeldDesc   = describe("leases_held", "1 while nothing ends by itself (sys/leases/hold).")
	leasesStuckDesc  = describe("leases_irrevocable", "Leases that could not be ended in many attempts.")
	auditLinesDesc   = describe("audit_lines_total", "Lines written durably.", "device")
	auditGroupsDesc  = describe("audit_syncs_total", "Groups of lines, each one write and one sync.", "device")
	auditLostDesc    = describe("audit_refused_total", "Lines that could not be written; their requests were refused.", "device")
	auditDroppedDesc = describe("audit_dropped_total", "Lines a best-effort device never got.", "device")
	auditQueueDesc   = describe("audit_queue_lines", "Lines that wait to be written.", "device")
	auditBytesDesc   = describe("audit_queue_bytes", "Bytes that wait to be written.", "device")
	auditFailingDesc = describe("audit_failing", "1 while the device cannot be written; if it is required, requests are refused.", "device")
	auditWaitDesc    = describe("audit_wait_seconds", "How long requests waited for their line to be durable.", "device")
)

var (
	snapshotProvenDesc   = describe("snapshot_last_proven_timestamp_seconds", "When the newest snapshot was made that was restored, opened and read back; 0 = there is none.", "plan")
	snapshotFailuresDesc = describe("snapshot_failures_total", "Snapshots that were not made, or did not prove good.", "plan")
	snapshotIntervalDesc = describe("snapshot_interval_seconds", "Time between two snapshots of the plan.", "plan")
	snapshotKeptDesc     = describe("snapshots_kept", "Proven snapshots in the plan's place.", "plan")
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		formatDesc, unsealedDesc, cacheHitsDesc, cacheMissesDesc, cacheEntriesDesc, cacheBytesDesc,
		leasesDesc, leasesHeldDesc, leasesStuckDesc,
		auditLinesDesc, auditGroupsDesc, auditLostDesc, auditDroppedDesc, auditQueueDesc,
		auditBytesDesc, auditFailingDesc, auditWaitDesc,
		snapshotProvenDesc, snapshotFailuresDesc, snapshotIntervalDesc, snapshotKeptDesc,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	emit := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	emit(unsealedDesc, prometheus.GaugeValue, flag(c.gate.Open()))
	if form := c.gate.Format(); form != nil && c.gate.Open() {
		r := form.Record()
		for what, n := range map[string]int{"written": r.Written, "reader": r.Reader, "newest": c.newest} {
			emit(formatDesc, prometheus.GaugeValue, float64(n), what)
		}
	}
	if cache := c.cache.Load(); cache != nil && c.gate.Open() {
		s := cache.Stats()
		emit(cacheHitsDesc, prometheus.CounterValue, float64(s.Hits))
		emit(cacheMissesDesc, prometheus.CounterValue, float64(s.Misses))
		emit(cacheEntriesDesc, prometheus.GaugeValue, float64(s.Entries))
		emit(cacheBytesDesc, prometheus.GaugeValue, float64(s.Bytes))
	}
	if s, ok := c.gate.Leases(); ok {
		for what, n := range map[string]uint64{"issued": s.Issued, "renewed": s.Renewed, "revoked": s.Revoked, "failed": s.Failed} {
			emit(leasesDesc, prometheus.CounterValue, float64(n), what)
		}
		emit(leasesHeldDesc, prometheus.GaugeValue, flag(s.Held))
		emit(leasesStuckDesc, prometheus.GaugeValue, float64(s.Irrevocable))
	}
	for plan, s := range c.keeper.States() {
		proven := 0.0
		if !s.Proven.IsZero() {
			proven = float64(s.Proven.Unix())
		}
		emit(snapshotProvenDesc, prometheus.GaugeValue, proven, plan)
		emit(snapshotFailuresDesc, prometheus.CounterValue, float64(s.Failures), plan)
		emit(snapshotIntervalDesc, prometheus.GaugeValue, s.Interval.Seconds(), plan)
		emit(snapshotKeptDesc, prometheus.GaugeValue, float64(s.Kept), plan)
	}
	for _, s := range c.gate.Audit().Stats() {
		emit(auditLinesDesc, prometheus.CounterValue, float64(s.Lines), s.Path)
		emit(auditGroupsDesc, prometheus.CounterValue, float64(s.Groups), s.Path)
		emit(auditLostDesc, prometheus.CounterValue, float64(s.Lost), s.Path)
		emit(auditDroppedDesc, prometheus.CounterValue, float64(s.Dropped), s.Path)
		emit(auditQueueDesc, prometheus.GaugeValue, float64(s.QueuedLines), s.Path)
		emit(auditBytesDesc, prometheus.GaugeValue, float64(s.Queued), s.Path)
		emit(auditFailingDesc, prometheus.GaugeValue, flag(s.Failing), s.Path)
		out <- prometheus.MustNewConstHistogram(auditWaitDesc, s.Wait.Count, s.Wait.Sum.Seconds(), buckets(s.Wait), s.Path)
	}
}

// buckets are cumulative, by upper bound in seconds, as Prometheus has them.
func buckets(h histogram.Histogram) map[float64]uint64 {
	all := make(map[float64]uint64, len(h.Buckets)-1)
	sum := uint64(0)
	for i := range len(h.Buckets) - 1 {
		sum += h.Buckets[i]
		all[histogram.Bound(i).Seconds()] = sum
	}
	return all
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
