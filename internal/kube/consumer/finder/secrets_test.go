package finder

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

var wanted = consumer.Wanted{Namespace: "a", Location: location}

// fed returns the Secret of that name in g.
func fed(t *testing.T, g consumer.Graph, namespace, name string) consumer.Fed {
	t.Helper()
	for _, f := range g.Secrets {
		if f.Namespace == namespace && f.Name == name {
			return f
		}
	}
	t.Fatalf("%s/%s is not found: %+v, unknown %q", namespace, name, g.Secrets, g.Unknown)
	return consumer.Fed{}
}

func TestProblemsOfFeeders(t *testing.T) {
	const ready = `status: {conditions: [{type: Ready, status: "True"}]}`
	from := func(spec string) string {
		return "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {namespace: a, name: x}\n" + spec
	}
	ref := "data: [{secretKey: k, remoteRef: {key: database/alternating-creds/app}}]"
	for name, c := range map[string]struct {
		es      string
		problem string
		stuck   bool
	}{
		"fine":                  {from("spec: {secretStoreRef: {name: vault}, " + ref + "}\n" + ready), "", false},
		"slashes":               {from("spec: {secretStoreRef: {name: vault}, data: [{secretKey: k, remoteRef: {key: /database/alternating-creds/app}}]}\n" + ready), "", false},
		"extract":               {from("spec: {secretStoreRef: {name: vault}, dataFrom: [{extract: {key: database/alternating-creds/app}}]}\n" + ready), "", false},
		"a store of its own":    {from("spec: {secretStoreRef: {name: other}, data: [{secretKey: k, remoteRef: {key: database/alternating-creds/app}, sourceRef: {storeRef: {name: vault}}}]}\n" + ready), "", false},
		"on change":             {from("spec: {refreshPolicy: OnChange, secretStoreRef: {name: vault}, " + ref + "}\n" + ready), "", false},
		"not by time":           {from("spec: {refreshInterval: 0s, secretStoreRef: {name: vault}, " + ref + "}\n" + ready), "", false},
		"pinned":                {from("spec: {secretStoreRef: {name: vault}, data: [{secretKey: k, remoteRef: {key: database/alternating-creds/app, version: '3'}}]}\n" + ready), "ExternalSecret a/x: it is pinned to version 3: remove remoteRef.version", true},
		"once":                  {from("spec: {refreshPolicy: CreatedOnce, secretStoreRef: {name: vault}, " + ref + "}\n" + ready), "refreshPolicy CreatedOnce", true},
		"immutable":             {from("spec: {target: {immutable: true}, secretStoreRef: {name: vault}, " + ref + "}\n" + ready), "spec.target.immutable", true},
		"not synced":            {from("spec: {secretStoreRef: {name: vault}, " + ref + "}"), "was not synced yet", false},
		"failing":               {from("spec: {secretStoreRef: {name: vault}, " + ref + "}\nstatus: {conditions: [{type: Ready, status: 'False', message: 'key x: permission denied'}]}"), "ExternalSecret a/x is not ready: key x: permission denied", false},
		"a target of that name": {from("spec: {target: {name: named}, secretStoreRef: {name: vault}, " + ref + "}\n" + ready), "", false},
	} {
		w := newWorld(t, objects(t, fedSecret+c.es+secretYAML("a", "x", "")+secretYAML("a", "named", "")+
			"---\napiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {namespace: a, name: other}\n"), nil)
		secret := "x"
		if strings.Contains(c.es, "name: named") {
			secret = "named"
		}
		g := w.find(wanted)
		got := fed(t, g, "a", secret)
		if !strings.Contains(got.Problem, c.problem) || (got.Problem == "") != (c.problem == "") || got.Stuck != c.stuck {
			t.Errorf("%s: problem %q, stuck %v", name, got.Problem, got.Stuck)
		}
		if got.Feeder != (types.NamespacedName{Namespace: "a", Name: "x"}) || len(g.Unknown) > 0 {
			t.Errorf("%s: feeder %v, unknown %q", name, got.Feeder, g.Unknown)
		}
	}
}

// secretYAML is a document with a Secret; more is below metadata.
func secretYAML(namespace, name, more string) string {
	return "\n---\napiVersion: v1\nkind: Secret\nmetadata: {namespace: " + namespace + ", name: " + name + more + "}\n"
}

