// Package away remembers since when clusters have not answered.
//
// Start reading at Memory.Sort.
package away

import (
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
)

// Hiccup is how long a cluster that does not answer is waited for before the turn
// is held for it.
const Hiccup = time.Minute

// Memory is since when clusters of one Rotation are away, by name. One goroutine
// uses it at a time. The zero Memory is empty.
type Memory struct{ since map[string]time.Time }

// Sort divides the clusters that cannot be asked now into those that are waited
// for and those that a turn is held for: because a person must mend them, as
// again says, or because they have been away for a while. Others are forgotten. Each
// is said with why.
func (m *Memory) Sort(list []consumer.Unreached, now time.Time, again func(error) bool) (waits, holds []string) {
	since := map[string]time.Time{}
	for _, u := range list {
		from, known := m.since[u.Cluster]
		if !known {
			from = now
		}
		since[u.Cluster] = from
		if again(u.Err) && now.Sub(from) < Hiccup {
			waits = append(waits, "cluster "+u.Cluster+": "+u.Err.Error())
		} else {
			holds = append(holds, u.Cluster+": "+u.Err.Error())
		}
	}
	m.since = since
	return waits, holds
}
