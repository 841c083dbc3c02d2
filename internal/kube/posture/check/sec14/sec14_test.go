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

// did is of Secret db, if it is of no other.
func did(verb, namespace string, ago time.Duration, count int, name ...string) snapshot.Act {
	a := snapshot.Act{User: "system:serviceaccount:shop:robot", Verb: verb, Resource: "secrets", Namespace: namespace, Name: "db", Count: count, Last: checktest.Ago(ago)}
	for _, a.Name = range name {
	}
	return a
}

// named grants get of these alone.
func named(names ...string) access.Objects {
	o := granted(nil, "get")
	o.Roles[0].Rules[0].ResourceNames = names
	return o
}

// both grants get to robot, and to its group.
func both() access.Objects {
	o := granted(nil, "get")
	o.RoleBindings[0].Subjects = append(o.RoleBindings[0].Subjects, rbacv1.Subject{Kind: "Group", Name: "system:serviceaccounts:shop"})
	return o
}

// everywhere grants these verbs in all namespaces, of these names alone, if there are any.
func everywhere(verb string, names ...string) access.Objects {
	return access.Objects{
		ClusterRoles: []rbacv1.ClusterRole{{ObjectMeta: metav1.ObjectMeta{Name: "app"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{verb}, APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: names}}}},
		ClusterRoleBindings: []rbacv1.ClusterRoleBinding{{ObjectMeta: metav1.ObjectMeta{Name: "app"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "app"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "shop", Name: "robot"}}}},
	}
}

// bank has a Secret in another namespace as well.
func bank(s snapshot.Snapshot) snapshot.Snapshot {
	s.Namespaces = append(s.Namespaces, snapshot.Namespace{Meta: snapshot.Meta{Name: "bank", Annotations: map[string]string{sec14.Annotation: at(checktest.Day)}}})
	s.Secrets = append(s.Secrets, snapshot.Secret{Meta: snapshot.Meta{Namespace: "bank", Name: "key"}})
	return s
}

// old has the log end so many days ago.
func old(s snapshot.Snapshot, days int) snapshot.Snapshot {
	s.Activity.To = checktest.Ago(time.Duration(days) * checktest.Day)
	return s
}

func holes(s snapshot.Snapshot) snapshot.Snapshot {
	s.Activity.Lost = 3
	return s
}

// more has three Secrets.
func more(s snapshot.Snapshot) snapshot.Snapshot {
	for _, name := range []string{"mq", "x"} {
		s.Secrets = append(s.Secrets, snapshot.Secret{Meta: snapshot.Meta{Namespace: "shop", Name: name}})
	}
	return s
}

// without has no Namespace objects, as files may.
func without(s snapshot.Snapshot) snapshot.Snapshot {
	s.Namespaces = nil
	return s
}

