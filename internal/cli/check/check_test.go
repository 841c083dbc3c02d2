package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/checktest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec03"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec04"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec05"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec06"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec07"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec08"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec09"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec12"
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

// run runs the command and returns what it wrote and how it ended.
func run(t *testing.T, args ...string) (string, error) {
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
	c := Command(s, Config{Version: "test", Checks: []check.Check{
		sec03.Check(), sec04.Check(), sec05.Check(), sec06.Check(), sec07.Check(), sec08.Check(), sec09.Check(), sec12.Check(),
	}})
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
	_, err := run(t, append(args, "-format=json", "-output-file="+file)...)
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
		t.Cleanup(func() { _ = server.Client.Delete(t.Context(), o) })
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
		if r.ID == "SEC-12" {
			want = check.Partly
		}
		if slices.Equal(r.Needs, []string{"sources were not read"}) {
			want = check.Unknown
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
