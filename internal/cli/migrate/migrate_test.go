package migrate_test

import (
	"bytes"
	"context"
	"crypto/sha3"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator"
	"github.com/strongkeep/strongkeep/internal/kube/operator/operatortest"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/fake"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
	"github.com/strongkeep/strongkeep/test/cluster"
)

var (
	testCluster *cluster.Cluster
	testClient  client.WithWatch
	testREST    *rest.Config
)

func TestMain(m *testing.M) {
	os.Exit(apiserver.Main(apiserver.Config{Schemes: []func(*runtime.Scheme) error{v1.AddToScheme, v1alpha1.AddToScheme}}, func(s *apiserver.Server) (int, error) {
		testCluster, testClient, testREST = s.Cluster, s.Client, s.REST
		return m.Run(), nil
	}))
}

// canary stands in every value of these tests.
const canary = "canary-90af"

// place is a namespace of a test, and somebody at a terminal there.
type place struct {
	testing.TB
	ns string
}

func newPlace(t testing.TB) *place {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "migrate-"}}
	if err := testClient.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	p := &place{t, ns.Name}
	t.Cleanup(func() { // plans are about the whole cluster
		ctx := context.WithoutCancel(t.Context())
		var list v1.ExternalSecretList
		if err := testClient.List(ctx, &list, client.InNamespace(p.ns)); err != nil {
			t.Error(err)
		}
		for i := range list.Items {
			list.Items[i].Finalizers = nil
			if err := testClient.Update(ctx, &list.Items[i]); client.IgnoreNotFound(err) != nil {
				t.Error(err)
			}
		}
		for _, o := range []client.Object{&v1.ExternalSecret{}, &v1.SecretStore{}, &v1alpha1.PushSecret{}} {
			if err := testClient.DeleteAllOf(ctx, o, client.InNamespace(p.ns)); err != nil {
				t.Error(err)
			}
		}
	})
	return p
}

func (p *place) apply(text string) {
	p.Helper()
	if err := apiserver.Apply(p.Context(), testClient, p.ns, text); err != nil {
		p.Fatal(err)
	}
}

func (p *place) get(o client.Object, name string) {
	p.Helper()
	if err := testClient.Get(p.Context(), client.ObjectKey{Namespace: p.ns, Name: name}, o); err != nil {
		p.Fatal(err)
	}
}

// says runs a command that must end with code and say all of want.
func (p *place) says(code int, args []string, want ...string) string {
	p.Helper()
	var stdout, stderr bytes.Buffer
	env := session.System()
	env.Context, env.Stdin, env.Stdout, env.Stderr, env.ReadLine, env.ReadPassword = p.Context(), strings.NewReader(""), &stdout, &stderr, nil, nil
	env.Getenv = func(name string) string { return map[string]string{"KUBECONFIG": testCluster.Kubeconfig()}[name] }
	got := cli.Main(args, env)
	text := stdout.String() + stderr.String()
	if strings.Contains(text, canary) {
		p.Errorf("%v shows a value", args)
	}
	if got != code {
		p.Fatalf("%v: exit code %d, want %d:\n%s", args, got, code, text)
	}
	for _, w := range want {
		if !strings.Contains(text, w) {
			p.Errorf("%v lacks %q:\n%s", args, w, text)
		}
	}
	return stdout.String()
}

func command(args ...string) []string {
	return append([]string{"migrate", "external-secrets"}, args...)
}

// operator runs ours beside the original.
func (p *place) operator() {
	p.Helper()
	operatortest.Start(p, operator.Config{
		Providers: map[string]provider.Provider{fake.Name: fake.Provider{}}, REST: testREST, Namespaces: []string{p.ns}, OwnNamespace: p.ns,
		Class: "strongkeep", OnlyClass: true, MetricsAddr: "127.0.0.1:0", HealthAddr: "127.0.0.1:0", NoRotation: true, NoReload: true,
	})
}

