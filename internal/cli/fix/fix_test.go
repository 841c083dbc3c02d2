package fix_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/remedy"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
	"github.com/strongkeep/strongkeep/internal/testenv/await"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	schemes := []func(*runtime.Scheme) error{rbacv1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, authorizationv1.AddToScheme, v1.AddToScheme}
	os.Exit(apiserver.Main(apiserver.Config{Schemes: schemes}, func(s *apiserver.Server) (int, error) {
		server = s
		return m.Run(), nil
	}))
}

const canary = "canary-77d2" // in every value here

func run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return runWith(t, nil, args...)
}

// runWith has more in the environment.
func runWith(t *testing.T, vars map[string]string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	env := session.System()
	env.Context, env.Stdout, env.Stderr = t.Context(), &out, &errOut
	env.Getenv = func(name string) string {
		if name == "KUBECONFIG" {
			return server.Kubeconfig()
		}
		return vars[name]
	}
	code = cli.Main(args, env)
	if all := out.String() + errOut.String(); strings.Contains(all, canary) {
		t.Errorf("%v tells a value:\n%s", args, all)
	}
	return out.String(), errOut.String(), code
}

func namespace(t *testing.T, text string) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "fix-"}}
	if err := server.Client.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	if err := apiserver.Apply(t.Context(), server.Client, ns.Name, strings.ReplaceAll(strings.ReplaceAll(text, "NS", ns.Name), "CANARY", canary)); err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

const web = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
---
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {password: CANARY, user: CANARY}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers:
      - name: web
        image: web
        env:
        - {name: FIRST, value: CANARY}
        - {name: PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}
        - {name: USER, valueFrom: {secretKeyRef: {name: db, key: user}}}
        - {name: LAST, value: CANARY}
        volumeMounts: [{name: tmp, mountPath: /tmp}]
      volumes: [{name: tmp, emptyDir: {}}]
---
`

func deployment(t *testing.T, ns string) *appsv1.Deployment {
	t.Helper()
	d := &appsv1.Deployment{}
	if err := server.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "web"}, d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestFilesForVariables(t *testing.T) {
	ns := namespace(t, web)
	before := deployment(t, ns)
	out, stderr, code := run(t, "fix", "SEC-09", ns+"/web", "-file-env")
	if code != 0 || !strings.Contains(out, "Nothing is changed yet") || deployment(t, ns).Generation != before.Generation {
		t.Fatalf("a proposal: %d\n%s%s", code, out, stderr)
	}
	out, stderr, code = run(t, "fix", "SEC-09", ns+"/web", "-file-env", "-apply")
	if code != 0 || !strings.Contains(out, "SEC-09 finds nothing more of Deployment "+ns+"/web") {
		t.Fatalf("%d\n%s%s", code, out, stderr)
	}
	after := deployment(t, ns)
	spec := &after.Spec.Template.Spec
	env := map[string]string{}
	for _, e := range spec.Containers[0].Env {
		env[e.Name] = e.Value
		if e.ValueFrom != nil {
			t.Errorf("variable %s is still made of a Secret", e.Name)
		}
	}
	const file = "/var/run/strongkeep/secrets/db/"
	if len(env) != 4 || env["FIRST"] != canary || env["LAST"] != canary || env["PASSWORD_FILE"] != file+"password" || env["USER_FILE"] != file+"user" {
		t.Errorf("%d variables, with files %q and %q", len(env), env["PASSWORD_FILE"], env["USER_FILE"])
	}
	if len(spec.Volumes) != 2 || len(spec.Containers[0].VolumeMounts) != 2 {
		t.Errorf("%v %v", spec.Volumes, spec.Containers[0].VolumeMounts)
	}
	// Nothing else has changed.
	spec.Containers[0].Env, spec.Volumes, spec.Containers[0].VolumeMounts = nil, nil, nil
	was := &before.Spec.Template.Spec
	was.Containers[0].Env, was.Volumes, was.Containers[0].VolumeMounts = nil, nil, nil
	if a, b := text(t, before.Spec), text(t, after.Spec); a != b {
		t.Errorf("%s\n%s", a, b)
	}
	if _, stderr, code = run(t, "fix", "SEC-09", "deployment/"+ns+"/web", "-file-env", "-apply"); code != errs.NotExist.ExitCode() {
		t.Errorf("again: %d %s", code, stderr)
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestNoToken(t *testing.T) {
	ns := namespace(t, web)
	out, stderr, code := run(t, "fix", "SEC-08", ns+"/web", "-apply")
	if code != 0 || !strings.Contains(out, "finds nothing more") {
		t.Fatalf("%d\n%s%s", code, out, stderr)
	}
	if a := deployment(t, ns).Spec.Template.Spec.AutomountServiceAccountToken; a == nil || *a {
		t.Error("the token is still mounted")
	}
}

func TestBindings(t *testing.T) {
	ns := namespace(t, web+`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NS-reader}
