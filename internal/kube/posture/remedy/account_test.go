package remedy

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// user is a workload that runs as ServiceAccount app.
func user(kind, name string, owners ...metav1.OwnerReference) doctor.Workload {
	w := doctor.Workload{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, OwnerReferences: owners}, Group: "apps", Kind: kind}
	w.Template.Spec = corev1.PodSpec{ServiceAccountName: "app", Containers: []corev1.Container{{Name: "c", Env: []corev1.EnvVar{{Name: "A", Value: canary}}}}}
	return w
}

func TestAccounts(t *testing.T) {
	yes := true
	app := corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app", Annotations: map[string]string{"note": canary}}, ImagePullSecrets: []corev1.LocalObjectReference{{Name: "registry"}}}
	with := func(key, value string) corev1.ServiceAccount {
		a := *app.DeepCopy()
		a.Annotations = map[string]string{key: value}
		return a
	}
	named := func(name, from string) corev1.ServiceAccount {
		return corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Annotations: map[string]string{SplitFrom: from}}}
	}
	owner := metav1.OwnerReference{Kind: "Kafka", Name: "k", Controller: &yes}
	web, worker := user("Deployment", "web"), user("Deployment", "worker")
	reads := rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "data", Name: "reads"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reads"},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: "system:serviceaccount:shop:app"}, {Kind: "User", Name: "eve"}}}
	group := rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "all"}, RoleRef: reads.RoleRef, Subjects: []rbacv1.Subject{{Kind: "Group", Name: "system:serviceaccounts:shop"}}}
	everywhere := rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "wide"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "view"}, Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "shop", Name: "app"}}}
	taken := reads
	taken.Name, taken.Subjects = "reads-web", nil
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "bare"}, Spec: corev1.PodSpec{ServiceAccountName: "app"}}
	for name, c := range map[string]struct {
		objects []any
		anyway  bool
		kind    errs.Kind
		want    []string
	}{
		"two":                 {[]any{app, web, worker, reads, group}, false, none, []string{"name: registry", "namespace: data", "name: reads-web", "name: reads-worker", "serviceAccountName: worker", "!name: eve", "!all-web", "!system:serviceaccount"}},
		"one keeps its name":  {[]any{app, web, user("StatefulSet", "app")}, false, none, []string{"serviceAccountName: web", "!StatefulSet"}},
		"two of one name":     {[]any{app, web, user("DaemonSet", "web")}, false, none, []string{"serviceAccountName: web\n", "serviceAccountName: web-deployment\n"}},
		"one alone":           {[]any{app, web}, false, errs.NotExist, []string{"one workload at most"}},
		"one, and a bare pod": {[]any{app, web, pod}, false, none, []string{"serviceAccountName: web", "Pod bare"}},
		"made by an operator": {[]any{app, web, user("StatefulSet", "kafka", owner)}, false, none, []string{"Kafka k makes it", "!name: kafka"}},
		"only such":           {[]any{app, pod, user("StatefulSet", "kafka", owner)}, false, errs.Unsupported, []string{"Pod bare, StatefulSet kafka"}},
		"goes on":             {[]any{app, worker, named("worker", "app for Deployment/worker")}, false, none, []string{"# patch", "!# create"}},
		"another is there":    {[]any{app, web, worker, named("web", ""), named("web-deployment", "")}, false, errs.Exist, []string{"ServiceAccount shop/web exists"}},
		"binding is there":    {[]any{app, web, worker, reads, func() rbacv1.RoleBinding { b := taken; b.Namespace = "data"; return b }()}, false, errs.Exist, []string{"RoleBinding data/reads-web"}},
		"a cloud's":           {[]any{with("eks.amazonaws.com/role-arn", canary), web, worker}, false, errs.Conflict, []string{"eks.amazonaws.com/role-arn"}},
		"a vault's":           {[]any{with("vault.hashicorp.com/alias-metadata-team", canary), web, worker}, false, errs.Conflict, []string{"vault.hashicorp.com/alias-metadata-team"}},
		"everywhere":          {[]any{app, web, worker, everywhere}, false, errs.Conflict, []string{"strongkeep fix SEC-04 wide"}},
		"everywhere, anyway":  {[]any{app, web, worker, everywhere}, true, none, []string{"ClusterRoleBinding wide is not extended", "!kind: ClusterRoleBinding"}},
		"limited mounts":      {[]any{with(mountable, "true"), web, worker}, false, errs.Unsupported, []string{mountable}},
		"is not there":        {[]any{web, worker}, false, errs.NotExist, []string{"no ServiceAccount shop/app"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := world(t, "{containers: []}", Target{Namespace: "shop", Name: "app"}, c.objects...)
			for _, resource := range []string{"deployments", "statefulsets", "daemonsets", "cronjobs", "pods"} {
				w.Coverage[resource] = snapshot.Gap{}
			}
			p, err := accounts(w, Options{Anyway: c.anyway})
			if (err != nil) != (c.kind != none) {
				t.Fatalf("%v", err)
			}
			has(t, p, err, c.kind, c.want...)
		})
	}
	robot := with("azure.workload.identity/client-id", "robot")
	robot.Annotations["azure.workload.identity/tenant-id"], robot.Annotations["eks.amazonaws.com/audience"], robot.Annotations["example.com/note"] = "tenant", "sts", canary
	robot.Labels = map[string]string{"azure.workload.identity/use": "true", "app": canary}
	carried := world(t, "{containers: []}", Target{Namespace: "shop", Name: "app"}, robot, web, worker)
	for _, resource := range []string{"deployments", "statefulsets", "daemonsets", "cronjobs", "pods"} {
		carried.Coverage[resource] = snapshot.Gap{}
	}
	p, err := accounts(carried, Options{Anyway: true})
	if err != nil {
		t.Fatal(err)
	}
	has(t, p, err, none, "azure.workload.identity/client-id: robot", "azure.workload.identity/tenant-id: tenant", "eks.amazonaws.com/audience: sts", `azure.workload.identity/use: "true"`, "must trust the new ServiceAccounts")
	blind := world(t, "{containers: []}", Target{Namespace: "shop", Name: "app"}, app, web, worker)
	p, err = accounts(blind, Options{})
	has(t, p, err, errs.Denied, "deployments could not be read")
}