// original leaves an ExternalSecret and its Secret as the External Secrets Operator
// does (facts §1.2, §1.5): written by update, an unkeyed hash, its own finalizer and
// its own way to say what was synced.
func (p *place) original(name string, data map[string]string) {
	p.Helper()
	var es v1.ExternalSecret
	p.get(&es, name)
	manager := client.FieldOwner(target.ManagerPrefix + name)
	bytes := map[string][]byte{}
	for k, v := range data {
		bytes[k] = []byte(v)
	}
	digest := func(of any) string {
		sum := sha3.Sum224(fmt.Appendf(nil, "%+v", of))
		return hex.EncodeToString(sum[:])
	}
	yes := true
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: p.ns, Name: target.Name(&es)}}
	err := testClient.Get(p.Context(), client.ObjectKeyFromObject(s), s)
	if client.IgnoreNotFound(err) != nil {
		p.Fatal(err)
	}
	missing := err != nil
	if !target.Shared(&es) {
		s.Labels = map[string]string{target.LabelManaged: "true", target.LabelCreatedBy: target.CreatedBy(p.ns, name)}
		if s.Annotations == nil {
			s.Annotations = map[string]string{}
		}
		s.Annotations[target.AnnotationMark] = digest(bytes)
		s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "external-secrets.io/v1", Kind: "ExternalSecret", Name: name, UID: es.UID, Controller: &yes, BlockOwnerDeletion: &yes}}
	}
	if s.Data == nil {
		s.Data = map[string][]byte{}
	}
	maps.Copy(s.Data, bytes)
	if missing {
		err = testClient.Create(p.Context(), s, manager)
	} else {
		err = testClient.Update(p.Context(), s, manager)
	}
	if err != nil {
		p.Fatal(err)
	}
	es.Finalizers = []string{"externalsecrets.external-secrets.io/externalsecret-cleanup"}
	if err := testClient.Update(p.Context(), &es); err != nil {
		p.Fatal(err)
	}
	es.Status = v1.ExternalSecretStatus{
		RefreshTime: metav1.Now(), SyncedResourceVersion: fmt.Sprintf("%d-%s", es.Generation, digest(struct{ annotations, labels map[string]string }{es.Annotations, es.Labels})),
		Conditions: []v1.Condition{{Type: v1.ConditionReady, Status: metav1.ConditionTrue, Reason: "SecretSynced", Message: "secret synced", LastTransitionTime: metav1.Now()}},
	}
	es.Status.Binding.Name = s.Name
	if err := testClient.Status().Update(p.Context(), &es); err != nil {
		p.Fatal(err)
	}
}

// synced is what an ExternalSecret's status says is synced.
func (p *place) synced(name string) string {
	p.Helper()
	var es v1.ExternalSecret
	p.get(&es, name)
	return es.Status.SyncedResourceVersion
}

// witness sees every state of a Secret from now on.
type witness struct {
	*place
	was corev1.Secret
	w   watch.Interface
}

func (p *place) watch(name string) *witness {
	p.Helper()
	x := &witness{place: p}
	p.get(&x.was, name)
	var err error
	x.w, err = testClient.Watch(p.Context(), &corev1.SecretList{}, client.InNamespace(p.ns), &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: x.was.ResourceVersion, FieldSelector: "metadata.name=" + name}})
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(x.w.Stop)
	return x
}

// writes returns how often the Secret was written until now. None of them may have
// changed its data, or what it is.
func (x *witness) writes() int {
	x.Helper()
	var now corev1.Secret
	x.get(&now, x.was.Name)
	seen := x.was.ResourceVersion
	for n := 0; ; n++ {
		if seen == now.ResourceVersion {
			x.was = now
			return n
		}
		e, ok := <-x.w.ResultChan()
		s, is := e.Object.(*corev1.Secret)
		if !ok || !is || e.Type != watch.Modified {
			x.Fatalf("the Secret met %s", e.Type)
		}
		if s.UID != x.was.UID || !maps.EqualFunc(s.Data, x.was.Data, bytes.Equal) || s.Type != x.was.Type || len(s.OwnerReferences) != len(x.was.OwnerReferences) {
			x.Errorf("write %d changed more than metadata", n+1)
		}
		seen = s.ResourceVersion
	}
}

func store(name, more string) string {
	return "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: " + name + "}\nspec: {" + more + "provider: {fake: {data: [{key: a, value: " + canary + "}]}}}\n---\n"
}

func es(name, storeName, more string) string {
	return fmt.Sprintf("apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: %s}\nspec:\n  secretStoreRef: {name: %s}\n  data: [{secretKey: v, remoteRef: {key: a}}]\n%s\n---\n", name, storeName, more)
}

