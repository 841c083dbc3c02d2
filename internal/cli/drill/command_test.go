package drill

import (
	"bytes"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestRequest(t *testing.T) {
	for given, want := range map[string]string{
		"deployment/web": "Deployment/web", "deploy/web": "Deployment/web", "Deployment.apps/web": "Deployment/web",
		"sts/db": "StatefulSet/db", "ds/agent": "DaemonSet/agent",
	} {
		q := request{failure: "store-away", duration: time.Minute}
		d, err := q.drill("shop", given)
		if err != nil || d.Spec.Workload.Kind+"/"+d.Spec.Workload.Name != want || d.Spec.Failure != v1alpha1.DrillStoreAway || d.Spec.Delay != nil || d.Namespace != "shop" {
			t.Errorf("%s: %+v, %v", given, d, err)
		}
	}
	for given, failure := range map[string]string{"web": "StoreAway", "pod/web": "StoreAway", "deployment/": "StoreAway", "deployment/a/b": "StoreAway", "deployment/web": "Fire", "deploy/web": ""} {
		q := request{failure: failure}
		if _, err := q.drill("shop", given); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s %s: %v", given, failure, err)
		}
	}
	long := request{failure: "SlowSync", delay: time.Second, keys: []string{"k"}}
	d, err := long.drill("shop", "deployment/"+strings.Repeat("a", 250))
	if err != nil || len(d.GenerateName) > 240 || d.Spec.Delay.Duration != time.Second || len(d.Spec.Keys) != 1 {
		t.Errorf("%+v, %v", d, err)
	}
}

// What is shown of a drill says everything that is known, and what to do next.
func TestShow(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC))
	until := metav1.NewTime(at.Add(10 * time.Minute))
	d := &v1alpha1.Drill{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "x"},
		Spec:       v1alpha1.DrillSpec{Workload: v1alpha1.DrillWorkload{Kind: "Deployment", Name: "web"}, Failure: v1alpha1.DrillStoreAway, Duration: metav1.Duration{Duration: 10 * time.Minute}},
		Status: v1alpha1.DrillStatus{
			Phase: v1alpha1.DrillRunning, Reason: "Broken", Began: &at, Until: &until,
			ExternalSecrets: []v1alpha1.DrilledSecret{{Name: "db", Secret: "db-secret", Message: "the store is kept away"}},
			Pods:            []v1alpha1.DrilledPod{{Name: "web-1", Restarts: 2, Unready: &at, Failing: "container c: CrashLoopBackOff"}},
			Findings:        []string{"pod web-1 became unready after 3s"},
			Conditions:      []metav1.Condition{{Type: v1alpha1.ConditionRunning, Status: metav1.ConditionTrue, Message: "StoreAway since now"}},
		},
	}
	for format, wants := range map[string][]string{
		"table": {"Running, for another 4m0s (Broken)", "StoreAway since now", "ExternalSecret db, Secret db-secret", "it said: the store is kept away", "web-1", "made during the drill; container c",
			"became unready after 3s", "strongkeep drill stop -n shop x"},
		"json": {`"phase": "Running"`, `"findings"`},
	} {
		var out bytes.Buffer
		env := session.System()
		env.Stdout = &out
		x := &commands{Session: &session.Session{Env: env, Format: format}, now: func() time.Time { return at.Add(6 * time.Minute) }}
		if err := x.show(d); err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s lacks %q:\n%s", format, want, out.String())
			}
		}
	}
	d.Status = v1alpha1.DrillStatus{}
	var out bytes.Buffer
	env := session.System()
	env.Stdout = &out
	x := &commands{Session: &session.Session{Env: env, Format: "table"}, now: time.Now}
	if err := x.show(d); err != nil || !strings.Contains(out.String(), "Unseen") || !strings.Contains(out.String(), "-drills") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
