package doctor_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	external "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == plugin {
		os.Exit(cli.Main(os.Args[1:], session.System()))
	}
	schemes := []func(*runtime.Scheme) error{rbacv1.AddToScheme, appsv1.AddToScheme, external.AddToScheme, authorizationv1.AddToScheme}
	os.Exit(apiserver.Main(apiserver.Config{Schemes: schemes}, func(s *apiserver.Server) (int, error) {
		server = s
		return m.Run(), nil
	}))
}

const (
	plugin = "kubectl-strongkeep"
	canary = "canary-9e0c" // in the content of every Secret, variable and argument here
)

// desk is somebody at a terminal.
type desk struct {
	testing.TB
	kubeconfig string
}

// run runs a command line and returns what it wrote, and its exit code.
func (d *desk) run(args ...string) (stdout, stderr string, code int) {
	d.Helper()
	var out, errOut bytes.Buffer
	env := session.System()
	env.Context, env.Stdout, env.Stderr = d.Context(), &out, &errOut
	env.Getenv = func(name string) string {
		if name == "KUBECONFIG" {
			return d.kubeconfig
		}
		return ""
	}
	code = cli.Main(args, env)
	if all := out.String() + errOut.String(); strings.Contains(all, canary) {
		d.Errorf("%v tells a value:\n%s", args, all)
	}
	return out.String(), errOut.String(), code
}

// found runs doctor and returns what it found.
func (d *desk) found(args ...string) []doctor.Diagnosis {
	d.Helper()
	out, stderr, code := d.run(append(args, "-o", "json")...)
	var answer struct{ Diagnoses []doctor.Diagnosis }
	if err := json.Unmarshal([]byte(out), &answer); err != nil || (code == 10) != (len(answer.Diagnoses) > 0) {
		d.Fatalf("%v: code %d, %v\n%s%s", args, code, err, out, stderr)
	}
	return answer.Diagnoses
}

// namespace makes one with what text says.
func namespace(t testing.TB, text string) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "doctor-"}}
	if err := server.Client.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	if err := apiserver.Apply(t.Context(), server.Client, ns.Name, strings.ReplaceAll(strings.ReplaceAll(text, "NS", ns.Name), "CANARY", canary)); err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// app is a pod, and the account it runs as.
const app = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  serviceAccountName: web
  automountServiceAccountToken: false
  containers:
  - name: web
    image: web
    args: [CANARY]
    env:
    - {name: LITERAL, value: CANARY}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}
