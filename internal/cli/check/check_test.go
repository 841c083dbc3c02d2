package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/checktest"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	schemes := []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, rbacv1.AddToScheme}
	os.Exit(apiserver.Main(apiserver.Config{Schemes: schemes}, func(s *apiserver.Server) (int, error) {
		server = s
		return m.Run(), nil
	}))
}

// canary is in every value here.
const canary = "canary-7f41-Xk29"

// of the cluster itself; of the control plane and of what is given besides.
var (
	checks = of("SEC-03", "SEC-04", "SEC-05", "SEC-06", "SEC-07", "SEC-08", "SEC-09", "SEC-12")
	others = of("SEC-01", "SEC-10", "SEC-11", "SEC-13", "SEC-14")
)

// of are those of the registry with the ids, which are all there: else nothing would be
// asked, and found.
func of(ids ...string) []check.Check {
	all := app.Checks()
	for _, id := range ids {
		if !slices.ContainsFunc(all, func(c check.Check) bool { return c.ID == id }) {
			panic("the registry has no check " + id)
		}
	}
	return slices.DeleteFunc(all, func(c check.Check) bool { return !slices.Contains(ids, c.ID) })
}

// A test that asks for a check that is not there fails.
func TestOfUnknown(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a check that is not there is left out")
		}
	}()
	of("SEC-01", "SEC-99")
}

// run asks checks and returns what the command wrote and how it ended.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return runOf(t, checks, args...)
}

func runOf(t *testing.T, checks []check.Check, args ...string) (string, error) {
	t.Helper()
	var out, errOut bytes.Buffer
	env := session.System()
	env.Stdout, env.Stderr = &out, &errOut
	env.Getenv = func(name string) string {
		if name == "KUBECONFIG" {
			return server.Kubeconfig()
		}
		return ""
	}
	s := &session.Session{Env: env, Format: "table"}
	for i, a := range args {
		if format, ok := strings.CutPrefix(a, "-format="); ok {
			s.Format, args = format, slices.Delete(slices.Clone(args), i, i+1)
			break
		}
	}
	c := Command(s, Config{Version: "test", Checks: checks})
	c.SetArgs(session.Normalize(args))
	c.SetOut(&out)
	c.SetErr(&errOut)
	c.SilenceUsage, c.SilenceErrors = true, true
	err := c.ExecuteContext(t.Context())
	if all := out.String() + errOut.String() + fmt.Sprint(err); strings.Contains(all, canary) {
		t.Errorf("%v tells a value:\n%s", args, all)
	}
	return out.String(), err
}

// asked is the report of a run that is kept in a file.
func asked(t *testing.T, file string, args ...string) (*check.Report, error) {
	t.Helper()
	return askedOf(t, checks, file, args...)
}

func askedOf(t *testing.T, checks []check.Check, file string, args ...string) (*check.Report, error) {
	t.Helper()
	_, err := runOf(t, checks, append(args, "-format=json", "-output-file="+file)...)
	var exit session.Exit
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	raw, readErr := os.ReadFile(file)
	if readErr != nil {
		t.Fatal(readErr)
	}
	var r check.Report
	if jsonErr := json.Unmarshal(raw, &r); jsonErr != nil {
		t.Fatal(jsonErr)
	}
	return &r, err
}

// lines are the findings of a check.
func lines(r *check.Report, id string) []string {
	var out []string
	for i := range r.Results {
		if r.Results[i].ID != id {
			continue
		}
		for j := range r.Results[i].Findings {
			out = append(out, checktest.Line(&r.Results[i].Findings[j].Finding))
		}
	}
	return out
}

func create(t *testing.T, manager string, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := server.Client.Create(t.Context(), o, client.FieldOwner(manager)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Client.Delete(context.WithoutCancel(t.Context()), o) })
	}
}

