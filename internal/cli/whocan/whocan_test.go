package whocan

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/archive"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/read"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	os.Exit(apiserver.Main(apiserver.Config{Schemes: []func(*runtime.Scheme) error{rbacv1.AddToScheme}}, func(s *apiserver.Server) (int, error) {
		server = s
		return m.Run(), nil
	}))
}

// canary is the content of every Secret here.
const canary = "canary-7f41"

// desk is somebody at a terminal.
type desk struct {
	testing.TB
	kubeconfig string
	stdin      string
}

// run runs a command and returns what it wrote.
func (d *desk) run(args ...string) (stdout, stderr string, err error) {
	d.Helper()
	var out, errOut bytes.Buffer
	env := session.System()
	env.Stdin, env.Stdout, env.Stderr = strings.NewReader(d.stdin), &out, &errOut
	env.Getenv = func(name string) string {
		if name == "KUBECONFIG" {
			return d.kubeconfig
		}
		return ""
	}
	s := &session.Session{Env: env, Format: "table"}
	for i, a := range args {
		if format, ok := strings.CutPrefix(a, "-format="); ok {
			s.Format, args = format, append(args[:i:i], args[i+1:]...)
			break
		}
	}
	for _, c := range Commands(s) {
		if c.Name() != args[0] {
			continue
		}
		c.SetArgs(session.Normalize(args[1:]))
		c.SetErr(&errOut)
		c.SetOut(&out)
		c.SilenceUsage, c.SilenceErrors = true, true
		err = c.ExecuteContext(d.Context())
	}
	if all := out.String() + errOut.String() + fmt.Sprint(err); strings.Contains(all, canary) {
		d.Errorf("%v tells a value:\n%s", args, all)
	}
	return out.String(), errOut.String(), err
}

func (d *desk) answer(args ...string) answer {
	d.Helper()
	out, stderr, err := d.run(append(args, "-format=json")...)
	if err != nil {
		d.Fatalf("%v: %v\n%s", args, err, stderr)
	}
	var a answer
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		d.Fatalf("%v: %v\n%s", args, err, out)
	}
	return a
}

// namespace makes one with a Secret db and what text says.
func namespace(t testing.TB, text string) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "who-"}}
	if err := server.Client.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	text = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: " + canary + "}\n---\n" + text
	if err := apiserver.Apply(t.Context(), server.Client, ns.Name, strings.ReplaceAll(text, "NS", ns.Name)); err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// role is a Role of some rules, and a RoleBinding of the same name.
func role(name, subject, rules string) string {
	return fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: %[1]s}
rules: [%[3]s]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %[1]s}
subjects: [%[2]s]
---
`, name, subject, rules)
}

const (
	web = "{kind: ServiceAccount, name: web}"
	eve = "{kind: User, apiGroup: rbac.authorization.k8s.io, name: NS-eve}"
)

func TestWhoCan(t *testing.T) {
	ns := namespace(t, role("reads", web, `{verbs: [get, list], apiGroups: [""], resources: [secrets], resourceNames: [db]}`)+
		role("tokens", eve, `{verbs: [create], apiGroups: [""], resources: [serviceaccounts/token], resourceNames: [web]}`))
	d := &desk{TB: t, kubeconfig: server.Kubeconfig()}
	a := d.answer("who-can", ns+"/db")
	found := map[string]reader{}
	for _, r := range a.Readers {
		found[r.Subject] = r
	}
	if r := found["ServiceAccount/"+ns+"/web"]; len(r.Steps) != 1 || r.Steps[0].Kind != "Read" || r.Steps[0].Binding != "RoleBinding "+ns+"/reads" {
		t.Errorf("the ServiceAccount that reads it: %+v", r)
	}
	if r := found["User/"+ns+"-eve"]; len(r.Steps) != 2 || r.Steps[0].Kind != "CreateTokens" || r.Steps[0].Role != "Role "+ns+"/tokens" || r.Steps[1].Kind != "Read" {
		t.Errorf("the user who makes tokens: %+v", r)
	}
	if a.Builtin < 5 {
		t.Errorf("%d of Kubernetes' own, want its controllers and superusers", a.Builtin)
	}
	table, _, err := d.run("who-can", ns+"/db", "-builtin")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"makes tokens of ServiceAccount/" + ns + "/web", "who reads it", "Group/system:masters", "RoleBinding " + ns + "/tokens -> Role " + ns + "/tokens"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	without := d.answer("who-can", ns+"/db", "-without=rolebinding/"+ns+"/reads")
	if len(without.Gone) != 2 {
		t.Errorf("without the binding these lose it: %v, want both", without.Gone)
	}
	if _, _, err := d.run("who-can", ns+"/db", "-without=rolebinding/"+ns+"/none"); !errs.Is(err, errs.NotExist) {
		t.Errorf("a binding that is not there: %v", err)
	}
}

// Who makes pods where Pod Security does not confine them gets onto the node, which runs
// a pod that has the Secret.
func TestBreakOut(t *testing.T) {
	free := namespace(t, role("makes", eve, `{verbs: [create], apiGroups: [""], resources: [pods]}`))
	ns := namespace(t, `