rules: [{verbs: [get, list], apiGroups: [""], resources: [secrets]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NS-readers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NS-reader}
subjects: [{kind: ServiceAccount, name: web, namespace: NS}]
`)
	name := ns + "-readers"
	if out, stderr, code := run(t, "fix", "SEC-04", name, "-apply"); code != errs.Conflict.ExitCode() || !strings.Contains(stderr, "-in") {
		t.Fatalf("without a word where it is used: %d\n%s%s", code, out, stderr)
	}
	const risk = "where its ServiceAccounts use it is not known"
	out, stderr, code := run(t, "fix", "SEC-04", name, "-anyway")
	if code != 0 || !strings.Contains(out, "# delete ClusterRoleBinding "+name) || !strings.Contains(out, "# Look at this before: "+risk) {
		t.Fatalf("%d\n%s%s", code, out, stderr)
	}
	out, stderr, code = run(t, "fix", "SEC-04", name, "-anyway", "-apply")
	if code != 0 || !strings.Contains(out, "SEC-04 finds nothing more of ClusterRoleBinding "+name) {
		t.Fatalf("%d\n%s%s", code, out, stderr)
	}
	if !strings.Contains(stderr, "Warning: look at this: "+risk) {
		t.Errorf("what to look at before is not told:\n%s", stderr)
	}
	b := &rbacv1.RoleBinding{}
	if err := server.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: name}, b); err != nil || b.RoleRef.Name != ns+"-reader" || len(b.Subjects) != 1 {
		t.Errorf("%v %+v", err, b)
	}
	if err := server.Client.Get(t.Context(), client.ObjectKey{Name: name}, &rbacv1.ClusterRoleBinding{}); !apierrors.IsNotFound(err) {
		t.Errorf("it is still bound in the whole cluster: %v", err)
	}
	if _, stderr, code := run(t, "fix", "SEC-04", "cluster-admin", "-in="+ns); code != errs.Conflict.ExitCode() || !strings.Contains(stderr, "Kubernetes' own") {
		t.Errorf("%d %s", code, stderr)
	}
}

// While what serves a group is down, it is not known whether its objects lie in namespaces;
// of one that the cluster does not have, nobody has rights that could be lost.
func TestBindingsWhileAnAPIIsDown(t *testing.T) {
	ns := namespace(t, web)
	group := ns + ".example.com"
	service := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": "v1." + group},
		"spec": map[string]any{"group": group, "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100, "insecureSkipTLSVerify": true, "service": map[string]any{"namespace": ns, "name": "nobody"}},
	}}
	if err := server.Client.Create(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Client.Delete(context.WithoutCancel(t.Context()), service); err != nil {
			t.Error(err)
		}
	})
	config, err := clientcmd.BuildConfigFromFlags("", server.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	known, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the API server knows the group", func() bool {
		_, err := known.ServerResourcesForGroupVersion(group + "/v1")
		groups, listed := known.ServerGroups()
		return apierrors.IsServiceUnavailable(err) && listed == nil && slices.ContainsFunc(groups.Groups, func(g metav1.APIGroup) bool { return g.Name == group })
	})
	for name, c := range map[string]struct {
		groups string
		code   int
		says   string
	}{
		"down":        {"[" + group + "]", errs.Unavailable.ExitCode(), "cannot say now"},
		"down, later": {`["", ` + group + "]", errs.Unavailable.ExitCode(), "cannot say now"},
		"unknown":     {"[nobody.example.com]", 0, "which the cluster does not serve"},
	} {
		t.Run(name, func(t *testing.T) {
			role := ns + "-" + strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), ",", "")
			if err := apiserver.Apply(t.Context(), server.Client, ns, strings.NewReplacer("ROLE", role, "GROUPS", c.groups, "NS", ns).Replace(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: ROLE}
rules: [{verbs: [get], apiGroups: GROUPS, resources: [secrets]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: ROLE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: ROLE}
subjects: [{kind: ServiceAccount, name: web, namespace: NS}]
`)); err != nil {
				t.Fatal(err)
			}
			out, stderr, code := run(t, "fix", "SEC-04", role, "-in="+ns, "-anyway")
			if code != c.code || !strings.Contains(out+stderr, c.says) {
				t.Errorf("%d\n%s%s", code, out, stderr)
			}
		})
	}
}