// TestOnACluster: what Kubernetes itself puts into a cluster is no finding; what is
// planted is found, by whom and where; what is mended is gone; and a format never has a
// value in it.
func TestOnACluster(t *testing.T) {
	dir := t.TempDir()
	bare, err := asked(t, filepath.Join(dir, "bare.json"))
	if err != nil {
		t.Errorf("on a cluster as Kubernetes makes it: %v", err)
	}
	for _, id := range []string{"SEC-03", "SEC-04", "SEC-05", "SEC-06", "SEC-07", "SEC-08", "SEC-09"} {
		if found := lines(bare, id); len(found) > 0 {
			t.Errorf("what Kubernetes ships is found by %s: %v", id, found)
		}
	}
	for _, r := range bare.Results {
		want := check.Yes
		switch r.ID {
		case "SEC-08", "SEC-12": // the API server is no pod here; nothing refuses what hands write
			want = check.Partly
		}
		if r.Answer != want {
			t.Errorf("%s says %s (%s): needs %v", r.ID, r.Answer, r.Summary, r.Needs)
		}
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "check-shop"}}
	create(t, "test", ns)
	create(t, "kubectl-create", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: "db"}, StringData: map[string]string{"password": canary}})
	labels := map[string]string{"app": "web"}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: "web"}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "web", Image: "web", Env: []corev1.EnvVar{
				{Name: "API_TOKEN", Value: canary},
				{Name: "DB_PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "db"}, Key: "password"}}},
			}}}}}}}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "check-web"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: ns.Name, Name: "web"}}}
	create(t, "test", deployment, binding)

	before := filepath.Join(dir, "planted.json")
	planted, err := asked(t, before, "-before="+filepath.Join(dir, "bare.json"))
	if !errors.Is(err, exitFound) {
		t.Errorf("it ends with %v", err)
	}
	const spec = "Deployment check-shop/web at spec.template.spec."
	for id, want := range map[string]string{
		"SEC-03": "ReadsEverySecret ServiceAccount check-shop/web",
		"SEC-04": "EverythingEverywhere ClusterRoleBinding check-web at subjects[ServiceAccount/check-shop/web]",
		"SEC-05": "MadeByHand Secret check-shop/db",
		"SEC-06": "NothingRotates Secret check-shop/db",
		"SEC-08": "NeedlessToken " + spec + "automountServiceAccountToken",
		"SEC-09": "LiteralVariable " + spec + "containers[web].env[API_TOKEN], EnvVariable " + spec + "containers[web].env[DB_PASSWORD]",
		"SEC-12": "KubectlCreate Secret check-shop/db, NothingRefuses Cluster cluster",
	} {
		if got := strings.Join(lines(planted, id), ", "); got != want {
			t.Errorf("%s finds %q, not %q", id, got, want)
		}
	}
	if n := len(planted.Counting(check.Info, true)); n != 8 {
		t.Errorf("%d findings are new, and 8 were planted", n)
	}
	for _, format := range []string{"table", "yaml", "sarif", "junit", "html"} {
		if out, err := run(t, "-format="+format, "-all"); !errors.Is(err, exitFound) || len(out) < 500 {
			t.Errorf("%s: %v: %q", format, err, out)
		}
	}

	patch := client.RawPatch(types.JSONPatchType, []byte(`[{"op": "remove", "path": "/spec/template/spec/containers/0/env"}]`))
	if err := server.Client.Patch(t.Context(), deployment, patch); err != nil {
		t.Fatal(err)
	}
	mended, err := asked(t, filepath.Join(dir, "mended.json"), "-before="+before, "-new-only")
	if err != nil || len(mended.Gone) != 2 || len(mended.Counting(check.Info, true)) != 0 {
		t.Errorf("%v: gone are %v", err, mended.Gone)
	}
}

