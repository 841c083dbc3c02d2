package remedy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/identity"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// SplitFrom is the annotation of a ServiceAccount that was split off: "ACCOUNT for
// KIND/NAME". By it a run that stopped is gone on with.
const SplitFrom = "strongkeep.io/split-from"

// mountable limits, by an annotation, which Secrets the pods of a ServiceAccount may mount.
const mountable = "kubernetes.io/enforce-mountable-secrets"

// accounts gives each workload of a shared ServiceAccount one of its own, with the
// rights that the shared one has in namespaces.
func accounts(w *World, o Options) (*Plan, error) {
	ns, name := w.Target.Namespace, w.Target.Name
	if err := w.needs(ns, "who uses ServiceAccount "+name+", and which rights it has,", "rolebindings", "clusterrolebindings", "serviceaccounts", "deployments", "statefulsets", "daemonsets", "cronjobs", "pods"); err != nil {
		return nil, err
	}
	old := w.Account(ns, name)
	if old == nil {
		return nil, nothing("there is no ServiceAccount %s/%s", ns, name)
	}
	s := &splitting{World: w, old: old, taken: map[string]bool{}}
	s.users()
	if len(s.move)+len(s.stay) < 2 && !slices.ContainsFunc(s.move, s.begun) {
		return nil, nothing("ServiceAccount %s/%s is used by one workload at most", ns, name)
	}
	if err := s.carries(o); err != nil {
		return nil, err
	}
	for _, u := range s.move {
		if err := s.workload(u); err != nil {
			return nil, err
		}
	}
	if len(s.patches) == 0 {
		return nil, errs.Newf(errs.Unsupported, "nobody who uses ServiceAccount %s/%s can be given another from here: %s", ns, name, strings.Join(s.stay, ", "))
	}
	return &Plan{
		Check: "SEC-08", Rules: []string{"SharedAccount"}, Object: snapshot.Ref{Kind: "ServiceAccount", Namespace: ns, Name: name},
		Does: fmt.Sprintf("gives each workload of ServiceAccount %s one of its own, with the same rights", name), Risks: s.risks(),
		Steps: slices.Concat(s.made, s.patches),
	}, nil
}

// splitting gathers what is done to one ServiceAccount.
type splitting struct {
	*World
	old   *corev1.ServiceAccount
	move  []*doctor.Workload
	stay  []string // users that cannot be patched, for people
	taken map[string]bool
	told  []string // what is not carried
	// made are the objects, patches those of workloads, which come behind them.
	made, patches []Step
}

