package world

import (
	"errors"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/test/rotation/collector"
)

// Consumer is a Deployment of the sample application.
type Consumer struct {
	Name     string
	Source   string // "env" or "file"
	Secret   string // "db" when empty; see World.Feed
	Replicas int    // 2 when zero
	// Args are more of the application.
	Args []string
	// Annotations of the pods and of the Deployment itself.
	PodAnnotations, Annotations map[string]string
	// Crashes: its pods may end without a last report. A container that is told to
	// end in the instant it is started again does not hear of it: the first process
	// of a PID namespace is spared signals that it does not handle yet.
	Crashes bool
	// Progress is how long a rollout may take, in seconds; 120 when zero.
	Progress int
}

// object is a part of a manifest.
type object = map[string]any

// Consume makes Deployments and waits until all of each are ready.
func (w *World) Consume(all ...Consumer) {
	w.Helper()
	for _, c := range all {
		text, err := yaml.Marshal(w.manifest(c))
		if err != nil {
			w.Fatal(err)
		}
		w.Apply(string(text))
		w.applied = append(w.applied, c)
	}
	for _, c := range all {
		w.Kubectl("rollout", "status", "deployment/"+c.Name, "--timeout="+Patience.String())
	}
}

func (w *World) manifest(c Consumer) object {
	if c.Replicas == 0 {
		c.Replicas = 2
	}
	if c.Progress == 0 {
		c.Progress = 120
	}
	labels := object{"app": c.Name}
	return object{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": object{"name": c.Name, "annotations": c.Annotations},
		"spec": object{
			"replicas": c.Replicas, "progressDeadlineSeconds": c.Progress,
			"selector": object{"matchLabels": labels},
			"strategy": object{"rollingUpdate": object{"maxSurge": "100%", "maxUnavailable": 0}},
			"template": object{
				"metadata": object{"labels": labels, "annotations": c.PodAnnotations},
				"spec":     w.pod(c),
			},
		},
	}
}

func (w *World) pod(c Consumer) object {
	if c.Secret == "" {
		c.Secret = "db"
	}
	query, database := w.Query()
	container := object{
		"name": "sample", "image": Image, "imagePullPolicy": "Never",
		"args": append([]string{
			"-kind=" + w.Database.Kind, "-address=" + w.Database.Outside, "-database=" + database, "-query=" + query,
			"-source=" + c.Source, "-report=" + w.Collector.URL(), "-workers=2", "-every=20ms",
		}, c.Args...),
		"ports": []any{object{"name": "http", "containerPort": 8080}},
		"readinessProbe": object{
			"httpGet": object{"path": "/ready", "port": "http"}, "periodSeconds": 1, "failureThreshold": 3, "timeoutSeconds": 5,
		},
		"securityContext": object{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": object{"drop": []string{"ALL"}}},
	}
	env := []any{object{"name": "POD_NAME", "valueFrom": object{"fieldRef": object{"fieldPath": "metadata.name"}}}}
	pod := object{
		"automountServiceAccountToken": false, "enableServiceLinks": false, "terminationGracePeriodSeconds": 120,
		"securityContext": object{"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": object{"type": "RuntimeDefault"}},
	}
	if c.Source == "file" {
		container["volumeMounts"] = []any{object{"name": "db", "mountPath": "/etc/db", "readOnly": true}}
		pod["volumes"] = []any{object{"name": "db", "secret": object{"secretName": c.Secret}}}
	} else {
		from := func(key string) object { return object{"secretKeyRef": object{"name": c.Secret, "key": key}} }
		env = append(env, object{"name": "DB_USERNAME", "valueFrom": from("username")}, object{"name": "DB_PASSWORD", "valueFrom": from("password")})
	}
	container["env"] = env
	pod["containers"] = []any{container}
	return pod
}

// Settle removes the consumers, waits for the last report of every pod there
// ever was and sums up.
func (w *World) Settle() collector.Totals {
	w.Helper()
	for _, c := range w.applied {
		w.Kubectl("scale", "deployment", c.Name, "--replicas=0")
	}
	w.Until("the last report of every pod", func() error {
		if left := w.Kubectl("get", "pods", "--output=name"); left != "" {
			return errors.New(strings.Join(strings.Fields(left), ", "))
		}
		for _, c := range w.applied {
			if sum := w.Collector.Totals(c.Name + "-"); len(sum.Open) > 0 && !c.Crashes {
				return fmt.Errorf("%s ended without", strings.Join(sum.Open, ", "))
			}
		}
		return nil
	})
	return w.Collector.Totals("")
}
