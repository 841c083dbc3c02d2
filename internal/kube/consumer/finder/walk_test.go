package finder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/stock"
)

// pod is a document with a pod that uses the Secret db of namespace a.
func pod(name, owner string) string {
	return "\n---\napiVersion: v1\nkind: Pod\nmetadata: {namespace: a, name: " + name + ", uid: u-" + name + owner + "}\n" +
		"spec: {containers: [{name: c, envFrom: [{secretRef: {name: db}}]}]}\nstatus: {phase: Running}\n"
}

// ownedBy is the end of metadata that names a controller, whose UID is its name.
func ownedBy(apiVersion, kind, name string) string {
	return fmt.Sprintf(", ownerReferences: [{apiVersion: %s, kind: %s, name: %s, uid: u-%s, controller: true}]", apiVersion, kind, name, name)
}

// workload is a document with a workload; spec is in its spec before the template.
func workload(apiVersion, kind, name, owner, spec string) string {
	template := "template: {spec: {containers: [{name: c, envFrom: [{secretRef: {name: db}}]}]}}"
	if kind == "CronJob" {
		template = "jobTemplate: {spec: {" + template + "}}"
	}
	return "\n---\napiVersion: " + apiVersion + "\nkind: " + kind + "\nmetadata: {namespace: a, name: " + name + ", uid: u-" + name + owner + "}\nspec: {" + spec + template + "}\n"
}

// customs reads documents of kinds that are in no scheme.
func customs(t *testing.T, text string) []client.Object {
	t.Helper()
	var out []client.Object
	for _, doc := range strings.Split(text, "\n---\n") {
		if strings.TrimSpace(doc) == "" {
			continue
		}
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &u.Object); err != nil {
			t.Fatal(err)
		}
		out = append(out, u)
	}
	return out
}

