package sec14_test

import (
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/checktest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec14"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

func at(age time.Duration) string {
	return checktest.Ago(age).Format(time.RFC3339) + " by jane@example.com"
}

// shop is a namespace with a Secret, reviewed as told, with these rights granted to
// robot, and what a log of so many days shows.
func shop(review string, o access.Objects, days int, acts ...snapshot.Act) snapshot.Snapshot {
	s := snapshot.Snapshot{
		RBAC:       o,
		Namespaces: []snapshot.Namespace{{Meta: snapshot.Meta{Name: "empty"}}, {Meta: snapshot.Meta{Name: "shop", Annotations: map[string]string{sec14.Annotation: review}}}},
		Secrets:    []snapshot.Secret{{Meta: snapshot.Meta{Namespace: "shop", Name: "db"}}},
	}
	if days > 0 {
		s.Activity = &snapshot.Activity{Place: "audit.log", From: checktest.Ago(time.Duration(days) * checktest.Day), To: checktest.Now, Acts: acts}
	}
	return s
}

func granted(labels map[string]string, verbs ...string) access.Objects {
	return access.Objects{
		Roles: []rbacv1.Role{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app"}, Rules: []rbacv1.PolicyRule{{Verbs: verbs, APIGroups: []string{""}, Resources: []string{"secrets"}}}}},
		RoleBindings: []rbacv1.RoleBinding{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app", Labels: labels}, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "app"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "robot"}}}},
	}
}

// shipped is cluster-admin as Kubernetes ships it, with more users.
func shipped(users ...string) access.Objects {
	meta := metav1.ObjectMeta{Name: "cluster-admin", Labels: map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"}}
	subjects := []rbacv1.Subject{{Kind: "Group", Name: "system:masters"}}
	for _, u := range users {
		subjects = append(subjects, rbacv1.Subject{Kind: "User", Name: u})
	}
	return access.Objects{
		ClusterRoles:        []rbacv1.ClusterRole{{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}}}},
		ClusterRoleBindings: []rbacv1.ClusterRoleBinding{{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "cluster-admin"}, Subjects: subjects}},
	}
}

func did(verb, namespace string, ago time.Duration, count int) snapshot.Act {
	return snapshot.Act{User: "system:serviceaccount:shop:robot", Verb: verb, Resource: "secrets", Namespace: namespace, Name: "db", Count: count, Last: checktest.Ago(ago)}
}

func TestCheck(t *testing.T) {
	fresh, none := at(checktest.Day), access.Objects{}
	record := " Namespace shop at metadata.annotations[strongkeep.io/access-reviewed]"
	long := 100
	checktest.Run(t, sec14.Check(), []checktest.Case{
		{Name: "no log", Answer: check.Unknown, Needs: []string{"--audit-log"}, Snapshot: shop(fresh, none, 0)},
		{Name: "no log, no review", Answer: check.Unknown, Findings: []string{"NotReviewed" + record}, Snapshot: shop("", none, 0)},
		{Name: "reviewed, all used", Answer: check.Yes, Snapshot: shop(fresh, granted(nil, "get"), long, did("get", "shop", checktest.Day, 4))},
		{Name: "no review", Answer: check.No, Findings: []string{"NotReviewed" + record}, Snapshot: shop("", granted(nil, "get"), long, did("get", "shop", checktest.Day, 4))},
		{Name: "an old review", Answer: check.No, Findings: []string{"ReviewedLongAgo" + record}, Snapshot: shop(at(91*checktest.Day), none, long)},
		{Name: "a review to come", Answer: check.No, Findings: []string{"NotReviewed" + record}, Snapshot: shop(at(-checktest.Day), none, long)},
		{Name: "a review by nobody", Answer: check.No, Findings: []string{"NotReviewed" + record}, Snapshot: shop(checktest.Now.Format(time.RFC3339), none, long)},
		{Name: "not used", Answer: check.Partly, Findings: []string{"Unused RoleBinding shop/app at roleRef"}, Snapshot: shop(fresh, granted(nil, "get", "list"), long)},
		{Name: "used by another", Answer: check.Partly, Findings: []string{"Unused RoleBinding shop/app at roleRef"}, Snapshot: shop(fresh, granted(nil, "get"), long, snapshot.Act{User: "jane", Verb: "get", Resource: "secrets", Namespace: "shop", Name: "db", Count: 1, Last: checktest.Now})},
		{Name: "used elsewhere", Answer: check.Partly, Findings: []string{"Unused RoleBinding shop/app at roleRef"}, Snapshot: shop(fresh, granted(nil, "get"), long, did("get", "other", 0, 1))},
		{Name: "used long ago", Answer: check.Partly, Findings: []string{"Unused RoleBinding shop/app at roleRef"}, Snapshot: shop(fresh, granted(nil, "get"), 200, did("get", "shop", 150*checktest.Day, 9))},
		{Name: "only denied", Answer: check.Partly, Findings: []string{"Unused RoleBinding shop/app at roleRef"}, Snapshot: shop(fresh, granted(nil, "get"), long, did("get", "shop", 0, 0))},
		{Name: "one verb of all", Answer: check.Partly, Findings: []string{"PartlyUnused RoleBinding shop/app at roleRef"}, Snapshot: shop(fresh, granted(nil, "*"), long, did("get", "shop", 0, 1))},
		{Name: "the log is short", Answer: check.Unknown, Needs: []string{"90 days"}, Findings: []string{"Unused RoleBinding shop/app at roleRef"}, Snapshot: shop(fresh, granted(nil, "get"), 7)},
		{Name: "the log is short, and enough was asked for", Answer: check.Yes, Settings: check.Settings{Unused: 5 * checktest.Day}, Snapshot: shop(fresh, granted(nil, "get"), 7, did("get", "shop", 0, 1))},
		{Name: "Kubernetes' own", Answer: check.Yes, Snapshot: shop(fresh, shipped(), long)},
		{Name: "somebody in a binding of Kubernetes' own", Answer: check.Partly, Findings: []string{"Unused ClusterRoleBinding cluster-admin at roleRef"}, Snapshot: shop(fresh, shipped("eve"), long)},
		{Name: "the label on a binding of anybody's", Answer: check.Partly, Findings: []string{"Unused RoleBinding shop/app at roleRef"},
			Snapshot: shop(fresh, granted(map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"}, "*"), long)},
		{Name: "of no Secrets", Answer: check.Yes, Snapshot: shop(fresh, access.Objects{}, long)},
	})
}

func TestReviews(t *testing.T) {
	if r, ok := sec14.ParseReview(" 2026-11-01T09:30:00Z by jane by proxy "); !ok || r.By != "jane by proxy" || r.At.Hour() != 9 {
		t.Errorf("%+v %v", r, ok)
	}
	for _, wrong := range []string{"", "yesterday by jane", "2026-11-01T09:30:00Z", "2026-11-01T09:30:00Z by ", "by jane"} {
		if _, ok := sec14.ParseReview(wrong); ok {
			t.Errorf("%q is taken for a review", wrong)
		}
	}
	if c := sec14.Record("shop"); !strings.Contains(c, "kubectl annotate namespace shop") {
		t.Error(c)
	}
}