func TestWhoDoesNotFeed(t *testing.T) {
	es := func(name, spec string) string {
		return "\n---\napiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {namespace: a, name: " + name + "}\nspec: " + spec
	}
	ref := "data: [{secretKey: k, remoteRef: {key: database/alternating-creds/app}}]"
	for name, c := range map[string]struct {
		text, unknown string
		found         bool
	}{
		"another key":           {es("x", "{secretStoreRef: {name: vault}, data: [{secretKey: k, remoteRef: {key: database/alternating-creds/apple}}]}"), "", false},
		"another kind of store": {es("x", "{secretStoreRef: {name: other}, "+ref+"}"), "", false},
		"no Secret is written":  {es("x", "{target: {creationPolicy: None}, secretStoreRef: {name: vault}, "+ref+"}"), "", false},
		"no Secret but a ConfigMap": {es("x", "{target: {manifest: {apiVersion: v1, kind: ConfigMap}}, secretStoreRef: {name: vault}, "+ref+"}"),
			`ExternalSecret "a/x" makes ConfigMap "x", and no Secret, of the credential: who uses that`, false},
		"a ConfigMap of something else":     {es("x", "{target: {manifest: {apiVersion: v1, kind: ConfigMap}}, secretStoreRef: {name: other}, "+ref+"}"), "", false},
		"a ConfigMap of nobody knows what":  {es("x", "{target: {manifest: {apiVersion: v1, kind: ConfigMap}}, secretStoreRef: {name: gone}, "+ref+"}\nstatus: {refreshTime: '2026-01-01T00:00:00Z'}"), "makes ConfigMap", false},
		"a ConfigMap that was never made":   {es("x", "{target: {manifest: {apiVersion: v1, kind: ConfigMap}}, secretStoreRef: {name: gone}, "+ref+"}"), "", false},
		"no store, no Secret":               {es("y", "{secretStoreRef: {name: gone}, "+ref+"}"), "", false},
		"no store, but a Secret":            {es("x", "{secretStoreRef: {name: gone}, "+ref+"}"), `ExternalSecret "a/x": whether it reads the credential is not known: SecretStore "a/gone" does not exist`, false},
		"a broken store":                    {es("x", "{secretStoreRef: {name: broken}, "+ref+"}"), "spec.provider is empty", false},
		"no store, a Secret of the version": {es("v", "{secretStoreRef: {name: gone}, "+ref+"}"), "", true},
		"no store, a Secret of another":     {es("o", "{secretStoreRef: {name: gone}, "+ref+"}"), "", false},
		"find, in the same vault":           {es("x", "{secretStoreRef: {name: vault}, dataFrom: [{find: {name: {regexp: .*}}}]}"), "dataFrom.find", false},
		"find, elsewhere":                   {es("x", "{secretStoreRef: {name: other}, dataFrom: [{find: {name: {regexp: .*}}}]}"), "", false},
	} {
		w := newWorld(t, objects(t, fedSecret+`
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {namespace: a, name: other}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {namespace: a, name: broken}
`+secretYAML("a", "x", "")+secretYAML("a", "v", ", annotations: {strongkeep.io/versions: '{\""+location+"\":\"6\"}'}")+
			secretYAML("a", "o", ", annotations: {strongkeep.io/versions: '{\"elsewhere\":\"6\"}'}")+c.text), nil)
		g := w.find(wanted)
		for _, f := range g.Secrets {
			if f.Feeder.Name != "db" && f.Feeder.Name != "" && !c.found {
				t.Errorf("%s: %+v is found", name, f)
			}
		}
		if c.found && fed(t, g, "a", "v").Feeder.Name != "v" {
			t.Errorf("%s: %+v", name, g.Secrets)
		}
		if got := strings.Join(g.Unknown, "\n"); !strings.Contains(got, c.unknown) || (got == "") != (c.unknown == "") {
			t.Errorf("%s: unknown %q", name, got)
		}
	}
}

