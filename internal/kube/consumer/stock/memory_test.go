package stock

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// typicalPod is about as much as a pod of a real cluster holds.
func typicalPod(tb testing.TB, raw []byte, i int) *corev1.Pod {
	tb.Helper()
	p := &corev1.Pod{}
	if err := json.Unmarshal(raw, p); err != nil {
		tb.Fatal(err)
	}
	p.Name = fmt.Sprintf("web-%d-7d4b9c-x2x9v", i)
	p.UID = types.UID(fmt.Sprintf("5f0c1f0e-6a0b-4d55-8c5d-%012d", i))
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
  - {name: web, ready: true, started: true, restartCount: 0, image: image, imageID: image-id, containerID: "containerd://0123456789", state: {running: {startedAt: "2026-11-01T10:00:00Z"}}}
  - {name: proxy, ready: true, started: true, restartCount: 0, image: image, imageID: image-id, containerID: "containerd://0123456789", state: {running: {startedAt: "2026-11-01T10:00:00Z"}}}
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
	raw, err := yaml.YAMLToJSON([]byte(typicalPodYAML))
	if err != nil {
		t.Fatal(err)
	}
	whole := make([]*corev1.Pod, 0, pods)
	before := heap()
	for i := range pods {
		whole = append(whole, typicalPod(t, raw, i))
	}
	full := (heap() - before) / pods
	runtime.KeepAlive(whole)
	clear(whole)
	s := newStock()
	before = heap()
	shelf := newShelf()
	for i := range pods {
		e, err := NewEntry(typicalPod(t, raw, i))
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
	if got := len(s.By(BySecret, "team-a/db")); got != pods {
		t.Errorf("%d pods found", got)
	}
}
