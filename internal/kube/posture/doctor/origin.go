package doctor

import (
	"github.com/strongkeep/strongkeep/internal/kube/posture/origin"
	"github.com/strongkeep/strongkeep/internal/kube/posture/record"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Origin says where the content of h comes from, by its metadata. kind is Secret or
// ConfigMap.
func (h *Held) Origin(kind string) origin.Origin {
	m := record.Meta(h)
	m.Writers = nil // without fields they do not say who wrote content
	if h.Writer != "" {
		m.Writers = []snapshot.Writer{{Manager: h.Writer, Content: true}}
	}
	return origin.New(&snapshot.Snapshot{}).Of(origin.Object{Ref: snapshot.Ref{Kind: kind, Namespace: h.Namespace, Name: h.Name}, Meta: &m})
}

// Comes is an origin in words, "" if nothing is known: "SealedSecret shop/db", "by hand, with
// kubectl-create".
func Comes(o origin.Origin) string {
	switch {
	case o.Kind == origin.Unknown:
		return ""
	case o.By.Name != "":
		return o.Said()
	case o.Tool != "":
		return o.String() + ", with " + o.Tool
	}
	return o.String()
}