apiVersion: v1
kind: Pod
metadata: {name: app}
spec: {nodeName: n1, containers: [{name: c, image: i, envFrom: [{secretRef: {name: db}}]}]}
`)
	d := &desk{TB: t, kubeconfig: server.Kubeconfig()}
	found := func() []step {
		for _, r := range d.answer("who-can", ns+"/db").Readers {
			if r.Subject == "User/"+free+"-eve" {
				return r.Steps
			}
		}
		return nil
	}
	if s := found(); len(s) != 2 || s[0].Kind != "BreakOut" || s[1].Subject != "User/system:node:n1" || s[1].Kind != "Node" {
		t.Errorf("%+v", s)
	}
	table, stderr, err := d.run("who-can", ns+"/db")
	if err != nil || !strings.Contains(table, "gets onto any node, by pods in namespace "+free) || !strings.Contains(table, "is the node that runs pod "+ns+"/app") {
		t.Errorf("%v %s\n%s", err, stderr, table)
	}
	confined := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: free}}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`))
	if err := server.Client.Patch(t.Context(), confined, patch); err != nil {
		t.Fatal(err)
	}
	if s := found(); s != nil {
		t.Errorf("where they are confined: %+v", s)
	}
}

// The rights of the example are enough to ask about a Secret, and do not read it.
func TestAuditor(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "..", "examples", "insight", "auditor.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	ns := namespace(t, role("reads", web, `{verbs: [get], apiGroups: [""], resources: [secrets]}`)+string(raw))
	file := as(t, "alice")
	loaded, err := clientcmd.LoadFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range loaded.AuthInfos {
		a.ImpersonateGroups = []string{"auditors"}
	}
	if err := clientcmd.WriteToFile(*loaded, file); err != nil {
		t.Fatal(err)
	}
	d := &desk{TB: t, kubeconfig: file}
	for {
		out, stderr, err := d.run("who-can", ns+"/db")
		if (errs.Is(err, errs.Denied) || strings.Contains(stderr, "there may be more")) && t.Context().Err() == nil {
			continue // the binding was just made, and is in force a moment later
		}
		if err != nil || !strings.Contains(out, "ServiceAccount/"+ns+"/web") || strings.Count(stderr, "\n") != 2 || !strings.Contains(stderr, "MirrorSecrets") || !strings.Contains(stderr, "ReadCopy") {
			t.Errorf("%v, want who reads, and what is not known:\n%s%s", err, out, stderr)
		}
		break
	}
	if _, _, err := d.run("who-can", "-all"); !errs.Is(err, errs.Denied) {
		t.Errorf("all Secrets: %v", err)
	}
}

// The example of two namespaces: who may make pods in the one gets out of them.
func TestConfined(t *testing.T) {
	d := &desk{TB: t, stdin: "apiVersion: v1\nkind: Pod\nmetadata: {name: app, namespace: shop}\nspec: {nodeName: n1, containers: [{name: c, image: i, envFrom: [{secretRef: {name: db}}]}]}\n"}
	out, stderr, err := d.run("who-can", "shop/db", "-f", "-", "-f", filepath.Join("..", "..", "..", "examples", "insight", "confined.yaml"))
	if err != nil || !strings.Contains(out, "Group/builders-free ") || strings.Contains(out, "builders-confined") {
		t.Errorf("%v\n%s%s", err, out, stderr)
	}
}

