package encryption_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	cluster = `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"kube-system","uid":"11111111-2222-4333-8444-555555555555"}}`
	under   = "k8s:enc:aescbc:v1:key1:" + canary
)

// auditor makes a key, and returns its file and that of its public half.
func auditor(t *testing.T) (key, public string) {
	t.Helper()
	dir := t.TempDir()
	key, public = filepath.Join(dir, "key"), filepath.Join(dir, "pub")
	code, stdout, stderr := run(t, "encryption", "report", "new-key", key)
	if code != 0 {
		t.Fatal(stderr)
	}
	if err := os.WriteFile(public, []byte(stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	return key, public
}

// A report is made each day, and verified by who has the public key and the files.
func TestReport(t *testing.T) {
	key, public := auditor(t)
	dir := filepath.Join(t.TempDir(), "reports")
	clean := snapshot(t, "/registry/namespaces/kube-system", cluster, "/registry/secrets/a/one", under)
	clear := snapshot(t, "/registry/namespaces/kube-system", cluster, "/registry/secrets/a/one", under, "/registry/secrets/a/two", "k8s\x00"+canary)
	page := filepath.Join(t.TempDir(), "report.html")
	make1 := func(code int, args ...string) string {
		t.Helper()
		got, stdout, stderr := run(t, append([]string{"encryption", "report", "-dir=" + dir, "-sign-key=" + key, "-file=", "-provider=aescbc/key1"}, args...)...)
		if got != code || strings.Contains(stdout+stderr, canary) {
			t.Fatalf("exit code %d, want %d:\n%s%s", got, code, stdout, stderr)
		}
		return stdout
	}
	if said := make1(0, "-snapshot="+clean); !strings.Contains(said, "number 1 of its chain") || !strings.Contains(said, "yes            is every value under the provider?") {
		t.Errorf("the first:\n%s", said)
	}
	if said := make1(10, "-snapshot="+clear, "-html="+page); !strings.Contains(said, "a/two     in the clear") || !strings.Contains(said, "Report 2") {
		t.Errorf("the second:\n%s", said)
	}
	text, err := os.ReadFile(page)
	if err != nil || strings.Contains(string(text), canary) || !strings.Contains(string(text), "in the clear") || !strings.Contains(string(text), "11111111-2222-4333-8444-555555555555") || strings.Contains(string(text), "src=") || strings.Contains(string(text), "href=") {
		t.Errorf("the page: %v\n%s", err, text)
	}
	one, two := filepath.Join(dir, "report-000001.json"), filepath.Join(dir, "report-000002.json")
	for _, f := range []string{one, two} {
		if raw, err := os.ReadFile(f); err != nil || strings.Contains(string(raw), canary) {
			t.Errorf("%s: %v", f, err)
		}
	}
	if code, said, bad := run(t, "encryption", "report", "verify", two, one, "-key="+public); code != 0 || !strings.Contains(said, "2 of 2 reports from number 1 on") || !strings.Contains(said, "a/two     in the clear") {
		t.Errorf("verified: %d\n%s%s", code, said, bad)
	}
	code, said, _ := run(t, "encryption", "report", "verify", two, "-key="+public, "-o", "json")
	var v struct {
		Verified, Holds bool
		Reports, Seq    int
		Report          struct{ Cluster, Schema string }
	}
	if err := json.Unmarshal([]byte(said), &v); err != nil || code != 0 || !v.Verified || v.Holds || v.Seq != 2 || v.Reports != 1 || v.Report.Schema != "strongkeep.io/encryption-report/v1" {
		t.Errorf("%d, %v: %+v\n%s", code, err, v, said)
	}
	_, others := auditor(t)
	changed := filepath.Join(t.TempDir(), "changed.json")
	raw, err := os.ReadFile(two)
	if err == nil {
		raw[100] ^= 1
		err = os.WriteFile(changed, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"changed":     {[]string{changed, "-key=" + public}, 10, "do not verify"},
		"another key": {[]string{two, "-key=" + others}, 10, "not among the 1 trusted"},
		"no key":      {[]string{two}, 2, "name the public key"},
		"not a key":   {[]string{two, "-key=" + two}, 2, "no public key"},
		"no file":     {[]string{two + "x", "-key=" + public}, 2, "reading a report"},
	} {
		if code, said, bad := run(t, append([]string{"encryption", "report", "verify"}, c.args...)...); code != c.code || !strings.Contains(said+bad, c.want) {
			t.Errorf("%s: exit code %d\n%s%s", name, code, said, bad)
		}
	}
}

func TestReportFlags(t *testing.T) {
	key, _ := auditor(t)
	nobody := snapshot(t, "/registry/secrets/a/one", under)
	for want, args := range map[string][]string{
		"both -key-id and -socket":    {"-snapshot=" + nobody, "-sign-key=" + key, "-key-id=x", "-socket=/none/y"},
		"there is no socket":          {"-snapshot=" + nobody, "-sign-key=" + key, "-socket=/none/y"},
		"names that end in .prom":     {"-snapshot=" + nobody, "-sign-key=" + key, "-metrics-file=" + nobody},
		"-kubeconfig":                 {"-snapshot=" + nobody, "-sign-key=" + key, "-server=https://127.0.0.1:1"},
		"who is to sign?":             {"-snapshot=" + nobody},
		"there is no key":             {"-snapshot=" + nobody, "-sign-key=" + key + "x"},
		"say where the values are":    {"-sign-key=" + key},
		"cluster this is cannot be t": {"-snapshot=" + nobody, "-sign-key=" + key, "-file="},
		"there is no snapshot":        {"-snapshot=" + nobody + "x", "-sign-key=" + key, "-file="},
	} {
		dir := filepath.Join(t.TempDir(), "reports")
		code, stdout, stderr := run(t, append([]string{"encryption", "report", "-dir=" + dir}, args...)...)
		if _, err := os.Stat(dir); code == 0 || code == 10 || !strings.Contains(stdout+stderr, want) || err == nil {
			t.Errorf("%v: exit code %d, want %q in:\n%s%s", args, code, want, stdout, stderr)
		}
	}
}