// young has a Secret that was made after the log ended.
func young(s snapshot.Snapshot) snapshot.Snapshot {
	s.Secrets = append(s.Secrets, snapshot.Secret{Meta: snapshot.Meta{Namespace: "shop", Name: "new", Created: checktest.Ago(checktest.Day)}})
	return old(s, 2)
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
		{Name: "the log is short, and all was used", Answer: check.Yes, Snapshot: shop(fresh, granted(nil, "get"), 7, did("get", "shop", 0, 1))},
		{Name: "the log ended long ago", Answer: check.Unknown, Needs: []string{"ended 20 days ago"}, Findings: []string{"Unused RoleBinding shop/app at roleRef"}, Snapshot: old(shop(fresh, granted(nil, "get"), 200), 20)},
		{Name: "the log ended last week", Answer: check.Partly, Findings: []string{"Unused RoleBinding shop/app at roleRef"}, Snapshot: old(shop(fresh, granted(nil, "get"), 200), 6)},
		{Name: "the log has holes", Answer: check.Unknown, Needs: []string{"3 lines"}, Findings: []string{"Unused RoleBinding shop/app at roleRef"}, Snapshot: holes(shop(fresh, granted(nil, "get"), long))},
		{Name: "holes, and all was used", Answer: check.Yes, Snapshot: holes(shop(fresh, granted(nil, "get"), long, did("get", "shop", 0, 1)))},
		{Name: "one of three Secrets", Answer: check.Partly, Findings: []string{"PartlyUnused RoleBinding shop/app at roleRef"}, Snapshot: more(shop(fresh, granted(nil, "get"), long, did("get", "shop", 0, 1)))},
		{Name: "one of three, and the content of all by a list", Answer: check.Yes, Snapshot: more(shop(fresh, granted(nil, "get", "list"), long, did("get", "shop", 0, 1), did("list", "shop", 0, 1, "")))},
		{Name: "one of three by a watch of that", Answer: check.Partly, Findings: []string{"PartlyUnused RoleBinding shop/app at roleRef"}, Snapshot: more(shop(fresh, granted(nil, "watch"), long, did("watch", "shop", 0, 1)))},
		{Name: "more than could be told apart", Answer: check.Yes, Snapshot: more(shop(fresh, granted(nil, "get"), long, did("get", "shop", 0, 1, "*")))},
		{Name: "who makes Secrets needs no names", Answer: check.Yes, Snapshot: more(shop(fresh, granted(nil, "get", "create"), long, did("get", "shop", 0, 1), did("create", "shop", 0, 1, "")))},
		{Name: "one of three names", Answer: check.Partly, Findings: []string{"PartlyUnused RoleBinding shop/app at roleRef"}, Snapshot: more(shop(fresh, named("db", "mq", "x"), long, did("get", "shop", 0, 1)))},
		{Name: "all names", Answer: check.Yes, Snapshot: more(shop(fresh, named("db", "mq"), long, did("get", "shop", 0, 1), did("get", "shop", 0, 1, "mq")))},
		{Name: "a list of one namespace is none of others", Answer: check.Partly, Findings: []string{"PartlyUnused ClusterRoleBinding app at roleRef"}, Snapshot: bank(shop(fresh, everywhere("list"), long, did("list", "shop", 0, 1, "")))},
		{Name: "a list of each namespace", Answer: check.Yes, Snapshot: bank(shop(fresh, everywhere("list"), long, did("list", "shop", 0, 1, ""), did("list", "bank", 0, 1, "")))},
		{Name: "a list of all", Answer: check.Yes, Snapshot: bank(shop(fresh, everywhere("list"), long, did("list", "", 0, 1, "")))},
		{Name: "who creates in one namespace", Answer: check.Partly, Findings: []string{"PartlyUnused ClusterRoleBinding app at roleRef"}, Snapshot: bank(shop(fresh, everywhere("*"), long, did("create", "shop", 0, 1, "")))},
		{Name: "a name in a namespace that is gone", Answer: check.Yes, Snapshot: shop(fresh, everywhere("get", "db"), long, did("get", "gone", 0, 1))},
		{Name: "another name in a namespace that is gone", Answer: check.Partly, Findings: []string{"PartlyUnused ClusterRoleBinding app at roleRef"}, Snapshot: shop(fresh, everywhere("get", "db", "mq"), long, did("get", "gone", 0, 1))},
		{Name: "a Secret younger than the log", Answer: check.Yes, Snapshot: young(shop(fresh, granted(nil, "get"), long, did("get", "shop", 3*checktest.Day, 1)))},
		{Name: "a user and its group", Answer: check.Yes, Snapshot: shop(fresh, both(), long, did("get", "shop", 0, 1))},
		{Name: "Kubernetes' own", Answer: check.Yes, Snapshot: shop(fresh, shipped(), long)},
		{Name: "somebody in a binding of Kubernetes' own", Answer: check.Partly, Findings: []string{"Unused ClusterRoleBinding cluster-admin at roleRef"}, Snapshot: shop(fresh, shipped("eve"), long)},
		{Name: "the label on a binding of anybody's", Answer: check.Partly, Findings: []string{"Unused RoleBinding shop/app at roleRef"},
			Snapshot: shop(fresh, granted(map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"}, "*"), long)},
		{Name: "Secrets without their Namespace", Answer: check.Unknown, Needs: []string{"the Namespace objects of shop"}, Snapshot: without(shop(fresh, granted(nil, "get"), long, did("get", "shop", checktest.Day, 4)))},
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

// How many Secrets a right was not used for is counted in each namespace.
func TestCounts(t *testing.T) {
	for verb, want := range map[string]string{"list": "list of 1 of 2 Secrets", "create": "get of 1 of 2 Secrets"} {
		acts := []snapshot.Act{did(verb, "shop", 0, 1, "")}
		if verb == "create" {
			acts = append(acts, did("get", "shop", 0, 1, "other"))
		}
		s := bank(shop(at(checktest.Day), everywhere("*"), 100, acts...))
		s.Coverage = snapshot.Coverage{}
		for _, need := range sec14.Check().Needs {
			s.Coverage[need] = snapshot.Gap{}
		}
		f := checktest.Judge(sec14.Check(), &s, check.Settings{}).Findings
		if len(f) != 1 || !strings.Contains(f[0].Message, want) {
			t.Errorf("%s: %q is not in %+v", verb, want, f)
		}
	}
}