// A live cluster is asked for what replicators hand out, and that copies are not looked
// for is said.
func TestOffered(t *testing.T) {
	ns := namespace(t, "apiVersion: v1\nkind: Secret\nmetadata: {name: shared, annotations: {reflector.v1.k8s.emberstack.com/reflection-allowed: \"true\"}}\nstringData: {a: "+canary+"}\n---\n"+
		role("makes", eve, `{verbs: [create], apiGroups: [""], resources: [secrets]}, {verbs: [get], apiGroups: [""], resources: [secrets], resourceNames: [mine]}`))
	d := &desk{TB: t, kubeconfig: server.Kubeconfig()}
	for secret, want := range map[string]bool{"shared": true, "db": false} {
		found := false
		for _, r := range d.answer("who-can", ns+"/"+secret).Readers {
			found = found || r.Subject == "User/"+ns+"-eve" && r.Steps[0].Kind == "MirrorSecrets"
		}
		if found != want {
			t.Errorf("%s is handed to whoever asks: %v, want %v", secret, found, want)
		}
	}
	for _, ask := range []string{"who-can", "what-can"} {
		about := map[string]string{"who-can": ns + "/db", "what-can": "User/" + ns + "-eve"}[ask]
		if _, stderr, err := d.run(ask, about); err != nil || !strings.Contains(stderr, "-snapshot=FILE") {
			t.Errorf("%s does not say that copies are not looked for: %v\n%s", ask, err, stderr)
		}
	}
}

// In a snapshot that has fingerprints, who reads a copy of the value reads it.
func TestFollowsCopies(t *testing.T) {
	k, err := fingerprint.NewKey(make([]byte, fingerprint.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	files := read.Files{Key: k}
	text := "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: shop}\nstringData: {password: " + canary + "-Zx81Kq}\n---\n" +
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app, namespace: web}\ndata: {DB_PASSWORD: " + canary + "-Zx81Kq}\n---\n" +
		strings.ReplaceAll(role("maps", "{kind: User, name: reader}", `{verbs: [get], apiGroups: [""], resources: [configmaps]}`), "name: maps}", "name: maps, namespace: web}")
	if err := files.Add("dump.yaml", strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	saved := filepath.Join(t.TempDir(), "saved")
	if err := archive.Write(saved, files.Snapshot(time.Now())); err != nil {
		t.Fatal(err)
	}
	a := (&desk{TB: t}).answer("who-can", "shop/db", "-snapshot="+saved)
	if out, stderr, err := (&desk{TB: t}).run("what-can", "User/reader", "-snapshot="+saved); err != nil || !strings.Contains(out, "shop/db") || strings.Contains(stderr, "-snapshot=FILE") {
		t.Errorf("what-can does not follow copies: %v\n%s%s", err, out, stderr)
	}
	if len(a.Readers) != 1 || a.Readers[0].Subject != "User/reader" || a.Readers[0].Steps[0].Kind != "ReadCopy" || a.Readers[0].Steps[0].On != "ConfigMap web/app" {
		t.Errorf("%+v %v", a, files.Wrong)
	}
}

// Dumps without namespaces do not say who may make privileged pods, and that is said.
func TestFilesWithoutNamespaces(t *testing.T) {
	const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\nspec: {nodeName: n1, containers: []}\n"
	for text, want := range map[string]bool{pod: true, pod + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n": false, strings.Replace(pod, "nodeName: n1, ", "", 1): false} {
		d := &desk{TB: t, stdin: text}
		_, stderr, err := d.run("who-can", "shop/db", "-f", "-")
		if err != nil || strings.Contains(stderr, "privileged pods") != want {
			t.Errorf("%v, want a warning: %v\n%s%s", err, want, text, stderr)
		}
	}
}

func TestWhatCan(t *testing.T) {
	ns := namespace(t, role("reads", web, `{verbs: [watch], apiGroups: [""], resources: [secrets], resourceNames: [db]}`)+"apiVersion: v1\nkind: Secret\nmetadata: {name: other}\nstringData: {a: "+canary+"}\n")
	d := &desk{TB: t, kubeconfig: server.Kubeconfig()}
	out, _, err := d.run("what-can", "ServiceAccount/"+ns+"/web")
	if err != nil || !strings.Contains(out, ns+"/db") || strings.Contains(out, ns+"/other") {
		t.Errorf("%v\n%s", err, out)
	}
	out, _, err = d.run("what-can", "User/nobody-at-all")
	if err != nil || !strings.Contains(out, "none of the Secrets") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, _, err = d.run("what-can", "ServiceAccount/web"); !errs.Is(err, errs.Invalid) {
		t.Errorf("a ServiceAccount without a namespace: %v", err)
	}
}

// as returns the kubeconfig of a user with no rights but those bound to the name.
func as(t testing.TB, user string) string {
	t.Helper()
	token := api.NewConfig()
	loaded, err := clientcmd.LoadFromFile(server.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	*token = *loaded
	for _, a := range token.AuthInfos {
		a.Impersonate = user
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*token, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// Who may not read RBAC is told what it takes, and gets no answer that looks whole.
func TestWithoutRights(t *testing.T) {
	d := &desk{TB: t, kubeconfig: as(t, "somebody")}
	out, _, err := d.run("who-can", "default/db")
	if !errs.Is(err, errs.Denied) || out != "" || !strings.Contains(err.Error(), "cannot tell") || !strings.Contains(err.Error(), "rolebindings") {
		t.Errorf("%v\n%s", err, out)
	}
	// RBAC may be read, pods may not.
	ns := namespace(t, role("reads", web, `{verbs: [get], apiGroups: [""], resources: [secrets]}`))
	who := ns + "-auditor"
	bind := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: who}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: who}, Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: who}}}
	may := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: who}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"list"}, APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles", "clusterroles", "rolebindings", "clusterrolebindings"}}}}
	for _, o := range []interface {
		metav1.Object
		runtime.Object
	}{may, bind} {
		if err := server.Client.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	d.kubeconfig = as(t, who)
	// The rights of a binding that was just made are in force a moment later.
	for {
		out, stderr, err := d.run("who-can", ns+"/db")
		if errs.Is(err, errs.Denied) && t.Context().Err() == nil {
			continue
		}
		if err != nil || !strings.Contains(out, "ServiceAccount/"+ns+"/web") || !strings.Contains(stderr, "pods could not be read") {
			t.Errorf("%v\n%s%s", err, out, stderr)
		}
		return
	}
}

