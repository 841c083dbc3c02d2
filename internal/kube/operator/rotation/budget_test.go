package rotation_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/operator"
)

const reloadedObjects = `
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {k: VALUE}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: side, annotations: {strongkeep.io/reload: restart}}
spec:
  replicas: 1
  selector: {matchLabels: {app: side}}
  template:
    metadata: {labels: {app: side}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: side, image: side, envFrom: [{configMapRef: {name: conf}}]}]
---
`

// restarts holds the first restart that is written back until another one is,
// or some time has passed in which another could have been.
type restarts struct {
	next  http.RoundTripper
	first func() // called once, when the first is held

	mu      sync.Mutex
	held    bool          // the first is, just now
	over    bool          // it was
	another chan struct{} // closed when one came meanwhile
	names   []string
}

func (r *restarts) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodPatch && strings.Contains(req.URL.Path, "/deployments/") {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		if bytes.Contains(body, []byte(`"template"`)) {
			r.restart(req)
		}
	}
	return r.next.RoundTrip(req)
}

func (r *restarts) restart(req *http.Request) {
	r.mu.Lock()
	switch {
	case r.held:
		r.names = append(r.names, req.URL.Path)
		close(r.another)
		r.held, r.over = false, true
		fallthrough
	case r.over:
		r.mu.Unlock()
		return
	}
	r.held, r.names = true, []string{req.URL.Path}
	r.mu.Unlock()
	r.first()
	select {
	case <-r.another:
	case <-time.After(3 * time.Second):
	case <-req.Context().Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held, r.over = false, true
}

// Rotation and reloading draw on one budget: what one is about to restart, the
// other counts, although nobody can see it yet.
func TestOneBudget(t *testing.T) {
	w := newWorld(t)
	w.apply(strings.ReplaceAll(reloadedObjects, "VALUE", "one"))
	admin, err := clientcmd.BuildConfigFromFlags("", testCluster.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	admin.QPS = -1
	seen := &restarts{another: make(chan struct{}), first: func() {
		var conf corev1.ConfigMap
		w.get(&conf, "conf")
		conf.Data["k"] = "two"
		if err := testClient.Update(t.Context(), &conf); err != nil {
			t.Error(err)
		}
	}}
	admin.Wrap(func(next http.RoundTripper) http.RoundTripper { seen.next = next; return seen })
	w.start(func(c *operator.Config) { c.REST, c.Rollouts, c.ReloadSettle = admin, 1, time.Millisecond })
	w.settled()
	w.until("side is known as it is", func() bool { return w.stampOf("side", false) != "" })
	w.ask(v1alpha1.AnnotationRotate, "now")
	w.done(1)
	w.until("side is restarted too", func() bool { return w.stampOf("side", true) != "" })
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if !seen.over || len(seen.names) != 1 || !strings.HasSuffix(seen.names[0], "/web") {
		t.Errorf("restarted at once, where one may be: %v", seen.names)
	}
}

// stampOf returns the stamp of a Deployment, or of its pod template.
func (w *world) stampOf(name string, template bool) string {
	w.Helper()
	where := ".metadata"
	if template {
		where = ".spec.template.metadata"
	}
	out, err := testCluster.Kubectl(w.Context(), nil, "-n", w.ns, "get", "deployment", name, "-o", fmt.Sprintf(`jsonpath={%s.annotations.strongkeep\.io/content}`, where))
	if err != nil {
		w.Fatal(err)
	}
	return string(out)
}

// until waits until f holds.
func (w *world) until(what string, f func() bool) {
	w.Helper()
	for limit := time.After(3 * time.Minute); !f(); {
		select {
		case <-limit:
			w.Fatalf("it never came to be that %s", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
