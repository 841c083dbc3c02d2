package operator

import (
	"os"
	"strings"
	"testing"
)

const reloadedWorkload = `
apiVersion: apps/v1
kind: KIND
metadata: {name: NAME, annotations: {ANNOTATIONS}}
spec:
  MORE
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec: {containers: [{name: a, image: a, envFrom: [{configMapRef: {name: reloaded}}]}]}
---
`

func reloadedConfig(value string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: reloaded}\ndata: {k: " + value + "}\n---\n"
}

func (w *world) stamp(kindName, where string) string {
	w.Helper()
	return w.kubectl("get", kindName, "-o", `jsonpath={`+where+`.annotations.strongkeep\.io/content}`)
}

// exerciseReload restarts a workload of each kind, and pods by eviction.
func (w *world) exerciseReload() {
	w.Helper()
	const auto = `reloader.stakater.com/auto: "true"`
	text := reloadedConfig("one")
	kinds := []string{"deployment/web", "statefulset/set", "daemonset/each", "deployment/evicted"}
	for _, c := range [][4]string{
		{"Deployment", "web", auto, ""}, {"StatefulSet", "set", auto, "serviceName: none"}, {"DaemonSet", "each", auto, ""},
		{"Deployment", "evicted", auto + ", reloader.stakater.com/rollout-strategy: restart", ""},
	} {
		text += strings.NewReplacer("KIND", c[0], "NAME", c[1], "ANNOTATIONS", c[2], "MORE", c[3]).Replace(reloadedWorkload)
	}
	w.apply(text)
	for _, k := range kinds {
		w.until(k+" is adopted", func() bool { return w.stamp(k, ".metadata") != "" })
	}
	pods := func() string {
		return w.kubectl("get", "pods", "-l", "app=evicted", "-o", "jsonpath={.items[*].metadata.uid}")
	}
	w.until("it has a pod", func() bool { return pods() != "" })
	old := pods()
	w.apply(reloadedConfig("two"))
	for _, k := range kinds[:3] {
		w.until(k+" is restarted", func() bool { return w.stamp(k, ".spec.template.metadata") != "" })
	}
	w.until("the pod is evicted", func() bool { now := pods(); return now != "" && !strings.Contains(now, old) })
}

// The operator reloads by default, in one restart for a Secret that an
// ExternalSecret feeds; not when it is told not to.
func TestReload(t *testing.T) {
	for _, off := range []bool{false, true} {
		w := newWorld(t)
		ready(w)
		stop := w.start(func(c *Config) { c.NoReload = off })
		w.apply(es("fed", oneKey))
		w.secret("fed", map[string]string{"k": canary + "1"})
		workload := strings.NewReplacer("KIND", "Deployment", "NAME", "web", "ANNOTATIONS", "strongkeep.io/reload: restart", "MORE", "", "configMapRef: {name: reloaded}", "secretRef: {name: fed}")
		w.apply(workload.Replace(reloadedWorkload))
		if !off {
			w.until("adopted", func() bool { return w.stamp("deployment/web", ".metadata") != "" })
		}
		w.until("subscribed", func() bool { return w.vault.Subscribers() == 1 })
		w.vault.Put("app", `{"k":"second"}`)
		w.secret("fed", map[string]string{"k": "second"})
		if !off {
			w.until("restarted", func() bool {
				return strings.HasPrefix(w.stamp("deployment/web", ".spec.template.metadata"), "secret/fed=")
			})
			continue
		}
		stop()
		if s := w.stamp("deployment/web", ".metadata"); s != "" {
			t.Errorf("it is not to be touched: %q", s)
		}
	}
}

// The examples are what the documentation says: accepted by the API server,
// looked after, and the one that says none left alone.
func TestReloadExamples(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	files, err := os.ReadDir("../../../examples/reload")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile("../../../examples/reload/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		w.apply(string(text))
		name := "deployment/" + strings.TrimSuffix(f.Name(), ".yaml")
		w.until(name+" is looked after", func() bool {
			return strings.HasPrefix(w.stamp(name, ".metadata"), "configmap/") || strings.HasPrefix(w.stamp(name, ".metadata"), "secret/")
		})
		if s := w.stamp(name, ".spec.template.metadata"); s != "" {
			t.Errorf("%s was restarted at first sight: %s", name, s)
		}
	}
}