func TestFiles(t *testing.T) {
	d := &desk{TB: t, stdin: `
apiVersion: v1
kind: List
items:
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: web, namespace: shop}
  spec: {template: {spec: {serviceAccountName: web, containers: [{name: c, envFrom: [{secretRef: {name: db}}]}]}}}
- apiVersion: v1
  kind: Secret
  metadata: {name: db, namespace: shop}
  data: {password: ` + canary + `}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleList
items:
- metadata: {name: exec, namespace: shop}
  rules: [{verbs: [create], apiGroups: [""], resources: [pods/exec]}]
---
` + canary + `: [
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: exec, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: exec}
subjects: [{kind: Group, name: developers}]
`}
	out, stderr, err := d.run("who-can", "shop/db", "-f", "-")
	if err != nil || !strings.Contains(out, "Group/developers") || !strings.Contains(out, "runs commands in pod shop/web") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, want := range []string{"standard input: document 3: this is not YAML", "files do not say what runs"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("warnings lack %q:\n%s", want, stderr)
		}
	}
	if _, _, err := d.run("who-can", "shop/db", "-f", "no-such-file.yaml"); !errs.Is(err, errs.Invalid) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, _, err := d.run("who-can", "a/b/c", "-f", "-"); !errs.Is(err, errs.Invalid) {
		t.Errorf("a name that is none: %v", err)
	}
}

