package controller

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/drill"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/measure"
)

func TestMetrics(t *testing.T) {
	c := clocktesting.NewFakePassiveClock(time.Unix(1e9, 0))
	m := measure.New(c)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	rot := &v1alpha1.Rotation{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db"}}
	see := func(phase v1alpha1.Phase, change func(*v1alpha1.RotationStatus)) {
		s := &rot.Status
		s.Turn, s.Phase, s.Since = 1, phase, timestamp(c.Now())
		if change != nil {
			change(s)
		}
		l := &look{rot: rot, limit: time.Hour}
		l.o.Plan.OverlapMax = 24 * time.Hour
		l.o.Turn = rotate.TurnOf(s)
		m.See(client.ObjectKeyFromObject(rot), sample(l), c.Now())
		c.SetTime(c.Now().Add(time.Minute))
	}
	expect := func(want string, names ...string) {
		t.Helper()
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), names...); err != nil {
			t.Error(err)
		}
	}
	see(v1alpha1.PhaseIdle, func(s *v1alpha1.RotationStatus) { s.LastDone = timestamp(c.Now()) })
	see(v1alpha1.PhaseProving, func(s *v1alpha1.RotationStatus) {
		s.PublishedAt, s.Proof.Pods, s.Proof.PodsProven = timestamp(c.Now()), 5, 3
	})
	expect(`
# HELP strongkeep_rotation_phase 1 for the phase a Rotation is in.
# TYPE strongkeep_rotation_phase gauge
strongkeep_rotation_phase{name="db",namespace="shop",phase="Proving"} 1
# HELP strongkeep_rotation_proof_pods Pods that use the credential, by whether they have the evidence required.
# TYPE strongkeep_rotation_proof_pods gauge
strongkeep_rotation_proof_pods{name="db",namespace="shop",proven="false"} 2
strongkeep_rotation_proof_pods{name="db",namespace="shop",proven="true"} 3
# HELP strongkeep_rotation_overlap_seconds Seconds for which the old and the new credential both work; 0 outside a turn.
# TYPE strongkeep_rotation_overlap_seconds gauge
strongkeep_rotation_overlap_seconds{name="db",namespace="shop"} 60
`, "strongkeep_rotation_phase", "strongkeep_rotation_proof_pods", "strongkeep_rotation_overlap_seconds")
	see(v1alpha1.PhaseHeld, func(s *v1alpha1.RotationStatus) { s.HeldFrom = v1alpha1.PhaseProving })
	expect(`
# HELP strongkeep_rotation_held 1 while a turn is held: it waits for a person.
# TYPE strongkeep_rotation_held gauge
strongkeep_rotation_held{name="db",namespace="shop"} 1
`, "strongkeep_rotation_held")
	c.SetTime(c.Now().Add(time.Hour))
	see(v1alpha1.PhaseDone, func(s *v1alpha1.RotationStatus) {
		s.Pending = make([]v1alpha1.PendingStatement, 2)
	})
	see(v1alpha1.PhaseDone, nil) // nobody ends a turn twice
	expect(`
# HELP strongkeep_rotation_overdue 1 while the credential is older than its policy or schedule allows.
# TYPE strongkeep_rotation_overdue gauge
strongkeep_rotation_overdue{name="db",namespace="shop"} 1
# HELP strongkeep_rotation_statements_pending Statements of turns that the vault has not taken yet.
# TYPE strongkeep_rotation_statements_pending gauge
strongkeep_rotation_statements_pending{name="db",namespace="shop"} 2
# HELP strongkeep_rotation_turns_total Turns that ended, by result: done or failed.
# TYPE strongkeep_rotation_turns_total counter
strongkeep_rotation_turns_total{name="db",namespace="shop",result="done"} 1
`, "strongkeep_rotation_overdue", "strongkeep_rotation_statements_pending", "strongkeep_rotation_turns_total")
	if n, err := testutil.GatherAndCount(registry, "strongkeep_rotation_phase_seconds"); err != nil || n != 2 {
		t.Errorf("%d histograms of phases (%v), want Proving and Held", n, err)
	}
	m.Forget(client.ObjectKeyFromObject(rot))
	if n, err := testutil.GatherAndCount(registry, "strongkeep_rotation_phase", "strongkeep_rotation_turns_total"); err != nil || n != 0 {
		t.Errorf("%d series of a Rotation that is gone (%v)", n, err)
	}
}

// Every metric that the shipped alerts name exists, with the labels they use.
func TestAlertsNameRealMetrics(t *testing.T) {
	raw, err := os.ReadFile("../../../../deploy/operator/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string `json:"name"`
			Rules []struct {
				Alert       string            `json:"alert"`
				Expr        string            `json:"expr"`
				For         string            `json:"for"`
				Labels      map[string]string `json:"labels"`
				Annotations map[string]string `json:"annotations"`
			} `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.UnmarshalStrict(raw, &file); err != nil {
		t.Fatal(err)
	}
	descs := make(chan *prometheus.Desc, 100)
	measure.New(clocktesting.NewFakePassiveClock(time.Now())).Describe(descs)
	drill.NewMetrics(clocktesting.NewFakePassiveClock(time.Now())).Describe(descs)
	close(descs)
	exists := map[string]bool{}
	for d := range descs {
		exists[regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String())[1]] = true
	}
	named := map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || r.Annotations["summary"] == "" || r.Labels["severity"] == "" {
				t.Errorf("rule %+v lacks something", r)
			}
			if r.For != "" {
				if _, err := time.ParseDuration(r.For); err != nil {
					t.Error(err)
				}
			}
			found := regexp.MustCompile(`strongkeep_\w+`).FindAllString(r.Expr, -1)
			for _, name := range found {
				named[name] = true
				if !exists[name] {
					t.Errorf("%s names %s, which there is not", r.Alert, name)
				}
			}
			if len(found) == 0 {
				t.Errorf("%s names no metric of ours", r.Alert)
			}
		}
	}
	for _, want := range []string{"held", "overdue", "overlap_seconds", "statements_pending"} {
		if !named["strongkeep_rotation_"+want] {
			t.Errorf("no alert for %s", want)
		}
	}
}