// users finds who runs as the ServiceAccount.
func (s *splitting) users() {
	for i := range s.Workloads {
		u := &s.Workloads[i]
		if !s.uses(u.Namespace, &u.Template.Spec) || !patched(u.Kind) {
			continue
		}
		if owner := metav1.GetControllerOfNoCopy(&u.ObjectMeta); owner != nil {
			s.stay = append(s.stay, fmt.Sprintf("%s %s (%s %s makes it)", u.Kind, u.Name, owner.Kind, owner.Name))
			continue
		}
		s.move = append(s.move, u)
	}
	for i := range s.Pods {
		p := &s.Pods[i]
		if !s.uses(p.Namespace, &p.Spec) || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		if maker := s.maker(p); maker != "" && !slices.Contains(s.stay, maker) {
			s.stay = append(s.stay, maker)
		}
	}
	slices.SortFunc(s.move, func(a, b *doctor.Workload) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	slices.Sort(s.stay)
}

// uses reports whether pods of spec run as the ServiceAccount.
func (s *splitting) uses(namespace string, spec *corev1.PodSpec) bool {
	return namespace == s.old.Namespace && accountOf(spec) == s.old.Name
}

// maker says who makes a pod; "" if that is a workload that is patched.
func (s *splitting) maker(p *corev1.Pod) string {
	if u := s.WorkloadOf(p); u != nil {
		if patched(u.Kind) {
			return ""
		}
		return u.Kind + " " + u.Name
	}
	if owner := metav1.GetControllerOfNoCopy(p); owner != nil {
		return owner.Kind + " " + owner.Name
	}
	return "Pod " + p.Name
}

// patched are the kinds of workloads that are patched.
func patched(kind string) bool {
	return slices.Contains([]string{"Deployment", "StatefulSet", "DaemonSet", "CronJob"}, kind)
}

func accountOf(spec *corev1.PodSpec) string {
	if spec.ServiceAccountName == "" {
		return "default"
	}
	return spec.ServiceAccountName
}

// carries refuses a ServiceAccount of which something would be lost.
func (s *splitting) carries(o Options) error {
	ns, name := s.old.Namespace, s.old.Name
	if s.old.Annotations[mountable] == "true" {
		return errs.Newf(errs.Unsupported, "ServiceAccount %s/%s limits which Secrets its pods mount (%s): which of them each workload needs is not known; make the ServiceAccounts by hand", ns, name, mountable)
	}
	for _, key := range identity.Account(s.old.Annotations) {
		if !o.Anyway {
			return errs.Newf(errs.Conflict, "ServiceAccount %s/%s stands for an identity in a cloud or a vault (%s), which trusts it by its name: have it trust the new ones first, then say -anyway, and what says so is carried", ns, name, key)
		}
		s.told = append(s.told, fmt.Sprintf("the annotation %s is carried: who goes by it must trust the new ServiceAccounts by their names", key))
	}
	for i := range s.RBAC.ClusterRoleBindings {
		b := &s.RBAC.ClusterRoleBindings[i]
		if !slices.ContainsFunc(b.Subjects, func(subject rbacv1.Subject) bool { return isAccount(subject, "", ns, name) }) {
			continue
		}
		if !o.Anyway {
			return errs.Newf(errs.Conflict, "ClusterRoleBinding %s gives ServiceAccount %s/%s rights everywhere, which is not given to more: make RoleBindings of it first (strongkeep fix SEC-04 %s), or say -anyway, and the new ones do not have them", b.Name, ns, name, b.Name)
		}
		s.told = append(s.told, fmt.Sprintf("ClusterRoleBinding %s is not extended: the new ServiceAccounts do not have the rights of ClusterRole %s", b.Name, b.RoleRef.Name))
	}
	return nil
}

// isAccount reports whether subject, of a binding in namespace in, is a ServiceAccount.
func isAccount(subject rbacv1.Subject, in, namespace, name string) bool {
	switch subject.Kind {
	case rbacv1.UserKind:
		return access.User(subject.Name).Canonical() == access.ServiceAccount(namespace, name)
	case rbacv1.ServiceAccountKind:
		return subject.Name == name && cmp.Or(subject.Namespace, in) == namespace
	}
	return false
}

// workload gives one its own ServiceAccount. One that is called as the shared one
// keeps that.
func (s *splitting) workload(u *doctor.Workload) error {
	if u.Name == s.old.Name && !s.taken[u.Name] {
		s.taken[u.Name] = true
		return nil
	}
	name, begun, err := s.name(u)
	if err != nil {
		return err
	}
	if !begun {
		s.made = append(s.made, s.account(u, name))
	}
	if err := s.bind(name); err != nil {
		return err
	}
	s.patches = append(s.patches, patchOf(u, map[string]any{"spec": map[string]any{"serviceAccountName": name}}, "its own ServiceAccount"))
	return nil
}

// begun reports whether a run that stopped has made one for u.
func (s *splitting) begun(u *doctor.Workload) bool {
	return slices.ContainsFunc(s.Accounts, func(a corev1.ServiceAccount) bool {
		return a.Namespace == u.Namespace && a.Annotations[SplitFrom] == mark(s.old.Name, u)
	})
}

func mark(old string, u *doctor.Workload) string { return old + " for " + u.Kind + "/" + u.Name }

// name is that of the ServiceAccount of a workload; begun says that it is there, of a
// run that stopped.
func (s *splitting) name(u *doctor.Workload) (name string, begun bool, err error) {
	for _, name := range []string{u.Name, u.Name + "-" + strings.ToLower(u.Kind)} {
		have := s.Account(u.Namespace, name)
		begun := have != nil && have.Annotations[SplitFrom] == mark(s.old.Name, u)
		if !s.taken[name] && (have == nil || begun) {
			s.taken[name] = true
			return name, begun, nil
		}
	}
	return "", false, errs.Newf(errs.Exist, "ServiceAccount %s/%s exists already, and what for is not known: give %s one by hand, and call this again for the others", u.Namespace, u.Name, u.Ref())
}

// account is the shared one under another name.
func (s *splitting) account(u *doctor.Workload, name string) Step {
	annotations := map[string]any{SplitFrom: mark(s.old.Name, u)}
	for _, key := range identity.Account(s.old.Annotations) {
		annotations[key] = s.old.Annotations[key]
	}
	meta := metadata(u.Namespace, name)
	meta["annotations"] = annotations
	labels := map[string]any{}
	for _, key := range identity.Account(s.old.Labels) { // a cloud's webhook goes by one
		labels[key] = s.old.Labels[key]
	}
	if len(labels) > 0 {
		meta["labels"] = labels
	}
	object := map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
	if s.old.AutomountServiceAccountToken != nil {
		object["automountServiceAccountToken"] = *s.old.AutomountServiceAccountToken
	}
	var pull []any
	for _, p := range s.old.ImagePullSecrets {
		pull = append(pull, map[string]any{"name": p.Name})
	}
	if len(pull) > 0 {
		object["imagePullSecrets"] = pull
	}
	return Step{Verb: Create, Object: object, Why: "for " + u.Kind + " " + u.Name}
}

// bind gives a new ServiceAccount what RoleBindings give the shared one, in whichever
// namespace they lie.
func (s *splitting) bind(name string) error {
	ns := s.old.Namespace
	for i := range s.RBAC.RoleBindings {
		b := &s.RBAC.RoleBindings[i]
		if !slices.ContainsFunc(b.Subjects, func(subject rbacv1.Subject) bool { return isAccount(subject, b.Namespace, ns, s.old.Name) }) {
			continue
		}
		of := b.Name + "-" + name
		want := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: name}}
		if j := slices.IndexFunc(s.RBAC.RoleBindings, func(o rbacv1.RoleBinding) bool { return o.Namespace == b.Namespace && o.Name == of }); j >= 0 {
			if have := &s.RBAC.RoleBindings[j]; have.RoleRef != b.RoleRef || !slices.Equal(have.Subjects, want) {
				return errs.Newf(errs.Exist, "RoleBinding %s/%s exists already, and grants something else: rename it", b.Namespace, of)
			}
			continue // of a run that stopped
		}
		s.made = append(s.made, Step{Verb: Create, Why: "what RoleBinding " + b.Name + " gives " + s.old.Name, Object: map[string]any{
			"apiVersion": rbacVersion, "kind": "RoleBinding", "metadata": metadata(b.Namespace, of),
			"subjects": []any{map[string]any{"kind": rbacv1.ServiceAccountKind, "namespace": ns, "name": name}},
			"roleRef":  map[string]any{"apiGroup": rbacv1.GroupName, "kind": b.RoleRef.Kind, "name": b.RoleRef.Name},
		}})
	}
	return nil
}

// risks are what to look at before.
func (s *splitting) risks() []string {
	out := append([]string{
		"the pods are restarted by the change of their template",
		"what knows the ServiceAccount by its name outside RBAC does not know the new ones: roles of a vault, trust of a cloud, admission policies, service meshes",
		fmt.Sprintf("each new one has every right that %s has: narrow them with strongkeep least and an audit log, which then tells one workload from another", s.old.Name),
	}, s.told...)
	if len(s.stay) > 0 {
		out = append(out, fmt.Sprintf("these stay with %s, since what makes them is not patched from here: %s", s.old.Name, strings.Join(s.stay, ", ")))
	}
	return out
}