// TestTakeOver is the promise of issue item 9: no moment with a missing or rewritten
// Secret, side by side by class, and back again, and forth again.
func TestTakeOver(t *testing.T) {
	p := newPlace(t)
	p.apply(store("s", "") + store("mine", "controller: strongkeep, ") + es("db", "s", "  target: {template: {type: Opaque}}\n") + es("merged", "s", "  target: {name: shared, creationPolicy: Merge}\n") + es("gate", "s", "  target: {creationPolicy: None}\n") + es("mine", "mine", "") +
		"apiVersion: v1\nkind: Secret\nmetadata: {name: shared}\nstringData: {other: " + canary + "}")
	for _, name := range []string{"db", "merged"} {
		p.original(name, map[string]string{"v": canary})
	}
	db, shared := p.watch("db"), p.watch("shared")
	p.operator()
	quiet := func(when string) { // ours has come to its own since, and to no other
		t.Helper()
		p.says(0, []string{"sync", p.ns + "/mine", "-wait=3m"}, "refreshed")
		if n := db.writes() + shared.writes(); n != 0 {
			t.Errorf("%s: %d writes of another's Secrets", when, n)
		}
		var es v1.ExternalSecret
		p.get(&es, "db")
		if hash := es.Status.SyncedResourceVersion; len(hash) < 56 {
			t.Errorf("%s: the status of another's object became %s", when, hash)
		}
	}
	quiet("before")
	p.says(0, command(), "fits", p.ns+"/db", "partly moved", "Nothing was written")
	quiet("after the plan")

	over := func() {
		t.Helper()
		p.says(0, command("-apply", "-n", p.ns, "-wait=3m"), "db", "same Secret, same data", "has no Secret")
		if n := db.writes(); n != 1 {
			t.Errorf("the Secret was written %d times: its metadata takes one", n)
		}
		shared.writes()
		var s corev1.Secret
		p.get(&s, "db")
		if target.ParseMark(s.Annotations[target.AnnotationMark]).Content == "" {
			t.Error("the Secret has no mark of ours")
		}
		p.says(0, []string{"sync", p.ns + "/db", "-wait=3m"}, "refreshed")
		if n := db.writes() + shared.writes(); n != 0 {
			t.Errorf("%d writes although nothing changed", n)
		}
	}
	over()
	var s v1.SecretStore
	p.get(&s, "s")
	if s.Spec.Controller != "strongkeep" || s.Annotations["strongkeep.io/controller-before"] != "" {
		t.Errorf("class %q, %v", s.Spec.Controller, s.Annotations)
	}

	p.says(0, command("-back", "-n", p.ns), "db", "same Secret, same data")
	p.get(&s, "s")
	if _, left := s.Annotations["strongkeep.io/controller-before"]; left || s.Spec.Controller != "" {
		t.Errorf("class %q, %v", s.Spec.Controller, s.Annotations)
	}
	synced := p.synced("db")
	p.original("db", map[string]string{"v": canary})
	p.original("merged", map[string]string{"v": canary})
	if n := db.writes(); n != 1 {
		t.Errorf("%d writes: going back writes what the original would", n)
	}
	if again := p.synced("db"); again != synced {
		t.Errorf("the status says that %s is synced, the original %s", synced, again)
	}
	shared.writes()
	quiet("after going back")
	over()
}

