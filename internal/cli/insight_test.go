package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
)

var console = regexp.MustCompile("(?s)```console\n(.*?)```")

// Every command of docs/insight.md answers what the page says, and no answer has the
// password in it that lies in seven places.
func TestInsight(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "insight.md"))
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	commands := 0
	for _, block := range console.FindAllStringSubmatch(string(page), -1) {
		for line := range strings.Lines(block[1]) {
			line = strings.TrimRight(line, " \n")
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				commands++
				fmt.Fprintf(&script, "exec %s\n! stdout 9f8e7d6c5b4a\n! stderr 9f8e7d6c5b4a\n", command)
				continue
			}
			want := strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*")
			fmt.Fprintf(&script, "stdout '^%s *$'\n", strings.ReplaceAll(regexp.MustCompile(` {2,}`).ReplaceAllString(want, " +"), "'", "''"))
		}
	}
	if commands < 8 {
		t.Fatalf("the page has %d commands", commands)
	}
	file := filepath.Join(t.TempDir(), "insight.txt")
	if err := os.WriteFile(file, []byte(script.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Files: []string{file}, RequireExplicitExec: true, Setup: func(e *testscript.Env) error {
		e.Setenv("HOME", e.WorkDir)
		e.Setenv("GORACE", "atexit_sleep_ms=10")
		return os.CopyFS(e.WorkDir, os.DirFS(filepath.Join("testdata", "insight")))
	}})
}

// written writes hostile to a file, with names that are commands besides.
func written(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cluster.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(hostile, `\nForged`, `'; touch forged; $(touch forged)\ntouch forged; Forged`)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// hostile is what a tenant may write: names of users have no charset in RBAC, nor have
// those of roles and bindings, nor what a store is asked for.
const hostile = `{"apiVersion": "v1", "kind": "List", "items": [
{"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "shop", "name": "db", "labels": {"app.kubernetes.io/managed-by": "x\u001b[2K\nForged"}}, "stringData": {"password\u001b[2K": "9f8e7d6c5b4a"}},
{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "reads\u001b[1A\u001b[2K\nForged"}, "rules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]},
{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "b\u009b2K\nForged\tx"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reads\u001b[1A\u001b[2K\nForged"},
 "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "eve\u001b[1A\u001b[2K\nForged"}, {"kind": "ServiceAccount", "namespace": "shop", "name": "app\u001b[2K\nForged"},
  {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:serviceaccounts:shop\u001b[2K\nForged"}]},
{"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"namespace": "shop", "name": "db"}, "spec": {"secretStoreRef": {"name": "st\u001b[2K\nForged"}, "data": [{"secretKey": "password", "remoteRef": {"key": "a\u001b[2K\nForged"}}]}},
{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "shop", "name": "web"}, "spec": {"template": {"spec": {"containers": [{"name": "c\u001b[2K\nForged", "envFrom": [{"secretRef": {"name": "db"}}]}]}}}}]}`

// No name steers the terminal, and none makes a line of its own.
func TestNamesCannotSteerTheTerminal(t *testing.T) {
	file := written(t)
	forged := 0
	for _, args := range [][]string{
		{"who-can", "shop/db"}, {"who-can", "-all"}, {"what-can", "User/eve\x1b[1A\x1b[2K\nForged"}, {"inventory"}, {"trace", "secret", "shop/db"},
		{"check", "-all"}, {"check", "-only=SEC-04", "-all"}, {"least", "none\x1b[2K", "-from-audit=" + file},
	} {
		var stdout, stderr bytes.Buffer
		env := session.System()
		env.Stdout, env.Stderr, env.Home, env.Getenv = &stdout, &stderr, t.TempDir(), func(string) string { return "" }
		cli.Main(append(args, "-f", file), env)
		if stdout.Len()+stderr.Len() == 0 {
			t.Errorf("%q says nothing", args)
		}
		forged += strings.Count(stdout.String(), "Forged")
		for line := range strings.Lines(stdout.String() + stderr.String()) {
			if strings.ContainsAny(line, "\x1b\u009b") || strings.HasPrefix(strings.TrimLeft(line, " |"), "touch") {
				t.Errorf("%q writes the line %q", args, line)
			}
		}
	}
	if forged < 10 {
		t.Errorf("only %d of the names were shown", forged)
	}
}

// What check says is to be pasted runs nothing but what it says, and its patches are
// about nothing else, whatever names are in them.
func TestNamesAreNotRun(t *testing.T) {
	var stdout, stderr bytes.Buffer
	env := session.System()
	env.Stdout, env.Stderr, env.Home, env.Getenv = &stdout, &stderr, t.TempDir(), func(string) string { return "" }
	cli.Main([]string{"check", "-f", written(t), "-format=json", "-fail-on=none"}, env)
	var report struct {
		Results []struct {
			ID       string
			Findings []struct {
				Rule string
				Fix  struct{ Command, Patch string }
			}
		}
	}
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatalf("%v in:\n%s%s", err, stdout.String(), stderr.String())
	}
	commands, patches := 0, 0
	for _, r := range report.Results {
		for _, f := range r.Findings {
			if strings.Contains(f.Fix.Command, "forged") {
				commands++
				cmd := exec.Command("bash", "--norc", "-c", "kubectl() { :; }\nstrongkeep() { :; }\n"+f.Fix.Command)
				cmd.Dir = t.TempDir()
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s %s: %q: %v\n%s", r.ID, f.Rule, f.Fix.Command, err, out)
				}
				if left, err := os.ReadDir(cmd.Dir); err != nil || len(left) > 0 {
					t.Errorf("%s %s runs a name: %q: %v", r.ID, f.Rule, f.Fix.Command, err)
				}
			}
			if strings.Contains(f.Fix.Patch, "forged") {
				patches++
				for line := range strings.Lines(f.Fix.Patch) {
					if strings.HasPrefix(strings.TrimSpace(line), "touch") {
						t.Errorf("%s %s: a name is a line of the patch:\n%s", r.ID, f.Rule, f.Fix.Patch)
					}
				}
				for doc := range strings.SplitSeq(f.Fix.Patch, "\n---\n") {
					if err := yaml.Unmarshal([]byte(doc), &map[string]any{}); err != nil {
						t.Errorf("%s %s: %v in:\n%s", r.ID, f.Rule, err, f.Fix.Patch)
					}
				}
			}
		}
	}
	if commands < 2 || patches < 1 {
		t.Errorf("only %d commands and %d patches have such a name", commands, patches)
	}
}
