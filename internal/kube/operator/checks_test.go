package operator

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec04"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec09"
	"github.com/strongkeep/strongkeep/internal/kube/posture/history"
)

// page is what the operator shows as metrics.
func (w *world) page() string {
	w.Helper()
	answer, err := http.Get("http://" + w.at.Metrics + "/metrics")
	if err != nil {
		w.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		w.Fatal(err)
	}
	return string(text)
}

// An operator that is told to keeps the answers of the checks: it looks at once, shows what
// it found, and remembers it in its own namespace. package keeper's tests have the rest.
func TestChecks(t *testing.T) {
	w := newWorld(t)
	w.apply(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: i, env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}]}]}
`)
	file := writeExceptions(t, w.ns)
	stop := w.start(func(c *Config) {
		c.Namespaces, c.NoClusterStores, c.NoRotation, c.NoReload, c.NoPush, c.NoSpread = nil, true, true, true, true, true
		c.Checks = Checks{On: true, List: []check.Check{sec04.Check(), sec09.Check()}, Content: true, Exceptions: file}
	})
	w.until("the first look", func() bool {
		return strings.Contains(w.page(), `strongkeep_check_answer{answer="no",check="SEC-09"} 1`)
	})
	if text := w.page(); !strings.Contains(text, `strongkeep_checks_exceptions{state="inforce"} 1`) || !strings.Contains(text, "strongkeep_checks_snapshot_age_seconds ") {
		t.Error("exceptions or age are not shown")
	}
	stop()
	m := await(w, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: history.Name}}, "history", func(*corev1.ConfigMap) bool { return true })
	if len(m.BinaryData[history.Key]) == 0 {
		t.Errorf("the history has %v", m)
	}
}

// writeExceptions is examples/operator/checks-exceptions.yaml as it is mounted, for what is in
// a namespace.
func writeExceptions(t *testing.T, namespace string) string {
	t.Helper()
	raw, err := os.ReadFile("../../../examples/operator/checks-exceptions.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var m corev1.ConfigMap
	if err := yaml.UnmarshalStrict(raw, &m); err != nil {
		t.Fatal(err)
	}
	text := m.Data["exceptions.yaml"]
	if _, err := check.ReadExceptions("example", strings.NewReader(text)); err != nil || !strings.Contains(text, "legacy-*") {
		t.Fatalf("%v: %s", err, text)
	}
	file := t.TempDir() + "/exceptions.yaml"
	if err := os.WriteFile(file, []byte(strings.Replace(text, "legacy-*", namespace, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// What could not answer for the whole cluster, or does nothing, is refused before anything starts.
func TestChecksRefused(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		words  string
	}{
		"namespaces": {Config{Namespaces: []string{"a"}, Checks: Checks{On: true}}, "leave one of them out"},
		"too often":  {Config{Checks: Checks{On: true, Every: time.Second}}, "a minute or more"},
		"interval":   {Config{Checks: Checks{Every: time.Hour}}, "add --checks"},
		"content":    {Config{Checks: Checks{Content: true}}, "add --checks"},
		"exceptions": {Config{Checks: Checks{Exceptions: "file"}}, "add --checks"},
	} {
		c.config.REST = &rest.Config{Host: "https://192.0.2.1"}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := Run(ctx, c.config); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
