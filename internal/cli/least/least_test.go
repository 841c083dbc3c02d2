package least

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// canary stands in bodies of the log and in a Secret.
const canary = "canary-88e1"

const manifests = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: app, namespace: shop, labels: {team: shop}}
rules:
- {apiGroups: ["*"], resources: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: app, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: app}
subjects:
- {kind: ServiceAccount, name: robot}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: all}
aggregationRule: {clusterRoleSelectors: [{matchLabels: {a: b}}]}
---
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: shop}
stringData: {password: ` + canary + `}
`

const line = `{"kind":"Event","stage":"ResponseComplete","requestURI":"/x","verb":"get","user":{"username":"system:serviceaccount:shop:robot"},"objectRef":{"resource":"secrets","namespace":"shop","name":"db"},"responseStatus":{"code":200},"responseObject":{"data":"` + canary + `"},"stageTimestamp":"2026-11-01T10:00:00Z"}` + "\n"

// run runs the command on the manifests and a log.
func run(t *testing.T, log, format string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "audit.log")
	if err := os.WriteFile(file, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	env := session.System()
	env.Stdin, env.Stdout, env.Stderr = strings.NewReader(manifests), &out, &errOut
	c := Command(&session.Session{Env: env, Format: format})
	c.SetArgs(session.Normalize(append(args, "-f", "-", "-from-audit="+file)))
	c.SilenceUsage, c.SilenceErrors = true, true
	err = c.ExecuteContext(t.Context())
	if all := out.String() + errOut.String() + fmt.Sprint(err); strings.Contains(all, canary) {
		t.Errorf("%v tells a value:\n%s", args, all)
	}
	return out.String(), errOut.String(), err
}

func TestLeast(t *testing.T) {
	out, warned, err := run(t, line+"broken "+canary+"\n", "table", "shop/app")
	const want = `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  labels:
    team: shop
  name: app
  namespace: shop
rules:
- apiGroups:
  - ""
  resourceNames:
  - db
  resources:
  - secrets
  verbs:
  - get
`
	if err != nil || out != want {
		t.Errorf("%v:\n%s", err, out)
	}
	if !strings.Contains(warned, "the log shows 0 days") || !strings.Contains(warned, "1 lines of the log could not be read") {
		t.Errorf("warned:\n%s", warned)
	}
	out, _, err = run(t, line, "table", "shop/app", "-diff")
	if err != nil || !strings.Contains(out, "\n-  - '*'\n") || !strings.Contains(out, "\n+  - secrets\n") {
		t.Errorf("%v:\n%s", err, out)
	}
	out, _, err = run(t, line, "json", "shop/app")
	var a answer
	if err != nil || json.Unmarshal([]byte(out), &a) != nil || a.Role != "Role shop/app" || a.Requests != 1 || a.Bindings[0] != "RoleBinding shop/app" || len(a.Warnings) == 0 {
		t.Errorf("%v:\n%s", err, out)
	}
}

// A role of which nothing was used is empty, and said so.
func TestNothingUsed(t *testing.T) {
	out, warned, err := run(t, strings.Replace(line, "shop:robot", "shop:other", 1), "table", "shop/app")
	if err != nil || !strings.HasSuffix(out, "rules: []\n") || !strings.Contains(warned, "may not be needed") {
		t.Errorf("%v:\n%s%s", err, out, warned)
	}
}

func TestRefused(t *testing.T) {
	for name, kind := range map[string]errs.Kind{"all": errs.Unsupported, "shop/none": errs.NotExist, "none": errs.NotExist, "a/b/c": errs.Invalid, "/app": errs.Invalid} {
		if _, _, err := run(t, line, "table", name); !errs.Is(err, kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := run(t, "no log "+canary, "table", "shop/app"); !errs.Is(err, errs.Invalid) {
		t.Errorf("what is no log: %v", err)
	}
}
