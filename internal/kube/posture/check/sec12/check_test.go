package sec12_test

import (
	"strings"
	"testing"

	admission "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/checktest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec12"
	"github.com/strongkeep/strongkeep/internal/kube/posture/record"
	"github.com/strongkeep/strongkeep/internal/kube/posture/record/custom"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// written is a Secret whose data managers wrote, the newest last. A name in brackets
// wrote other fields only.
func written(managers ...string) snapshot.Snapshot {
	s := snapshot.Secret{Meta: snapshot.Meta{Namespace: "shop", Name: "db"}, Type: "Opaque"}
	for _, m := range managers {
		name := strings.Trim(m, "()")
		s.Writers = append(s.Writers, snapshot.Writer{Manager: name, Content: name == m, Time: checktest.Ago(checktest.Day)})
	}
	return snapshot.Snapshot{Live: true, Secrets: []snapshot.Secret{s}}
}

func refused(s snapshot.Snapshot, secrets, enforced bool) snapshot.Snapshot {
	s.Admissions = []snapshot.Admission{{Meta: snapshot.Meta{Name: "p"}, Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicy", Secrets: secrets, Enforced: enforced, Hands: secrets}}
	return s
}

// unsure is s with policies whose text is not known.
func unsure(s snapshot.Snapshot) snapshot.Snapshot {
	for i := range s.Admissions {
		s.Admissions[i].Hands = false
	}
	return s
}

func TestCheck(t *testing.T) {
	const nothing = "NothingRefuses Cluster cluster"
	checktest.Run(t, sec12.Check(), []checktest.Case{
		{Name: "nothing refuses", Answer: check.Partly, Snapshot: snapshot.Snapshot{Live: true}, Findings: []string{nothing}},
		{Name: "refused, and nobody did", Answer: check.Yes, Snapshot: refused(written("external-secrets"), true, true)},
		{Name: "a policy of something else", Answer: check.Partly, Snapshot: refused(written("external-secrets"), false, true), Findings: []string{nothing}},
		{Name: "a policy that warns", Answer: check.Partly, Snapshot: refused(written("external-secrets"), true, false), Findings: []string{nothing}},
		{Name: "a policy of which nobody knows what it refuses", Answer: check.Unknown, Needs: []string{"ValidatingAdmissionPolicy p"}, Snapshot: unsure(refused(written("external-secrets"), true, true))},
		{Name: "such a policy, and a hand that wrote", Answer: check.Partly, Needs: []string{"ValidatingAdmissionPolicy p"}, Snapshot: unsure(refused(written("kubectl-create"), true, true)), Findings: []string{"KubectlCreate Secret shop/db"}},
		{Name: "kubectl create", Answer: check.No, Snapshot: written("kubectl-create"), Findings: []string{"KubectlCreate Secret shop/db", nothing}},
		{Name: "kubectl apply", Answer: check.Partly, Snapshot: refused(written("kubectl-client-side-apply"), true, true), Findings: []string{"KubectlApply Secret shop/db"}},
		{Name: "kubectl edit", Answer: check.Partly, Snapshot: refused(written("argocd-controller", "kubectl-edit"), true, true), Findings: []string{"KubectlEdit Secret shop/db"}},
		{Name: "kubectl label is not its content", Answer: check.Yes, Snapshot: refused(written("external-secrets", "(kubectl-label)"), true, true)},
		{Name: "both wrote data: the hand's part stays", Answer: check.Partly, Snapshot: refused(written("kubectl-create", "external-secrets"), true, true), Findings: []string{"KubectlCreate Secret shop/db"}},
		{Name: "files need not have the policies", Answer: check.Unknown, Needs: []string{"admission policies"}},
		{Name: "a dump of what a hand wrote", Answer: check.Partly, Snapshot: snapshot.Snapshot{Secrets: written("kubectl-create").Secrets}, Needs: []string{"admission policies"}, Findings: []string{"KubectlCreate Secret shop/db"}},
		{Name: "a browser", Answer: check.Partly, Snapshot: refused(written("Mozilla"), true, true), Findings: []string{"WrittenByHand Secret shop/db"}},
	})
}

// TestThePolicyIsOne: what is proposed is what the API server takes.
func TestThePolicyIsOne(t *testing.T) {
	s := snapshot.Snapshot{Live: true}
	patch := checktest.Judge(sec12.Check(), &s, check.Settings{}).Findings[0].Fix.Patch
	parts := strings.Split(patch, "\n---\n")
	var p admission.ValidatingAdmissionPolicy
	var b admission.ValidatingAdmissionPolicyBinding
	if err := yaml.UnmarshalStrict([]byte(parts[0]), &p); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict([]byte(parts[1]), &b); err != nil {
		t.Fatal(err)
	}
	var o unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(parts[0]), &o.Object); err != nil {
		t.Fatal(err)
	}
	if a := custom.Of(&o, &record.Maker{}).Admissions; len(a) != 1 || !a[0].Hands {
		t.Errorf("the policy that is offered is not known to refuse: %+v", a)
	}
	if b.Spec.PolicyName != p.Name || len(p.Spec.Validations) != 1 || b.Spec.ValidationActions[0] != admission.Deny {
		t.Errorf("%+v %+v", p, b)
	}
}
