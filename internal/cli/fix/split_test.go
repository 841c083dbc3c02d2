package fix_test

import (
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/remedy"
	"github.com/strongkeep/strongkeep/internal/testenv/await"
)

const shared = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: app, annotations: {note: CANARY}}
imagePullSecrets: [{name: registry}]
automountServiceAccountToken: true
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: app, containers: [{name: web, image: web, env: [{name: FIRST, value: CANARY}]}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: worker}
spec:
  selector: {matchLabels: {app: worker}}
  serviceName: worker
  template:
    metadata: {labels: {app: worker}}
    spec: {serviceAccountName: app, containers: [{name: worker, image: worker}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: app}
spec:
  schedule: "0 3 * * *"
  jobTemplate: {spec: {template: {spec: {serviceAccountName: app, restartPolicy: Never, containers: [{name: app, image: app}]}}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reads}
rules: [{verbs: [get], apiGroups: [""], resources: [secrets], resourceNames: [db]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reads}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reads}
subjects: [{kind: ServiceAccount, name: app, namespace: NS}]
---
`

// may asks the API server whether a ServiceAccount of ns may do something in a namespace.
func may(t *testing.T, ns, account, verb, in, name string) bool {
	t.Helper()
	r := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User:               "system:serviceaccount:" + ns + ":" + account,
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: in, Verb: verb, Resource: "secrets", Name: name},
	}}
	if err := server.Client.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r.Status.Allowed
}

// Each workload has a ServiceAccount of its own, with the rights and the pull secrets
// of the one that was shared, and nothing else has changed.
func TestSplit(t *testing.T) {
	ns := namespace(t, shared)
	other := namespace(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: elsewhere}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{kind: ServiceAccount, name: app, namespace: `+ns+`}]
`)
	before := deployment(t, ns)
	out, stderr, code := run(t, "fix", "SEC-08", "serviceaccount/"+ns+"/app")
	if code != 0 || !strings.Contains(out, "Nothing is changed yet") || !strings.Contains(out, "name: elsewhere-web") || deployment(t, ns).Generation != before.Generation {
		t.Fatalf("a proposal: %d\n%s%s", code, out, stderr)
	}
	out, stderr, code = run(t, "fix", "SEC-08", "serviceaccount/"+ns+"/app", "-apply")
	if code != 0 || !strings.Contains(out, "SEC-08 finds nothing more of ServiceAccount "+ns+"/app") {
		t.Fatalf("%d\n%s%s", code, out, stderr)
	}
	for _, name := range []string{"web", "worker"} {
		a := &corev1.ServiceAccount{}
		if err := server.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: name}, a); err != nil {
			t.Fatal(err)
		}
		if len(a.ImagePullSecrets) != 1 || a.ImagePullSecrets[0].Name != "registry" || a.AutomountServiceAccountToken == nil || a.Annotations["note"] != "" || a.Annotations[remedy.SplitFrom] == "" {
			t.Errorf("ServiceAccount %s: %v", name, a)
		}
		// The API server's authorizer learns of bindings by watches.
		await.Until(t, name+" has the rights", func() bool {
			return may(t, ns, name, "get", ns, "db") && may(t, ns, name, "list", other, "")
		})
		if may(t, ns, name, "get", ns, "another") || may(t, ns, name, "list", "default", "") {
			t.Errorf("%s has more rights than the shared one", name)
		}
	}
	if !may(t, ns, "app", "get", ns, "db") {
		t.Error("the shared one has lost its rights")
	}
	cron := &batchv1.CronJob{}
	if err := server.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "app"}, cron); err != nil || cron.Spec.JobTemplate.Spec.Template.Spec.ServiceAccountName != "app" {
		t.Errorf("who is called as the shared one keeps it: %v", err)
	}
	after := deployment(t, ns)
	is, was := &after.Spec.Template.Spec, &before.Spec.Template.Spec
	if is.ServiceAccountName != "web" {
		t.Errorf("web runs as %s", is.ServiceAccountName)
	}
	is.ServiceAccountName, is.DeprecatedServiceAccount, was.ServiceAccountName, was.DeprecatedServiceAccount = "", "", "", ""
	if a, b := text(t, before.Spec), text(t, after.Spec); a != b {
		t.Errorf("%s\n%s", a, b)
	}
	if _, stderr, code := run(t, "fix", "SEC-08", "serviceaccount/"+ns+"/app"); code != errs.NotExist.ExitCode() || !strings.Contains(stderr, "one workload at most") {
		t.Errorf("again: %d %s", code, stderr)
	}
}

// A run that stopped between two steps is gone on with.
func TestSplitGoesOn(t *testing.T) {
	ns := namespace(t, shared)
	for _, o := range []client.Object{
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web", Annotations: map[string]string{remedy.SplitFrom: "app for Deployment/web"}}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "worker"}}, // somebody's
		&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "reads-web"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reads"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: ns, Name: "web"}}},
	} {
		if err := server.Client.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	out, stderr, code := run(t, "fix", "SEC-08", "serviceaccount/"+ns+"/app", "-apply")
	if code != 0 || strings.Contains(out, "ServiceAccount "+ns+"/web\n") || !strings.Contains(out, ns+"/worker-statefulset") {
		t.Fatalf("%d\n%s%s", code, out, stderr)
	}
	if name := deployment(t, ns).Spec.Template.Spec.ServiceAccountName; name != "web" {
		t.Errorf("web runs as %s", name)
	}
}