// A Secret whose ExternalSecret is gone still says what it holds; so does one
// that several ExternalSecrets merge into.
func TestFoundByVersion(t *testing.T) {
	w := newWorld(t, objects(t, fedSecret+
		secretYAML("b", "orphan", ", annotations: {strongkeep.io/versions: '{\""+location+"\":\"6\"}'}")+
		secretYAML("c", "merged", ", annotations: {versions.strongkeep.io/x: '{\""+location+"\":\"7\"}', versions.strongkeep.io/y: '{\"z\":\"1\"}'}")+
		secretYAML("c", "broken", ", annotations: {strongkeep.io/versions: '{'}")), nil)
	g := w.find(wanted)
	if len(g.Secrets) != 3 {
		t.Fatalf("%+v", g.Secrets)
	}
	if f := fed(t, g, "b", "orphan"); f.Version != "6" || f.Feeder.Name != "" || f.Digest == "" {
		t.Errorf("%+v", f)
	}
	if f := fed(t, g, "c", "merged"); f.Version != "7" {
		t.Errorf("%+v", f)
	}
}

const same = "\ndata: {password: Y2FuYXJ5LTlaazItUGFzc3dvcmQ=}"

func TestNamedSecrets(t *testing.T) {
	w := newWorld(t, objects(t, fedSecret+secretYAML("a", "same", "")+same+
		secretYAML("a", "old", "")+"data: {password: bXktb2xkLXBhc3N3b3Jk}"+
		secretYAML("b", "frozen", "")+"immutable: true"+same), nil)
	g := w.find(consumer.Wanted{Namespace: "a", Location: location, Secrets: []types.NamespacedName{
		{Name: "same"}, {Name: "old"}, {Namespace: "b", Name: "frozen"}, {Name: "gone"}, {Name: "db"},
	}})
	if len(g.Secrets) != 5 {
		t.Fatalf("%+v", g.Secrets)
	}
	if f := fed(t, g, "a", "same"); f.Version != "7" || f.Problem != "" {
		t.Errorf("one with the same value: %+v", f)
	}
	if f := fed(t, g, "a", "old"); f.Version != "" || f.Problem != "" || f.Digest == "" {
		t.Errorf("one with another value: %+v", f)
	}
	if f := fed(t, g, "b", "frozen"); !f.Stuck || !strings.Contains(f.Problem, "immutable") {
		t.Errorf("one that is immutable: %+v", f)
	}
	if f := fed(t, g, "a", "gone"); f.Stuck || f.Problem != "there is no such Secret" || f.Digest != "" {
		t.Errorf("one that is not there: %+v", f)
	}
}

func TestMirrorsOfKnownTools(t *testing.T) {
	w := newWorld(t, objects(t, fedSecret+
		secretYAML("b", "reflected", ", annotations: {reflector.v1.k8s.emberstack.com/reflects: a/db}")+same+
		secretYAML("c", "again", ", annotations: {reflector.v1.k8s.emberstack.com/reflects: b/reflected}")+
		secretYAML("d", "replica", ", annotations: {replicator.v1.mittwald.de/replicate-from: a/db}")+
		secretYAML("e", "synced", ", labels: {kubed.appscode.com/origin.namespace: a, kubed.appscode.com/origin.name: db}")+
		secretYAML("f", "cloned", ", labels: {generate.kyverno.io/source-namespace: a, generate.kyverno.io/source-name: db}")+
		secretYAML("g", "unrelated", ", annotations: {reflector.v1.k8s.emberstack.com/reflects: a/other}")+
		secretYAML("h", "odd", ", annotations: {reflector.v1.k8s.emberstack.com/reflects: db}")), nil)
	g := w.find(wanted)
	if len(g.Secrets) != 6 {
		t.Fatalf("%+v", g.Secrets)
	}
	if f := fed(t, g, "b", "reflected"); !f.Mirror || f.Source.Name != "db" || f.Version != "7" || f.Problem != "" {
		t.Errorf("%+v", f)
	}
	if f := fed(t, g, "c", "again"); !f.Mirror || f.Source.Name != "reflected" || f.Version != "" {
		t.Errorf("%+v", f)
	}
}

const copiesYAML = "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: a, name: config}\ndata: {app.pw: " + canary + "}" +
	"\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: a, name: accepted, annotations: {strongkeep.io/mirror: ignore}}\ndata: {app.pw: " + canary + "}"

// change gives the credential another value and version.
func (w *world) change(value, version string) {
	w.Helper()
	w.write(value, version, "")
}

// write is change by an operator that says what changed; "" says nothing.
func (w *world) write(value, version, changed string) {
	w.Helper()
	var s corev1.Secret
	if err := w.client.Get(w.Context(), types.NamespacedName{Namespace: "a", Name: "db"}, &s); err != nil {
		w.Fatal(err)
	}
	s.Data["password"], s.Annotations["strongkeep.io/versions"] = []byte(value), `{"`+location+`":"`+version+`"}`
	if delete(s.Annotations, target.AnnotationChanged); changed != "" {
		s.Annotations[target.AnnotationChanged] = `{"` + location + `":{"version":"` + version + `","keys":["` + changed + `"]}}`
	}
	if err := w.client.Update(w.Context(), &s); err != nil {
		w.Fatal(err)
	}
}