// What the API server answers to verbs that do not sound like reading. If a new
// version answers otherwise, the table of package path is to follow.
func TestVerbsThatAnswerWithContent(t *testing.T) {
	const named = `, apiGroups: [""], resources: [secrets], resourceNames: [db]}`
	const all = `, apiGroups: [""], resources: [secrets]}`
	dry := "?dryRun=All&propagationPolicy=Foreground"
	for verb, c := range map[string]struct {
		rule    string
		method  string
		path    string // below the namespace
		body    string
		reads   bool
		refused bool
	}{
		"get":                              {"{verbs: [get]" + named, http.MethodGet, "/secrets/db", "", true, false},
		"list by fieldSelector":            {"{verbs: [list]" + named, http.MethodGet, "/secrets?fieldSelector=metadata.name%3Ddb", "", true, false},
		"patch with nothing in it":         {"{verbs: [patch]" + named, http.MethodPatch, "/secrets/db", "{}", true, false},
		"a dry run of delete":              {"{verbs: [delete]" + named, http.MethodDelete, "/secrets/db" + dry, "", true, false},
		"a dry run of deletecollection":    {"{verbs: [deletecollection]" + all, http.MethodDelete, "/secrets?dryRun=All", "", true, false},
		"update shows what was sent":       {"{verbs: [update]" + named, http.MethodPut, "/secrets/db?dryRun=All", `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"db"}}`, false, false},
		"create with the same name":        {"{verbs: [create]" + all, http.MethodPost, "/secrets?dryRun=All", `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"db"}}`, false, false},
		"list without the name is refused": {"{verbs: [list]" + named, http.MethodGet, "/secrets", "", false, true},
	} {
		t.Run(verb, func(t *testing.T) {
			ns := namespace(t, role("one", eve, c.rule))
			config := rest.CopyConfig(server.REST)
			config.Impersonate.UserName = ns + "-eve"
			client, err := rest.HTTPClientFor(config)
			if err != nil {
				t.Fatal(err)
			}
			url := config.Host + "/api/v1/namespaces/" + ns
			if c.refused { // which every request is until the role is in force: this one no longer
				ask(t, client, c.method, url+"/secrets?fieldSelector=metadata.name%3Ddb", "")
				if status, answer := request(t, client, c.method, url+c.path, c.body); status != http.StatusForbidden || strings.Contains(answer, canary) {
					t.Errorf("it is answered with status %d", status)
				}
				return
			}
			answer := ask(t, client, c.method, url+c.path, c.body)
			if got := strings.Contains(answer, base64.StdEncoding.EncodeToString([]byte(canary))); got != c.reads {
				t.Errorf("the content is in the answer: %v, want %v", got, c.reads)
			}
		})
	}
}

// ask asks until the right, which was just granted, is in force.
func ask(t *testing.T, c *http.Client, method, url, body string) string {
	t.Helper()
	for {
		if status, answer := request(t, c, method, url, body); status != http.StatusForbidden {
			return answer
		}
	}
}

// request asks once.
func request(t *testing.T, c *http.Client, method, url, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// Creation by server-side apply carries the name, so that a rule with resourceNames
// allows it together with patch. Were that to change, package path is to follow.
func TestApplyCarriesTheName(t *testing.T) {
	for name, c := range map[string]struct {
		rule   string
		object string
		made   bool
	}{
		"both, of the name":  {`{verbs: [create, patch], apiGroups: [""], resources: [secrets], resourceNames: [mine]}`, "mine", true},
		"both, of another":   {`{verbs: [create, patch], apiGroups: [""], resources: [secrets], resourceNames: [mine]}`, "other", false},
		"patch of the name":  {`{verbs: [patch], apiGroups: [""], resources: [secrets], resourceNames: [mine]}`, "mine", false},
		"create of the name": {`{verbs: [create], apiGroups: [""], resources: [secrets], resourceNames: [mine]}`, "mine", false},
	} {
		t.Run(name, func(t *testing.T) {
			ns := namespace(t, role("one", eve, c.rule)+role("probe", eve, `{verbs: [get], apiGroups: [""], resources: [configmaps], resourceNames: [none]}`))
			config := rest.CopyConfig(server.REST)
			config.Impersonate.UserName = ns + "-eve"
			client, err := rest.HTTPClientFor(config)
			if err != nil {
				t.Fatal(err)
			}
			// Both bindings are in force when the second is.
			ask(t, client, http.MethodGet, config.Host+"/api/v1/namespaces/"+ns+"/configmaps/none", "")
			body := `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"` + c.object + `"}}`
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, config.Host+"/api/v1/namespaces/"+ns+"/secrets/"+c.object+"?fieldManager=test", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/apply-patch+yaml")
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if got := resp.StatusCode == http.StatusCreated; got != c.made {
				t.Errorf("answered with %d, made: want %v", resp.StatusCode, c.made)
			}
		})
	}
}
