package externalsecret_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator"
	"github.com/strongkeep/strongkeep/internal/kube/operator/operatortest"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/fake"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
	"github.com/strongkeep/strongkeep/test/cluster"
	"k8s.io/client-go/rest"
)

var (
	testCluster *cluster.Cluster
	testClient  client.WithWatch
	testREST    *rest.Config
)

func TestMain(m *testing.M) {
	os.Exit(apiserver.Main(apiserver.Config{Schemes: []func(*runtime.Scheme) error{v1.AddToScheme}}, func(s *apiserver.Server) (int, error) {
		testCluster, testClient, testREST = s.Cluster, s.Client, s.REST
		return m.Run(), nil
	}))
}

// canary stands in every value of these tests.
const canary = "canary-d2c8"

// place is a namespace of a test, and somebody at a terminal there.
type place struct {
	testing.TB
	ns string
}

func newPlace(t testing.TB) *place {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "tools-"}}
	if err := testClient.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	p := &place{t, ns.Name}
	p.apply(`
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: s}
spec: {provider: {fake: {data: [{key: a, value: ` + canary + `}]}}}
`)
	return p
}

func (p *place) apply(text string) {
	p.Helper()
	if err := apiserver.Apply(p.Context(), testClient, p.ns, text); err != nil {
		p.Fatal(err)
	}
}

// es is an ExternalSecret that reads key.
func es(name, key, more string) string {
	return fmt.Sprintf("apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: %s}\nspec:\n  secretStoreRef: {name: s}\n  data: [{secretKey: v, remoteRef: {key: %s}}]\n%s", name, key, more)
}

func (p *place) operator() (stop func()) {
	p.Helper()
	_, stop = operatortest.Start(p, operator.Config{
		Providers: map[string]provider.Provider{fake.Name: fake.Provider{}}, REST: testREST, Namespaces: []string{p.ns}, OwnNamespace: p.ns,
		MetricsAddr: "127.0.0.1:0", HealthAddr: "127.0.0.1:0", NoRotation: true, NoReload: true, NoPush: true, NoSpread: true,
	})
	return stop
}

func (p *place) run(ctx context.Context, args ...string) (code int, out, complaint string) {
	p.Helper()
	var stdout, stderr bytes.Buffer
	env := session.System()
	env.Context, env.Stdin, env.Stdout, env.Stderr, env.ReadLine, env.ReadPassword = ctx, strings.NewReader(""), &stdout, &stderr, nil, nil
	env.Getenv = func(name string) string {
		if name == "KUBECONFIG" {
			return testCluster.Kubeconfig()
		}
		return ""
	}
	code = cli.Main(args, env)
	if text := stdout.String() + stderr.String(); strings.Contains(text, canary) && !strings.Contains(strings.Join(args, " "), "-show-values") {
		p.Errorf("%v shows a value", args)
	}
	return code, stdout.String(), stderr.String()
}

// says runs a command that must end with code and say all of want.
func (p *place) says(code int, args []string, want ...string) string {
	p.Helper()
	got, out, complaint := p.run(p.Context(), args...)
	text := out + complaint
	if got != code {
		p.Fatalf("%v: exit code %d, want %d:\n%s", args, got, code, text)
	}
	for _, w := range want {
		if !strings.Contains(text, w) {
			p.Errorf("%v lacks %q:\n%s", args, w, text)
		}
	}
	return out
}

func (p *place) get(o client.Object, name string) {
	p.Helper()
	if err := testClient.Get(p.Context(), client.ObjectKey{Namespace: p.ns, Name: name}, o); err != nil {
		p.Fatal(err)
	}
}