func TestScan(t *testing.T) {
	w := newWorld(t, objects(t, fedSecret+
		secretYAML("a", "by-hand", "")+"data: {DB_PASS: Y2FuYXJ5LTlaazItUGFzc3dvcmQ=, other: eA==}"+
		secretYAML("b", "marked", ", annotations: {replicator.v1.mittwald.de/replicated-from-version: '12', strongkeep.io/mirror: follow}")+same+
		secretYAML("a", "short", "")+"data: {password: eA==}"+
		secretYAML("a", "ignored", ", annotations: {strongkeep.io/mirror: ignore}")+same+copiesYAML), nil)
	if g := w.find(wanted); len(g.Secrets) != 1 {
		t.Errorf("found without a scan: %+v", g.Secrets)
	}
	scan, again := wanted, wanted
	scan.Scan = true
	again.Copies = w.find(scan).Copies
	for _, ask := range []consumer.Wanted{scan, again} {
		g := w.find(ask)
		if len(g.Secrets) != 4 || len(g.Copies) != 3 || len(g.Unknown) > 0 {
			t.Fatalf("%+v, copies %+v, unknown %q", g.Secrets, g.Copies, g.Unknown)
		}
		f := fed(t, g, "a", "by-hand")
		if !f.Mirror || !f.Stuck || f.Source.Name != "db" || f.Version != "7" || !strings.Contains(f.Problem, "by hand, in DB_PASS") {
			t.Errorf("%+v", f)
		}
		if f := fed(t, g, "b", "marked"); !f.Mirror || f.Stuck || f.Problem != "" {
			t.Errorf("%+v", f)
		}
		f = fed(t, g, "a", "config")
		if f.Kind.Kind != "ConfigMap" || !f.Stuck || !strings.Contains(f.Problem, "a ConfigMap holds a secret value") {
			t.Errorf("%+v", f)
		}
	}
	// The credential changes: the copy that is told of is seen to be behind.
	w.change("another-canary-9Zk2", "8")
	g := w.find(again)
	if f := fed(t, g, "a", "by-hand"); f.Version != "7" || !f.Stuck {
		t.Errorf("%+v", f)
	}
	if err := w.client.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "by-hand"}}); err != nil {
		t.Fatal(err)
	}
	if g := w.find(again); len(g.Secrets) != 3 || len(g.Copies) != 2 {
		t.Errorf("a copy that is gone is still there: %+v", g.Secrets)
	}
}

// Another process that is told of the copies finds the same consumers, also when the
// values have changed since.
func TestCopiesOutliveTheProcess(t *testing.T) {
	text := fedSecret + secretYAML("a", "marked", ", annotations: {replicator.v1.mittwald.de/replicated-from-version: '12'}") + same
	scan := wanted
	scan.Scan = true
	later := wanted
	later.Copies = newWorld(t, objects(t, text), nil).find(scan).Copies
	w := newWorld(t, objects(t, text), nil)
	w.change("another-canary-9Zk2", "8")
	f := fed(t, w.find(later), "a", "marked")
	if !f.Mirror || f.Source.Name != "db" || f.Version != "" {
		t.Errorf("%+v", f)
	}
}

