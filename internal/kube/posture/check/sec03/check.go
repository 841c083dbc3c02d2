// Package sec03 asks who reads every Secret of the cluster: by a right to, and by
// detours. docs/checks/SEC-03.md.
package sec03

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/baseline"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Check is SEC-03.
func Check() check.Check {
	return check.Check{
		ID: "SEC-03", Title: "RBAC is scoped to least privilege: nobody reads Secrets of the whole cluster without need",
		Needs: []string{"roles", "clusterroles", "rolebindings", "clusterrolebindings", "pods", "resources"},
		Judge: judge,
	}
}

// anywhere stands for any Secret of any namespace: only what reaches all of them
// reaches it. No object has such a name.
var anywhere = path.Name{Namespace: "*", Name: "*"}

// count is how many readers there are of each sort.
type count struct{ builtin, known, wide, detours, later, spaces int }

func judge(in *check.Input) check.Verdict {
	j := judgement{in: in, running: map[access.Subject][]string{}}
	for i := range in.Pods {
		p := &in.Pods[i]
		who := access.ServiceAccount(p.Namespace, p.Account)
		j.running[who] = append(j.running[who], p.Namespace+"/"+p.Name)
	}
	for _, r := range in.Finder.Readers(anywhere) {
		j.reader(&r)
	}
	j.namespaces()
	return j.verdict()
}

type judgement struct {
	in      *check.Input
	running map[access.Subject][]string
	n       count
	out     check.Verdict
}

func (j *judgement) verdict() check.Verdict {
	n, v := j.n, j.out
	v.Answer = check.Yes
	switch {
	case n.wide > 0:
		v.Answer = check.No
	case n.detours+n.later > 0:
		v.Answer = check.Partly
	}
	v.Summary = fmt.Sprintf("who may read every Secret: %d, by a detour: %d; known controllers: %d, Kubernetes' own: %d", n.wide, n.detours+n.later, n.known, n.builtin)
	v.Evidence = append(v.Evidence,
		check.Evidence{Fact: check.Count(n.builtin, "subject") + " of Kubernetes' own, by bindings as it ships them, reach every Secret"},
		check.Evidence{Fact: check.Count(n.spaces, "ServiceAccount") + " may read all Secrets of a namespace"})
	return v
}

// reader judges somebody who gets at every Secret.
func (j *judgement) reader(r *path.Reader) {
	if r.Builtin() {
		j.n.builtin++
		return
	}
	f := check.Finding{Object: Ref(r.Subject), Fix: fix(r)}
	f.Affected, f.Count = check.Names(j.running[r.Subject])
	how := chain(r)
	why, known := baseline.Controller(r.Subject, rules(r))
	switch {
	case known && r.Direct():
		j.n.known++
		f.Rule, f.Severity = "KnownController", check.Info
		f.Message = "reads every Secret of the cluster: it " + why + ". Its own settings may limit it to namespaces"
	case r.Later():
		j.n.later++
		f.Rule, f.Severity, f.Message = "WillRead", check.Medium, "will see Secrets that are written from now on: "+how
	case r.Direct():
		j.n.wide++
		f.Rule, f.Severity, f.Message = "ReadsEverySecret", severity(r.Subject), "may read every Secret of the cluster: "+how
	default:
		j.n.detours++
		f.Rule, f.Severity, f.Message = "DetourToEverySecret", lower(severity(r.Subject)), "gets at every Secret of the cluster by a detour: "+how
	}
	j.out.Findings = append(j.out.Findings, f)
}

// rules are those of the role by which a reader begins.
func rules(r *path.Reader) []rbacv1.PolicyRule {
	if c := r.Steps[0].Capability; c != nil {
		return c.Grant.Binding.Role.Rules
	}
	return nil
}

// severity is worse for a group that anybody is in.
func severity(who access.Subject) check.Severity {
	if who.Kind == rbacv1.GroupKind && slices.Contains([]string{access.Authenticated, access.Unauthenticated, access.ServiceAccounts}, who.Name) {
		return check.Critical
	}
	return check.High
}

// lower is one less bad; what anybody can do stays.
func lower(s check.Severity) check.Severity {
	if s == check.Critical {
		return s
	}
	return check.Medium
}

// Ref names a subject of RBAC as an object.
func Ref(who access.Subject) snapshot.Ref {
	if who.Kind == rbacv1.ServiceAccountKind {
		return snapshot.Ref{Kind: who.Kind, Namespace: who.Namespace, Name: who.Name}
	}
	return snapshot.Ref{Group: rbacv1.GroupName, Kind: who.Kind, Name: who.Name}
}

