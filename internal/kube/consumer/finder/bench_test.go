package finder

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// typicalPod is about as much as a pod of a real cluster holds.
func typicalPod(tb testing.TB, i int) *corev1.Pod {
	tb.Helper()
	p := &corev1.Pod{}
	if err := yaml.Unmarshal([]byte(typicalPodYAML), p); err != nil {
		tb.Fatal(err)
	}
	p.Name, p.UID = fmt.Sprintf("web-%d-7d4b9c-x2x9v", i), "5f0c1f0e-6a0b-4d55-8c5d-1d1f0c1f0e6a"
	return p
}

var typicalPodYAML = `
metadata:
  namespace: team-a
  generateName: web-7d4b9c-
  labels: {app.kubernetes.io/name: web, app.kubernetes.io/instance: web, pod-template-hash: 7d4b9c, team: a}
  annotations: {prometheus.io/scrape: "true", strongkeep.io/content: secret/db=0123456789abcdefABCDEF, note: "` + strings.Repeat("n", 200) + `"}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-7d4b9c, uid: 5f0c1f0e-6a0b-4d55-8c5d-1d1f0c1f0e6b, controller: true, blockOwnerDeletion: true}]
  managedFields: [{manager: kube-controller-manager, operation: Update, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {"f:metadata": {"f:x": "` + strings.Repeat("m", 1500) + `"}}}]
spec:
  nodeName: node-17
  serviceAccountName: web
  imagePullSecrets: [{name: registry}]
  volumes:
  - {name: tls, secret: {secretName: tls, items: [{key: tls.crt, path: crt}]}}
  - {name: kube-api-access, projected: {sources: [{serviceAccountToken: {path: token, expirationSeconds: 3607}}, {configMap: {name: kube-root-ca.crt}}]}}
  containers:
  - name: web
    image: registry.example.test/team-a/web:1.2.3@sha256:5c41b1d3b7b2f1f2d8b9
    args: [--listen=:8080, --config=/etc/web/config.yaml]
    env:
    - {name: A, value: "1"}
    - {name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}
    - {name: DB_USERNAME, valueFrom: {secretKeyRef: {name: db, key: username}}}
    volumeMounts: [{name: tls, mountPath: /etc/tls}, {name: kube-api-access, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}]
    resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 256Mi}}
    readinessProbe: {httpGet: {path: /ready, port: 8080}}
  - {name: proxy, image: "registry.example.test/proxy:2", ports: [{containerPort: 15001}]}
status:
  phase: Running
  podIP: 10.244.3.17
  hostIP: 10.0.0.17
  conditions: [{type: Initialized, status: "True"}, {type: Ready, status: "True"}, {type: ContainersReady, status: "True"}, {type: PodScheduled, status: "True"}]
  containerStatuses:
  - {name: web, ready: true, started: true, restartCount: 0, image: x, imageID: y, containerID: "containerd://0123456789", state: {running: {startedAt: "2026-11-01T10:00:00Z"}}}
  - {name: proxy, ready: true, started: true, restartCount: 0, image: x, imageID: y, containerID: "containerd://0123456789", state: {running: {startedAt: "2026-11-01T10:00:00Z"}}}
`

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// What is kept of a pod is small: 10,000 pods cost about 25 MB, a quarter of them whole.
func TestMemoryOfPods(t *testing.T) {
	const pods = 2000
	whole := make([]*corev1.Pod, 0, pods)
	before := heap()
	for i := range pods {
		whole = append(whole, typicalPod(t, i))
	}
	full := (heap() - before) / pods
	runtime.KeepAlive(whole)
	whole = nil
	s := newStock()
	before = heap()
	shelf := newShelf()
	for i := range pods {
		e, err := newEntry(typicalPod(t, i))
		if err != nil {
			t.Fatal(err)
		}
		if err := shelf.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	s.shelves["Pod"] = append(s.shelves["Pod"], shelf)
	kept := (heap() - before) / pods
	t.Logf("a pod: %d bytes whole, %d bytes kept", full, kept)
	if kept > 2560 {
		t.Errorf("%d bytes are kept of a pod, the bound is 2560", kept)
	}
	if got := len(s.by(bySecret, "team-a/db")); got != pods {
		t.Errorf("%d pods found", got)
	}
}

func crowd(tb testing.TB, workloads, strangers int) []client.Object {
	tb.Helper()
	var b strings.Builder
	for i := range workloads {
		b.WriteString(pod(fmt.Sprintf("p%d", i), ownedBy("apps/v1", "ReplicaSet", fmt.Sprintf("r%d", i))))
		b.WriteString(workload("apps/v1", "ReplicaSet", fmt.Sprintf("r%d", i), ownedBy("apps/v1", "Deployment", fmt.Sprintf("d%d", i)), ""))
		b.WriteString(workload("apps/v1", "Deployment", fmt.Sprintf("d%d", i), "", ""))
	}
	all := objects(tb, fedSecret+b.String())
	for i := range strangers {
		p := typicalPod(tb, i)
		p.ManagedFields = nil
		all = append(all, p)
	}
	return all
}

// BenchmarkFind searches 500 workloads on one credential among 10,000 other pods.
func BenchmarkFind(b *testing.B) {
	w := newWorld(b, crowd(b, 500, 10000), nil)
	if g := w.find(wanted); len(g.Workloads) != 500 || len(g.Pods) != 500 {
		b.Fatalf("%d workloads, %d pods", len(g.Workloads), len(g.Pods))
	}
	b.ReportAllocs()
	for b.Loop() {
		w.find(wanted)
	}
}