func TestOwners(t *testing.T) {
	rs := func(owner string) string { return workload("apps/v1", "ReplicaSet", "r", owner, "") }
	for name, c := range map[string]struct {
		text, custom string
		workload     string   // of the pod
		all          []string // workloads, with their manner
		owner        string
	}{
		"bare":        {pod("p", ""), "", "Pod/p", []string{"Pod/p Person"}, ""},
		"ReplicaSet":  {pod("p", ownedBy("apps/v1", "ReplicaSet", "r")) + rs(""), "", "ReplicaSet/r", []string{"ReplicaSet/r Evict"}, ""},
		"Deployment":  {pod("p", ownedBy("apps/v1", "ReplicaSet", "r")) + rs(ownedBy("apps/v1", "Deployment", "d")) + workload("apps/v1", "Deployment", "d", "", ""), "", "Deployment/d", []string{"Deployment/d Template"}, ""},
		"StatefulSet": {pod("p", ownedBy("apps/v1", "StatefulSet", "s")) + workload("apps/v1", "StatefulSet", "s", "", ""), "", "StatefulSet/s", []string{"StatefulSet/s Template"}, ""},
		"DaemonSet":   {pod("p", ownedBy("apps/v1", "DaemonSet", "s")) + workload("apps/v1", "DaemonSet", "s", "", ""), "", "DaemonSet/s", []string{"DaemonSet/s Template"}, ""},
		"Job":         {pod("p", ownedBy("batch/v1", "Job", "j")) + workload("batch/v1", "Job", "j", "", ""), "", "Job/j", []string{"Job/j Wait"}, ""},
		"CronJob that runs": {pod("p", ownedBy("batch/v1", "Job", "j")) + workload("batch/v1", "Job", "j", ownedBy("batch/v1", "CronJob", "cj"), "") + workload("batch/v1", "CronJob", "cj", "", ""), "",
			"Job/j", []string{"CronJob/cj Next", "Job/j Wait"}, "CronJob/cj"},
		"CronJob that rests":               {workload("batch/v1", "CronJob", "cj", "", ""), "", "", []string{"CronJob/cj Next"}, ""},
		"scaled to zero":                   {workload("apps/v1", "Deployment", "d", "", "replicas: 0, ") + workload("apps/v1", "ReplicaSet", "r", ownedBy("apps/v1", "Deployment", "d"), "replicas: 0, "), "", "", []string{"Deployment/d Template"}, ""},
		"Deployment of somebody's":         {pod("p", ownedBy("apps/v1", "ReplicaSet", "r")) + rs(ownedBy("apps/v1", "Deployment", "d")) + workload("apps/v1", "Deployment", "d", ownedBy("x.io/v1", "App", "x"), ""), "", "Deployment/d", []string{"Deployment/d Template"}, "App/x"},
		"a gone ReplicaSet":                {pod("p", ownedBy("apps/v1", "ReplicaSet", "r")), "", "ReplicaSet/r", []string{"ReplicaSet/r Evict"}, ""},
		"another of the ReplicaSet's name": {pod("p", ", ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: r, uid: before, controller: true}]") + rs(ownedBy("apps/v1", "Deployment", "d")), "", "ReplicaSet/r", []string{"ReplicaSet/r Evict"}, ""},
		"static":                           {pod("p", ownedBy("v1", "Node", "n1")), "", "", nil, ""},
		"custom": {pod("p", ownedBy("x.io/v1", "PodSet", "x")),
			"apiVersion: x.io/v1\nkind: PodSet\nmetadata: {namespace: a, name: x, uid: u-x, ownerReferences: [{apiVersion: x.io/v1, kind: Cluster, name: k, uid: u-k, controller: true}]}\n---\napiVersion: x.io/v1\nkind: Cluster\nmetadata: {namespace: a, name: k, uid: u-k}",
			"Cluster/k", []string{"Cluster/k Evict"}, ""},
		"Argo Rollout": {pod("p", ownedBy("apps/v1", "ReplicaSet", "r")) + rs(ownedBy("argoproj.io/v1alpha1", "Rollout", "ro")),
			workload("argoproj.io/v1alpha1", "Rollout", "ro", "", ""), "Rollout/ro", []string{"Rollout/ro Template"}, ""},
		"Argo Rollout, scaled to zero": {"", workload("argoproj.io/v1alpha1", "Rollout", "ro", "", "replicas: 0, "), "", []string{"Rollout/ro Template"}, ""},
		"Argo Rollout of a Deployment": {pod("p", ownedBy("apps/v1", "ReplicaSet", "r")) + rs(ownedBy("argoproj.io/v1alpha1", "Rollout", "ro")) + workload("apps/v1", "Deployment", "d", "", "replicas: 0, "),
			"apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {namespace: a, name: ro, uid: u-ro}\nspec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: d}}",
			"Deployment/d", []string{"Deployment/d Template"}, ""},
		"a ring": {pod("p", ownedBy("x.io/v1", "PodSet", "x")),
			"apiVersion: x.io/v1\nkind: PodSet\nmetadata: {namespace: a, name: x, uid: u-x, ownerReferences: [{apiVersion: x.io/v1, kind: PodSet, name: x, uid: u-x, controller: true}]}",
			"PodSet/x", []string{"PodSet/x Evict"}, ""},
	} {
		all := append(objects(t, fedSecret+c.text), customs(t, c.custom)...)
		w := newWorld(t, all, nil)
		for _, live := range []bool{false, true} {
			ask := wanted
			ask.Live = live
			g := w.find(ask)
			var got []string
			for _, o := range g.Workloads {
				got = append(got, o.Kind.Kind+"/"+o.Name+" "+string(o.Manner))
				if len(o.Uses) == 0 && o.Manner == consumer.MannerTemplate {
					t.Errorf("%s: %s uses nothing", name, o.Name)
				}
			}
			if !slices.Equal(got, c.all) {
				t.Errorf("%s: workloads %q, want %q", name, got, c.all)
			}
			of := ""
			for _, p := range g.Pods {
				of = p.Workload.Kind.Kind + "/" + p.Workload.Name
			}
			if of != c.workload {
				t.Errorf("%s: the pod is of %q, want %q", name, of, c.workload)
			}
			if c.owner != "" {
				i := slices.IndexFunc(g.Workloads, func(o consumer.Workload) bool { return o.Kind.Kind+"/"+o.Name == c.workload })
				if o := g.Workloads[i].Owner; o.Kind.Kind+"/"+o.Name != c.owner {
					t.Errorf("%s: owner %+v", name, o)
				}
			}
			if len(g.Unknown) > 0 {
				t.Errorf("%s: unknown %q", name, g.Unknown)
			}
		}
	}
}

