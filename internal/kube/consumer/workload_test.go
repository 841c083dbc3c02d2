package consumer

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const usesDB = "template: {metadata: {annotations: {strongkeep.io/content: s, strongkeep.io/reload: signal}}, spec: {containers: [{name: c, envFrom: [{secretRef: {name: db}}]}]}}"

func TestWorkloadOf(t *testing.T) {
	rollout := "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\n"
	for name, c := range map[string]struct {
		object metav1.Object
		spec   string
		manner Manner
		paused bool
		why    string
	}{
		"Deployment":             {&appsv1.Deployment{}, "{" + usesDB + "}", MannerTemplate, false, ""},
		"Deployment, Recreate":   {&appsv1.Deployment{}, "{strategy: {type: Recreate}, " + usesDB + "}", MannerTemplate, false, ""},
		"Deployment, paused":     {&appsv1.Deployment{}, "{paused: true, " + usesDB + "}", MannerTemplate, true, ""},
		"StatefulSet":            {&appsv1.StatefulSet{}, "{updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 0}}, " + usesDB + "}", MannerTemplate, false, ""},
		"StatefulSet, OnDelete":  {&appsv1.StatefulSet{}, "{updateStrategy: {type: OnDelete}, " + usesDB + "}", MannerEvict, false, "OnDelete"},
		"StatefulSet, partition": {&appsv1.StatefulSet{}, "{updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 2}}, " + usesDB + "}", MannerEvict, false, "partition is 2"},
		"DaemonSet":              {&appsv1.DaemonSet{}, "{" + usesDB + "}", MannerTemplate, false, ""},
		"DaemonSet, OnDelete":    {&appsv1.DaemonSet{}, "{updateStrategy: {type: OnDelete}, " + usesDB + "}", MannerEvict, false, "OnDelete"},
		"ReplicaSet":             {&appsv1.ReplicaSet{}, "{" + usesDB + "}", MannerEvict, false, "made anew"},
		"Job":                    {&batchv1.Job{}, "{" + usesDB + "}", MannerWait, false, "waited for"},
		"CronJob":                {&batchv1.CronJob{}, "{jobTemplate: {spec: {" + usesDB + "}}}", MannerNext, false, "next run"},
		"Rollout":                {&unstructured.Unstructured{}, rollout + "spec: {paused: true, " + usesDB + "}", MannerTemplate, true, ""},
		"custom with a template": {&unstructured.Unstructured{}, "apiVersion: x.io/v1\nkind: Thing\nspec: {" + usesDB + "}", MannerEvict, false, "the operator of Thing"},
	} {
		text := c.spec
		if _, ok := c.object.(*unstructured.Unstructured); !ok {
			text = "spec: " + text
		}
		if err := yaml.Unmarshal([]byte(text), c.object); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		yes := true
		c.object.SetName("w")
		c.object.SetNamespace("n")
		c.object.SetUID("u")
		c.object.SetOwnerReferences([]metav1.OwnerReference{{Kind: "Loose", Name: "x"}, {APIVersion: "x.io/v1", Kind: "Top", Name: "t", UID: "ut", Controller: &yes}})
		w, template, ok := WorkloadOf(c.object)
		if !ok || template == nil {
			t.Fatalf("%s: not known", name)
		}
		if w.Manner != c.manner || w.Rolls != (c.manner == MannerTemplate) || w.Paused != c.paused || !strings.Contains(w.Why, c.why) || (w.Why == "") != w.Rolls {
			t.Errorf("%s: %+v", name, w)
		}
		if w.Stamp != "s" || w.Reload != "signal" || len(w.Uses) != 1 || w.Name != "w" || w.Namespace != "n" || w.UID != "u" {
			t.Errorf("%s: %+v", name, w)
		}
		if w.Owner.Kind.Kind != "Top" || w.Owner.Kind.Group != "x.io" || w.Owner.Namespace != "n" || w.Owner.Name != "t" {
			t.Errorf("%s: owner %+v", name, w.Owner)
		}
		if w.Kind.Kind == "" || w.Kind.Version == "" {
			t.Errorf("%s: kind %v", name, w.Kind)
		}
		c.object.SetAnnotations(map[string]string{annotationReload: "none"})
		if w, _, _ := WorkloadOf(c.object); w.Reload != "none" {
			t.Errorf("%s: the template's annotation wins over the workload's", name)
		}
	}
}

func TestWorkloadRef(t *testing.T) {
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte("apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {namespace: ns, name: r}\nspec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: d}}"), o); err != nil {
		t.Fatal(err)
	}
	if ref := WorkloadRef(o); ref.Name != "d" || ref.Namespace != "ns" || ref.Kind.Kind != "Deployment" {
		t.Errorf("got %+v", ref)
	}
	if w, template, ok := WorkloadOf(o); !ok || template != nil || w.Rolls {
		t.Errorf("got %+v", w)
	}
	o.SetKind("Other")
	if ref := WorkloadRef(o); ref.Name != "" {
		t.Errorf("got %+v", ref)
	}
	if _, _, ok := WorkloadOf(&corev1.Secret{}); ok {
		t.Error("a Secret owns pods")
	}
}
