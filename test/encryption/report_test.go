package encryption_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/test/encryption/page"
)

// A report of a real etcd says yes to what is so, is of this cluster, names the value that
// somebody put there in the clear, and verifies offline.
func TestReport(t *testing.T) {
	underOneKey(t)
	dir := t.TempDir()
	key, public, reports := filepath.Join(dir, "key"), filepath.Join(dir, "pub"), filepath.Join(dir, "reports")
	if err := os.WriteFile(public, []byte(strongkeep(t, 0, page.Command(t, "encryption report new-key", "/etc/strongkeep/report.key", key)...)), 0o600); err != nil {
		t.Fatal(err)
	}
	create(t, env.client, "reported")
	args := page.Command(t, "encryption report -etcd", append(onPage(), " -server=https://10.0.0.1:6443 -server=https://10.0.0.2:6443", " -server="+env.server.URL(), page.KeyID, keyID(t, env.one), "/etc/strongkeep/report.key", key)...)
	args = append(args, "-dir="+reports, "-file="+filepath.Join(env.one.dir, "one.yaml"))
	said := strongkeep(t, 0, args...)
	for _, want := range []string{"is every value encrypted?", "is every value under the provider?", "is every value under the key?", "are these the values that the cluster has now?", "have the plugins of all API servers the key?"} {
		if !strings.Contains(said, "yes            "+want) {
			t.Errorf("no yes to %q:\n%s", want, said)
		}
	}
	ns, err := env.client.CoreV1().Namespaces().Get(t.Context(), metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil || !strings.Contains(said, string(ns.UID)) {
		t.Errorf("not of this cluster: %v\n%s", err, said)
	}
	// The check takes it as evidence. This API server tells no hash of its file, so that the file says how it writes.
	asked := []string{"check", "-only=SEC-01,SEC-02", "-o", "json", "-encryption-config=" + filepath.Join(env.one.dir, "one.yaml")}
	given := append(asked, "-encryption-report="+filepath.Join(reports, "report-000001.json"), "-encryption-report-key="+public)
	if said := strongkeep(t, 0, given...); strings.Count(said, `"answer": "yes"`) != 2 || !strings.Contains(said, "as a signed report says") {
		t.Errorf("checked:\n%s", said)
	}
	putClear(t, "/registry/secrets/default/clear-report")
	if said := strongkeep(t, 10, args...); !strings.Contains(said, "default/clear-report") || !strings.Contains(said, "Report 2 of") {
		t.Errorf("in the clear:\n%s", said)
	}
	files, err := filepath.Glob(filepath.Join(reports, "*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if raw, err := os.ReadFile(f); err != nil || strings.Contains(string(raw), canary) {
			t.Errorf("%s: %v", f, err)
		}
	}
	if said := strongkeep(t, 0, page.Command(t, "encryption report verify", "report-*.json", strings.Join(files, " "), "report.pub", public, "report.html", filepath.Join(dir, "report.html"))...); !strings.Contains(said, "2 of 2 reports") {
		t.Errorf("verified:\n%s", said)
	}
	given[len(asked)] = "-encryption-report=" + strings.Join(files, ",")
	if said := strongkeep(t, 10, given...); !strings.Contains(said, `"rule": "InClearInStorage"`) || !strings.Contains(said, "default/clear-report") {
		t.Errorf("checked, in the clear:\n%s", said)
	}
	for _, name := range []string{"reported", "clear-report"} {
		if err := env.client.CoreV1().Secrets("default").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// putClear writes a Secret into etcd as an API server without encryption does.
func putClear(t *testing.T, key string) {
	t.Helper()
	at := env.server.Etcd()
	secure, err := transport.TLSInfo{CertFile: at.CertFile, KeyFile: at.KeyFile, TrustedCAFile: at.CAFile}.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{at.Endpoint}, TLS: secure, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = etcd.Close() }()
	name := key[strings.LastIndexByte(key, '/')+1:]
	object := fmt.Sprintf(`{"kind":"Secret","apiVersion":"v1","metadata":{"name":%q,"namespace":"default","uid":"00000000-0000-4000-8000-00000000abcd","creationTimestamp":"2026-01-01T00:00:00Z"},"data":{"password":"Y2FuYXJ5LXZhbHVlLTdmM2E="},"type":"Opaque"}`, name)
	if _, err := etcd.Put(t.Context(), key, object); err != nil {
		t.Fatal(err)
	}
}

// deployed are the objects of a manifest of deploy/kms.
func deployed(t *testing.T, name string) []unstructured.Unstructured {
	t.Helper()
	raw, err := os.ReadFile("../../deploy/kms/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var out []unstructured.Unstructured
	for text := range strings.SplitSeq(string(raw), "\n---\n") {
		var o unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
			t.Fatal(err)
		}
		out = append(out, o)
	}
	return out
}

// as writes a kubeconfig by which the cluster's administrator is another one.
func as(t *testing.T, user string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(env.server.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range config.AuthInfos {
		u.Impersonate = user
		u.ImpersonateGroups = []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"}
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// The CronJob's own arguments and rights make a report, metrics, and an Event when a value is
// in the clear; the systemd unit has the same arguments.
func TestReportAsDeployed(t *testing.T) {
	underOneKey(t)
	var args []string
	for _, o := range deployed(t, "report-cronjob.yaml") {
		if o.GetKind() == "CronJob" {
			containers, _, err := unstructured.NestedSlice(o.Object, "spec", "jobTemplate", "spec", "template", "spec", "containers")
			if err != nil || len(containers) != 1 {
				t.Fatal(err)
			}
			container, _ := containers[0].(map[string]any)
			args, _, err = unstructured.NestedStringSlice(container, "args")
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := env.server.Client.Create(t.Context(), &o); err != nil {
			t.Fatal(err)
		}
	}
	unit, err := os.ReadFile("../../deploy/kms/strongkeep-encryption-report.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range args {
		if !strings.Contains(strings.ReplaceAll(string(unit), "\\\n", ""), " "+a) {
			t.Errorf("the unit has no %s", a)
		}
	}
	// kubeadm's certificate of an API server does not have 127.0.0.1, so that nobody would be asked.
	for _, a := range slices.Concat(args, strings.Fields(string(unit))) {
		if strings.HasPrefix(a, "-server=https://127.") {
			t.Errorf("%s is deployed", a)
		}
	}
	dir, at := t.TempDir(), env.server.Etcd()
	for name, value := range map[string]string{
		"etcd": at.Endpoint, "etcd-ca": at.CAFile, "etcd-cert": at.CertFile, "etcd-key": at.KeyFile, "socket": env.one.socket(),
		"sign-key": filepath.Join(dir, "key"), "dir": filepath.Join(dir, "reports"), "metrics-file": filepath.Join(dir, "s.prom"),
	} {
		i := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "-"+name+"=") })
		if i < 0 {
			t.Fatalf("the CronJob has no -%s: %q", name, args)
		}
		args[i] = "-" + name + "=" + value
	}
	args = append(args[1:], "-kubeconfig="+as(t, "system:serviceaccount:kube-system:strongkeep-encryption-report"), "-file=")
	metrics := func(want ...string) {
		t.Helper()
		raw, err := os.ReadFile(filepath.Join(dir, "s.prom"))
		for _, w := range want {
			if err != nil || !strings.Contains(string(raw), w+"\n") {
				t.Errorf("%v: no %s in\n%s", err, w, raw)
			}
		}
	}
	command(t, 5, args...) // there is no key yet
	metrics("strongkeep_encryption_run_success 0")
	command(t, 0, "report", "new-key", filepath.Join(dir, "key"))
	create(t, env.client, "deployed")
	if said := command(t, 0, args...); !strings.Contains(said, "yes            is every value under the key?") || !strings.Contains(said, "yes            are these the values that the cluster has now?") {
		t.Errorf("%s", said)
	}
	metrics("strongkeep_encryption_run_success 1", `strongkeep_encryption_values{provider="clear",resource="secrets",state="clear"} 0`, `strongkeep_encryption_answer{answer="yes",question="encrypted"} 1`, `strongkeep_encryption_answer{answer="yes",question="plugins"} 1`, `strongkeep_encryption_answer{answer="yes",question="cluster"} 1`)
	putClear(t, "/registry/secrets/default/clear-deployed")
	command(t, 10, args...)
	metrics(`strongkeep_encryption_values{provider="clear",resource="secrets",state="clear"} 1`, "strongkeep_encryption_report_number 2")
	list, err := env.client.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{FieldSelector: "reason=ValuesInClear"})
	if err != nil || len(list.Items) != 1 || list.Items[0].InvolvedObject.Name != "kube-system" || !strings.Contains(list.Items[0].Message, "1 are in the clear") {
		t.Errorf("%v: %+v", err, list)
	}
	for _, name := range []string{"deployed", "clear-deployed"} {
		if err := env.client.CoreV1().Secrets("default").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}
