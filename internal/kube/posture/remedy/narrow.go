package remedy

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/least"
	"github.com/strongkeep/strongkeep/internal/kube/posture/remedy/rule"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// narrow names, in a Role that reads all Secrets of its namespace, those that pods
// of its subjects use, or that are given.
func narrow(w *World, o Options) (*Plan, error) {
	resources := []string{"roles", "rolebindings"}
	if o.Activity == nil && len(o.Secrets) == 0 {
		resources = append(resources, "pods")
	}
	if err := w.needs(w.Target.Namespace, "who reads Secrets by which Role", resources...); err != nil {
		return nil, err
	}
	r, err := w.role()
	if err != nil {
		return nil, err
	}
	if others := w.othersOf(r); len(others) > 0 && o.Activity == nil && !o.Anyway {
		return nil, errs.Newf(errs.Conflict, "Role %s/%s is bound to others than ServiceAccounts of its namespace too (%s), and what they read is not seen here: give -audit-log, or say -anyway", r.Namespace, r.Name, strings.Join(others, ", "))
	}
	names, risks, err := w.names(r, o)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	rules, changed, err := rule.Narrowed(r.Rules, slices.Compact(names))
	if err != nil {
		return nil, err
	}
	if !changed {
		return nil, nothing("Role %s/%s reads no Secrets without naming them", r.Namespace, r.Name)
	}
	return &Plan{
		Check: "SEC-03", Rules: []string{"ReadsNamespace"}, Object: snapshot.Ref{Group: rbacv1.GroupName, Kind: "Role", Namespace: r.Namespace, Name: r.Name},
		Also: w.accountsOf(r), Field: "namespace " + r.Namespace,
		Does: "names the Secrets that the Role may read: " + strings.Join(names, ", "), Risks: risks,
		Steps: []Step{{Verb: Patch, Version: r.ResourceVersion, UID: r.UID, Why: "only these Secrets", Object: map[string]any{
			"apiVersion": rbacVersion, "kind": "Role", "metadata": metadata(r.Namespace, r.Name), "rules": rules,
		}}},
	}, nil
}

