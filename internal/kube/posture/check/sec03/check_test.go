package sec03_test

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/checktest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec03"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

func rule(verbs, resources []string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: verbs, APIGroups: []string{""}, Resources: resources, ResourceNames: names}
}

func account(ns, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: "ServiceAccount", Namespace: ns, Name: name}
}

// everywhere binds a ClusterRole of rules for the whole cluster.
func everywhere(name string, who rbacv1.Subject, rules ...rbacv1.PolicyRule) access.Objects {
	return access.Objects{
		ClusterRoles:        []rbacv1.ClusterRole{{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}},
		ClusterRoleBindings: []rbacv1.ClusterRoleBinding{{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: name}, Subjects: []rbacv1.Subject{who}}},
	}
}

// inside binds a ClusterRole of rules in one namespace.
func inside(ns, name string, who rbacv1.Subject, rules ...rbacv1.PolicyRule) access.Objects {
	return access.Objects{
		ClusterRoles: []rbacv1.ClusterRole{{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}},
		RoleBindings: []rbacv1.RoleBinding{{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: name}, Subjects: []rbacv1.Subject{who}}},
	}
}

// shipped is a ClusterRole and its binding with Kubernetes' label.
func shipped(name string, rules rbacv1.PolicyRule, who ...rbacv1.Subject) snapshot.Snapshot {
	o := everywhere(name, who[0], rules)
	labels := map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"}
	o.ClusterRoles[0].Labels, o.ClusterRoleBindings[0].Labels, o.ClusterRoleBindings[0].Subjects = labels, labels, who
	return snapshot.Snapshot{RBAC: o}
}

// labelled is a Role and its RoleBinding with Kubernetes' label.
func labelled(ns, name string, who rbacv1.Subject, rules rbacv1.PolicyRule) snapshot.Snapshot {
	labels := map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"}
	meta := metav1.ObjectMeta{Namespace: ns, Name: name, Labels: labels}
	return snapshot.Snapshot{RBAC: access.Objects{
		Roles:        []rbacv1.Role{{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{rules}}},
		RoleBindings: []rbacv1.RoleBinding{{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: name}, Subjects: []rbacv1.Subject{who}}},
	}}
}

