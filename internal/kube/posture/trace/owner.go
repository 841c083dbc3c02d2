package trace

import (
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Labels are the names of labels that say whose something is, the first that is
// there. The zero Labels are DefaultLabels.
type Labels struct {
	Owner, Team, Environment []string
}

// DefaultLabels are those that are looked for unless others are given.
func DefaultLabels() Labels {
	return Labels{
		Owner:       []string{"strongkeep.io/owner", "owner", "app.kubernetes.io/owner", "contact", "maintainer"},
		Team:        []string{"strongkeep.io/team", "team", "app.kubernetes.io/team", "squad", "department", "app.kubernetes.io/part-of"},
		Environment: []string{"strongkeep.io/environment", "environment", "env", "app.kubernetes.io/environment", "stage"},
	}
}

func (l Labels) orDefault() Labels {
	d := DefaultLabels()
	if l.Owner == nil {
		l.Owner = d.Owner
	}
	if l.Team == nil {
		l.Team = d.Team
	}
	if l.Environment == nil {
		l.Environment = d.Environment
	}
	return l
}

// Owner is whose something is; "" for what nothing says.
type Owner struct {
	Owner       string `json:"owner,omitempty"`
	Team        string `json:"team,omitempty"`
	Environment string `json:"environment,omitempty"`
}

// String is the owner, or else the team.
func (o Owner) String() string {
	if o.Owner != "" {
		return o.Owner
	}
	return o.Team
}

// owner asks the labels of the object, then of those who use it, then of its namespace.
func (g *Graph) owner(h *holder, consumers []Consumer) Owner {
	var labels []map[string]string
	if h.meta != nil {
		labels = append(labels, h.meta.Labels)
	}
	for i := range consumers {
		if w := g.byObject[object{consumers[i].Cluster, consumers[i].Object}]; w != nil && w.meta != nil {
			labels = append(labels, w.meta.Labels)
		}
	}
	if ns := h.world.spaces[h.ref.Namespace]; ns != nil {
		labels = append(labels, ns.Labels)
	}
	first := func(names []string) string {
		for _, l := range labels {
			for _, n := range names {
				if v := l[n]; v != "" {
					return v
				}
			}
		}
		return ""
	}
	o := Owner{Owner: first(g.labels.Owner), Team: first(g.labels.Team), Environment: first(g.labels.Environment)}
	if o.Environment == "" {
		o.Environment = h.world.Name
	}
	return o
}

// Consumer is something that uses a credential.
type Consumer struct {
	Cluster string       `json:"cluster,omitempty"`
	Object  snapshot.Ref `json:"object"`
	// Pods are how many of it run with it now.
	Pods int `json:"pods,omitempty"`
	// Uses say how, and by which holder: "env DB_PASSWORD of Secret shop/db".
	Uses []string `json:"uses"`
}