// role is the one that is asked for; of a ServiceAccount, whose finding it is, the one
// by which it reads its namespace.
func (w *World) role() (*rbacv1.Role, error) {
	ns, name := w.Target.Namespace, w.Target.Name
	if k := w.Target.Kind; k != "" && k != "Role" && k != rbacv1.ServiceAccountKind {
		return nil, errs.Newf(errs.Unsupported, "%s %s is no Role: name the Role by which it reads, as NAMESPACE/ROLE", k, name)
	}
	var found []*rbacv1.Role
	for i := range w.RBAC.Roles {
		r := &w.RBAC.Roles[i]
		if r.Namespace != ns {
			continue
		}
		if w.meant(r) {
			found = append(found, r)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case w.Target.Kind != rbacv1.ServiceAccountKind:
		return nil, nothing("there is no Role %s/%s", ns, name)
	}
	return nil, nothing("ServiceAccount %s/%s reads all Secrets of its namespace by %d Roles: name one, as NAMESPACE/ROLE; ClusterRoles are not narrowed from here", ns, name, len(found))
}

// meant reports whether r is asked for, or a ServiceAccount of r's namespace that reads
// all by it.
func (w *World) meant(r *rbacv1.Role) bool {
	if w.Target.Kind != rbacv1.ServiceAccountKind {
		return r.Name == w.Target.Name
	}
	of := snapshot.Ref{Kind: rbacv1.ServiceAccountKind, Namespace: r.Namespace, Name: w.Target.Name}
	return slices.ContainsFunc(r.Rules, rule.ReadsAll) && slices.Contains(w.accountsOf(r), of)
}

// subjectsOf are those that a Role is bound to, each once.
func (w *World) subjectsOf(r *rbacv1.Role) []access.Subject {
	var out []access.Subject
	for _, b := range access.New(w.RBAC).Bindings() {
		if b.Role == nil || b.Role.Kind() != "Role" || b.Role.Namespace != r.Namespace || b.Role.Name != r.Name {
			continue
		}
		for _, s := range b.Subjects {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// accountsOf are the ServiceAccounts that a Role is bound to: what is found is found
// of them.
func (w *World) accountsOf(r *rbacv1.Role) []snapshot.Ref {
	var out []snapshot.Ref
	for _, s := range w.subjectsOf(r) {
		if s.Kind == rbacv1.ServiceAccountKind {
			out = append(out, snapshot.Ref{Kind: s.Kind, Namespace: s.Namespace, Name: s.Name})
		}
	}
	return out
}

// othersOf are who else a Role is bound to.
func (w *World) othersOf(r *rbacv1.Role) []string {
	var out []string
	for _, s := range w.subjectsOf(r) {
		if s.Kind != rbacv1.ServiceAccountKind || s.Namespace != r.Namespace {
			out = append(out, s.String())
		}
	}
	return out
}

// names are the Secrets that r is to read: those that are said, those that an audit
// log shows, or else, if it is wanted anyway, those that pods of its subjects use: the
// kubelet mounts these without the right, which is there for what is read by the API.
func (w *World) names(r *rbacv1.Role, o Options) (names, risks []string, err error) {
	names = slices.Clone(o.Secrets)
	risks = []string{"list and watch by name work only with the fieldSelector metadata.name: a client that lists all Secrets is refused"}
	switch {
	case o.Activity != nil:
		if weak := w.weak(o.Activity); weak != "" && !o.Anyway {
			return nil, nil, errs.Newf(errs.Conflict, "%s: give a longer one, of now, without holes, or say which Secrets with -secret and without -audit-log; -anyway takes it as it is", weak)
		} else if weak != "" {
			risks = append(risks, weak)
		}
		read, cautions, err := w.logged(r, o.Activity)
		if err != nil {
			return nil, nil, err
		}
		names, risks = append(names, read...), append(risks, cautions...)
		if len(names) == 0 {
			return nil, nil, errs.Newf(errs.Invalid, "the audit log shows nobody who reads a Secret by Role %s/%s: say which it is to read with -secret, or delete the rule", r.Namespace, r.Name)
		}
		return names, risks, nil
	case len(names) == 0 && !o.Anyway:
		return nil, nil, errs.Newf(errs.Invalid, "which Secrets Role %s/%s is used for is not seen in pods, whose Secrets the kubelet mounts without it: give -audit-log, or -secret; -anyway takes the names in the pods", r.Namespace, r.Name)
	case len(names) == 0:
		names = w.usedBy(r)
		risks = append(risks, "the names are those that pods of its subjects use by their spec; what the applications read by the API is not known: give -audit-log, or -secret")
	}
	if len(names) == 0 {
		return nil, nil, errs.Newf(errs.Invalid, "no pod of the subjects of Role %s/%s uses a Secret: say which it is to read with -secret or -audit-log, or delete the rule", r.Namespace, r.Name)
	}
	return names, risks, nil
}

// logged are the Secrets that subjects of r asked for, as an audit log shows. Who
// asked for all of them cannot be limited to names.
func (w *World) logged(r *rbacv1.Role, log *snapshot.Activity) (names, cautions []string, err error) {
	used, err := least.Of(access.New(w.RBAC), r.Namespace, r.Name, log)
	if err != nil {
		return nil, nil, err
	}
	names, wide := used.Named("", "secrets", rule.ByName())
	if len(wide) > 0 {
		return nil, nil, errs.Newf(errs.Conflict, "the audit log shows that %s is asked of all Secrets by Role %s/%s (list and watch without fieldSelector), or of more than can be told apart: names would stop that; have the client ask by name first, or say which with -secret and without -audit-log", strings.Join(wide, ", "), r.Namespace, r.Name)
	}
	return names, used.Caution(log.Lost), nil
}

// usedBy are the Secrets that pods of a Role's subjects use.
func (w *World) usedBy(r *rbacv1.Role) []string {
	subjects := w.subjectsOf(r)
	var out []string
	for i := range w.Pods {
		p := &w.Pods[i]
		if p.Namespace != r.Namespace || !slices.Contains(subjects, access.ServiceAccount(p.Namespace, accountOf(&p.Spec))) {
			continue
		}
		for _, u := range consumer.Uses(&p.Spec) {
			out = append(out, u.Secret)
		}
	}
	return out
}
