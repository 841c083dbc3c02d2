package operator

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/operatortest/permits"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rbac"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

func generic(c *Config) { c.GenericTargets = true }

// inConfigMap is a spec.target, with more in it.
func inConfigMap(more string) string {
	return oneKey + "\n  target: {manifest: {apiVersion: v1, kind: ConfigMap}" + more + "}"
}

func inWidget(more string) string {
	return oneKey + "\n  target: {manifest: {apiVersion: example.com/v1, kind: Widget}" + more + "}"
}

// atPath is the template of a Widget.
const atPath = `, template: {templateFrom: [{target: "spec.rules[0].value", literal: "{{ .k }}"}]}`

// widgets is a kind of somebody else: with defaults, a status, and a list by keys.
const widgets = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, listKind: WidgetList, plural: widgets, singular: widget}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              size: {type: integer, maximum: 10}
              mode: {type: string, default: fast}
              config: {type: object, x-kubernetes-preserve-unknown-fields: true}
              rules:
                type: array
                items: {type: object, properties: {value: {type: string}, weight: {type: integer, default: 1}}}
              named:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items: {type: object, required: [name], properties: {name: {type: string}, value: {type: string}, weight: {type: integer, default: 1}}}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
`

func (w *world) defineWidgets() {
	w.Helper()
	w.apply(widgets)
	w.kubectl("wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=120s")
}

// configMap waits until a ConfigMap's data is as wanted.
func (w *world) configMap(name string, want map[string]string) *corev1.ConfigMap {
	w.Helper()
	c := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}
	return await(w, c, fmt.Sprintf("ConfigMap %s with %d keys", name, len(want)), func(c *corev1.ConfigMap) bool {
		if len(c.Data) != len(want) {
			return false
		}
		for k, v := range want {
			if c.Data[k] != v {
				return false
			}
		}
		return true
	})
}

// field waits until a field of an object, by kubectl's path, has a value.
func (w *world) field(object, path, want string) {
	w.Helper()
	last := ""
	w.until(object+" "+path+" is as wanted", func() bool {
		last = w.kubectl("get", object, "--ignore-not-found", "-o", "jsonpath="+path)
		return last == want
	})
}

// force has an ExternalSecret refreshed, and waits until it was.
func (w *world) force(name string) {
	w.Helper()
	es := &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}
	await(w, es, name, func(*v1.ExternalSecret) bool { return true })
	before := es.Status.SyncedResourceVersion
	w.kubectl("annotate", "es", name, "--overwrite", "force="+es.ResourceVersion)
	await(w, es, name+" refreshed", func(es *v1.ExternalSecret) bool { return es.Status.SyncedResourceVersion != before })
}

func (w *world) versionOf(objects ...string) string {
	w.Helper()
	return w.kubectl(append([]string{"get", "-o", "jsonpath={.metadata.resourceVersion}{.items[*].metadata.resourceVersion}"}, objects...)...)
}

// The manifests of docs/target-manifest.md, as they stand in examples/.
func TestManifestExamples(t *testing.T) {
	w := newWorld(t)
	w.vault.Put("my-app/config", `{"user":"shop-`+canary+`"}`)
	w.start(generic)
	w.apply(strings.ReplaceAll(store, "{name: vault}", "{name: vault-backend}"))
	for _, name := range []string{"configmap.yaml", "custom-resource.yaml"} {
		raw, err := os.ReadFile("../../../examples/operator/" + name)
		if err != nil {
			t.Fatal(err)
		}
		w.apply(string(raw))
	}
	es := w.es("feature-flags", v1.ReasonResourceSynced, "resource synced")
	c := w.configMap("feature-flags", map[string]string{
		"endpoint": "https://shop-" + canary + ".example", "flags.yaml": "user: shop-" + canary + "\ndark-mode: true\n",
	})
	owner := metav1.GetControllerOf(c)
	if owner == nil || owner.UID != es.UID || c.Labels["app"] != "shop" || c.Labels[target.LabelManaged] != "true" ||
		c.Labels[target.LabelCreatedBy] != target.CreatedBy(w.ns, "feature-flags") || c.Annotations[target.AnnotationMark] == "" {
		t.Errorf("owner %+v, labels %v, annotations %v", owner, c.Labels, c.Annotations)
	}
	if es.Status.Binding.Name != "" || es.Status.RefreshTime.IsZero() { // servicebinding.io binds Secrets
		t.Errorf("status %+v", es.Status)
	}
	w.es("shop", v1.ReasonResourceSynced, "")
	w.field("ingress/shop", "{.spec.rules[*].host} {.spec.ingressClassName} {.spec.defaultBackend.service.port.number}", "shop-"+canary+".example nginx 80")
}

// Without the switch nothing is made, and the condition says what it takes.
func TestManifestSwitchOff(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	w.apply(es("without", inConfigMap("")) + es("without-widget", inWidget(atPath)))
	for name, words := range map[string][]string{
		"without":        {"--unsafe-allow-generic-targets", "strongkeep operator rbac", "Whoever may read ConfigMaps", "this operator makes only Secrets"},
		"without-widget": {"--unsafe-allow-generic-targets", "a role that you write, with get, create, patch and delete"},
	} {
		for _, want := range words {
			w.es(name, v1.ReasonResourceSyncedError, want)
		}
	}
	if out := w.kubectl("get", "configmap,secret", "-o", "name"); strings.Contains(out, "/without") {
		t.Errorf("something was made: %s", out)
	}
}

// What could give its author more than the right to write ExternalSecrets is
// refused by name, whatever the operator may do.
func TestForbiddenKinds(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(generic)
	text := `, template: {templateFrom: [{target: "spec.x", literal: "x"}]}}`
	for i, c := range [][3]string{
		{"v1", "Secret", "leave spec.target.manifest out"},
		{"v1", "ServiceAccount", "identity"},
		{"v1", "Pod", "every ServiceAccount and Secret"},
		{"apps/v1", "Deployment", "every ServiceAccount and Secret"},
		{"batch/v1", "CronJob", "every ServiceAccount and Secret"},
		{"v1", "Namespace", "is not in a namespace"},
		{"rbac.authorization.k8s.io/v1", "RoleBinding", "it gives rights"},
		{"external-secrets.io/v1", "SecretStore", "with its own rights"},
		{"generators.external-secrets.io/v1alpha1", "Password", "with its own rights"},
		{"strongkeep.io/v1alpha1", "Rotation", "with its own rights"},
		{"admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "the API server itself"},
		{"apiregistration.k8s.io/v1", "APIService", "the API server itself"},
		{"coordination.k8s.io/v1", "Lease", "elected"},
		{"example.org/v1", "Nothing", "the API server knows no kind Nothing in example.org/v1"},
		{"a/b/c", "Nothing", "is no group and version"},
	} {
		name := fmt.Sprintf("forbidden-%d", i)
		w.apply(es(name, oneKey+"\n  target: {manifest: {apiVersion: "+c[0]+", kind: "+c[1]+"}"+text))
		w.es(name, v1.ReasonResourceSyncedError, c[2])
	}
	w.apply(es("root-ca", inConfigMap(", name: kube-root-ca.crt, creationPolicy: Merge")))
	w.es("root-ca", v1.ReasonResourceSyncedError, "is not written: choose another name")
}

func TestConfigMapDrift(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(generic)
	w.apply(strings.Replace(es("drift", inConfigMap("")), "metadata: {name: drift}", "metadata: {name: drift, labels: {team: a}}", 1))
	want := map[string]string{"k": canary + "1"}
	w.configMap("drift", want)
	w.es("drift", v1.ReasonResourceSynced, "")
	for what, args := range map[string][]string{
		"value":   {"patch", "configmap", "drift", "--type=merge", "-p", `{"data":{"k":"x"}}`},
		"new key": {"patch", "configmap", "drift", "--type=merge", "-p", `{"data":{"mine":"x"},"binaryData":{"bytes":"//4="}}`},
		"key":     {"patch", "configmap", "drift", "--type=json", "-p", `[{"op":"remove","path":"/data/k"}]`},
		"label":   {"label", "configmap", "drift", "team=b", "--overwrite"},
		"owner":   {"label", "configmap", "drift", target.LabelCreatedBy + "=x", "--overwrite"},
		"mark":    {"annotate", "configmap", "drift", target.AnnotationMark + "-"},
		"deleted": {"delete", "configmap", "drift"},
	} {
		before := w.configMap("drift", want)
		w.kubectl(args...)
		c := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "drift"}}
		await(w, c, "repair of "+what, func(c *corev1.ConfigMap) bool {
			return c.ResourceVersion != before.ResourceVersion && len(c.Data) == 1 && len(c.BinaryData) == 0 && c.Data["k"] == want["k"] && c.Labels["team"] == "a" &&
				c.Labels[target.LabelCreatedBy] == target.CreatedBy(w.ns, "drift") && c.Annotations[target.AnnotationMark] != ""
		})
	}
	// What others add beside our fields is theirs.
	w.kubectl("label", "configmap", "drift", "theirs=1")
	w.force("drift")
	if c := w.configMap("drift", want); c.Labels["theirs"] != "1" {
		t.Error("a label of somebody else was removed")
	}
	// A new value arrives by the store's word; nothing is written for none.
	w.until("subscribed", func() bool { return w.vault.Subscribers() == 1 })
	w.vault.Put("app", `{"k":"second-`+canary+`"}`)
	w.configMap("drift", map[string]string{"k": "second-" + canary})
	w.apply(es("still", inConfigMap(", template: {data: {k: '{{ .k }}', r: '{{ randAlphaNum 8 }}'}}"))) // without one the annotation of force is copied
	w.es("still", v1.ReasonResourceSynced, "")
	before := w.versionOf("configmap/still")
	w.force("still")
	if after := w.versionOf("configmap/still"); after != before {
		t.Errorf("a refresh without news wrote: %s, then %s", before, after)
	}
}

// An object that is not ours is never taken over, by any policy.
func TestManifestPolicies(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.defineWidgets()
	w.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs, labels: {theirs: x}}\ndata: {theirs: x, k: old}\n---\n" +
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared}\ndata: {theirs: x, k: old}\n---\n" +
		"apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: theirs}\nspec: {size: 3}\n---\n" +
		"apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: shared}\nspec: {size: 3}\n")
	w.start(generic)
	before := w.versionOf("configmap/theirs") + w.versionOf("widget/theirs")
	for _, policy := range []string{"Owner", "Orphan"} {
		name := "thief-" + strings.ToLower(policy)
		w.apply(es(name, inConfigMap(", name: theirs, creationPolicy: "+policy)) + es(name+"-w", inWidget(", name: theirs, creationPolicy: "+policy+atPath)))
		w.es(name, v1.ReasonResourceSyncedError, `ConfigMap "theirs" is not overwritten: it was not made by this ExternalSecret`)
		w.es(name+"-w", v1.ReasonResourceSyncedError, `Widget "theirs" is not overwritten`)
	}
	if after := w.versionOf("configmap/theirs") + w.versionOf("widget/theirs"); after != before {
		t.Errorf("what is not ours was written: %s, then %s", before, after)
	}
	w.apply(es("merge", inConfigMap(", name: shared, creationPolicy: Merge")) + es("merge-w", inWidget(", name: shared, creationPolicy: Merge"+atPath)) +
		es("absent", inConfigMap(", creationPolicy: Merge")) + es("orphan", inConfigMap(", creationPolicy: Orphan")) +
		es("either", inConfigMap(", creationPolicy: CreateOrMerge")) + es("none", inConfigMap(", creationPolicy: None")) + es("orphan-w", inWidget(", creationPolicy: Orphan"+atPath)))
	c := w.configMap("shared", map[string]string{"theirs": "x", "k": canary + "1"})
	if len(c.Labels)+len(c.Annotations)+len(c.OwnerReferences) != 0 {
		t.Errorf("a merged ConfigMap was marked: %v %v", c.Labels, c.Annotations)
	}
	w.field("widget/shared", "{.spec.size} {.spec.rules[0].value} {.metadata.ownerReferences}", "3 "+canary+"1 ")
	w.es("absent", v1.ReasonResourceMissing, `ConfigMap "absent" does not exist: creationPolicy Merge needs it`)
	for name, want := range map[string]string{"orphan": "true", "either": ""} {
		c := w.configMap(name, map[string]string{"k": canary + "1"})
		if len(c.OwnerReferences) != 0 || c.Labels[target.LabelManaged] != want {
			t.Errorf("%s: owners %v, labels %v", name, c.OwnerReferences, c.Labels)
		}
	}
	w.field("widget/orphan-w", "{.spec.rules[0].value}{.metadata.ownerReferences}", canary+"1")
	w.es("none", v1.ReasonResourceSynced, "creationPolicy None writes no ConfigMap")
	if out := w.kubectl("get", "configmap", "none", "--ignore-not-found", "-o", "name"); out != "" {
		t.Errorf("creationPolicy None made %s", out)
	}
	// Keys that are no longer asked for go, others stay; what appears later is found.
	w.apply(es("merge", strings.Replace(inConfigMap(", name: shared, creationPolicy: Merge"), "secretKey: k", "secretKey: other", 1)))
	w.configMap("shared", map[string]string{"theirs": "x", "other": canary + "1"})
	w.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: absent}\ndata: {a: b}\n")
	w.configMap("absent", map[string]string{"a": "b", "k": canary + "1"})
	// Once the foreign one is gone the name is free, to one of the two.
	w.kubectl("delete", "configmap", "theirs")
	w.configMap("theirs", map[string]string{"k": canary + "1"})
}

func TestManifestDeletion(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.defineWidgets()
	w.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared}\ndata: {theirs: x}\n")
	w.start(generic)
	w.apply(es("retain", inConfigMap("")) + es("delete", inConfigMap(", deletionPolicy: Delete")) + es("delete-w", inWidget(", deletionPolicy: Delete"+atPath)) +
		es("merge", inConfigMap(", name: shared, creationPolicy: Merge, deletionPolicy: Merge")))
	for _, name := range []string{"retain", "delete", "delete-w", "merge"} {
		w.es(name, v1.ReasonResourceSynced, "")
	}
	w.until("subscribed", func() bool { return w.vault.Subscribers() == 1 })
	// A store that is sealed is not a store without secrets.
	w.vault.Fail(503)
	tries := 0
	w.until("the store is asked again", func() bool { // values read half a second ago are shared
		tries++
		w.kubectl("annotate", "es", "delete", "delete-w", "--overwrite", fmt.Sprint("try=", tries))
		return strings.Contains(w.kubectl("get", "es", "delete", "-o", "jsonpath={.status.conditions[*].message}"), "Vault is sealed")
	})
	w.configMap("delete", map[string]string{"k": canary + "1"})
	w.field("widget/delete-w", "{.spec.rules[0].value}", canary+"1")
	w.vault.Fail(0)
	w.vault.Delete("app")
	w.es("retain", v1.ReasonResourceSyncedError, "does not exist, or its latest version was deleted")
	w.configMap("retain", map[string]string{"k": canary + "1"})
	w.es("delete", v1.ReasonResourceDeleted, "configmap deleted due to DeletionPolicy=Delete")
	w.es("delete-w", v1.ReasonResourceDeleted, "widget deleted due to DeletionPolicy=Delete")
	w.field("configmap/delete", "{.metadata.name}", "")
	w.field("widget/delete-w", "{.metadata.name}", "")
	w.configMap("shared", map[string]string{"theirs": "x"})
	w.vault.Put("app", `{"k":"back"}`)
	w.configMap("delete", map[string]string{"k": "back"})
	w.field("widget/delete-w", "{.spec.rules[0].value}", "back")
	w.configMap("shared", map[string]string{"theirs": "x", "k": "back"})
}

// Other kinds are looked at with each refresh: what was changed of ours is put
// right, what the API server filled in and others set stays, and there is no write
// where nothing changed, though the object's version is another one each time its
// own controller writes its status.
func TestManifestOfAnotherKind(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.defineWidgets()
	stop := w.start(generic)
	body := inWidget(`, template: {templateFrom: [
    {target: spec.named, literal: "[{name: a, value: {{ .k }}}, {name: b, value: '{{ randAlphaNum 8 }}'}]"},
    {target: "spec.rules[0].value", literal: "{{ .k }}"}, {target: spec.config, literal: "{size: 3, list: [1, {x: y}]}"}]}`)
	w.apply(es("gadget", body))
	w.es("gadget", v1.ReasonResourceSynced, "")
	spec := w.kubectl("get", "widget/gadget", "-o", "jsonpath={.spec}")
	if !strings.Contains(spec, `"mode":"fast"`) || !strings.Contains(spec, `"weight":1`) || strings.Count(spec, canary+"1") != 2 {
		t.Fatalf("%s", spec)
	}
	unchanged := func(what string) {
		t.Helper()
		before := w.versionOf("widget/gadget")
		w.force("gadget")
		if after := w.versionOf("widget/gadget"); after != before {
			t.Errorf("%s: a refresh wrote: %s, then %s", what, before, after)
		}
		if now := w.kubectl("get", "widget/gadget", "-o", "jsonpath={.spec}"); now != spec {
			t.Errorf("%s: now it is %s, and was %s", what, now, spec)
		}
	}
	unchanged("at rest")
	w.kubectl("patch", "widget", "gadget", "--subresource=status", "--type=merge", "-p", `{"status":{"ready":true}}`)
	unchanged("with a status")
	w.kubectl("label", "widget", "gadget", "theirs=1")
	unchanged("with a foreign label")

	stop()
	w.kubectl("patch", "widget", "gadget", "--subresource=status", "--type=merge", "-p", `{"status":{"ready":false}}`)
	before := w.versionOf("widget/gadget", "es/gadget")
	rec := permits.New()
	stop = w.start(func(c *Config) { generic(c); c.REST = rec.Wrap(testREST) })
	w.until("it was looked at", func() bool { return rec.Count("get example.com/widgets") >= 2 })
	unchanged("after a restart")
	if rec.Count("patch example.com/widgets") != 0 {
		t.Errorf("a restart wrote, or tried to; %s before", before)
	}

	w.kubectl("patch", "widget", "gadget", "--type=json", "-p", `[{"op":"replace","path":"/spec/rules/0/value","value":"x"},{"op":"add","path":"/spec/size","value":7}]`)
	w.force("gadget")
	w.field("widget/gadget", "{.spec.rules[0].value} {.spec.size}", canary+"1 7")
	w.kubectl("patch", "widget", "gadget", "--type=json", "-p", `[{"op":"remove","path":"/spec/named/0/value"}]`)
	w.force("gadget")
	w.field("widget/gadget", "{.spec.named[0].value}", canary+"1")
	w.kubectl("delete", "widget", "gadget")
	w.force("gadget")
	w.field("widget/gadget", "{.spec.rules[0].value}", canary+"1")
	w.until("subscribed", func() bool { return w.vault.Subscribers() == 1 })
	w.vault.Put("app", `{"k":"second-`+canary+`"}`)
	w.field("widget/gadget", "{.spec.rules[0].value}", "second-"+canary)
	stop()
}

// What the API server refuses is said by field, and never in its words, which quote
// what a template made of a value.
func TestManifestRefusedByServer(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.defineWidgets()
	w.start(generic)
	tpl := func(target, literal string) string {
		return `, template: {templateFrom: [{target: "` + target + `", literal: "` + literal + `"}]}`
	}
	for name, c := range map[string]struct{ body, want string }{
		"unknown-field": {inWidget(tpl("spec.nope", "{{ .k | upper }}")), "spec.nope (field not declared in schema)"},
		"type":          {inWidget(tpl("spec.size", "{{ .k | upper }}")), "spec.size"},
		"value":         {inWidget(tpl("spec", "{size: 11, config: {k: {{ .k | upper }}}}")), "spec.size (it is not valid)"},
		"host":          {strings.Replace(inWidget(tpl("spec.rules[0].host", "{{ .k | upper }}_")), "example.com/v1, kind: Widget", "networking.k8s.io/v1, kind: Ingress", 1), "spec.rules[0].host (it is not valid)"},
		"label":         {inConfigMap(`, template: {data: {a: b}, metadata: {labels: {x: "{{ .k | upper }} !"}}}`), "metadata.labels (it is not valid)"},
	} {
		w.apply(es(name, c.body))
		got := w.es(name, v1.ReasonResourceSyncedError, c.want)
		if text := fmt.Sprint(got.Status); strings.Contains(text, strings.ToUpper(canary)) {
			t.Errorf("%s: what a template made of a value is in the status", name)
		}
	}
	if strings.Contains(w.log.String(), strings.ToUpper(canary)) || strings.Contains(w.kubectl("get", "events", "-o", "yaml"), strings.ToUpper(canary)) {
		t.Error("what a template made of a value is in the log or an event")
	}
}

// A target that has another name or kind than before leaves nothing behind.
func TestManifestFormer(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(generic)
	want := map[string]string{"k": canary + "1"}
	w.apply(es("moves", oneKey))
	w.secret("moves", want)
	w.es("moves", v1.ReasonSecretSynced, "")
	w.apply(es("moves", inConfigMap("")))
	w.configMap("moves", want)
	w.field("secret/moves", "{.metadata.name}", "")
	if e := w.es("moves", v1.ReasonResourceSynced, ""); e.Status.Binding.Name != "" {
		t.Errorf("status.binding is %q", e.Status.Binding.Name)
	}
	w.apply(es("moves", inConfigMap(", name: moved")))
	w.configMap("moved", want)
	w.field("configmap/moves", "{.metadata.name}", "")
	w.es("moves", v1.ReasonResourceSynced, "")
	w.apply(es("moves", oneKey))
	w.secret("moves", want)
	w.field("configmap/moved", "{.metadata.name}", "")
	w.es("moves", v1.ReasonSecretSynced, "")
}

func TestImmutableConfigMap(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(generic)
	w.apply(es("fixed", inConfigMap(", immutable: true")))
	if c := w.configMap("fixed", map[string]string{"k": canary + "1"}); c.Immutable == nil || !*c.Immutable {
		t.Error("the ConfigMap is not immutable")
	}
	w.es("fixed", v1.ReasonResourceSynced, "")
	w.vault.Put("app", `{"k":"second"}`)
	w.kubectl("annotate", "es", "fixed", "now=1")
	w.es("fixed", v1.ReasonResourceSyncedError, "target is immutable")
	w.kubectl("delete", "configmap", "fixed")
	w.configMap("fixed", map[string]string{"k": "second"})
}

// A restarted operator knows its ConfigMaps again and writes none, and repairs what
// was done meanwhile.
func TestConfigMapRestart(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.vault.NoEvents = true
	stop := w.start(generic)
	w.apply(es("kept", inConfigMap(", template: {data: {k: '{{ .k }}', r: '{{ randAlphaNum 8 }}'}}")) + es("spoilt", inConfigMap("")))
	for _, name := range []string{"kept", "spoilt"} {
		w.es(name, v1.ReasonResourceSynced, "")
	}
	w.until("rechecks are over", func() bool { return strings.Count(w.log.String(), "msg=refreshed") >= 2 })
	stop()
	w.kubectl("patch", "configmap", "spoilt", "--type=merge", "-p", `{"data":{"k":"x"}}`)
	before := w.versionOf("configmap/kept", "es/kept")
	rec := permits.New()
	w.start(func(c *Config) { generic(c); c.REST = rec.Wrap(testREST) })
	w.configMap("spoilt", map[string]string{"k": canary + "1"})
	w.until("both were looked at", func() bool { return rec.Count("get /configmaps") >= 2 })
	w.force("spoilt")
	if after := w.versionOf("configmap/kept", "es/kept"); after != before {
		t.Errorf("a restart changed objects: %s, then %s", before, after)
	}
}

// The right to write ConfigMaps is an option of the roles; one to write other kinds
// is the administrator's to give. What is missing is named.
func TestManifestRights(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.defineWidgets()
	narrow := rbac.Options{Name: w.ns, Namespace: w.ns, Namespaces: []string{w.ns}}
	cfg, _ := w.grant(narrow)
	stop := w.start(func(c *Config) {
		generic(c)
		c.REST, c.NoRotation, c.NoClusterStores, c.NoPush, c.NoReload = cfg, true, true, true, true
	})
	w.apply(es("cm", inConfigMap(", deletionPolicy: Delete")) + es("gadget", inWidget(", deletionPolicy: Delete"+atPath)))
	w.es("cm", v1.ReasonResourceSyncedError, "the operator may not patch configmaps in namespace "+w.ns+": apply the roles that strongkeep operator rbac --unsafe-allow-generic-targets prints")
	w.es("gadget", v1.ReasonResourceSyncedError, "the operator may not get widgets.example.com in namespace "+w.ns+": add a role")
	stop()

	wide := narrow
	wide.Name, wide.ConfigMaps = w.ns+"-wide", true
	cfg, rec := w.grant(wide)
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "widgets"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"example.com"}, Resources: []string{"widgets"}, Verbs: []string{"get", "create", "patch", "delete"}},
	}}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "widgets"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "widgets"},
		Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: cfg.Impersonate.UserName}},
	}
	if err := testClient.Create(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	if err := testClient.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	w.start(func(c *Config) {
		generic(c)
		c.REST, c.NoRotation, c.NoClusterStores, c.NoPush, c.NoReload = cfg, true, true, true, true
	})
	w.es("cm", v1.ReasonResourceSynced, "")
	w.es("gadget", v1.ReasonResourceSynced, "") // its role may come into force a moment later than we start
	w.kubectl("patch", "configmap", "cm", "--type=merge", "-p", `{"data":{"k":"x"}}`)
	w.configMap("cm", map[string]string{"k": canary + "1"})
	w.until("subscribed", func() bool { return w.vault.Subscribers() == 1 })
	w.vault.Delete("app")
	w.es("cm", v1.ReasonResourceDeleted, "")
	w.es("gadget", v1.ReasonResourceDeleted, "")
	used := rec.Used()
	for _, p := range []string{"get", "create", "patch", "delete"} {
		if !used[p+" /configmaps"] || !used[p+" example.com/widgets"] {
			t.Errorf("%s is in the roles, or in the docs, and not used: %v", p, used)
		}
	}
	for _, path := range rec.Refused() {
		if !strings.Contains(path, "widgets") {
			t.Errorf("refused: %s", path)
		}
	}
	for p := range permits.Granted(narrow) {
		if !permits.Granted(wide)[p] {
			t.Errorf("without %s", p)
		}
	}
	if slices.Contains([]bool{permits.Granted(narrow)["create /configmaps"], permits.Granted(narrow)["patch /configmaps"], permits.Granted(narrow)["delete /configmaps"]}, true) {
		t.Error("the right to write ConfigMaps is there without the option")
	}
}
