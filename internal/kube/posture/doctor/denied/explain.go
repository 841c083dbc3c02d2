package denied

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Explain returns why a is refused, the nearest miss first. There is always one
// answer; if RBAC allows it, that is what it says.
func Explain(c *doctor.Case, a Ask) []doctor.Diagnosis {
	x := &look{Case: c, ask: a, policy: access.New(c.RBAC), who: a.Subject()}
	if g, allowed := x.policy.Allows(x.who.Identity(), a.Request); allowed {
		return []doctor.Diagnosis{x.allowed(g)}
	}
	var out []doctor.Diagnosis
	out = append(out, x.nobody()...)
	out = append(out, x.otherAccount()...)
	out = append(out, x.bound()...)
	out = append(out, x.wrongSubject()...)
	if len(out) == 0 {
		d := x.diagnosis("NoRight", "nothing that is bound to them allows it")
		d.Add(snapshot.Ref{}, "", "of %d bindings none allows it", len(x.policy.Bindings()))
		out = append(out, d)
	}
	for i := range out {
		if out[i].Fix == (check.Fix{}) {
			out[i].Fix = check.Fix{Patch: x.role()}
		}
	}
	x.runs(&out[0])
	return out
}

// look is one question.
type look struct {
	*doctor.Case
	ask    Ask
	policy *access.Policy
	who    access.Subject
}

// subject is who asks as an object.
func (x *look) subject() snapshot.Ref {
	return snapshot.Ref{Kind: x.who.Kind, Namespace: x.who.Namespace, Name: x.who.Name}
}

func (x *look) diagnosis(symptom, format string, args ...any) doctor.Diagnosis {
	d := doctor.Diagnosis{Symptom: symptom, Object: x.subject(), Confidence: doctor.Sure}
	d.Cause = fmt.Sprintf("%s may not %s: %s", x.subject(), x.ask, fmt.Sprintf(format, args...))
	return d
}

func bindingRef(b *access.Binding) snapshot.Ref {
	return snapshot.Ref{Group: rbacv1.GroupName, Kind: b.Kind(), Namespace: b.Namespace, Name: b.Name}
}

func roleRef(r *access.Role) snapshot.Ref {
	return snapshot.Ref{Group: rbacv1.GroupName, Kind: r.Kind(), Namespace: r.Namespace, Name: r.Name}
}

// allowed is what RBAC allows: then it was refused before, or to somebody else.
func (x *look) allowed(g access.Grant) doctor.Diagnosis {
	d := doctor.Diagnosis{Symptom: "Allowed", Object: x.subject(), Confidence: doctor.Sure}
	d.Cause = fmt.Sprintf("%s may %s now: the right came later, or it was somebody else who was refused, or an authorizer beside RBAC refuses", x.subject(), x.ask)
	d.Add(bindingRef(g.Binding), "", "it grants this by rule %d of %s", g.Rule, roleRef(g.Binding.Role))
	d.Fix = check.Fix{Text: "see as whom the application runs: its pods' spec.serviceAccountName"}
	if x.who.Kind == rbacv1.ServiceAccountKind {
		d.Fix.Command = check.Command("kubectl -n %s get pods -o custom-columns=POD:.metadata.name,ACCOUNT:.spec.serviceAccountName", x.who.Namespace)
	}
	x.runs(&d)
	return d
}

// nobody is a ServiceAccount that does not exist.
func (x *look) nobody() []doctor.Diagnosis {
	if x.who.Kind != rbacv1.ServiceAccountKind || !x.Knows("serviceaccounts", x.who.Namespace) || x.Account(x.who.Namespace, x.who.Name) != nil {
		return nil
	}
	d := x.diagnosis("AccountMissing", "there is no such ServiceAccount now")
	d.Fix = check.Fix{Command: check.Command("kubectl -n %s create serviceaccount %s", x.who.Namespace, x.who.Name)}
	return []doctor.Diagnosis{d}
}

// runs adds which pods run as who asks.
func (x *look) runs(d *doctor.Diagnosis) {
	if x.who.Kind != rbacv1.ServiceAccountKind || !x.Knows("pods", x.who.Namespace) {
		return
	}
	var names []string
	for i := range x.Pods {
		if p := &x.Pods[i]; p.Namespace == x.who.Namespace && account(p.Spec.ServiceAccountName) == x.who.Name && !consumer.Ended(p) {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	d.Add(x.subject(), "", "%d pods run as it: %s", len(names), list(names))
}

func account(name string) string {
	if name == "" {
		return "default"
	}
	return name
}

func list(names []string) string {
	const most = 5
	if len(names) == 0 {
		return "none"
	}
	text := strings.Join(names[:min(most, len(names))], ", ")
	if len(names) > most {
		text += ", …"
	}
	return text
}

// asDefault are what makes pods of a namespace that run as its ServiceAccount default.
func (x *look) asDefault(namespace string) []*doctor.Workload {
	var out []*doctor.Workload
	for i := range x.Workloads {
		if w := &x.Workloads[i]; w.Namespace == namespace && w.At == "/spec/template" && account(w.Template.Spec.ServiceAccountName) == "default" && len(w.OwnerReferences) == 0 {
			out = append(out, w)
		}
	}
	return out
}

// otherAccount is a pod that runs as default, where a ServiceAccount of the
// namespace has the right.
func (x *look) otherAccount() []doctor.Diagnosis {
	if x.who.Kind != rbacv1.ServiceAccountKind || x.who.Name != "default" {
		return nil
	}
	for i := range x.Accounts {
		a := &x.Accounts[i]
		if a.Namespace != x.who.Namespace || a.Name == "default" {
			continue
		}
		g, allowed := x.policy.Allows(access.ServiceAccount(a.Namespace, a.Name).Identity(), x.ask.Request)
		if !allowed {
			continue
		}
		d := x.diagnosis("OtherAccount", "ServiceAccount %s of the namespace may; the pods name none, and run as default", a.Name)
		d.Confidence = doctor.Likely
		d.Add(bindingRef(g.Binding), "subjects", "it grants this to %s", a.Name)
		d.Fix = check.Fix{Text: "set spec.template.spec.serviceAccountName: " + a.Name + " in what makes the pods"}
		if w := x.asDefault(a.Namespace); len(w) == 1 {
			d.Fix.Command = check.Command("kubectl -n %s set serviceaccount %s %s %s", w[0].Namespace, doctor.Argument(w[0]), w[0].Name, a.Name)
		} else if len(w) > 1 {
			var names []string
			for i := range w {
				names = append(names, w[i].Kind+" "+w[i].Name)
			}
			d.Fix.Text += ", which is one of " + list(names)
		}
		return []doctor.Diagnosis{d}
	}
	return nil
}