func TestOwnerThatMayNotBeRead(t *testing.T) {
	w := newWorld(t, objects(t, fedSecret+pod("p", ownedBy("x.io/v1", "PodSet", "x"))+pod("q", ownedBy("x.io/v1", "PodSet", "x"))), func(_ *Config, f *interceptor.Funcs) {
		f.Get = func(ctx context.Context, c client.WithWatch, name client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if o.GetObjectKind().GroupVersionKind().Kind == "PodSet" {
				return apierrors.NewForbidden(schema.GroupResource{Group: "x.io", Resource: "podsets"}, name.Name, errors.New("RBAC"))
			}
			return c.Get(ctx, name, o, opts...)
		}
	})
	g := w.find(wanted)
	if len(g.Unknown) != 1 || !strings.Contains(g.Unknown[0], `PodSet "a/x" owns pods and may not be read: add get on PodSet.x.io`) {
		t.Errorf("unknown: %q", g.Unknown)
	}
	if len(g.Pods) != 2 || len(g.Workloads) != 1 || g.Workloads[0].Manner != consumer.MannerEvict || g.Workloads[0].Name != "x" {
		t.Errorf("pods %+v, workloads %+v", g.Pods, g.Workloads)
	}
}

func TestNamedWorkloads(t *testing.T) {
	deployment := schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	other := strings.NewReplacer("envFrom: [{secretRef: {name: db}}]", "image: x")
	w := newWorld(t, objects(t, fedSecret+other.Replace(
		pod("p", ownedBy("apps/v1", "ReplicaSet", "r"))+pod("q", ownedBy("apps/v1", "ReplicaSet", "r"))+pod("stranger", "")+
			workload("apps/v1", "ReplicaSet", "r", ownedBy("apps/v1", "Deployment", "d"), "")+workload("apps/v1", "Deployment", "d", "", ""))), nil)
	ask := wanted
	for _, name := range []string{"d", "gone"} {
		o := consumer.Object{Kind: deployment}
		o.Name = name
		ask.Workloads = append(ask.Workloads, o)
	}
	for _, live := range []bool{false, true} {
		ask.Live = live
		g := w.find(ask)
		if len(g.Pods) != 2 || len(g.Workloads) != 1 || g.Workloads[0].Uses[0].Kind != consumer.UseNamed {
			t.Errorf("pods %+v\nworkloads %+v", g.Pods, g.Workloads)
		}
		for _, p := range g.Pods {
			if len(p.Uses) != 1 || p.Uses[0].Kind != consumer.UseNamed || p.Workload.Name != "d" {
				t.Errorf("%+v", p)
			}
		}
		if len(g.Unknown) != 1 || !strings.Contains(g.Unknown[0], `Deployment "a/gone" is named as a consumer`) {
			t.Errorf("unknown: %q", g.Unknown)
		}
	}
}

// A kind that the API server does not have, or does not show, is said to be so, and
// asked for once a minute, however often is looked.
func TestNamedKindThatIsNotThere(t *testing.T) {
	asked := map[string]int{}
	w := newWorld(t, objects(t, fedSecret), func(_ *Config, f *interceptor.Funcs) {
		f.Get = func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			kind := o.GetObjectKind().GroupVersionKind()
			switch kind.Kind {
			case "Deploiment":
				asked[kind.Kind]++
				return &meta.NoKindMatchError{GroupKind: kind.GroupKind(), SearchedVersions: []string{"v1"}}
			case "Cluster":
				asked[kind.Kind]++
				return apierrors.NewForbidden(schema.GroupResource{Group: kind.Group, Resource: "clusters"}, key.Name, errors.New("no"))
			}
			return c.Get(ctx, key, o, opts...)
		}
	})
	ask := wanted
	for _, kind := range []schema.GroupVersionKind{{Group: "argoproj.io", Version: "v1", Kind: "Deploiment"}, {Group: "postgresql.cnpg.io", Version: "v1", Kind: "Cluster"}} {
		o := consumer.Object{Kind: kind}
		o.Name = "x"
		ask.Workloads = append(ask.Workloads, o)
	}
	for i := range 30 {
		ask.Live = i%2 == 1
		g := w.find(ask)
		if len(g.Unknown) != 2 || !strings.Contains(g.Unknown[1], "knows no kind Deploiment in argoproj.io/v1: correct apiVersion and kind in spec.consumers.workloads") ||
			!strings.Contains(g.Unknown[0], "add get on Cluster.postgresql.cnpg.io to the operator's role") {
			t.Fatalf("unknown: %q", g.Unknown)
		}
	}
	if asked["Deploiment"] != 1 || asked["Cluster"] != 1 {
		t.Errorf("asked %v in one instant", asked)
	}
	w.clock.SetTime(epoch.Add(stock.AbsentAge))
	w.find(ask)
	if asked["Deploiment"] != 2 || asked["Cluster"] != 2 {
		t.Errorf("asked %v after a minute: a definition that is installed would not be found", asked)
	}
}