// What other namespaces hold is not told to who looks for copies in his own: there is
// a count, and whoever may write a copy, or the operator's flags, may say more.
func TestCopiesOfOtherNamespaces(t *testing.T) {
	const hidden = "copies of the credential: 2 in other namespaces"
	text := fedSecret + secretYAML("victim", "hidden-one", "") + same + secretYAML("victim", "hidden-two", ", annotations: {replicator.v1.mittwald.de/replicated-from-version: '12'}") + same +
		secretYAML("b", "told", ", annotations: {strongkeep.io/mirror: follow}") + same + secretYAML("a", "own", "") + same
	var log strings.Builder
	w := newWorld(t, objects(t, text), func(cfg *Config, _ *interceptor.Funcs) { cfg.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	scan := wanted
	scan.Scan = true
	g := w.find(scan)
	if len(g.Secrets) != 3 || len(g.Copies) != 2 || len(g.Unsearched) != 1 || !strings.Contains(g.Unknown[0], hidden) {
		t.Errorf("%+v, unknown %q", g.Secrets, g.Unknown)
	}
	fed(t, g, "b", "told")
	fed(t, g, "a", "own")
	if all := fmt.Sprintf("%+v", g); strings.Contains(all, "victim") || strings.Contains(all, "hidden-") {
		t.Errorf("it is told where copies are: %s", all)
	}
	if told := log.String(); !strings.Contains(told, "victim/hidden-one") || !strings.Contains(told, "victim/hidden-two") || strings.Contains(told, canary) {
		t.Errorf("the log says %s", told)
	}
	open := newWorld(t, objects(t, text), func(cfg *Config, _ *interceptor.Funcs) { cfg.ShowCopies = true })
	if g := open.find(scan); len(g.Copies) != 4 || len(g.Unknown) > 0 {
		t.Errorf("with the operator's leave: %+v, unknown %q", g.Copies, g.Unknown)
	}
}

// Guesses are bounded: a namespace that has had too many values compared is told
// nothing more of other namespaces for a while, and its turns wait.
func TestGuessesAreBounded(t *testing.T) {
	w := newWorld(t, objects(t, fedSecret+secretYAML("victim", "x", "")+"data: {password: "+base64.StdEncoding.EncodeToString([]byte("guess-number-9999"))+"}"), nil)
	scan := wanted
	scan.Scan = true
	for i := range 400 {
		w.change(fmt.Sprintf("guess-number-%d", i), fmt.Sprint(i))
		w.find(scan)
	}
	w.change("guess-number-9999", "999")
	g := w.find(scan)
	if text := strings.Join(g.Unknown, " "); !strings.Contains(text, "more values compared") || strings.Contains(text, "in other namespaces, which") {
		t.Errorf("unknown %q", g.Unknown)
	}
}

// Those who look at about the same time share one reading of everything.
func TestScansAreShared(t *testing.T) {
	var read atomic.Int32
	w := newWorld(t, objects(t, fedSecret), func(_ *Config, f *interceptor.Funcs) {
		f.List = func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, ok := list.(*corev1.ConfigMapList); ok {
				read.Add(1)
			}
			return c.List(ctx, list, opts...)
		}
	})
	scan := wanted
	scan.Scan = true
	var asking sync.WaitGroup
	for range 50 {
		asking.Go(func() { w.find(scan) })
	}
	asking.Wait()
	if n := read.Load(); n != 1 {
		t.Errorf("everything was read %d times for fifty", n)
	}
	w.change("another-canary-9Zk2", "8") // what was read before knows nothing of it
	w.find(scan)
	if n := read.Load(); n != 2 {
		t.Errorf("everything was read %d times, and the credential has changed", n)
	}
	w.clock.SetTime(w.clock.Now().Add(time.Hour))
	w.find(scan)
	if n := read.Load(); n != 3 {
		t.Errorf("everything was read %d times, and an hour has passed", n)
	}
}

// A forged or stale annotation in one namespace says nothing of copies in another.
func TestForgedVersion(t *testing.T) {
	old := "data: {password: " + base64.StdEncoding.EncodeToString([]byte("the-old-password")) + "}"
	forged := secretYAML("b", "forged", ", annotations: {test/forged: 'yes', strongkeep.io/versions: '{\""+location+"\":\"8\"}'}") + old
	mirror := func(ns string) string {
		return secretYAML(ns, "mirror", ", annotations: {reflector.v1.k8s.emberstack.com/reflects: a/db}") + old
	}
	w := newWorld(t, objects(t, fedSecret+forged+mirror("c")+mirror("b")), nil)
	w.change("the-new-password", "8")
	g := w.find(wanted)
	if f := fed(t, g, "c", "mirror"); f.Version != "" {
		t.Errorf("a copy with the old value is taken for version %s by another namespace's word", f.Version)
	}
	if f := fed(t, g, "b", "mirror"); f.Version != "8" {
		t.Errorf("in its own namespace that word counts: %+v", f)
	}
	// Nor does it when it is said of the new value that it is the old version.
	forged = strings.Replace(strings.Replace(forged, `\"8\"`, `\"7\"`, 1), old, "data: {password: "+base64.StdEncoding.EncodeToString([]byte("the-new-password"))+"}", 1)
	forged = strings.ReplaceAll(forged, `"8"`, `"7"`)
	w = newWorld(t, objects(t, fedSecret+forged+strings.ReplaceAll(mirror("c"), old, "data: {password: "+base64.StdEncoding.EncodeToString([]byte("the-new-password"))+"}")), nil)
	w.change("the-new-password", "8")
	if f := fed(t, w.find(wanted), "c", "mirror"); f.Version != "8" {
		t.Errorf("a copy with the new value is held up by another namespace's word: %+v", f)
	}
}

// The value of the version before is never that of the next, whoever says so.
func TestPreviousValueIsNotTheNext(t *testing.T) {
	w := newWorld(t, objects(t, fedSecret+secretYAML("c", "mirror", ", annotations: {reflector.v1.k8s.emberstack.com/reflects: a/db}")+same), nil)
	if f := fed(t, w.find(wanted), "c", "mirror"); f.Version != "7" {
		t.Fatalf("%+v", f)
	}
	w.change("another-canary-9Zk2", "8")
	if f := fed(t, w.find(wanted), "c", "mirror"); f.Version != "7" {
		t.Errorf("it holds what was version 7, and is taken for %q", f.Version)
	}
}

func mirrorWith(data string) string {
	return secretYAML("c", "mirror", ", annotations: {reflector.v1.k8s.emberstack.com/reflects: a/db}") + data
}

// A value that no turn changes does not keep a copy from being known.
func TestCopyWithConstantValue(t *testing.T) {
	const data = "data: {token: ZXZlci10aGUtc2FtZS10b2tlbg==, password: %s}"
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	text := strings.Replace(fedSecret, "data: {password:", "data: {token: ZXZlci10aGUtc2FtZS10b2tlbg==, password:", 1)
	w := newWorld(t, objects(t, text+mirrorWith(fmt.Sprintf(data, encode("another-canary-9Zk2")))), nil)
	w.find(wanted)
	w.write("another-canary-9Zk2", "8", "password")
	if f := fed(t, w.find(wanted), "c", "mirror"); f.Version != "8" {
		t.Errorf("it holds what came with version 8, and is taken for %q", f.Version)
	}
}

// A turn that goes back publishes the old value again, as a new version.
func TestCopyOfWhatCameBack(t *testing.T) {
	w := newWorld(t, objects(t, fedSecret+mirrorWith(same)), nil)
	w.find(wanted)
	w.write("another-canary-9Zk2", "8", "password")
	w.find(wanted)
	w.write("canary-9Zk2-Password", "9", "password")
	if f := fed(t, w.find(wanted), "c", "mirror"); f.Version != "9" {
		t.Errorf("it holds what is version 9 now, and is taken for %q", f.Version)
	}
}

// A cache that lags behind must not make the next value one of the version before,
// nor a digest one of what the Secret held before.
func TestCacheBehind(t *testing.T) {
	const next = "another-canary-9Zk2"
	var behind []metav1.PartialObjectMetadata
	w := newWorld(t, objects(t, fedSecret+mirrorWith(same)), func(_ *Config, f *interceptor.Funcs) {
		f.List = func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if l, ok := list.(*metav1.PartialObjectMetadataList); ok && l.Kind == "SecretList" && behind != nil {
				l.Items = behind
				return nil
			}
			return c.List(ctx, list, opts...)
		}
	})
	first := w.find(wanted)
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	if err := w.client.List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	behind = list.Items
	w.write(next, "8", "password")
	var mirror corev1.Secret
	if err := w.client.Get(t.Context(), types.NamespacedName{Namespace: "c", Name: "mirror"}, &mirror); err != nil {
		t.Fatal(err)
	}
	mirror.Data["password"] = []byte(next)
	if err := w.client.Update(t.Context(), &mirror); err != nil {
		t.Fatal(err)
	}
	live := wanted
	live.Live = true
	if f := fed(t, w.find(live), "c", "mirror"); f.Digest == fed(t, first, "c", "mirror").Digest {
		t.Errorf("the digest is of what it held before: %+v", f)
	}
	behind = nil
	if f := fed(t, w.find(wanted), "c", "mirror"); f.Version != "8" {
		t.Errorf("it holds version 8, and is taken for %q", f.Version)
	}
}