const reads = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reads}
rules: [{verbs: [get, list, create], apiGroups: [""], resources: [secrets, configmaps]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reads}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reads}
subjects: [{kind: ServiceAccount, name: web, namespace: NS}]
`

// The finding of a report is mended.
func TestNarrow(t *testing.T) {
	ns := namespace(t, web+reads)
	report := filepath.Join(t.TempDir(), "report.json")
	f := check.Marked{Finding: check.Finding{Check: "SEC-03", Rule: "ReadsNamespace", Object: snapshot.Ref{Kind: "ServiceAccount", Namespace: ns, Name: "web"}}, Fingerprint: "f1"}
	if err := os.WriteFile(report, []byte(text(t, check.Report{Schema: check.Schema, Results: []check.Result{{ID: "SEC-03", Findings: []check.Marked{f}}}})), 0o600); err != nil {
		t.Fatal(err)
	}
	// A second Role that reads all is found still when the first is mended.
	if err := apiserver.Apply(t.Context(), server.Client, ns, strings.NewReplacer("NS", ns, "name: reads}", "name: too}").Replace(reads)); err != nil {
		t.Fatal(err)
	}
	if out, _, code := run(t, "fix", "SEC-03", ns+"/too", "-secret=db", "-apply"); code != 10 || !strings.Contains(out, "ReadsNamespace of ServiceAccount "+ns+"/web") {
		t.Fatalf("what is found still: %d\n%s", code, out)
	}
	out, stderr, code := run(t, "fix", "-report="+report, "-finding=f1", "-secret=db", "-apply")
	if code != 0 || !strings.Contains(out, "finds nothing more") {
		t.Fatalf("%d\n%s%s", code, out, stderr)
	}
	r := &rbacv1.Role{}
	if err := server.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "reads"}, r); err != nil {
		t.Fatal(err)
	}
	const want = `[{"verbs":["get","list","create"],"apiGroups":[""],"resources":["configmaps"]},{"verbs":["create"],"apiGroups":[""],"resources":["secrets"]},{"verbs":["get","list"],"apiGroups":[""],"resources":["secrets"],"resourceNames":["db"]}]`
	if got := text(t, r.Rules); got != want {
		t.Errorf("rules are\n%s, want\n%s", got, want)
	}
	if _, stderr, code := run(t, "fix", "-report="+report, "-finding=f2"); code != errs.NotExist.ExitCode() {
		t.Errorf("%d %s", code, stderr)
	}
}

// The names are those that an audit log shows.
func TestNarrowByLog(t *testing.T) {
	ns := namespace(t, web+reads)
	event := func(verb, uri, name string) string {
		return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","stage":"ResponseComplete","verb":"%s","requestURI":"%s","user":{"username":"system:serviceaccount:%s:web"},"objectRef":{"resource":"secrets","namespace":"%[3]s","name":"%s","apiVersion":"v1"},"responseStatus":{"code":200},"stageTimestamp":"2026-01-02T03:04:05Z"}`+"\n", verb, uri, ns, name)
	}
	log := filepath.Join(t.TempDir(), "audit.log")
	all := "/api/v1/namespaces/" + ns + "/secrets"
	write := func(lines ...string) {
		t.Helper()
		if err := os.WriteFile(log, []byte(strings.Join(lines, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(event("get", all+"/db", "db"), event("list", all+"?fieldSelector=metadata.name%3Dlisted", ""), event("create", all, "made"))
	if out, stderr, code := run(t, "fix", "SEC-03", ns+"/reads", "-audit-log="+log, "-apply"); code != errs.Conflict.ExitCode() || !strings.Contains(stderr, "the audit log is of 0 days") {
		t.Fatalf("a short log: %d\n%s%s", code, out, stderr)
	}
	out, stderr, code := run(t, "fix", "SEC-03", ns+"/reads", "-audit-log="+log, "-secret=said", "-anyway")
	if code != 0 || !strings.Contains(out, "- db\n  - listed\n  - said\n") || !strings.Contains(out, "the log shows 0 days") {
		t.Fatalf("%d\n%s%s", code, out, stderr)
	}
	if out, stderr, code = run(t, "fix", "SEC-03", ns+"/reads", "-audit-log="+log, "-anyway", "-apply"); code != 0 || !strings.Contains(stderr, "Warning: look at this: the log shows 0 days") || !strings.Contains(out, "finds nothing more") {
		t.Fatalf("%d\n%s%s", code, out, stderr)
	}
	ns = namespace(t, web+reads)
	all = "/api/v1/namespaces/" + ns + "/secrets"
	write(event("get", all+"/db", "db"), event("list", all, ""))
	if _, stderr, code := run(t, "fix", "SEC-03", ns+"/reads", "-audit-log="+log, "-anyway"); code != errs.Conflict.ExitCode() || !strings.Contains(stderr, "list is asked of all Secrets") {
		t.Errorf("who lists all: %d %s", code, stderr)
	}
	write(event("create", all, "made"))
	if _, stderr, code := run(t, "fix", "SEC-03", ns+"/reads", "-audit-log="+log, "-anyway"); code != errs.Invalid.ExitCode() || !strings.Contains(stderr, "nobody who reads a Secret") {
		t.Errorf("who reads none: %d %s", code, stderr)
	}
}

// What has changed since it was looked at is left alone, and the error says what
// was done before.
func TestChangedMeanwhile(t *testing.T) {
	ns := namespace(t, web)
	d := deployment(t, ns)
	w := &remedy.World{Case: &doctor.Case{Coverage: snapshot.Coverage{}}, Workload: &doctor.Workload{ObjectMeta: d.ObjectMeta, Group: "apps", Kind: "Deployment", Template: d.Spec.Template}}
	i := 0
	list := remedy.List()
	for ; list[i].Check != "SEC-09"; i++ {
	}
	p, err := list[i].Plan(w, remedy.Options{FileEnv: true})
	if err != nil {
		t.Fatal(err)
	}
	p.Steps = append([]remedy.Step{{Verb: remedy.Create, Object: map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"namespace": ns, "name": "first"}}}}, p.Steps...)
	if err := server.Client.Patch(t.Context(), d, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"paused":true}}`))); err != nil {
		t.Fatal(err)
	}
	err = remedy.Apply(t.Context(), server.Client, p, false)
	if !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "done before: create ServiceAccount "+ns+"/first") {
		t.Errorf("%v", err)
	}
	if e := deployment(t, ns).Spec.Template.Spec.Containers[0].Env; e[1].ValueFrom == nil {
		t.Error("it was patched all the same")
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"SEC-06", "shop/db"}, errs.Unsupported.ExitCode(), "SEC-09 EnvVariable"},
		{[]string{"SEC-08", "rolebinding/shop/db"}, errs.Unsupported.ExitCode(), "SEC-08 SharedAccount"},
		{[]string{"SEC-03", "default/none", "-audit-log=/nowhere"}, errs.Invalid.ExitCode(), "/nowhere"},
		{[]string{"SEC-05", "default/none"}, errs.Invalid.ExitCode(), "-path=secret/shop/db -store=NAME"},
		{[]string{"SEC-05", "default/none", "-store=x", "-path=secret/x"}, errs.NotExist.ExitCode(), "Secret default/none"},
		{[]string{"SEC-09"}, errs.Invalid.ExitCode(), "say which check and what"},
		{[]string{"SEC-09", "a/b/c/d"}, errs.Invalid.ExitCode(), "neither"},
		{[]string{"SEC-09", "default/none"}, errs.NotExist.ExitCode(), "there is no Deployment, StatefulSet, DaemonSet or CronJob default/none"},
		{[]string{"-finding=f1"}, errs.Invalid.ExitCode(), "-report"},
	} {
		if _, stderr, code := run(t, append([]string{"fix"}, c.args...)...); code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%v: %d %s", c.args, code, stderr)
		}
	}
}