---
`

// status writes the status of pod web, as the kubelet does.
func status(t testing.TB, ns string, s corev1.PodStatus) {
	t.Helper()
	// Merged, for the scheduler writes there too.
	patch, err := json.Marshal(map[string]any{"status": s})
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web"}}
	if err := server.Client.Status().Patch(t.Context(), pod, client.RawPatch(types.MergePatchType, patch)); err != nil {
		t.Fatal(err)
	}
}

// broken is what the kubelet writes of a container that it cannot make.
func broken(message string) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
		Name: "web", Image: "web", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CreateContainerConfigError", Message: message}},
	}}}
}

func only(t testing.TB, found []doctor.Diagnosis, symptom string, cause ...string) {
	t.Helper()
	if len(found) != 1 || found[0].Symptom != symptom {
		t.Errorf("found %+v, want %s", found, symptom)
		return
	}
	for _, c := range cause {
		if !strings.Contains(fmt.Sprintf("%+v", found[0]), c) {
			t.Errorf("it lacks %q: %+v", c, found[0])
		}
	}
}

func TestPodThatDoesNotStart(t *testing.T) {
	d := &desk{t, server.Kubeconfig()}
	ns := namespace(t, app)
	status(t, ns, broken(`secret "db" not found`))
	only(t, d.found("doctor", "pod", ns+"/web"), "SecretMissing", "does not exist in namespace "+ns, `the kubelet says: secret "db" not found`)

	if err := apiserver.Apply(t.Context(), server.Client, ns, "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {passwd: "+canary+"}\n"); err != nil {
		t.Fatal(err)
	}
	status(t, ns, broken("couldn't find key password in Secret "+ns+"/db"))
	only(t, d.found("doctor", "-n", ns), "KeyMissing", "it has passwd")

	if err := apiserver.Apply(t.Context(), server.Client, ns, "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: "+canary+"}\n"); err != nil {
		t.Fatal(err)
	}
	status(t, ns, running(t, ns, time.Second))
	out, _, code := d.run("doctor", "pod/web", "-n", ns)
	if code != 0 || !strings.Contains(out, "Nothing is known to be wrong") {
		t.Errorf("a pod that runs: %d\n%s", code, out)
	}
	if _, stderr, code := d.run("doctor", "pod", ns+"/wep"); code != 5 || !strings.Contains(stderr, "there is web") {
		t.Errorf("a pod that is not there: %d %s", code, stderr)
	}
}

// running is a container that began so long after Secret db was written.
func running(t testing.TB, ns string, later time.Duration) corev1.PodStatus {
	t.Helper()
	s := &corev1.Secret{}
	if err := server.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "db"}, s); err != nil {
		t.Fatal(err)
	}
	began := metav1.Time{}
	for _, f := range s.ManagedFields {
		if f.Time.After(began.Time) {
			began = *f.Time
		}
	}
	began.Time = began.Add(later)
	return corev1.PodStatus{
		Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		ContainerStatuses: []corev1.ContainerStatus{{Name: "web", Image: "web", Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: began}}}},
	}
}

func TestPodOnAnOldCredential(t *testing.T) {
	d := &desk{t, server.Kubeconfig()}
	ns := namespace(t, app+"apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: CANARY}\n")
	status(t, ns, running(t, ns, -time.Hour))
	only(t, d.found("doctor", "secret", ns+"/db"), "OldCredential", "(PASSWORD) of Secret db in a variable", "delete the pod")
	out, _, code := d.run("doctor", "-n", ns)
	if code != 10 || !strings.Contains(out, "seen: Secret "+ns+"/db metadata.managedFields: its data was last written at") || !strings.Contains(out, "do:   ") {
		t.Errorf("%d\n%s", code, out)
	}
}

func TestExternalSecretThatDoesNotSync(t *testing.T) {
	d := &desk{t, server.Kubeconfig()}
	ns := namespace(t, app+`
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: db}
spec: {secretStoreRef: {name: vault}, data: [{secretKey: password, remoteRef: {key: db}}]}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: vault}
spec: {provider: {vault: {server: "https://vault.example:8200", path: secret, auth: {tokenSecretRef: {name: t, key: t}}}}}
`)
	status(t, ns, broken(`secret "db" not found`))
	es := &external.ExternalSecret{}
	if err := server.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "db"}, es); err != nil {
		t.Fatal(err)
	}
	es.Status.Conditions = []external.Condition{{Type: external.ConditionReady, Status: metav1.ConditionFalse, Reason: external.ReasonSecretSyncedError,
		Message: `SecretStore "` + ns + `/vault": key "db": secret "db" does not exist, or its latest version was deleted, at https://vault.example:8200 (path secret/data/db)`, LastTransitionTime: metav1.Now()}}
	if err := server.Client.Status().Update(t.Context(), es); err != nil {
		t.Fatal(err)
	}
	found := d.found("doctor", "externalsecret", ns+"/db")
	if len(found) != 2 {
		t.Fatalf("%+v", found)
	}
	only(t, found[:1], "PathNotFound", "the store has nothing at the path")
	only(t, found[1:], "SecretNotSynced", "for ExternalSecret db does not sync")
}

