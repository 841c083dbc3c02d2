// Package sec12 asks whether Secrets are made by hand, and whether anything refuses
// that. docs/checks/SEC-12.md.
package sec12

import (
	"fmt"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/origin"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Check is SEC-12.
func Check() check.Check {
	return check.Check{
		ID: "SEC-12", Title: "kubectl create secret --from-literal is prohibited: nobody makes Secrets by hand",
		Needs: []string{"secrets", "admissions"},
		Judge: judge,
	}
}

// hands are managers in managedFields behind which a person is. What begins with a
// row's prefix is it.
var hands = []struct {
	prefix, rule string
	severity     check.Severity
	message      string
}{
	{"kubectl-create", "KubectlCreate", check.High, "it was made by kubectl create: its value stood on a command line, in a shell's history, or in a file"},
	{"kubectl-client-side-apply", "KubectlApply", check.High, "it was applied by kubectl from a file with the value, which kubectl keeps in an annotation besides"},
	{"kubectl-last-applied", "KubectlApply", check.High, "it was applied by kubectl from a file with the value"},
	{"kubectl", "KubectlEdit", check.Medium, "its content was written with kubectl"},
	{"Mozilla", "WrittenByHand", check.Medium, "its content was written in a browser"},
	{"dashboard", "WrittenByHand", check.Medium, "its content was written in a dashboard"},
	{"k9s", "WrittenByHand", check.Medium, "its content was written in k9s"},
	{"lens", "WrittenByHand", check.Medium, "its content was written in Lens"},
	{"node-fetch", "WrittenByHand", check.Medium, "its content was written in a dashboard"},
}

func judge(in *check.Input) check.Verdict {
	var v check.Verdict
	asked, byHand := 0, 0
	for i := range in.Secrets {
		s := &in.Secrets[i]
		if s.Release != nil || s.Type == "helm.sh/release.v1" {
			continue
		}
		asked++
		if f, ok := hand(s); ok {
			byHand++
			v.Findings = append(v.Findings, f)
		}
	}
	refusing, evidence := admissions(in)
	v.Evidence = evidence
	switch {
	case refusing > 0:
	case !in.Live:
		v.Needs = []string{"the admission policies of the cluster: files need not have them"}
	default:
		v.Findings = append(v.Findings, check.Finding{
			Rule: "NothingRefuses", Severity: check.Medium, Object: snapshot.Ref{Kind: "Cluster", Name: "cluster"},
			Message: "nothing refuses a Secret that a person makes", Fix: check.Fix{Patch: policy},
		})
	}
	v.Summary = fmt.Sprintf("Secrets: %d, written by hand: %d; policies that are asked about new ones and may refuse: %d", asked, byHand, refusing)
	v.Answer = answer(refusing > 0, byHand > 0, in.Live)
	return v
}

// answer weighs that something refuses, that somebody did it all the same, and that
// all policies are known.
func answer(refused, did, known bool) check.Answer {
	switch {
	case refused && !did:
		return check.Yes
	case refused || known && !did:
		return check.Partly
	case known:
		return check.No
	case did:
		return check.Partly
	}
	return check.Unknown
}

// admissions are the policies that are asked about new Secrets, and how many of them
// may refuse one.
func admissions(in *check.Input) (refusing int, evidence []check.Evidence) {
	for i := range in.Admissions {
		a := &in.Admissions[i]
		if !a.Secrets {
			continue
		}
		fact := "is asked about Secrets that are created, and does not refuse"
		if a.Enforced {
			refusing++
			fact = "is asked about Secrets that are created, and may refuse"
		}
		evidence = append(evidence, check.Evidence{Object: snapshot.Ref{Group: a.Group, Kind: a.Kind, Namespace: a.Namespace, Name: a.Name}, Fact: fact})
	}
	return refusing, evidence
}

// hand finds that a person wrote the content of s, and how. Who labelled it only, did
// not; nor counts a hand that a machine has since replaced.
func hand(s *snapshot.Secret) (check.Finding, bool) {
	for i := len(s.Writers) - 1; i >= 0; i-- {
		w := &s.Writers[i]
		if !w.Content {
			continue
		}
		for _, h := range hands {
			if !strings.HasPrefix(w.Manager, h.prefix) {
				continue
			}
			f := check.Finding{Rule: h.rule, Severity: h.severity, Object: origin.Ref(s), Place: s.Place, Message: h.message, Fix: check.Fix{
				Command: check.Command("strongkeep trace secret %s/%s # where it is used, and what else holds its value; SEC-05 has the ExternalSecret to take its place", s.Namespace, s.Name),
			}}
			if !w.Time.IsZero() {
				f.Message += " (" + w.Time.UTC().Format(time.DateOnly) + ")"
			}
			return f, true
		}
	}
	return check.Finding{}, false
}
