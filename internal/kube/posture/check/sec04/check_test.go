package sec04_test

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/checktest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec04"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// bound is a ClusterRole, bound in namespace or, if that is empty, everywhere.
func bound(namespace string, who rbacv1.Subject, rules ...rbacv1.PolicyRule) snapshot.Snapshot {
	o := access.Objects{ClusterRoles: []rbacv1.ClusterRole{{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Rules: rules}}}
	ref := rbacv1.RoleRef{Kind: "ClusterRole", Name: "r"}
	if namespace == "" {
		o.ClusterRoleBindings = []rbacv1.ClusterRoleBinding{{ObjectMeta: metav1.ObjectMeta{Name: "b"}, RoleRef: ref, Subjects: []rbacv1.Subject{who}}}
	} else {
		o.RoleBindings = []rbacv1.RoleBinding{{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "b"}, RoleRef: ref, Subjects: []rbacv1.Subject{who}}}
	}
	return snapshot.Snapshot{RBAC: o}
}

func rule(group string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{group}, Resources: resources}
}

func TestCheck(t *testing.T) {
	web := rbacv1.Subject{Kind: "ServiceAccount", Namespace: "shop", Name: "web"}
	all := rbacv1.PolicyRule{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}
	shipped := func(name string, rules rbacv1.PolicyRule, who ...rbacv1.Subject) snapshot.Snapshot {
		s := bound("", who[0], rules)
		role, binding := &s.RBAC.ClusterRoles[0], &s.RBAC.ClusterRoleBindings[0]
		role.Name, binding.Name, binding.RoleRef.Name, binding.Subjects = name, name, name, who
		role.Labels = map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"}
		binding.Labels = role.Labels
		return s
	}
	job := rbacv1.Subject{Kind: "ServiceAccount", Namespace: "kube-system", Name: "job-controller"}
	at := " ClusterRoleBinding b at subjects[ServiceAccount/shop/web]"
	checktest.Run(t, sec04.Check(), []checktest.Case{
		{Name: "nothing", Answer: check.Yes},
		{Name: "a RoleBinding to a ClusterRole is scoped", Answer: check.Yes, Snapshot: bound("shop", web, all)},
		{Name: "cluster-admin", Answer: check.No, Snapshot: bound("", web, all), Findings: []string{"EverythingEverywhere" + at}},
		{Name: "secrets", Answer: check.No, Snapshot: bound("", web, rule("", "secrets")), Findings: []string{"SecretsEverywhere" + at}},
		{Name: "secrets of another group", Answer: check.No, Snapshot: bound("", web, rule("example.com", "secrets")), Findings: []string{"RightsEverywhere" + at}},
		{Name: "only what lies in no namespace", Answer: check.Yes, Snapshot: bound("", web, rule("", "nodes", "nodes/status"), rule("apiextensions.k8s.io", "customresourcedefinitions"))},
		{Name: "URLs", Answer: check.Yes, Snapshot: bound("", web, rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics"}})},
		{Name: "a user is not asked about here", Answer: check.Yes, Snapshot: bound("", rbacv1.Subject{Kind: "User", Name: "ann"}, all)},
		{Name: "a user that is a ServiceAccount", Answer: check.No, Snapshot: bound("", rbacv1.Subject{Kind: "User", Name: "system:serviceaccount:shop:web"}, all), Findings: []string{"EverythingEverywhere" + at}},
		{Name: "all ServiceAccounts", Answer: check.No, Snapshot: bound("", rbacv1.Subject{Kind: "Group", Name: "system:serviceaccounts"}, rule("", "pods")),
			Findings: []string{"AllServiceAccounts ClusterRoleBinding b at subjects[Group/system:serviceaccounts]"}},
		{Name: "a known controller is listed apart", Answer: check.Yes, Snapshot: bound("", rbacv1.Subject{Kind: "ServiceAccount", Namespace: "cert-manager", Name: "cert-manager"}, rule("", "secrets")),
			Findings: []string{"KnownController ClusterRoleBinding b at subjects[ServiceAccount/cert-manager/cert-manager]"}},
		{Name: "a known controller with everything", Answer: check.No, Snapshot: bound("", rbacv1.Subject{Kind: "ServiceAccount", Namespace: "ingress-nginx", Name: "ingress-nginx"}, all),
			Findings: []string{"EverythingEverywhere ClusterRoleBinding b at subjects[ServiceAccount/ingress-nginx/ingress-nginx]"}},
		{Name: "Kubernetes' own", Answer: check.Yes, Snapshot: shipped("system:controller:job-controller", rule("", "pods"), job)},
		{Name: "somebody in a binding of Kubernetes' own", Answer: check.No, Snapshot: shipped("system:controller:job-controller", all, job, web),
			Findings: []string{"EverythingEverywhere ClusterRoleBinding system:controller:job-controller at subjects[ServiceAccount/shop/web]"}},
		{Name: "Secrets in a role of Kubernetes' own that has none", Answer: check.No, Snapshot: shipped("system:service-account-issuer-discovery", rule("", "secrets"), rbacv1.Subject{Kind: "Group", Name: "system:serviceaccounts"}),
			Findings: []string{"AllServiceAccounts ClusterRoleBinding system:service-account-issuer-discovery at subjects[Group/system:serviceaccounts]"}},
		{Name: "the label on a binding of anybody's", Answer: check.No, Snapshot: shipped("mine", all, web), Findings: []string{"EverythingEverywhere ClusterRoleBinding mine at subjects[ServiceAccount/shop/web]"}},
		{Name: "everybody who can log in", Answer: check.No, Snapshot: bound("", rbacv1.Subject{Kind: "Group", Name: "system:authenticated"}, rule("", "pods")),
			Findings: []string{"Everybody ClusterRoleBinding b at subjects[Group/system:authenticated]"}},
		{Name: "everybody, as Kubernetes ships it", Answer: check.Yes, Snapshot: shipped("system:public-info-viewer", rule("", "pods"), rbacv1.Subject{Kind: "Group", Name: "system:authenticated"}, rbacv1.Subject{Kind: "Group", Name: "system:unauthenticated"})},
		{Name: "a role that is not there", Answer: check.Yes, Findings: []string{"RoleMissing ClusterRoleBinding b at roleRef"}, Snapshot: snapshot.Snapshot{RBAC: access.Objects{ClusterRoleBindings: bound("", web, all).RBAC.ClusterRoleBindings}}},
	})
}
