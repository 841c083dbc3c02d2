// Package sec08 asks for tokens of ServiceAccounts that do not end, and for tokens
// that nobody needs. docs/checks/SEC-08.md.
package sec08

import (
	"fmt"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/identity"
	"github.com/strongkeep/strongkeep/internal/kube/posture/origin"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Check is SEC-08.
func Check() check.Check {
	return check.Check{
		ID: "SEC-08", Title: "Short-lived projected ServiceAccount tokens are used instead of long-lived ones",
		Needs: []string{"secrets", "serviceaccounts", "workloads", "pods", "rolebindings", "clusterrolebindings"},
		Judge: judge,
	}
}

// What the API server notes on tokens that do not end.
const (
	lastUsed = "kubernetes.io/legacy-token-last-used"
	invalid  = "kubernetes.io/legacy-token-invalid-since"
)

type judgement struct {
	in     *check.Input
	rights map[access.Subject]bool
	// all is a binding that gives something to every ServiceAccount; nil if there is none.
	all *access.Binding
	out check.Verdict
	n   struct{ legacy, valid, long, needless, shared, extended int }
}

func judge(in *check.Input) check.Verdict {
	j := &judgement{in: in, rights: rights(in), all: everyone(in)}
	for i := range in.Secrets {
		if s := &in.Secrets[i]; s.Type == "kubernetes.io/service-account-token" {
			j.legacy(s)
		}
	}
	for _, h := range in.Holders() {
		j.projected(&h)
		j.automount(&h)
	}
	j.shared()
	j.extended()
	v := j.out
	v.Summary = fmt.Sprintf("tokens without an end: %d, of these valid: %d; projected ones for longer than %s: %d; workloads with a token that has no rights: %d; ServiceAccounts with rights that several workloads share: %d",
		j.n.legacy, j.n.valid, span(in.Settings.MaxTokenAge), j.n.long, j.n.needless, j.n.shared)
	switch {
	case j.n.valid > 0:
		v.Answer = check.No
	case j.n.legacy+j.n.long+j.n.extended > 0:
		v.Answer = check.Partly
	case len(in.Control.Servers) == 0:
		v.Answer, v.Needs = check.Partly, []string{"the flags of API servers, which are read where they run as pods of kube-system that may be listed, and of their manifests in files"}
	default:
		v.Answer = check.Yes
	}
	return v
}

// everyone is the first binding that gives every ServiceAccount what Kubernetes does not
// give it as it comes.
func everyone(in *check.Input) *access.Binding {
	for _, b := range access.New(in.RBAC).Bindings() {
		for _, s := range b.Subjects {
			if own, _ := b.Shipped(s); !own && b.Role != nil && (s == access.Group(access.ServiceAccounts) || s == access.Group(access.Authenticated)) {
				return b
			}
		}
	}
	return nil
}

// rights are the ServiceAccounts that some binding names, by themselves or by the group
// of their namespace.
func rights(in *check.Input) map[access.Subject]bool {
	out := map[access.Subject]bool{}
	note := func(namespace string, subjects []rbacv1.Subject) {
		for _, s := range subjects {
			if s.Kind == rbacv1.UserKind {
				out[access.User(s.Name).Canonical()] = true
			} else if s.Kind == rbacv1.ServiceAccountKind && s.Namespace != "" {
				out[access.ServiceAccount(s.Namespace, s.Name)] = true
			} else if s.Kind == rbacv1.ServiceAccountKind {
				out[access.ServiceAccount(namespace, s.Name)] = true
			} else if ns, ok := strings.CutPrefix(s.Name, access.ServiceAccounts+":"); ok && s.Kind == rbacv1.GroupKind {
				out[access.Group(ns)] = true
			}
		}
	}
	for i := range in.RBAC.RoleBindings {
		note(in.RBAC.RoleBindings[i].Namespace, in.RBAC.RoleBindings[i].Subjects)
	}
	for i := range in.RBAC.ClusterRoleBindings {
		note("", in.RBAC.ClusterRoleBindings[i].Subjects)
	}
	return out
}

// legacy judges a token that does not end.
func (j *judgement) legacy(s *snapshot.Secret) {
	j.n.legacy++
	f := check.Finding{Object: origin.Ref(s), Place: s.Place, Fix: check.Fix{Command: check.Command("kubectl delete secret -n %s %s", s.Namespace, s.Name)}}
	for _, w := range j.in.Index.Workloads[path.Name{Namespace: s.Namespace, Name: s.Name}] {
		f.Affected = append(f.Affected, w.Kind+" "+w.Namespace+"/"+w.Name)
	}
	f.Affected, f.Count = check.Names(f.Affected)
	what := "a token of ServiceAccount " + s.Account + " that does not end"
	used, err := time.Parse(time.DateOnly, s.Labels[lastUsed])
	switch {
	case s.Labels[invalid] != "":
		f.Rule, f.Severity, f.Message = "InvalidToken", check.Low, what+"; Kubernetes has refused it since "+s.Labels[invalid]
	case err == nil && j.in.Now.Sub(used) <= j.in.Settings.Unused:
		j.n.valid++
		f.Rule, f.Severity, f.Message = "EndlessTokenInUse", check.High, what+", last used on "+s.Labels[lastUsed]
		f.Fix = check.Fix{Command: check.Command("kubectl create token -n %s %s --duration=1h # give whoever uses it one of these, or a projected volume; then delete the Secret", s.Namespace, account(s))}
	case err == nil:
		j.n.valid++
		f.Rule, f.Severity, f.Message = "EndlessToken", check.Medium, what+", last used on "+s.Labels[lastUsed]
	default:
		j.n.valid++
		f.Rule, f.Severity, f.Message = "EndlessToken", check.Medium, what+"; no use of it is known"
	}
	j.out.Findings = append(j.out.Findings, f)
}

func account(s *snapshot.Secret) string {
	if s.Account == "" {
		return "default"
	}
	return s.Account
}

// projected finds tokens that live long, though they are projected.
func (j *judgement) projected(h *check.Holder) {
	for i, t := range h.Template.Tokens {
		if time.Duration(t.Seconds)*time.Second <= j.in.Settings.MaxTokenAge {
			continue
		}
		j.n.long++
		j.out.Findings = append(j.out.Findings, check.Finding{
			Rule: "LongToken", Severity: check.Medium, Object: h.Ref, Field: fmt.Sprintf("%s.volumes.projected.serviceAccountToken[%d].expirationSeconds", h.Spec, i), Place: h.Place,
			Message: fmt.Sprintf("it asks for a token of %s that lives %s", h.Template.Account, span(time.Duration(t.Seconds)*time.Second)),
			Fix:     check.Fix{Text: "Set expirationSeconds to 3600: the kubelet renews the file, and client libraries read it again."},
		})
	}
}

// automount finds pods with a token of a ServiceAccount that has no rights.
func (j *judgement) automount(h *check.Holder) {
	ns, name := h.Ref.Namespace, h.Template.Account
	a := j.in.Index.Accounts[path.Name{Namespace: ns, Name: name}]
	mounts := a == nil || a.Automount == nil || *a.Automount
	if h.Template.Automount != nil {
		mounts = *h.Template.Automount
	}
	if !j.in.Live && len(j.rights) == 0 {
		return // the bindings are somewhere else
	}
	if !mounts || j.needs(h, a) {
		return
	}
	j.n.needless++
	f := check.Finding{
		Rule: "NeedlessToken", Severity: check.Low, Object: h.Ref, Field: h.Spec + ".automountServiceAccountToken", Place: h.Place,
		Message: fmt.Sprintf("its pods get a token of ServiceAccount %s, which no binding gives any right", name),
	}
	switch {
	case j.all != nil:
		f.Message = fmt.Sprintf("its pods get a token of ServiceAccount %s, which has no rights but those that every ServiceAccount has, by %s %s", name, j.all.Kind(), j.all.Name)
		f.Fix = check.Fix{Text: "If its pods do not use these rights, set automountServiceAccountToken: false in the pod template; else give its ServiceAccount a binding of its own."}
	case h.Ref.Kind == "Pod":
		f.Fix = check.Fix{Command: check.Command("kubectl patch serviceaccount -n %s %s -p 'automountServiceAccountToken: false' # for pods made from then on", ns, name)}
	default:
		f.Fix = check.Fix{Patch: patch(h)}
	}
	j.out.Findings = append(j.out.Findings, f)
}

// needs reports whether the token of a, which may be nil, has rights of its own, or is shown
// to somebody else than the API server, as annotations say, of the account or of the pod.
func (j *judgement) needs(h *check.Holder, a *snapshot.Account) bool {
	ns, name := h.Ref.Namespace, h.Template.Account
	if j.rights[access.ServiceAccount(ns, name)] || j.rights[access.Group(ns)] {
		return true
	}
	return a != nil && len(identity.Account(a.Annotations)) > 0 || identity.Injector(h.Annotations) != ""
}

// patch turns the mount off.
func patch(h *check.Holder) string {
	version := "v1"
	switch h.Ref.Group {
	case "":
	case "argoproj.io":
		version = h.Ref.Group + "/v1alpha1"
	default:
		version = h.Ref.Group + "/v1"
	}
	out := fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {namespace: %s, name: %s}\n", check.Scalar(version), h.Ref.Kind, check.Scalar(h.Ref.Namespace), check.Scalar(h.Ref.Name))
	indent := ""
	for part := range strings.SplitSeq(h.Spec, ".") {
		out += indent + part + ":\n"
		indent += "  "
	}
	return out + indent + "automountServiceAccountToken: false\n"
}

func span(d time.Duration) string {
	if d >= 48*time.Hour {
		return check.Count(int(d/(24*time.Hour)), "day")
	}
	return check.Count(int(d/time.Hour), "hour")
}
