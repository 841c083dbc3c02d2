package rollout_test

import (
	"context"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
)

// guard refuses each change of a workload that is called so, as an admission
// policy of a cluster may.
const guard = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NS-guard}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [UPDATE], resources: [deployments]}]
  validations: [{expression: "object.metadata.name != 'guarded' || object.spec.template == oldObject.spec.template", message: "templates of guarded are GitOps' own"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NS-guard}
spec:
  policyName: NS-guard
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}}
---
`

// What would come of a restart is told, and nothing is restarted or written.
func TestTry(t *testing.T) {
	w := newWorld(t)
	pdb := func(name string) string { return strings.ReplaceAll(budget, "NAME", name) }
	w.apply(manifest("Deployment", "free", 2, "") + manifest("Deployment", "guarded", 1, "") +
		manifest("Deployment", "paused", 1, "  paused: true") + manifest("StatefulSet", "set", 1, "") + pdb("set") +
		manifest("Deployment", "tight", 1, "") + pdb("tight") + manifest("Deployment", "alone", 1, "") +
		"apiVersion: v1\nkind: Pod\nmetadata: {name: bare}\nspec: {containers: [{name: c, image: c}]}\n---\n")
	w.apply(strings.ReplaceAll(guard, "NS", w.ns))
	t.Cleanup(func() {
		for _, kind := range []string{"validatingadmissionpolicybinding", "validatingadmissionpolicy"} {
			if _, err := testCluster.Kubectl(context.WithoutCancel(t.Context()), nil, "delete", kind, w.ns+"-guard"); err != nil {
				t.Error(err)
			}
		}
	})
	for name, n := range map[string]int{"free": 2, "guarded": 1, "set": 1, "tight": 1, "alone": 1} {
		w.settled(name, n)
	}
	w.kubectl("annotate", "deployment/alone", "strongkeep.io/reload=none")
	all := []string{"Deployment/free", "Deployment/guarded", "Deployment/paused", "StatefulSet/set", "Deployment/tight", "Deployment/alone", "Pod/bare"}
	state := func() string {
		return w.kubectl("get", "deployments,statefulsets,pods", "-o", "jsonpath={range .items[*]}{.metadata.name} {.metadata.generation} {.metadata.annotations}\n{end}")
	}
	for method, want := range map[v1alpha1.RolloutMethod][]struct {
		state rollout.State
		words string
	}{
		v1alpha1.RolloutTemplate: {
			{rollout.Done, ""}, {rollout.Failed, "templates of guarded are GitOps' own"}, {rollout.Paused, "spec.paused"},
			{rollout.Waiting, "PodDisruptionBudget set allows no disruption"}, {rollout.Done, ""}, {rollout.Skipped, "reloads by itself"}, {rollout.Waiting, "nothing makes this pod anew"},
		},
		v1alpha1.RolloutEvict: {
			{rollout.Done, ""}, {rollout.Done, ""}, {rollout.Paused, "spec.paused"},
			{rollout.Waiting, "PodDisruptionBudget set allows no disruption"}, {rollout.Waiting, "PodDisruptionBudget tight allows no disruption"}, {rollout.Skipped, ""}, {rollout.Waiting, ""},
		},
		v1alpha1.RolloutNone: {{rollout.Skipped, ""}, {rollout.Skipped, ""}, {rollout.Skipped, ""}, {rollout.Skipped, ""}, {rollout.Skipped, ""}, {rollout.Skipped, ""}, {rollout.Skipped, ""}},
	} {
		var p rollout.Progress
		w.eventually(func() bool { // until the policy and the budgets are in force
			var workloads []consumer.Workload
			for _, name := range all {
				workloads = append(workloads, w.workload(name))
			}
			before := state()
			var err error
			if p, err = w.roller.Try(t.Context(), rollout.Request{Owner: owner, Method: method, Wanted: wants(one), Workloads: workloads}); err != nil {
				t.Fatal(err)
			}
			if after := state(); after != before {
				t.Fatalf("trying %s wrote:\n%s\nbefore:\n%s", method, after, before)
			}
			for i, item := range p.Items {
				if item.State != want[i].state || !strings.Contains(item.Message, want[i].words) {
					return false
				}
			}
			return true
		}, func() string {
			var b strings.Builder
			for i, item := range p.Items {
				b.WriteString(string(item.State) + " " + item.String() + "; want " + string(want[i].state) + "\n")
			}
			return string(method) + ":\n" + b.String()
		})
	}
}