// A command that ended while it gave stores back is taken up by the next one, in both
// directions, and no class is forgotten.
func TestInterruptedBack(t *testing.T) {
	p := newPlace(t)
	p.apply(store("s", "controller: theirs, ") + es("db", "s", ""))
	p.original("db", map[string]string{"v": canary})
	for _, again := range []string{"-apply", "-back"} {
		p.says(0, command("-apply", "-n", p.ns, "-wait=0"), "same Secret")
		var s v1.SecretStore
		p.get(&s, "s")
		s.Spec.Controller = "strongkeep.io-between"
		if err := testClient.Update(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		p.says(0, command(), "partly moved")
		args := command(again, "-n", p.ns)
		if again == "-apply" {
			args = append(args, "-wait=0")
		}
		p.says(0, args, "same Secret")
		p.says(0, command("-back", "-n", p.ns), "same Secret")
		p.get(&s, "s")
		if _, left := s.Annotations["strongkeep.io/controller-before"]; left || s.Spec.Controller != "theirs" {
			t.Errorf("%s: class %q, %v", again, s.Spec.Controller, s.Annotations)
		}
	}
}

// What is not ready is looked at anew, and every ExternalSecret that is handed back is
// written: the original looks at no other.
func TestBackTells(t *testing.T) {
	p := newPlace(t)
	p.apply(store("s", "") + es("db", "s", "") + es("broken", "s", ""))
	for _, name := range []string{"db", "broken"} {
		p.original(name, map[string]string{"v": canary})
	}
	var broken v1.ExternalSecret
	p.get(&broken, "broken")
	broken.Status.Conditions[0].Status = metav1.ConditionFalse
	if err := testClient.Status().Update(t.Context(), &broken); err != nil {
		t.Fatal(err)
	}
	p.says(0, command("-apply", "-n", p.ns, "-wait=0"), "same Secret")
	var before, after v1.ExternalSecret
	p.get(&before, "db")
	p.says(0, command("-back", "-n", p.ns), "same Secret")
	p.get(&after, "db")
	if after.ResourceVersion == before.ResourceVersion || after.Status.SyncedResourceVersion != before.Status.SyncedResourceVersion {
		t.Errorf("db: %+v was %+v", after.Status, before.Status)
	}
	if synced := p.synced("broken"); synced != "" {
		t.Errorf("broken: %s", synced)
	}
	p.get(&before, "db")
	p.says(0, command("-back", "-n", p.ns), "same Secret")
	if p.get(&after, "db"); after.ResourceVersion != before.ResourceVersion {
		t.Error("what was not moved was written")
	}
}

// Ours takes no finalizer off an object that the original answers for.
func TestFinalizersStay(t *testing.T) {
	p := newPlace(t)
	p.apply(store("s", "") + store("mine", "controller: strongkeep, ") + es("db", "s", "") + es("mine", "mine", ""))
	p.original("db", map[string]string{"v": canary})
	var db v1.ExternalSecret
	p.get(&db, "db")
	if err := testClient.Delete(t.Context(), &db); err != nil {
		t.Fatal(err)
	}
	p.operator()
	p.says(0, []string{"sync", p.ns + "/mine", "-wait=3m"}, "refreshed")
	p.get(&db, "db")
	if len(db.Finalizers) != 1 {
		t.Errorf("finalizers: %v", db.Finalizers)
	}
}

// What does not fit is said, field by field, and is not moved unless told.
func TestPlan(t *testing.T) {
	p := newPlace(t)
	p.apply(store("s", "") + es("changed", "s", "") + es("generated", "s", "  dataFrom: [{sourceRef: {generatorRef: {apiVersion: generators.external-secrets.io/v1alpha1, kind: Password, name: x}}}]\n") +
		es("made", "s", "  target: {template: {data: {v: '{{ .password }}'}}}\n  dataFrom: [{sourceRef: {generatorRef: {apiVersion: generators.external-secrets.io/v1alpha1, kind: Password, name: x}}}]\n") + `
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: odd}
spec: {provider: {onepassword: {}}}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: wrong}
spec: {provider: {vault: {server: "http://x", nonsense: 1, auth: {tokenSecretRef: {name: t, key: t}}}}}
---
apiVersion: external-secrets.io/v1beta1
kind: SecretStore
metadata: {name: right}
spec: {provider: {vault: {server: "http://x", path: secret, auth: {tokenSecretRef: {name: t, key: t}}}}}
---
apiVersion: external-secrets.io/v1alpha1
kind: PushSecret
metadata: {name: push}
spec: {secretStoreRefs: [{name: s}], selector: {secret: {name: x}}, data: [{match: {secretKey: a, remoteRef: {remoteKey: b}}}]}
`)
	p.original("changed", map[string]string{"v": "old-" + canary, "w": canary})
	var crd apiextensionsv1.CustomResourceDefinition
	if err := testClient.Get(t.Context(), client.ObjectKey{Name: "externalsecrets.external-secrets.io"}, &crd); err != nil {
		t.Fatal(err)
	}
	crd.Labels["app.kubernetes.io/managed-by"] = "Helm"
	if err := testClient.Update(t.Context(), &crd); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`Secret "changed" would change: keys that go w; other values of v`, "makes its credentials anew", `what Password "x" drew stays`, "spec.provider.onepassword: there is no such provider here", "nonsense",
		"pushed by " + p.ns + "/push", "helm uninstall would delete it", "finalizers: externalsecrets.external-secrets.io/externalsecret-cleanup",
	}
	p.says(10, command(), want...)
	out := p.says(10, command("-format=json", "-compare=false"))
	var plan struct {
		Objects []struct{ Kind, Namespace, Name, Verdict string }
	}
	if err := json.Unmarshal([]byte(out), &plan); err != nil {
		t.Fatal(err)
	}
	verdicts := map[string]string{}
	for _, o := range plan.Objects {
		if o.Namespace == p.ns {
			verdicts[o.Kind+"/"+o.Name] = o.Verdict
		}
	}
	for name, want := range map[string]string{
		"SecretStore/s": "fits", "SecretStore/right": "fits", "SecretStore/odd": "refused", "SecretStore/wrong": "refused",
		"ExternalSecret/changed": "fits", "ExternalSecret/generated": "fits", "ExternalSecret/made": "changes", "PushSecret/push": "note",
	} {
		if verdicts[name] != want {
			t.Errorf("%s: %q, want %q", name, verdicts[name], want)
		}
	}
	p.says(errs.Conflict.ExitCode(), command("-apply", "-n", p.ns), "is not moved: ", "-accept-changes")
	p.says(errs.Conflict.ExitCode(), command("-apply", "-n", p.ns, "-accept-changes"), p.ns+"/push", "-pause-pushes")
	var s v1.SecretStore
	p.get(&s, "s")
	if s.Spec.Controller != "" {
		t.Error("a refusal moved a store")
	}
	p.says(10, command("-apply", "-n", p.ns, "-accept-changes", "-pause-pushes", "-wait=500ms"), "not taken over in time", "-class=strongkeep -only-class")
	p.says(0, command("-back", "-n", p.ns), "same Secret, same data")
}