func given(t *testing.T, dir, name, text string) string {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

const (
	manifest = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: shop}\nstringData: {password: " + canary + "}\n"
	// policy leaves out what gets into pods.
	policy = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n  resources: [{group: \"\", resources: [pods/exec]}]\n- level: Metadata\n"
	event  = `{"kind":"Event","stage":"ResponseComplete","verb":"get","user":{"username":"jane"},"objectRef":{"resource":"secrets","namespace":"shop","name":"db"},"responseStatus":{"code":200},"stageTimestamp":"2026-11-01T10:00:00Z"}` + "\n"
	// config encrypts with a key that nobody has.
	config = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers: [{identity: {}}]\n"
)

// TestSaveHasWhatWasGiven: asked again about what it saved, it answers the same, without
// what was given beside the cluster.
func TestSaveHasWhatWasGiven(t *testing.T) {
	dir := t.TempDir()
	saved, repo := filepath.Join(dir, "saved"), filepath.Join(dir, "repo")
	given(t, repo, ".github/workflows/x.yaml", "on: push\njobs: {a: {steps: [{name: b, run: 'echo ${{ secrets.X }}'}]}}\n")
	given(t, repo, "main.go", "db := open(\""+canary+"\")\n")
	all := slices.Concat(checks, others)
	first, err := askedOf(t, all, filepath.Join(dir, "one.json"), "-file="+given(t, dir, "m.yaml", manifest), "-key-file="+given(t, dir, "key", strings.Repeat("0a", 32)), "-save="+saved,
		"-repo="+repo, "-audit-log="+given(t, dir, "audit.log", event), "-audit-policy="+given(t, dir, "policy.yaml", policy), "-encryption-config="+given(t, dir, "encryption.yaml", config))
	if !errors.Is(err, exitFound) {
		t.Fatalf("it ends with %v", err)
	}
	again, err := askedOf(t, all, filepath.Join(dir, "two.json"), "-snapshot="+saved)
	if !errors.Is(err, exitFound) {
		t.Fatalf("asked again it ends with %v", err)
	}
	for i := range first.Results {
		a, b := &first.Results[i], &again.Results[i]
		if one, two := lines(first, a.ID), lines(again, a.ID); a.Answer != b.Answer || a.Summary != b.Summary || !slices.Equal(one, two) {
			t.Errorf("%s: %s (%s) %v; of what was saved: %s (%s) %v", a.ID, a.Answer, a.Summary, one, b.Answer, b.Summary, two)
		}
	}
	for id, want := range map[string]string{
		"SEC-01": "StoredInClear APIServer kube-apiserver",
		"SEC-10": "Blind Policy audit-policy at pods/exec",
		"SEC-11": "EchoesSecret Pipeline .github/workflows/x.yaml at a/b",
		"SEC-13": "LiveValue File repo:main.go",
	} {
		if got := strings.Join(lines(again, id), ", "); !strings.HasPrefix(got, want) {
			t.Errorf("%s of what was saved finds %q, not %q", id, got, want)
		}
	}
}

// TestControlPlane: what the API server was started with is read where it runs as a pod, and
// is not known otherwise: then the answer is not yes.
func TestControlPlane(t *testing.T) {
	dir := t.TempDir()
	good := given(t, dir, "good.yaml", "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n")
	sec10 := func(want check.Answer, words string, findings ...string) {
		t.Helper()
		r, err := askedOf(t, others, filepath.Join(dir, "report.json"), "-only=SEC-10", "-audit-policy="+good, "-fail-on=none")
		if err != nil {
			t.Fatal(err)
		}
		one := &r.Results[0]
		if got := lines(r, "SEC-10"); one.Answer != want || !slices.Equal(got, findings) || !strings.Contains(strings.Join(one.Needs, "; "), words) {
			t.Errorf("%s (%s), %v, needs %v; want %s, %v, needs %q", one.Answer, one.Summary, got, one.Needs, want, findings, words)
		}
	}
	sec10(check.Unknown, "list on pods of kube-system")
	// As the kubelet shows a static pod.
	pod := func(flags ...string) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-apiserver-one", Labels: map[string]string{"component": "kube-apiserver", "tier": "control-plane"}, Annotations: map[string]string{corev1.MirrorPodAnnotationKey: "x"}},
			Spec:       corev1.PodSpec{NodeName: "one", HostNetwork: true, Containers: []corev1.Container{{Name: "kube-apiserver", Image: "i", Command: append([]string{"kube-apiserver", "--advertise-address=10.0.0.1"}, flags...)}}},
		}
	}
	none := pod()
	if err := server.Client.Create(t.Context(), none); err != nil {
		t.Fatal(err)
	}
	sec10(check.No, "", "NotEnabled APIServer kube-apiserver")
	if err := server.Client.Delete(t.Context(), none, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	create(t, "kubelet", pod("--audit-policy-file=/etc/kubernetes/audit.yaml", "--audit-log-path", "/var/log/audit.log"))
	sec10(check.Yes, "")
}

// A file that has no room is of the kind that any is which cannot be written, in each
// format; what a pipe does not take is not. So is a snapshot's.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("SKIPPED: full disks are not tested without /dev/full: ", err)
	}
	defer func() { _ = full.Close() }()
	dir := t.TempDir()
	for _, format := range []string{"table", "json", "yaml", "sarif", "junit", "html"} {
		x := &command{Session: &session.Session{Env: session.System(), Format: format}}
		x.Env.Stdout = full
		r := &check.Report{}
		err := session.Unwritable(replace(filepath.Join(dir, "report"), func(io.Writer) error { return x.write(r, false, nil) }))
		if !errs.Is(err, errs.Invalid) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s to a file: %v, of kind %s", format, err, errs.KindOf(err))
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: half a report is left: %v %v", format, left, err)
		}
		if err := x.write(r, false, nil); errs.Is(err, errs.Invalid) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s to a pipe: %v, of kind %s", format, err, errs.KindOf(err))
		}
	}
	m := given(t, t.TempDir(), "m.yaml", manifest)
	for _, flag := range []string{"-save=", "-output-file="} {
		if _, err := run(t, "-file="+m, flag+dir, "-fail-on=none"); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s names a folder: %v, of kind %s", flag, err, errs.KindOf(err))
		}
	}
}