// Facts §5.5, §5.14: sync refreshes now, waits, and says what came of it.
func TestSync(t *testing.T) {
	p := newPlace(t)
	p.apply(es("good", "a", "  refreshInterval: 24h\n") + "---\n" + es("lacks", "z", "") + "---\n" + es("once", "a", "  refreshPolicy: CreatedOnce\n"))
	p.operator()
	all := []string{"sync", "-n", p.ns, "-all", "-wait=3m"}
	p.says(10, all, "good", "refreshed", "lacks", "not ready", `secret "z" does not exist`)
	p.says(0, []string{"sync", p.ns + "/good", "-wait=3m"}, "refreshed", "secret synced")
	p.says(10, []string{"sync", p.ns + "/lacks", "-wait=3m"}, "not ready", `secret "z" does not exist`)
	p.says(errs.Conflict.ExitCode(), []string{"sync", p.ns + "/once", "-wait=3m"}, "CreatedOnce")
	p.says(10, all, "left alone")

	var before v1.ExternalSecret
	p.get(&before, "good")
	out := p.says(0, []string{"sync", p.ns + "/good", "-wait=3m", "-format=json"})
	var o struct{ Namespace, Name, Result string }
	if err := json.Unmarshal([]byte(out), &o); err != nil || o.Name != "good" || o.Result != "refreshed" {
		t.Errorf("%v: %s", err, out)
	}
	var after v1.ExternalSecret
	p.get(&after, "good")
	if after.Annotations["force-sync"] == before.Annotations["force-sync"] || after.Status.SyncedResourceVersion == before.Status.SyncedResourceVersion {
		t.Error("the second sync was none")
	}
	p.says(0, []string{"explain", "externalsecret", p.ns + "/good"}, "yes: SecretSynced", "it is this ExternalSecret's", "(fake): ready true", "by the refresh interval")
	p.says(10, []string{"explain", "es", "-n", p.ns, "lacks"}, "no: SecretSyncedError", `secret "z" does not exist`, "tried again", "UpdateFailed")
}

// Nobody who waits is left without a word.
func TestSyncWithoutAnOperator(t *testing.T) {
	p := newPlace(t)
	p.apply(es("good", "a", ""))
	p.says(errs.Unavailable.ExitCode(), []string{"sync", p.ns + "/good", "-wait=300ms"}, "no answer", "does an operator run")
	p.says(0, []string{"sync", p.ns + "/good", "-wait=0"}, "asked")
	p.says(errs.NotExist.ExitCode(), []string{"sync", p.ns + "/absent"}, "has: good")
	p.says(errs.Invalid.ExitCode(), []string{"sync"}, "name one ExternalSecret, or give -all")
	p.says(errs.Invalid.ExitCode(), []string{"sync", "good", "-all"}, "name one ExternalSecret, or give -all")
	p.says(errs.Invalid.ExitCode(), []string{"sync", "good", "-wait=-1s"}, "-wait=-1s")
	p.says(errs.Invalid.ExitCode(), []string{"sync", "a/b/c"}, "neither NAME nor NAMESPACE/NAME")
	p.says(errs.NotExist.ExitCode(), []string{"sync", "-n", p.ns + "-not", "-all"}, "has no ExternalSecret")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var asked v1.ExternalSecret
	p.get(&asked, "good")
	go func() {
		for now := asked.DeepCopy(); ctx.Err() == nil; {
			if err := testClient.Get(ctx, client.ObjectKeyFromObject(now), now); err == nil && now.Annotations["force-sync"] != asked.Annotations["force-sync"] {
				cancel()
			}
		}
	}()
	if code, out, complaint := p.run(ctx, "sync", p.ns+"/good", "-wait=10m"); code != 130 || !strings.Contains(complaint, "goes on without you") {
		t.Errorf("exit code %d: %s %s", code, out, complaint)
	}
}

