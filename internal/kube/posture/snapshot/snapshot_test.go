package snapshot_test

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// A ConfigMap tells who people are on EKS, and wherever it is.
func TestMapped(t *testing.T) {
	auth := snapshot.Snapshot{ConfigMaps: []snapshot.ConfigMap{{Meta: snapshot.Meta{Namespace: "kube-system", Name: "aws-auth"}}}}
	elsewhere := snapshot.Snapshot{ConfigMaps: []snapshot.ConfigMap{{Meta: snapshot.Meta{Namespace: "shop", Name: "aws-auth"}}}}
	eks := snapshot.Snapshot{Control: snapshot.Control{Managed: "eks"}}
	for name, c := range map[string]struct {
		s            *snapshot.Snapshot
		mapped, maps bool
	}{"it is there": {&auth, true, true}, "one of its name": {&elsewhere, false, false}, "EKS": {&eks, true, false}, "neither": {&snapshot.Snapshot{}, false, false}} {
		if p := c.s.Paths(); p.Mapped != c.mapped || p.Maps != c.maps {
			t.Errorf("%s: %v, %v", name, p.Mapped, p.Maps)
		}
	}
}
