package finder

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/content"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
)

const (
	location = "vault.test:8200/database/alternating-creds/app"
	canary   = "canary-9Zk2-Password"
)

// locate is a Locate: store "vault" is the vault, "other" has no locations,
// "broken" cannot say.
func locate(_ context.Context, store v1.Store, key string) (string, error) {
	switch store.GetName() {
	case "other":
		return "", nil
	case "broken":
		return "", errs.New(errs.Invalid, "spec.provider is empty")
	}
	return "vault.test:8200/" + strings.Trim(key, "/"), nil
}

// world is a cluster of objects, and a Finder over it.
type world struct {
	testing.TB
	*Finder
	client client.WithWatch
	clock  *clocktesting.FakePassiveClock
}

// unstreamed says what the fake API server lacks: lists as watches.
type unstreamed struct{ client.WithWatch }

func (unstreamed) IsWatchListSemanticsUnSupported() bool { return true }

var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func newWorld(t testing.TB, objects []client.Object, change func(*Config, *interceptor.Funcs)) *world {
	t.Helper()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
	cfg := Config{Locate: locate, Vouched: func(s *corev1.Secret) bool { return s.Annotations["test/forged"] == "" }}
	var funcs interceptor.Funcs
	if change != nil {
		change(&cfg, &funcs)
	}
	w := &world{TB: t, client: unstreamed{interceptor.NewClient(c, funcs)}, clock: clocktesting.NewFakePassiveClock(epoch)}
	key, err := target.NewKey(bytes.Repeat([]byte{7}, target.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Cached, cfg.Live, cfg.Clock, cfg.Digests = w.client, w.client, w.clock, content.New(w.client, key)
	if w.Finder, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Finder.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) find(wanted consumer.Wanted) consumer.Graph {
	w.Helper()
	g, err := w.Find(w.Context(), wanted)
	if err != nil {
		w.Fatal(err)
	}
	if strings.Contains(fmt.Sprintf("%+v", g), canary) {
		w.Errorf("the graph holds a secret value: %+v", g)
	}
	return g
}

// objects reads YAML documents.
func objects(t testing.TB, text string) []client.Object {
	t.Helper()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	var out []client.Object
	for i, doc := range strings.Split(text, "\n---\n") {
		if strings.TrimSpace(doc) == "" {
			continue
		}
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(doc), &kind); err != nil {
			t.Fatalf("%v in:\n%s", err, doc)
		}
		o, err := scheme.New(kind.GroupVersionKind())
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict([]byte(doc), o); err != nil {
			t.Fatalf("%v in:\n%s", err, doc)
		}
		object := o.(client.Object)
		if object.GetUID() == "" {
			object.SetUID(types.UID(fmt.Sprintf("uid-%s-%s-%d", kind.Kind, object.GetName(), i)))
		}
		out = append(out, object)
	}
	return out
}

const fedSecret = `
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {namespace: a, name: vault}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {namespace: a, name: db}
spec:
  secretStoreRef: {name: vault}
  data: [{secretKey: password, remoteRef: {key: database/alternating-creds/app, property: password}}]
status: {conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Secret
metadata:
  namespace: a
  name: db
  annotations: {strongkeep.io/versions: '{"vault.test:8200/database/alternating-creds/app":"7"}'}
stringData: {password: canary-9Zk2-Password}
data: {password: Y2FuYXJ5LTlaazItUGFzc3dvcmQ=}
---
`

func TestStampAnnotation(t *testing.T) {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{rollout.AnnotationStamp: "x"}}}
	if pod, _ := consumer.PodOf(p); pod.Stamp != "x" {
		t.Error("the annotation of the stamp is another one than rollout's")
	}
}

func TestFindFromStoreToWorkload(t *testing.T) {
	w := newWorld(t, objects(t, fedSecret+`
apiVersion: apps/v1
kind: Deployment
metadata: {namespace: a, name: web, uid: d1}
spec:
  template:
    metadata: {annotations: {strongkeep.io/content: secret/db=x}}
    spec: {containers: [{name: web, envFrom: [{secretRef: {name: db}}]}]}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  namespace: a
  name: web-1
  uid: r1
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d1, controller: true}]
spec: {template: {spec: {containers: [{name: web, envFrom: [{secretRef: {name: db}}]}]}}}
---
apiVersion: v1
kind: Pod
metadata:
  namespace: a
  name: web-1-x
  uid: p1
  annotations: {strongkeep.io/content: secret/db=x, other: y}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: r1, controller: true}]
spec: {nodeName: n1, containers: [{name: web, envFrom: [{secretRef: {name: db}}, {secretRef: {name: another}}]}]}
status: {phase: Running, podIP: 10.0.0.1, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Pod
metadata: {namespace: a, name: ended, uid: p2}
spec: {containers: [{name: web, envFrom: [{secretRef: {name: db}}]}]}
status: {phase: Succeeded}
---
apiVersion: v1
kind: Pod
metadata: {namespace: b, name: elsewhere, uid: p3}
spec: {containers: [{name: web, envFrom: [{secretRef: {name: db}}]}]}
`), nil)
	for _, live := range []bool{false, true} {
		g := w.find(consumer.Wanted{Namespace: "a", Location: location, Live: live})
		if len(g.Unknown) > 0 {
			t.Errorf("unknown: %q", g.Unknown)
		}
		if len(g.Secrets) != 1 {
			t.Fatalf("secrets: %+v", g.Secrets)
		}
		fed := g.Secrets[0]
		if fed.Name != "db" || fed.Feeder.Name != "db" || fed.Version != "7" || fed.Digest == "" || fed.Problem != "" || fed.Mirror {
			t.Errorf("fed: %+v", fed)
		}
		if len(g.Pods) != 1 || g.Pods[0].Name != "web-1-x" {
			t.Fatalf("pods: %+v", g.Pods)
		}
		p := g.Pods[0]
		if p.Workload.Kind.Kind != "Deployment" || p.Workload.Name != "web" || p.IP != "10.0.0.1" || p.Node != "n1" || !p.Ready || p.Stamp != "secret/db=x" || len(p.Uses) != 1 || len(p.Annotations) != 1 {
			t.Errorf("pod: %+v", p)
		}
		if len(g.Workloads) != 1 {
			t.Fatalf("workloads: %+v", g.Workloads)
		}
		d := g.Workloads[0]
		if !d.Rolls || d.Manner != consumer.MannerTemplate || d.Stamp != "secret/db=x" || len(d.Uses) != 1 || d.UID != "d1" {
			t.Errorf("workload: %+v", d)
		}
	}
}

func typeName(o any) string { return fmt.Sprintf("%T", o) }
