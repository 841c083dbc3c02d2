// Package scan says when copies of a credential are searched by what they hold, and
// keeps what was found: in memory while a turn is staged, and in its status from then
// on, where it outlives the operator.
//
// Start reading at Memory.Begin.
package scan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
)

// Every is how often copies are searched at most: it reads every Secret and ConfigMap.
const Every = time.Minute

// Memory is what is remembered of the searches of one Rotation. The zero Memory
// remembers none.
type Memory struct {
	tried, ended int64 // turns of the last search that was begun, and that ended
	at           time.Time
	copies       []consumer.Copy
	unsearched   []string
	missed       []string // clusters that could not be asked
}

// Begin reports whether copies are to be searched now, for a turn that is staged: once,
// and each minute while it is held for what was found, or not all could be searched.
// That it is done now is noted, whatever comes of it.
func (m *Memory) Begin(turn int64, held bool, now time.Time) bool {
	due := m.due(turn, held, now)
	if due {
		m.tried, m.at = turn, now
	}
	return due
}

func (m *Memory) due(turn int64, held bool, now time.Time) bool {
	if m.tried != turn {
		return true
	}
	if age := now.Sub(m.at); age >= 0 && age < Every {
		return false
	}
	return m.ended != turn || held || len(m.unsearched) > 0 || len(m.missed) > 0
}

// End notes what was found, if it was searched; else it completes g by what was not
// searched last time. why is why nothing may be published before the next search; empty:
// nothing speaks against it.
func (m *Memory) End(turn int64, searched bool, g *consumer.Graph) (why string) {
	if !searched {
		return m.between(turn, g)
	}
	m.ended, m.copies, m.unsearched, m.missed = turn, g.Copies, g.Unsearched, nil
	for _, u := range g.Unreached {
		m.missed = append(m.missed, u.Cluster)
	}
	return ""
}

// between: what could not be searched is unknown until it can.
func (m *Memory) between(turn int64, g *consumer.Graph) (why string) {
	if m.ended != turn {
		return "they are not searched yet: that is done again within a minute"
	}
	for _, text := range m.unsearched {
		if !slices.Contains(g.Unknown, text) {
			g.Unknown = append(g.Unknown, text)
		}
	}
	for _, name := range m.missed {
		if !slices.ContainsFunc(g.Unreached, func(u consumer.Unreached) bool { return u.Cluster == name }) {
			return fmt.Sprintf("cluster %q could not be searched, and answers again: that is done within a minute", name)
		}
	}
	return ""
}

// Known returns the copies that are known for a turn: of a search of this process while
// it is staged, else those of its status.
func (m *Memory) Known(turn int64, staged bool, status []v1alpha1.CopyStatus) []consumer.Copy {
	if staged && m.ended == turn {
		return m.copies
	}
	var out []consumer.Copy
	for _, c := range status {
		copied := consumer.Copy{UID: types.UID(c.UID), Tool: c.Tool, Keys: c.Keys}
		copied.Cluster, copied.Kind = c.Cluster, corev1.SchemeGroupVersion.WithKind(c.Kind)
		copied.NamespacedName = types.NamespacedName{Namespace: c.Namespace, Name: c.Name}
		copied.Source.Namespace, copied.Source.Name, _ = strings.Cut(c.Source, "/")
		out = append(out, copied)
	}
	return out
}

// Status returns copies as a status has them.
func Status(copies []consumer.Copy) []v1alpha1.CopyStatus {
	var out []v1alpha1.CopyStatus
	for _, c := range copies {
		out = append(out, v1alpha1.CopyStatus{
			Cluster: c.Cluster, Kind: c.Kind.Kind, Namespace: c.Namespace, Name: c.Name, UID: string(c.UID),
			Source: c.Source.String(), Keys: c.Keys, Tool: c.Tool,
		})
	}
	return out
}
