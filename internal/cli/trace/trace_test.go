package trace

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/trace"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
)

// canary is the password that has copies here; nothing that is written may have it.
const canary = "canary-3b7e/Qw+4"

// sprawl is one password in several places, and things that only look alike.
const sprawl = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: checkout, environment: prod}}
---
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: shop, creationTimestamp: "2026-06-01T00:00:00Z"}
stringData: {username: shop_reader, password: ` + canary + `}
---
apiVersion: v1
kind: Secret
metadata: {name: copy, namespace: web}
stringData: {url: "postgres://shop_reader:canary-3b7e%2FQw%2B4@db/shop"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: app, namespace: web}
data: {app.yaml: "database:\n  password: ` + canary + `\n"}
---
apiVersion: v1
kind: Secret
metadata: {name: other, namespace: web}
stringData: {username: shop_reader, password: canary-of-another}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {spec: {containers: [{name: c, envFrom: [{secretRef: {name: db}}]}]}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: maps, namespace: web}
rules: [{verbs: [get], apiGroups: [""], resources: [configmaps]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: maps, namespace: web}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: maps}
subjects: [{kind: User, name: eve}]
`

// desk is somebody at a terminal.
type desk struct {
	testing.TB
	env map[string]string
}

// run runs a command over what stdin has. No value may be in what it writes.
func (d *desk) run(stdin string, args ...string) (string, string, error) {
	d.Helper()
	var out, errOut bytes.Buffer
	env := session.System()
	env.Stdin, env.Stdout, env.Stderr = strings.NewReader(stdin), &out, &errOut
	env.Getenv = func(name string) string { return d.env[name] }
	s := &session.Session{Env: env, Format: "table"}
	if format, ok := strings.CutPrefix(args[len(args)-1], "-format="); ok {
		s.Format, args = format, args[:len(args)-1]
	}
	x := Commands(s)
	var err error
	for _, c := range x {
		if c.Name() == args[0] {
			c.SilenceErrors, c.SilenceUsage = true, true
			c.SetArgs(session.Normalize(args[1:]))
			err = c.ExecuteContext(d.Context())
		}
	}
	all := out.String() + errOut.String()
	if err != nil {
		all += err.Error()
	}
	d.clean(strings.Join(args, " "), all)
	return out.String(), errOut.String(), err
}

func (d *desk) clean(what, text string) {
	d.Helper()
	for _, value := range []string{canary, "canary-3b7e", "canary-of-another", base64.StdEncoding.EncodeToString([]byte(canary))} {
		if strings.Contains(text, value) {
			d.Errorf("%s tells a value:\n%s", what, text)
		}
	}
}

func (d *desk) reports(stdin string, args ...string) []trace.Report {
	d.Helper()
	out, stderr, err := d.run(stdin, append(args, "-format=json")...)
	if err != nil {
		d.Fatalf("%v: %v\n%s", args, err, stderr)
	}
	var list []trace.Report
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		d.Fatalf("%v\n%s", err, out)
	}
	return list
}

func TestTraceSecret(t *testing.T) {
	d := &desk{TB: t}
	list := d.reports(sprawl, "trace", "secret", "shop/db", "-f", "-")
	if len(list) != 1 || len(list[0].Copies) != 3 || len(list[0].Consumers) != 1 || list[0].Owner.Team != "checkout" || list[0].Readers[0].Count != 1 {
		t.Errorf("%+v", list)
	}
	out, stderr, err := d.run(sprawl, "trace", "secret", "shop/db", "-f", "-")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"shop/db (password)", "Secret web/copy  stringData.url#password", "ConfigMap web/app  data.app.yaml/database/password", "Deployment shop/web", "User/eve: ReadCopy ConfigMap web/app", "checkout, prod", "at most "} {
		if !strings.Contains(out, want) {
			t.Errorf("the tree lacks %q:\n%s", want, out)
		}
	}
	if !strings.Contains(stderr, "there may be more than is shown") {
		t.Errorf("that files are not all is not said: %s", stderr)
	}
	for name, want := range map[string]errs.Kind{"shop/none": errs.NotExist, "a/b/c/d": errs.Invalid, "shop/": errs.Invalid} {
		if _, _, err := d.run(sprawl, "trace", "secret", name, "-f", "-"); !errs.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if _, _, err := d.run(sprawl, "trace", "secret", "shop/db", "-key=username", "-f", "-"); !errs.Is(err, errs.NotExist) {
		t.Errorf("a key that is no credential: %v", err)
	}
}

func TestHTML(t *testing.T) {
	d := &desk{TB: t}
	file := filepath.Join(t.TempDir(), "db.html")
	out, _, err := d.run(sprawl, "trace", "secret", "shop/db", "-html", file, "-f", "-")
	if err != nil || !strings.Contains(out, file) {
		t.Fatal(err, out)
	}
	page, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(page), "ConfigMap web/app") {
		t.Errorf("%v\n%s", err, page)
	}
	d.clean("the page", string(page))
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}

func TestInventory(t *testing.T) {
	d := &desk{TB: t}
	for name, c := range map[string]struct {
		args []string
		want int
	}{
		"all":             {nil, 2},
		"with copies":     {[]string{"-copies-over=1"}, 1},
		"with many":       {[]string{"-copies-over=3"}, 0},
		"of a team":       {[]string{"-owner=checkout"}, 1},
		"of another":      {[]string{"-owner=nobody"}, 0},
		"old ones":        {[]string{"-older-than=10d"}, 1},
		"of a namespace":  {[]string{"-n", "shop"}, 1},
		"orphaned":        {[]string{"-orphaned"}, 0},
		"surely unused":   {[]string{"-unused"}, 0},
		"by another word": {[]string{"-older-than=1h"}, 1},
	} {
		if got := d.reports(sprawl, append(append([]string{"inventory"}, c.args...), "-f", "-")...); len(got) != c.want {
			t.Errorf("%s: %d, want %d: %+v", name, len(got), c.want, got)
		}
	}
	out, _, err := d.run(sprawl, "inventory", "-f", "-")
	if err != nil || !strings.Contains(out, "shop/db (password)") || !strings.Contains(out, "web/other (password)") {
		t.Errorf("%v\n%s", err, out)
	}
	out, _, err = d.run(sprawl, "inventory", "-summary=team", "-f", "-")
	if err != nil || !strings.Contains(out, "checkout") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, wrong := range []string{"-older-than=soon", "-older-than=-3d", "-summary=colour"} {
		if _, _, err := d.run(sprawl, "inventory", wrong, "-f", "-"); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// Another cluster's snapshot is compared if it was made with the same key.
func TestOtherClusters(t *testing.T) {
	d := &desk{TB: t}
	dir := t.TempDir()
	key, saved, strange := filepath.Join(dir, "key"), filepath.Join(dir, "west"), filepath.Join(dir, "strange")
	if err := os.WriteFile(key, []byte(strings.Repeat("0f", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-key-file", key, "-save", saved}, {"-save", strange}} {
		if _, _, err := d.run(sprawl, append([]string{"inventory", "-f", "-"}, args...)...); err != nil {
			t.Fatal(err)
		}
	}
	list := d.reports(sprawl, "trace", "secret", "east/shop/db", "-f", "-", "-key-file", key, "-name=east", "-with", "west="+saved)
	if len(list) != 1 || len(list[0].Copies) != 6 {
		t.Errorf("%+v", list)
	}
	if _, _, err := d.run(sprawl, "inventory", "-f", "-", "-key-file", key, "-with", "west="+strange); !errs.Is(err, errs.Invalid) {
		t.Errorf("a snapshot of another key: %v", err)
	}
	if _, _, err := d.run(sprawl, "inventory", "-f", "-", "-with", saved); !errs.Is(err, errs.Invalid) {
		t.Errorf("a snapshot without a name: %v", err)
	}
}

// Other clusters are read as they are, by a context or a kubeconfig, and by the same key.
func TestLiveClusters(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: it needs a real API server, and is not short")
	}
	server, err := apiserver.Start(t.Context(), apiserver.Config{Bare: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	}()
	if err := apiserver.Apply(t.Context(), server.Client, "default", "apiVersion: v1\nkind: Secret\nmetadata: {name: far}\nstringData: {password: "+canary+"}\n"); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.LoadFromFile(server.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	config.Contexts["far"] = config.Contexts[config.CurrentContext]
	config.CurrentContext = "none"
	both := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, both); err != nil {
		t.Fatal(err)
	}
	d := &desk{TB: t, env: map[string]string{"KUBECONFIG": both}}
	for _, with := range []string{"context:far", "kubeconfig:" + server.Kubeconfig()} {
		list := d.reports(sprawl, "trace", "secret", "east/shop/db", "-f", "-", "-name=east", "-with", "west="+with)
		found := false
		for _, c := range list[0].Copies {
			found = found || c.Cluster == "west" && c.Object.String() == "Secret default/far"
		}
		if len(list) != 1 || len(list[0].Copies) != 4 || !found {
			t.Errorf("%s: %+v", with, list)
		}
	}
	saved := filepath.Join(t.TempDir(), "saved")
	if _, _, err := d.run(sprawl, "inventory", "-f", "-", "-save", saved); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.run("", "inventory", "-snapshot", saved, "-with", "west=context:far"); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "-key-file") {
		t.Errorf("without the key of the snapshot: %v", err)
	}
	if _, _, err := d.run(sprawl, "inventory", "-f", "-", "-with", "west=context:nowhere"); !errs.Is(err, errs.Invalid) {
		t.Errorf("a context that is not there: %v", err)
	}
}

// A path of the vault is compared by what it holds, with the token of who asks.
func TestTraceVault(t *testing.T) {
	token := "ghp_" + strings.Repeat("aB3d", 9) // somebody took it for the name of a field
	v := testenv.Start(t, nil)
	if err := v.Sys().Mount("kv2", &vault.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.KVv2("kv2").Put(t.Context(), "shop/db", map[string]any{"pw": canary, token: canary}); err != nil {
		t.Fatal(err)
	}
	d := &desk{TB: t, env: map[string]string{"VAULT_ADDR": v.Server.URL(), "VAULT_CACERT": v.Server.CAFile(), "VAULT_TOKEN": v.Root}}
	list := d.reports(sprawl, "trace", "vault", "kv2/shop/db", "-ask", "-f", "-")
	if len(list) != 1 || len(list[0].Copies) != 4 {
		t.Errorf("%+v", list)
	}
	if text, err := json.Marshal(list); err != nil || bytes.Contains(text, []byte(token)) || !bytes.Contains(text, []byte("data.*")) {
		t.Errorf("%v %s", err, text)
	}
	if _, _, err := d.run(sprawl, "trace", "vault", "kv2/shop/none", "-ask", "-f", "-"); !errs.Is(err, errs.NotExist) {
		t.Errorf("a path with nothing: %v", err)
	}
	if _, _, err := d.run(sprawl, "trace", "vault", "kv2/shop/db", "-f", "-"); !errs.Is(err, errs.NotExist) {
		t.Errorf("a path that nothing names, without asking: %v", err)
	}
	d.env["VAULT_TOKEN"] = ""
	d.env["HOME"] = t.TempDir()
	if _, _, err := d.run(sprawl, "trace", "vault", "kv2/shop/db", "-ask", "-f", "-"); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("without a token: %v", err)
	}
}