func TestDenied(t *testing.T) {
	d := &desk{t, server.Kubeconfig()}
	ns := namespace(t, app+`
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reads}
rules: [{verbs: [get], apiGroups: [""], resources: [secrets], resourceNames: [other]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reads}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reads}
subjects: [{kind: ServiceAccount, name: web}]
`)
	// What the API server itself says is what is parsed.
	as := rest.CopyConfig(server.REST)
	as.Impersonate.UserName = "system:serviceaccount:" + ns + ":web"
	c, err := client.New(as, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	refused := c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "db"}, &corev1.Secret{})
	if refused == nil {
		t.Fatal("it was not refused")
	}
	found := d.found("doctor", "denied", refused.Error())
	only(t, found, "RuleMisses", "is for other, and not for db", "1 pods run as it: web")
	if err := apiserver.Apply(t.Context(), server.Client, ns, found[0].Fix.Patch); err != nil {
		t.Fatalf("%v in:\n%s", err, found[0].Fix.Patch)
	}
	rules := &rbacv1.Role{Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"db"}}}, ObjectMeta: metav1.ObjectMeta{Namespace: ns}}
	if err := apiserver.InForce(t.Context(), server.REST, as.Impersonate, []*rbacv1.Role{rules}); err != nil {
		t.Fatal(err)
	}
	only(t, d.found("doctor", "denied", "-as="+as.Impersonate.UserName, "-resource=secrets", "-name=db"), "Allowed")
	if _, stderr, code := d.run("doctor", "denied", "no luck"); code != 2 || !strings.Contains(stderr, "no refusal of the API server") {
		t.Errorf("%d %s", code, stderr)
	}
}

// reader returns the kubeconfig of a user who may read a namespace but for Secrets.
func reader(t testing.TB, ns string) string {
	t.Helper()
	who := ns + "-reader"
	if err := apiserver.Apply(t.Context(), server.Client, ns, `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: `+who+`}]
`); err != nil {
		t.Fatal(err)
	}
	may := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"list"}, APIGroups: []string{""}, Resources: []string{"pods"}}}}
	if err := apiserver.InForce(t.Context(), server.REST, rest.ImpersonationConfig{UserName: who}, []*rbacv1.Role{may}); err != nil {
		t.Fatal(err)
	}
	loaded, err := clientcmd.LoadFromFile(server.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range loaded.AuthInfos {
		a.Impersonate = who
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*loaded, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// Who may only read, and no Secrets, is told what the kubelet tells, and what was
// not looked at.
func TestReadOnly(t *testing.T) {
	ns := namespace(t, app)
	status(t, ns, broken(`secret "db" not found`))
	d := &desk{t, reader(t, ns)}
	only(t, d.found("doctor", "pod", ns+"/web"), "SecretMissing", "may not be listed")
	_, stderr, _ := d.run("doctor", "-n", ns)
	if !strings.Contains(stderr, "secrets could not be read") {
		t.Errorf("it does not say what it could not read: %s", stderr)
	}
	if _, stderr, code := d.run("doctor", "denied", "-as=x", "-resource=secrets", "-n", ns); code != 4 || !strings.Contains(stderr, "cannot tell") {
		t.Errorf("without RBAC: %d %s", code, stderr)
	}
}

// The real kubectl finds the plugin by its name, and help has its name.
func TestKubectlPlugin(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, plugin)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	ns := namespace(t, app+"apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: CANARY}\n")
	status(t, ns, running(t, ns, time.Second))
	out, err := server.Kubectl(t.Context(), nil, "strongkeep", "doctor", "pod", ns+"/web")
	if err != nil || !strings.Contains(string(out), "Nothing is known to be wrong") {
		t.Errorf("%v\n%s", err, out)
	}
	help, err := server.Kubectl(t.Context(), nil, "strongkeep", "doctor", "--help")
	if err != nil || !strings.Contains(string(help), "kubectl strongkeep doctor [KIND NAME]") || !strings.Contains(string(help), "\n  kubectl strongkeep doctor -n shop") || strings.Contains(string(help), "\n  strongkeep ") {
		t.Errorf("%v\n%s", err, help)
	}
}