// chain is how a reader gets there, by what.
func chain(r *path.Reader) string {
	var steps []string
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.Capability == nil {
			continue
		}
		b, rule := s.Capability.Grant.Binding, s.Capability.Rule()
		text := string(s.Kind)
		if i > 0 {
			text = "as " + s.Subject.String() + " " + text
		}
		steps = append(steps, fmt.Sprintf("%s (%s by %s %s -> %s %s)", text, strings.Join(rule.Verbs, ","), b.Kind(), b.Name, b.Role.Kind(), b.Role.Name))
	}
	return strings.Join(steps, ", then ")
}

// fix is the look at what is lost without the binding, which is the next thing to do.
func fix(r *path.Reader) check.Fix {
	for i := range r.Steps {
		if c := r.Steps[i].Capability; c != nil && c.Grant.Binding.Namespace == "" {
			return check.Fix{Command: check.Command("strongkeep what-can %s # then, if it needs less: kubectl delete clusterrolebinding %s", r.Subject.String(), c.Grant.Binding.Name)}
		}
	}
	return check.Fix{Command: check.Command("strongkeep what-can %s", r.Subject.String())}
}

// namespaces finds who may read all Secrets of a namespace of which they are not.
func (j *judgement) namespaces() {
	policy := access.New(j.in.RBAC)
	seen := map[string]bool{}
	for _, b := range policy.Bindings() {
		if b.Namespace == "" || b.Role == nil || !slices.ContainsFunc(b.Role.Rules, readsAll) {
			continue
		}
		for _, who := range b.Subjects {
			if own, secrets := b.Shipped(who); !own || !secrets {
				j.inNamespace(b, who, seen)
			}
		}
	}
}

func (j *judgement) inNamespace(b *access.Binding, who access.Subject, seen map[string]bool) {
	key := b.Namespace + " " + who.String()
	if seen[key] {
		return
	}
	seen[key] = true
	wide := severity(who) == check.Critical || who == access.Group(access.ServiceAccounts+":"+b.Namespace)
	if who.Kind == rbacv1.ServiceAccountKind {
		j.n.spaces++
	}
	if _, known := baseline.Controller(who, b.Role.Rules); known || !wide && who.Kind != rbacv1.ServiceAccountKind {
		return
	}
	f := check.Finding{
		Rule: "ReadsNamespace", Severity: check.Low, Object: Ref(who), Field: "namespace " + b.Namespace,
		Message: fmt.Sprintf("may read all Secrets of namespace %s, by RoleBinding %s -> %s %s: name the ones it needs in resourceNames", b.Namespace, b.Name, b.Role.Kind(), b.Role.Name),
		Fix:     check.Fix{Patch: narrowed(b, who, j.used(b.Namespace, who))},
	}
	if wide {
		f.Rule, f.Severity = "EverybodyReadsNamespace", check.High
		j.n.wide++
	}
	f.Affected, f.Count = check.Names(j.running[who])
	j.out.Findings = append(j.out.Findings, f)
}

// readsAll reports whether a rule lets somebody read Secrets whichever their names.
func readsAll(r rbacv1.PolicyRule) bool {
	if len(r.ResourceNames) > 0 {
		return false
	}
	return slices.ContainsFunc([]string{"get", "list", "watch"}, func(verb string) bool {
		return access.Matches(&r, &access.Request{Verb: verb, Resource: "secrets", Namespace: "x"})
	})
}

// used are the Secrets that pods of a ServiceAccount use in a namespace.
func (j *judgement) used(namespace string, who access.Subject) []string {
	var out []string
	if who.Namespace != namespace {
		return nil
	}
	for i := range j.in.Pods {
		p := &j.in.Pods[i]
		if p.Namespace != namespace || p.Account != who.Name {
			continue
		}
		for _, u := range p.Template.Secrets {
			out = append(out, u.Secret)
		}
	}
	out, _ = check.Names(out)
	return out
}

// narrowed is a Role that lets who read the Secrets that it uses, and its binding.
func narrowed(b *access.Binding, who access.Subject, names []string) string {
	var list []string
	for _, n := range names {
		list = append(list, check.Scalar(n))
	}
	if len(list) == 0 {
		list = []string{"NAME-OF-A-SECRET-IT-NEEDS"}
	}
	subject := fmt.Sprintf("{kind: ServiceAccount, namespace: %s, name: %s}", check.Scalar(who.Namespace), check.Scalar(who.Name))
	if who.Kind == rbacv1.GroupKind {
		subject = fmt.Sprintf("{kind: Group, apiGroup: rbac.authorization.k8s.io, name: %q}", who.Name)
	}
	return fmt.Sprintf(`# In place of RoleBinding %[2]s; name the Secrets it asks the API server for.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {namespace: %[1]s, name: %[3]s}
rules:
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [%[4]s]
  verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {namespace: %[1]s, name: %[3]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %[3]s}
subjects:
- %[5]s
`, check.Scalar(b.Namespace), check.Word(b.Name), check.Scalar(strings.NewReplacer(":", "-", "/", "-").Replace(b.Name)+"-narrowed"), strings.Join(list, ", "), subject)
}