func TestCheck(t *testing.T) {
	get, list, create := []string{"get"}, []string{"list"}, []string{"create"}
	secrets := []string{"secrets"}
	checktest.Run(t, sec03.Check(), []checktest.Case{
		{Name: "nobody", Answer: check.Yes},
		{Name: "get", Answer: check.No, Snapshot: snapshot.Snapshot{RBAC: everywhere("r", account("shop", "web"), rule(get, secrets))}, Findings: []string{"ReadsEverySecret ServiceAccount shop/web"}},
		{Name: "list returns content", Answer: check.No, Snapshot: snapshot.Snapshot{RBAC: everywhere("r", account("shop", "web"), rule(list, secrets))}, Findings: []string{"ReadsEverySecret ServiceAccount shop/web"}},
		{Name: "watch returns content", Answer: check.No, Snapshot: snapshot.Snapshot{RBAC: everywhere("r", account("shop", "web"), rule([]string{"watch"}, secrets))}, Findings: []string{"ReadsEverySecret ServiceAccount shop/web"}},
		{Name: "one named Secret is not all", Answer: check.Yes, Snapshot: snapshot.Snapshot{RBAC: everywhere("r", account("shop", "web"), rule(get, secrets, "db"))}},
		{Name: "secrets/* names nothing", Answer: check.Yes, Snapshot: snapshot.Snapshot{RBAC: everywhere("r", account("shop", "web"), rule(get, []string{"secrets/*"}))}},
		{Name: "secrets of another group", Answer: check.Yes, Snapshot: snapshot.Snapshot{RBAC: everywhere("r", account("shop", "web"),
			rbacv1.PolicyRule{Verbs: get, APIGroups: []string{"example.com"}, Resources: secrets})}},
		{Name: "a ClusterRole bound in a namespace", Answer: check.Yes, Snapshot: snapshot.Snapshot{RBAC: inside("shop", "r", account("shop", "web"), rule(get, secrets)),
			Pods: []snapshot.Pod{{Meta: snapshot.Meta{Namespace: "shop", Name: "p"}, Template: snapshot.Template{Account: "web", Secrets: []consumer.Use{{Kind: consumer.UseVolume, Secret: "db"}}}}}},
			Findings: []string{"ReadsNamespace ServiceAccount shop/web at namespace shop"}},
		{Name: "all ServiceAccounts of a namespace", Answer: check.No, Snapshot: snapshot.Snapshot{RBAC: inside("shop", "r", rbacv1.Subject{Kind: "Group", Name: "system:serviceaccounts:shop"}, rule(get, secrets))},
			Findings: []string{"EverybodyReadsNamespace Group system:serviceaccounts:shop at namespace shop"}},
		{Name: "Kubernetes' own", Answer: check.Yes, Snapshot: shipped("system:controller:namespace-controller", rule(get, secrets), account("kube-system", "namespace-controller"))},
		{Name: "Kubernetes' own in a namespace", Answer: check.Yes, Snapshot: labelled("kube-system", "system:controller:token-cleaner", account("kube-system", "token-cleaner"), rule(get, secrets))},
		{Name: "somebody in a binding of Kubernetes' own", Answer: check.No, Snapshot: shipped("cluster-admin", rule(get, secrets), rbacv1.Subject{Kind: "Group", Name: "system:masters"}, rbacv1.Subject{Kind: "User", Name: "eve"}),
			Findings: []string{"ReadsEverySecret User eve"}},
		{Name: "Secrets in a role of Kubernetes' own that everybody has", Answer: check.No, Snapshot: shipped("system:discovery", rule(get, secrets), rbacv1.Subject{Kind: "Group", Name: "system:authenticated"}),
			Findings: []string{"ReadsEverySecret Group system:authenticated"}},
		{Name: "the label on a RoleBinding of anybody's", Answer: check.Yes, Snapshot: labelled("shop", "mine", account("ci", "bot"), rule(get, secrets)),
			Findings: []string{"ReadsNamespace ServiceAccount ci/bot at namespace shop"}},
		{Name: "a known controller is listed apart", Answer: check.Yes, Snapshot: snapshot.Snapshot{RBAC: everywhere("r", account("cert-manager", "cert-manager"), rule(get, secrets))},
			Findings: []string{"KnownController ServiceAccount cert-manager/cert-manager"}},
		{Name: "a known controller with everything", Answer: check.No, Snapshot: snapshot.Snapshot{RBAC: everywhere("r", account("cert-manager", "cert-manager"), rbacv1.PolicyRule{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}})},
			Findings: []string{"ReadsEverySecret ServiceAccount cert-manager/cert-manager"}},
		{Name: "a known controller by a detour", Answer: check.Partly, Snapshot: snapshot.Snapshot{RBAC: everywhere("r", account("cert-manager", "cert-manager"), rule(create, []string{"pods"}))},
			Findings: []string{"DetourToEverySecret ServiceAccount cert-manager/cert-manager"}},
		{Name: "of its name in another namespace is not it", Answer: check.No, Snapshot: snapshot.Snapshot{RBAC: everywhere("r", account("shop", "cert-manager"), rule(get, secrets))},
			Findings: []string{"ReadsEverySecret ServiceAccount shop/cert-manager"}},
		{Name: "pods anywhere", Answer: check.Partly, Snapshot: snapshot.Snapshot{RBAC: everywhere("r", account("ci", "runner"), rule(create, []string{"pods"}))}, Findings: []string{"DetourToEverySecret ServiceAccount ci/runner"}},
		{Name: "pods/* names nothing", Answer: check.Yes, Snapshot: snapshot.Snapshot{RBAC: everywhere("r", account("ci", "runner"), rule(create, []string{"pods/*"}))}},
		{Name: "who becomes one that reads", Answer: check.No, Snapshot: snapshot.Snapshot{RBAC: both(
			everywhere("r", account("shop", "web"), rule(get, secrets)), inside("shop", "tokens", account("shop", "ci"), rule(create, []string{"serviceaccounts/token"})))},
			Findings: []string{"ReadsEverySecret ServiceAccount shop/web", "DetourToEverySecret ServiceAccount shop/ci"}},
		{Name: "webhooks", Answer: check.Partly, Snapshot: snapshot.Snapshot{RBAC: everywhere("r", account("shop", "web"),
			rbacv1.PolicyRule{Verbs: create, APIGroups: []string{"admissionregistration.k8s.io"}, Resources: []string{"validatingwebhookconfigurations"}})},
			Findings: []string{"WillRead ServiceAccount shop/web"}},
		{Name: "a user by cluster-admin", Answer: check.No, Snapshot: snapshot.Snapshot{RBAC: everywhere("r", rbacv1.Subject{Kind: "User", Name: "ann"}, rbacv1.PolicyRule{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}})},
			Findings: []string{"ReadsEverySecret User ann"}},
		{Name: "pods were not read", Answer: check.Unknown, Snapshot: snapshot.Snapshot{Coverage: snapshot.Coverage{"pods": {Reason: "no right"}}}, Needs: []string{"pods"}},
	})
}

func both(a, b access.Objects) access.Objects {
	a.ClusterRoles = append(a.ClusterRoles, b.ClusterRoles...)
	a.RoleBindings = append(a.RoleBindings, b.RoleBindings...)
	a.ClusterRoleBindings = append(a.ClusterRoleBindings, b.ClusterRoleBindings...)
	return a
}