// Namespaces that share a ClusterSecretStore move together.
func TestTiedNamespaces(t *testing.T) {
	a, b := newPlace(t), newPlace(t)
	shared := "shared-" + a.ns
	a.apply("apiVersion: external-secrets.io/v1\nkind: ClusterSecretStore\nmetadata: {name: " + shared + "}\nspec: {provider: {fake: {data: [{key: a, value: " + canary + "}]}}}")
	t.Cleanup(func() {
		if err := testClient.Delete(context.WithoutCancel(t.Context()), &v1.ClusterSecretStore{ObjectMeta: metav1.ObjectMeta{Name: shared}}); err != nil {
			t.Error(err)
		}
	})
	for _, p := range []*place{a, b} {
		p.apply(strings.Replace(es("db", shared, ""), "name: "+shared+"}", "name: "+shared+", kind: ClusterSecretStore}", 1))
	}
	a.says(errs.Invalid.ExitCode(), command("-apply", "-n", a.ns), "moves together with", b.ns, shared)
	a.says(0, command("-apply", "-n", a.ns+","+b.ns, "-wait=0"), "has no Secret yet")
	a.says(0, command("-back", "-n", a.ns+","+b.ns), "has no Secret yet")
	a.says(errs.NotExist.ExitCode(), command("-apply", "-n", "absent"), "nothing to move")
}

func TestFlags(t *testing.T) {
	p := newPlace(t)
	for want, args := range map[string][]string{
		"only one of -dry-run, -apply and -back": {"-apply", "-back", "-n", "x"},
		"only one of -dry-run":                   {"-apply", "-dry-run", "-n", "x"},
		"say what to move":                       {"-apply"},
		"-n NAMESPACE, several by commas":        {"-apply", "-all", "-n", "x"},
		"is the original's own":                  {"-class=default"},
		"-wait=-1s":                              {"-apply", "-all", "-wait=-1s"},
		"-wait is for -apply":                    {"-wait=1s"},
		"wrong number of arguments":              {"x"},
		"did you mean -apply":                    {"-aply"},
	} {
		p.says(errs.Invalid.ExitCode(), command(args...), want)
	}
	p.says(errs.Invalid.ExitCode(), []string{"migrate", "nothing"}, "unknown command")
}