func TestExplain(t *testing.T) {
	p := newPlace(t)
	shared := "  target: {name: shared}\n"
	p.apply(es("new", "a", "") + "---\n" + es("one", "a", shared) + "---\n" + es("two", "a", shared) + "---\n" +
		es("lost", "a", "  target: {creationPolicy: Merge}\n") + "---\n" + es("none", "a", "  target: {creationPolicy: None}\n") + `
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: nostore}
spec:
  secretStoreRef: {name: gone}
  data: [{secretKey: v, remoteRef: {key: a}}]
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: generated}
spec:
  dataFrom: [{sourceRef: {generatorRef: {apiVersion: generators.external-secrets.io/v1alpha1, kind: Password, name: gone}}}]
---
apiVersion: v1
kind: Secret
metadata: {name: shared}
stringData: {v: ` + canary + `}
---
apiVersion: v1
kind: Pod
metadata: {name: user}
spec:
  containers: [{name: c, image: i, envFrom: [{secretRef: {name: shared}}], env: [{name: V, valueFrom: {secretKeyRef: {name: shared, key: v}}}]}]
`)
	for name, want := range map[string][]string{
		"new":       {"no: no condition yet", "was checked by no operator", "never synced", "it does not exist"},
		"one":       {"it is not overwritten: it was not made by this ExternalSecret", "Also written by", "ExternalSecret two (creationPolicy Owner): only one of them can own it", "pod user (env, envFrom)", "test wrote v"},
		"lost":      {"to be made by somebody"},
		"none":      {"none is written"},
		"nostore":   {`SecretStore "` + p.ns + `/gone" does not exist`},
		"generated": {`Password "gone" does not exist`},
	} {
		p.says(10, []string{"explain", "externalsecret", p.ns + "/" + name}, want...)
	}
	out := p.says(10, []string{"explain", "externalsecrets", p.ns + "/one", "-format=json"})
	var e struct {
		Ready  bool
		Secret struct{ Name string }
	}
	if err := json.Unmarshal([]byte(out), &e); err != nil || e.Ready || e.Secret.Name != "shared" {
		t.Errorf("%v: %s", err, out)
	}
	p.says(10, []string{"explain", "es", p.ns + "/one", "-field=secret.name"}, "shared")
	p.says(errs.NotExist.ExitCode(), []string{"explain", "es", p.ns + "/absent"}, "has: generated, lost")
	p.says(errs.Invalid.ExitCode(), []string{"explain", "es"}, "wrong number of arguments")
	p.says(errs.Invalid.ExitCode(), []string{"explain", "something"}, "unknown command")
}

// Others who write into a Secret are named, with the keys, until the operator has
// put it right.
func TestExplainDrift(t *testing.T) {
	p := newPlace(t)
	p.apply(es("db", "a", ""))
	stop := p.operator()
	p.says(0, []string{"sync", p.ns + "/db", "-wait=3m"})
	stop()
	var s corev1.Secret
	p.get(&s, "db")
	s.Data["extra"] = []byte(canary)
	if err := testClient.Update(t.Context(), &s, client.FieldOwner("editor")); err != nil {
		t.Fatal(err)
	}
	p.says(0, []string{"explain", "es", p.ns + "/db"}, "Drift", "editor wrote extra at ", "it is this ExternalSecret's")
}

// With -live values come from the stores of the cluster, and what files have comes
// before what the cluster has.
func TestRenderLive(t *testing.T) {
	p := newPlace(t)
	file := t.TempDir() + "/es.yaml"
	text := es("db", "a", "  target: {template: {data: {u: 'x{{ .v }}{{ .v }}'}, templateFrom: [{configMap: {name: c, items: [{key: k}]}}]}}\n")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"render", "-n", p.ns, "-f", file, "-live"}
	p.says(errs.Unavailable.ExitCode(), args, file+`: document 1: ExternalSecret "`+p.ns+`/db": `, `ConfigMap "c" does not exist`)
	p.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: '{{ .v }}!'}")
	p.says(0, args, fmt.Sprintf("u: (%d bytes", 1+2*len(canary)), fmt.Sprintf("k: (%d bytes", 1+len(canary)))
	values := t.TempDir() + "/values.yaml"
	if err := os.WriteFile(values, []byte("a: '12'"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.says(0, append(args, "-values", "s="+values), "u: (5 bytes", "k: (3 bytes")

}
