package remedy

import (
	"errors"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// logged is an audit log of days until now, in which ServiceAccount team/app did acts.
func logged(days int, acts ...snapshot.Act) *snapshot.Activity {
	for i := range acts {
		acts[i].User, acts[i].Count = "system:serviceaccount:team:app", 1
	}
	return &snapshot.Activity{From: now.Add(-time.Duration(days) * 24 * time.Hour), To: now, Acts: acts}
}

func did(verb, resource, namespace, name string) snapshot.Act {
	return snapshot.Act{Verb: verb, Resource: resource, Namespace: namespace, Name: name}
}

// Where a right is used is not guessed: a controller in one namespace works in others.
func TestWhereABindingIsUsed(t *testing.T) {
	role := rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "reloader"}, Rules: []rbacv1.PolicyRule{
		{Verbs: []string{"get", "list", "watch"}, APIGroups: []string{""}, Resources: []string{"secrets", "configmaps"}},
		{Verbs: []string{"patch"}, APIGroups: []string{"apps"}, Resources: []string{"deployments"}},
	}}
	binding := rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "reloader"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "reloader"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "team", Name: "app"}}}
	own, other, all, pods := did("get", "secrets", "team", "db"), did("list", "secrets", "shop", ""), did("list", "secrets", "", ""), did("get", "pods", "shop", "p")
	old := logged(120, own)
	old.From, old.To = old.From.Add(-9*24*time.Hour), old.To.Add(-9*24*time.Hour)
	holes := logged(120, own)
	holes.Lost = 1
	somebody := logged(120, own, other)
	somebody.Acts[1].User = "system:serviceaccount:shop:app"
	denied := logged(120, own, other)
	denied.Acts[1].Count = 0
	for name, c := range map[string]struct {
		in   []string
		log  *snapshot.Activity
		kind errs.Kind
		says string
	}{
		"nothing is said":             {nil, nil, errs.Conflict, "where its ServiceAccounts use it is not known"},
		"it is said":                  {[]string{"shop"}, nil, none, "RoleBinding shop/reloader"},
		"used there alone":            {nil, logged(120, own, pods), none, "RoleBinding team/reloader"},
		"somebody else is elsewhere":  {nil, somebody, none, "RoleBinding team/reloader"},
		"refused elsewhere":           {nil, denied, none, "RoleBinding team/reloader"},
		"used elsewhere":              {nil, logged(120, own, other), errs.Conflict, "in others too: shop"},
		"used elsewhere than is said": {[]string{"team", "data"}, logged(120, own, other), errs.Conflict, "in others too: shop"},
		"used where it is said":       {[]string{"team", "shop"}, logged(1, own, other), none, "RoleBinding shop/reloader"},
		"lists all":                   {nil, logged(120, own, all), errs.Conflict, "all namespaces at once"},
		"lists all, and it is said":   {[]string{"team"}, logged(120, own, all), errs.Conflict, "all namespaces at once"},
		"a short log":                 {nil, logged(89, own), errs.Conflict, "the audit log is of 89 days"},
		"an old log":                  {nil, old, errs.Conflict, "ended 9 days ago"},
		"a log with holes":            {nil, holes, errs.Conflict, "1 lines of the audit log could not be read"},
		"not used":                    {nil, logged(120, pods), errs.Conflict, "nobody who uses it"},
	} {
		t.Run(name, func(t *testing.T) {
			w := world(t, "{containers: []}", Target{Name: "reloader"}, role, binding)
			p, err := bindings(w, Options{In: c.in, Activity: c.log})
			if (err != nil) != (c.kind != none) {
				t.Fatalf("%v", err)
			}
			has(t, p, err, c.kind, c.says)
			if p, err = bindings(w, Options{In: c.in, Activity: c.log, Anyway: true}); err != nil {
				t.Fatal(err)
			}
			has(t, p, err, none, c.says, "delete ClusterRoleBinding reloader")
		})
	}
}

// What the cluster cannot tell now is not taken for what lies in namespaces, whatever the
// user says; what could not be read is not taken for what is not there.
func TestBindingsBlind(t *testing.T) {
	role := rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{"", "metrics.k8s.io"}, Resources: []string{"pods"}}}}
	binding := rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "b"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "r"}, Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "team", Name: "app"}}}
	w := world(t, "{containers: []}", Target{Name: "b"}, role, binding)
	o := Options{In: []string{"team"}, Anyway: true}
	w.Namespaced = func(group, _ string) (bool, bool, error) { return true, group == "", nil }
	p, err := bindings(w, o)
	if err != nil {
		t.Fatal(err)
	}
	has(t, p, err, none, `pods of group "metrics.k8s.io", which the cluster does not serve`, `!of group ""`)
	w.Namespaced = func(group, _ string) (bool, bool, error) {
		if group == "" {
			return true, true, nil
		}
		return false, false, errors.New("the server is currently unable to handle the request")
	}
	if p, err = bindings(w, o); err == nil {
		t.Fatal("it is not refused")
	}
	has(t, p, err, errs.Unavailable, `pods of group "metrics.k8s.io"`, "unable to handle")
	for _, resource := range []string{"clusterrolebindings", "clusterroles", "rolebindings"} {
		w := world(t, "{containers: []}", Target{Name: "b"}, role, binding)
		w.Coverage[resource] = snapshot.Gap{Reason: "no right to list them"}
		if p, err = bindings(w, o); err == nil {
			t.Fatalf("without %s it is not refused", resource)
		}
		has(t, p, err, errs.Denied, resource+" could not be read (no right to list them)")
	}
}
