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
	policies := admissions(in)
	v.Evidence = policies.evidence
	v.Answer = answer(policies.refuse, byHand > 0, in.Live && len(policies.unsure) == 0)
	switch {
	case policies.refuse:
	case len(policies.unsure) > 0:
		for _, p := range policies.unsure {
			v.Needs = append(v.Needs, "whether "+p+" refuses what people write: kubectl create secret generic try --dry-run=server --as=PERSON says")
		}
	case !in.Live:
		v.Needs = []string{"the admission policies of the cluster: files need not have them"}
	default:
		v.Findings = append(v.Findings, check.Finding{
			Rule: "NothingRefuses", Severity: check.Medium, Object: snapshot.Ref{Kind: "Cluster", Name: "cluster"},
			Message: "nothing refuses a Secret that a person makes", Fix: check.Fix{Patch: policy},
		})
	}
	v.Summary = fmt.Sprintf("Secrets: %d, written by hand: %d; %s", asked, byHand, policies.words())
	return v
}

// answer weighs that something refuses, that somebody did it all the same, and that
// it is known what all policies do.
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

// policies are those that are asked about new Secrets.
type policies struct {
	refuse   bool     // one refuses what people write
	unsure   []string // those that refuse something
	evidence []check.Evidence
}

func (p *policies) words() string {
	switch {
	case p.refuse:
		return "a policy refuses what people write"
	case len(p.unsure) > 0:
		return fmt.Sprintf("policies that may refuse new ones, and do not say which by a text that is known: %d", len(p.unsure))
	}
	return "no policy is known that refuses new ones"
}

// few bounds the policies that are named.
const few = 5

func admissions(in *check.Input) policies {
	var out policies
	for i := range in.Admissions {
		a := &in.Admissions[i]
		if !a.Secrets {
			continue
		}
		ref := snapshot.Ref{Group: a.Group, Kind: a.Kind, Namespace: a.Namespace, Name: a.Name}
		fact := "is asked about Secrets that are created, and does not refuse"
		switch {
		case a.Enforced && a.Hands:
			out.refuse, fact = true, "refuses Secrets that people write, in every namespace"
		case a.Enforced:
			fact = "is asked about Secrets that are created, and may refuse"
			if len(out.unsure) < few {
				out.unsure = append(out.unsure, ref.String())
			}
		}
		out.evidence = append(out.evidence, check.Evidence{Object: ref, Fact: fact})
	}
	return out
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
