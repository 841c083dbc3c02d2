package sec09_test

import (
	"encoding/json"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/checktest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec09"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// deployment uses Secrets in the way of uses.
func deployment(kind string, uses ...consumer.Use) snapshot.Snapshot {
	group := map[string]string{"CronJob": "batch"}[kind]
	if group == "" {
		group = "apps"
	}
	return snapshot.Snapshot{Workloads: []snapshot.Workload{{Meta: snapshot.Meta{Namespace: "shop", Name: "web"}, Group: group, Kind: kind, Template: snapshot.Template{
		Containers: []snapshot.Container{{Name: "wait", Kind: "init"}, {Name: "web"}, {Name: "dbg", Kind: "ephemeral"}}, Secrets: uses}}}}
}

func env(container string) consumer.Use {
	return consumer.Use{Kind: consumer.UseEnv, Secret: "db", Container: container, Where: "DB_PASSWORD", Key: "password"}
}

// values has them in the template.
func values(all ...snapshot.Value) snapshot.Snapshot {
	s := deployment("Deployment")
	s.Workloads[0].Template.Values = all
	return s
}

func TestCheck(t *testing.T) {
	const spec = "spec.template.spec."
	public := deployment("Deployment", env("web"))
	public.Secrets = []snapshot.Secret{{Meta: snapshot.Meta{Namespace: "shop", Name: "db"}, Read: true, Keys: []string{"password"}, Values: []snapshot.Value{{Field: "data.password", Looks: snapshot.LooksCert}}}}
	checktest.Run(t, sec09.Check(), []checktest.Case{
		{Name: "nothing", Answer: check.Yes},
		{Name: "files", Answer: check.Yes, Snapshot: deployment("Deployment", consumer.Use{Kind: consumer.UseVolume, Secret: "db", Container: "web", Where: "/s"})},
		{Name: "what pulls the image is no variable", Answer: check.Yes, Snapshot: deployment("Deployment", consumer.Use{Kind: consumer.UseImagePull, Secret: "pull"})},
		{Name: "a variable", Answer: check.No, Snapshot: deployment("Deployment", env("web")), Findings: []string{"EnvVariable Deployment shop/web at " + spec + "containers[web].env[DB_PASSWORD]"}},
		{Name: "of an init container", Answer: check.No, Snapshot: deployment("Deployment", env("wait")), Findings: []string{"EnvVariable Deployment shop/web at " + spec + "initContainers[wait].env[DB_PASSWORD]"}},
		{Name: "of an ephemeral container", Answer: check.No, Snapshot: deployment("Deployment", env("dbg")), Findings: []string{"EnvVariable Deployment shop/web at " + spec + "ephemeralContainers[dbg].env[DB_PASSWORD]"}},
		{Name: "of a CronJob", Answer: check.No, Snapshot: deployment("CronJob", env("web")), Findings: []string{"EnvVariable CronJob shop/web at spec.jobTemplate.spec.template.spec.containers[web].env[DB_PASSWORD]"}},
		{Name: "envFrom", Answer: check.No, Snapshot: deployment("Deployment", consumer.Use{Kind: consumer.UseEnvFrom, Secret: "db", Container: "web"}), Findings: []string{"EnvFrom Deployment shop/web at " + spec + "containers[web].envFrom[db]"}},
		{Name: "both", Answer: check.Partly, Snapshot: deployment("Deployment", env("web"), consumer.Use{Kind: consumer.UseVolume, Secret: "x", Container: "web", Where: "/s"}),
			Findings: []string{"EnvVariable Deployment shop/web at " + spec + "containers[web].env[DB_PASSWORD]"}},
		{Name: "a certificate is no secret", Answer: check.Yes, Snapshot: public},
		{Name: "a literal", Answer: check.No, Snapshot: values(snapshot.Value{Field: "spec.containers[web].env[PASSWORD]", Looks: snapshot.LooksNamed}), Findings: []string{"LiteralVariable Deployment shop/web at " + spec + "containers[web].env[PASSWORD]"}},
		{Name: "an argument", Answer: check.No, Snapshot: values(snapshot.Value{Field: "spec.containers[web].args[1]", Looks: snapshot.LooksURL}), Findings: []string{"LiteralArgument Deployment shop/web at " + spec + "containers[web].args[1]"}},
		{Name: "the name of a file, a digest, an annotation", Answer: check.Yes, Snapshot: values(
			snapshot.Value{Field: "spec.containers[web].env[PASSWORD_FILE]", Looks: snapshot.LooksReference},
			snapshot.Value{Field: "spec.containers[web].env[COMMIT]", Looks: snapshot.LooksRandom},
			snapshot.Value{Field: "metadata.annotations[x]", Looks: snapshot.LooksNamed})},
		{Name: "a finished pod", Answer: check.Yes, Snapshot: snapshot.Snapshot{Pods: []snapshot.Pod{{Meta: snapshot.Meta{Namespace: "shop", Name: "p"}, Phase: "Succeeded", Template: snapshot.Template{Secrets: []consumer.Use{env("web")}}}}}},
	})
}

// TestThePatchApplies to the workload, as the API server would apply it: the
// variable is gone, and the file is there.
func TestThePatchApplies(t *testing.T) {
	s := deployment("Deployment", env("web"))
	patch := checktest.Judge(sec09.Check(), &s, check.Settings{}).Findings[0].Fix.Patch
	change, err := yaml.YAMLToJSON([]byte(patch))
	if err != nil {
		t.Fatal(err)
	}
	before := appsv1.Deployment{Spec: appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{
		{Name: "web", Image: "web:1", Env: []corev1.EnvVar{{Name: "DB_PASSWORD", ValueFrom: &corev1.EnvVarSource{}}, {Name: "PORT", Value: "80"}}}, {Name: "proxy"}}}}}}
	raw, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	merged, err := strategicpatch.StrategicMergePatch(raw, change, &appsv1.Deployment{})
	if err != nil {
		t.Fatal(err)
	}
	var after appsv1.Deployment
	if err := json.Unmarshal(merged, &after); err != nil {
		t.Fatal(err)
	}
	pod := after.Spec.Template.Spec
	web := pod.Containers[0]
	names := map[string]string{}
	for _, e := range web.Env {
		names[e.Name] = e.Value
	}
	if _, left := names["DB_PASSWORD"]; left || names["PORT"] != "80" || names["DB_PASSWORD_FILE"] != "/etc/secrets/db/password" || web.Image != "web:1" || len(pod.Containers) != 2 {
		t.Errorf("%+v", web)
	}
	if len(pod.Volumes) != 1 || pod.Volumes[0].Secret.SecretName != "db" || len(web.VolumeMounts) != 1 || web.VolumeMounts[0].Name != pod.Volumes[0].Name {
		t.Errorf("%+v, %+v", pod.Volumes, web.VolumeMounts)
	}
}
