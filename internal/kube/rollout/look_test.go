package rollout_test

import (
	"testing"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
)

// A look says what is left to do, and does nothing of it.
func TestLook(t *testing.T) {
	for _, method := range []v1alpha1.RolloutMethod{v1alpha1.RolloutTemplate, v1alpha1.RolloutEvict} {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.apply(manifest("Deployment", "app", 2, ""))
			w.settled("app", 2)
			q := rollout.Request{Owner: owner, Method: method, Wanted: wants(one), Workloads: []consumer.Workload{w.workload("Deployment/app")}}
			before := w.kubectl("get", "deployment/app", "-o", "jsonpath={.metadata.generation} {.metadata.annotations} {.spec}")
			pods := w.kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}{.items[*].metadata.annotations}")
			for range 3 {
				p, err := w.roller.Look(t.Context(), q)
				if err != nil || len(p.In(rollout.Waiting)) != 1 {
					t.Fatalf("%+v, %v", p, err)
				}
			}
			if after := w.kubectl("get", "deployment/app", "-o", "jsonpath={.metadata.generation} {.metadata.annotations} {.spec}"); after != before {
				t.Errorf("a look wrote the workload")
			}
			if after := w.kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}{.items[*].metadata.annotations}"); after != pods {
				t.Errorf("a look changed pods: %s, then %s", pods, after)
			}
			w.until(rollout.Done, rollout.Request{Method: method}, one, "Deployment/app")
			q.Workloads = []consumer.Workload{w.workload("Deployment/app")}
			if p, err := w.roller.Look(t.Context(), q); err != nil || !p.Done() {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}