func TestOthers(t *testing.T) {
	w := newWorld(t, append(objects(t, fedSecret+`
apiVersion: v1
kind: ServiceAccount
metadata: {namespace: a, name: puller}
imagePullSecrets: [{name: db}]
secrets: [{name: db}, {name: other}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {namespace: a, name: web, annotations: {nginx.ingress.kubernetes.io/auth-secret: db}}
spec: {tls: [{secretName: other}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {namespace: b, name: away, annotations: {nginx.ingress.kubernetes.io/auth-tls-secret: a/db}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {namespace: a, name: tls}
spec: {tls: [{secretName: db}, {secretName: db}]}
`+strings.NewReplacer("envFrom: [{secretRef: {name: db}}]", "image: x", "template: {spec: {", "template: {spec: {serviceAccountName: puller, ").Replace(workload("apps/v1", "Deployment", "d", "", ""))),
		customs(t, `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {namespace: b, name: g}
spec:
  listeners:
  - {name: x, tls: {certificateRefs: [{name: db, namespace: a}, {kind: Other, name: db}]}}
  - {name: plain}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {namespace: b, name: other}
spec: {listeners: [{name: x, tls: {certificateRefs: [{name: db}]}}]}
`)...), nil)
	g := w.find(wanted)
	var got []string
	for _, o := range g.Others {
		got = append(got, o.Kind.Kind+" "+o.Namespace+"/"+o.Name)
	}
	if want := []string{"ServiceAccount a/puller", "Ingress a/tls", "Ingress a/web", "Ingress b/away", "Gateway b/g"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if len(g.Workloads) != 1 || g.Workloads[0].Uses[0].Kind != consumer.UseImagePull {
		t.Errorf("a workload by its ServiceAccount: %+v", g.Workloads)
	}
}

func TestSecretsStoreCSI(t *testing.T) {
	volume := func(name, class string) string {
		return "\n---\napiVersion: v1\nkind: Pod\nmetadata: {namespace: a, name: " + name + ", uid: u-" + name + "}\nspec: {volumes: [{name: v, csi: {driver: secrets-store.csi.k8s.io, volumeAttributes: {secretProviderClass: " +
			class + "}}}], containers: [{name: c, volumeMounts: [{name: v, mountPath: /m}]}]}\n"
	}
	w := newWorld(t, append(objects(t, fedSecret+volume("reads", "by-path")+volume("syncs", "by-secret")+volume("neither", "other")), customs(t, `
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {namespace: a, name: by-path}
spec: {provider: vault, parameters: {objects: "- objectName: pw\n  secretPath: \"database/alternating-creds/app\"\n  secretKey: password\n"}}
---
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {namespace: a, name: by-secret}
spec: {provider: vault, parameters: {objects: ""}, secretObjects: [{secretName: db, type: Opaque}]}
---
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {namespace: a, name: other}
spec: {provider: vault, parameters: {objects: "- secretPath: database/alternating-creds/apple"}, secretObjects: [{secretName: elsewhere}]}
`)...), nil)
	g := w.find(wanted)
	var got []string
	for _, p := range g.Pods {
		got = append(got, fmt.Sprintf("%s %s %q %s", p.Name, p.Uses[0].Kind, p.Uses[0].Secret, p.Uses[0].Where))
	}
	if want := []string{`reads csi "" /m`, `syncs csi "db" /m`}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
