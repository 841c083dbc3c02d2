package fix

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/remedy"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// A check that could not see where the plan is about proves nothing by finding nothing.
func TestUnread(t *testing.T) {
	c := snapshot.Coverage{
		"roles": {}, "pods": {Reason: "no right", Namespaces: []string{"team"}}, "rolebindings": {Reason: "no right", Namespaces: []string{"shop"}},
		"clusterroles": {Reason: "no right"}, "secrets/values": {Reason: "no key"},
	}
	got := unread(c, []string{"roles", "pods", "rolebindings", "clusterroles", "resources", "secrets/values"}, []string{"shop"})
	if text := strings.Join(got, "\n"); text != "rolebindings of shop could not be read: no right\nclusterroles could not be read: no right\nresources were not read" {
		t.Errorf("unread is\n%s", text)
	}
	d := done{Plan: &remedy.Plan{Check: "SEC-03"}, Unread: got}
	rows := d.rows()
	if len(rows) != 3 || rows[0][0] != "cannot tell" {
		t.Errorf("told as %q", rows)
	}
}