// Who may name Secrets, or write them, must not find out by a scan what Secrets of
// other namespaces hold.
func TestScanIsNoOracle(t *testing.T) {
	guesses := ""
	for i := range maxSources + 1 {
		guesses += fmt.Sprintf("  g%d: %s\n", i, base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "guess-number-%d", i)))
	}
	victim := secretYAML("b", "victim", "") + "data: {password: " + base64.StdEncoding.EncodeToString([]byte("guess-number-1")) + "}"
	ask := wanted
	ask.Scan = true
	ask.Secrets = []types.NamespacedName{{Namespace: "a", Name: "named"}}
	w := newWorld(t, objects(t, fedSecret+secretYAML("a", "named", "")+"data:\n"+guesses+victim), nil)
	for _, s := range w.find(ask).Secrets {
		if s.Name == "victim" {
			t.Error("values of a Secret that the user named were searched")
		}
	}
	many := strings.Replace(fedSecret, "data: {password:", "data:\n"+guesses+"#", 1)
	w = newWorld(t, objects(t, many+victim), nil)
	g := w.find(ask)
	for _, s := range g.Secrets {
		if s.Name == "victim" {
			t.Error("so many values were searched")
		}
	}
	if !strings.Contains(strings.Join(g.Unknown, " "), "different secret values") {
		t.Errorf("it is not said that copies were not searched: %v", g.Unknown)
	}
}

