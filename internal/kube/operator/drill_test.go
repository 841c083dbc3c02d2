package operator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/operatortest/permits"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rbac"
)

const drilled = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: c, envFrom: [{secretRef: {name: db}}]}]}
---
apiVersion: strongkeep.io/v1alpha1
kind: Drill
metadata: {name: x}
spec: {workload: {kind: Deployment, name: web}, failure: CredentialRefused, duration: 10m}
`

// exerciseDrill has a drill begin, and end by its object's end.
func (w *world) exerciseDrill() {
	w.Helper()
	ready(w)
	w.kubectl("label", "namespace", w.ns, v1alpha1.LabelDrills+"="+v1alpha1.DrillsAllowed)
	w.apply(es("db", oneKey))
	w.es("db", v1.ReasonSecretSynced, "")
	w.apply(drilled)
	w.es("db", v1.ReasonSecretSynced, "with wrong values, on purpose: Drill x until")
	w.kubectl("annotate", "drill", "x", v1alpha1.AnnotationDrillStop+"=now")
	w.secret("db", map[string]string{"k": canary + "1"})
	w.until("it is over", func() bool {
		return strings.Contains(w.kubectl("get", "drill", "x", "-o", "jsonpath={.status.phase}"), "Over")
	})
}

// What drills need beside the rest is granted with the option only, all of it is
// used, and none is missing: in a cluster and in one namespace.
func TestDrillPermissions(t *testing.T) {
	for _, everywhere := range []bool{true, false} {
		t.Run(fmt.Sprintf("everywhere %v", everywhere), func(t *testing.T) {
			w := newWorld(t)
			with := rbac.Options{Name: w.ns, Namespace: w.ns, ClusterStores: everywhere, Drills: true}
			if !everywhere {
				with.Namespaces = []string{w.ns}
			}
			without := with
			without.Drills = false
			cfg, rec := w.grant(with)
			stop := w.start(func(c *Config) {
				c.REST, c.Namespaces, c.NoClusterStores, c.NoRotation, c.NoReload, c.Drills = cfg, with.Namespaces, !everywhere, true, true, true
				c.NoPush, c.NoSpread = true, true
			})
			w.exerciseDrill()
			stop()
			for _, path := range rec.Refused() {
				t.Errorf("refused: %s", path)
			}
			has, had, used := permits.Granted(with), permits.Granted(without), rec.Used()
			for _, rule := range rbac.Consumers() { // internal/kube/consumer/finder tests those; a drill only lists
				for _, verb := range rule.Verbs {
					had[verb+" "+rule.APIGroups[0]+"/"+rule.Resources[0]] = true
				}
			}
			for _, p := range slices.Sorted(maps.Keys(has)) {
				if resource, ok := strings.CutPrefix(p, "list "); ok && used["watch "+resource] {
					continue
				}
				if !had[p] && !used[p] {
					t.Errorf("granted and never used: %s", p)
				}
			}
			for p := range used {
				if !has[p] {
					t.Errorf("used and not granted: %s", p)
				}
			}
		})
	}
}

// An operator whose role knows nothing of drills leaves them out and says so.
func TestDrillsWithoutTheRole(t *testing.T) {
	w := newWorld(t)
	ready(w)
	cfg, _ := w.grant(rbac.Options{Name: w.ns, Namespace: w.ns, Namespaces: []string{w.ns}})
	w.start(func(c *Config) {
		c.REST, c.NoClusterStores, c.NoRotation, c.NoReload, c.Drills = cfg, true, true, true, true
	})
	w.apply(es("kept", oneKey))
	w.es("kept", v1.ReasonSecretSynced, "")
	if !strings.Contains(w.log.String(), "part=drills") {
		t.Error("the log does not say that drills are left out")
	}
}