// Nobody is told that a graph is complete when something could not be read.
func TestForbidden(t *testing.T) {
	forbidden := func(resource string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("RBAC"))
	}
	denyList := func(match func(client.ObjectList) bool) func(*Config, *interceptor.Funcs) {
		return func(_ *Config, f *interceptor.Funcs) {
			f.List = func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
				if match(list) {
					return forbidden("things")
				}
				return c.List(ctx, list, opts...)
			}
		}
	}
	kindOf := func(kind string) func(client.ObjectList) bool {
		return func(l client.ObjectList) bool {
			name := l.GetObjectKind().GroupVersionKind().Kind
			if name == "" {
				name = strings.TrimPrefix(typeName(l), "*")
			}
			return strings.HasSuffix(name, kind)
		}
	}
	for kind, text := range map[string]string{
		"PodList": "pods: the operator may not list and watch them", "DeploymentList": "deployments.apps: ", "CronJobList": "cronjobs.batch: ",
		"ServiceAccountList": "serviceaccounts: the operator may not list them", "IngressList": "ingresses.networking.k8s.io: ",
		"GatewayList": "gateways.gateway.networking.k8s.io: ", "SecretProviderClassList": "secretproviderclasses", "RolloutList": "rollouts.argoproj.io: ",
		"ExternalSecretList": "externalsecrets.external-secrets.io: ", "SecretList": "secrets: ", "ConfigMapList": "copies of the credential: configmaps",
	} {
		w := newWorld(t, objects(t, fedSecret), denyList(kindOf(kind)))
		ask := wanted
		ask.Scan = true
		if got := strings.Join(w.find(ask).Unknown, "\n"); !strings.Contains(got, text) {
			t.Errorf("%s: unknown is %q", kind, got)
		}
	}
	w := newWorld(t, objects(t, fedSecret), func(_ *Config, f *interceptor.Funcs) {
		f.Get = func(ctx context.Context, c client.WithWatch, name client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if _, ok := o.(*corev1.Secret); ok {
				return forbidden("secrets")
			}
			return c.Get(ctx, name, o, opts...)
		}
	})
	if got := strings.Join(w.find(wanted).Unknown, "\n"); !strings.Contains(got, `Secret "a/db": the operator may not read it`) {
		t.Errorf("unknown is %q", got)
	}
}

// While the API server is away nothing is said at all.
func TestUnavailable(t *testing.T) {
	for _, kind := range []string{"*v1.PodList", "*v1.SecretList", "*v1.ServiceAccountList", "*v1.PartialObjectMetadataList", "*v1.ExternalSecretList"} {
		away := true
		w := newWorld(t, objects(t, fedSecret), func(_ *Config, f *interceptor.Funcs) {
			f.List = func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
				if away && typeName(list) == kind {
					return apierrors.NewServiceUnavailable("away")
				}
				return c.List(ctx, list, opts...)
			}
		})
		ask := wanted
		ask.Scan = true
		if g, err := w.Find(t.Context(), ask); !errs.Is(err, errs.Unavailable) {
			t.Errorf("%s: %v, %+v", kind, err, g)
		}
	}
}
