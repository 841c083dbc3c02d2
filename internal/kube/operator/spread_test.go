package operator

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
)

// namespace makes a namespace of the test's with labels.
func (w *world) namespace(suffix string, labels map[string]string) string {
	w.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.ns + "-" + suffix, Labels: labels}}
	if err := testClient.Create(w.Context(), ns); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		for _, o := range []client.Object{&v1.ExternalSecret{}, &v1alpha1.PushSecret{}} {
			if err := testClient.DeleteAllOf(contextOf(w), o, client.InNamespace(ns.Name)); err != nil {
				w.Error(err)
			}
		}
		w.remove(ns)
	})
	return ns.Name
}

func (w *world) label(ns, patch string) {
	w.Helper()
	err := testClient.Patch(w.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":`+patch+`}}`)))
	if err != nil {
		w.Fatal(err)
	}
}

// example applies an example of objects that are in no namespace, each under a name
// of the test's own.
func (w *world) example(file string, names ...string) {
	w.Helper()
	raw, err := os.ReadFile("../../../examples/push/" + file)
	if err != nil {
		w.Fatal(err)
	}
	text := string(raw)
	for _, name := range names {
		text = strings.ReplaceAll(text, name, w.ns+"-"+name)
	}
	w.apply(text)
}

func (w *world) spread(name string, words string, ready bool) *v1.ClusterExternalSecret {
	w.Helper()
	return await(w, &v1.ClusterExternalSecret{ObjectMeta: metav1.ObjectMeta{Name: name}}, name+" "+words, func(c *v1.ClusterExternalSecret) bool {
		condition := v1.FindCondition(c.Status.Conditions, v1.ConditionReady)
		return condition != nil && v1.IsReady(c.Status.Conditions) == ready && strings.Contains(condition.Message, words)
	})
}

func (w *world) absent(o client.Object, ns, name string) {
	w.Helper()
	w.until(fmt.Sprintf("%T %s/%s is gone", o, ns, name), func() bool {
		err := testClient.Get(w.Context(), types.NamespacedName{Namespace: ns, Name: name}, o)
		return client.IgnoreNotFound(err) == nil && err != nil
	})
}

// facts §1.4: ExternalSecrets where labels and names say, kept as they are to be, no
// longer where they say no more; what another made is left alone.
func TestClusterExternalSecret(t *testing.T) {
	w := newWorld(t)
	w.apply("apiVersion: external-secrets.io/v1\nkind: ClusterSecretStore\nmetadata: {name: " + w.ns + "-shared-registry}\nspec: {provider: {fake: {data: [{key: registry, value: '{\"password\":\"" + canary + "\"}'}]}}}\n")
	w.Cleanup(func() {
		w.remove(&v1.ClusterSecretStore{ObjectMeta: metav1.ObjectMeta{Name: w.ns + "-shared-registry"}})
	})
	label := w.ns + "-registry-credentials"
	a, b := w.namespace("a", map[string]string{label: "wanted"}), w.namespace("b", map[string]string{label: "wanted"})
	c, d := w.namespace("c", nil), w.namespace("d", map[string]string{label: "wanted"})
	theirs := &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{Namespace: d, Name: "registry"}, Spec: v1.ExternalSecretSpec{
		SecretStoreRef: v1.SecretStoreRef{Name: "theirs"}, Data: []v1.ExternalSecretData{{SecretKey: "k", RemoteRef: v1.RemoteRef{Key: "x"}}},
	}}
	if err := testClient.Create(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	w.start(func(cfg *Config) { cfg.Namespaces = nil })
	w.example("cluster-external-secret.yaml", "registry-credentials", "shared-registry")
	name := label
	w.Cleanup(func() { w.remove(&v1.ClusterExternalSecret{ObjectMeta: metav1.ObjectMeta{Name: name}}) })

	got := w.spread(name, "in 2 namespaces, and not in 1", false)
	if !slices.Equal(got.Status.ProvisionedNamespaces, []string{a, b}) || len(got.Status.FailedNamespaces) != 1 || got.Status.FailedNamespaces[0].Namespace != d ||
		!strings.Contains(got.Status.FailedNamespaces[0].Reason, "was not made by this") || got.Status.ExternalSecretName != "registry" {
		t.Errorf("status %+v", got.Status)
	}
	child := func(ns string) *v1.ExternalSecret {
		return &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "registry"}}
	}
	for _, ns := range []string{a, b} {
		es := await(w, child(ns), "made in "+ns, func(es *v1.ExternalSecret) bool { return v1.IsReady(es.Status.Conditions) })
		if o := metav1.GetControllerOf(es); o == nil || o.UID != got.UID || es.Labels["purpose"] != "registry" {
			t.Errorf("%s: owner %+v, labels %v", ns, o, es.Labels)
		}
		var s corev1.Secret
		if err := testClient.Get(t.Context(), types.NamespacedName{Namespace: ns, Name: "registry"}, &s); err != nil || string(s.Data["password"]) != canary || s.Annotations[v1.AnnotationSpread] != "" {
			t.Errorf("%s: Secret with %d keys, annotations %v (%v)", ns, len(s.Data), s.Annotations, err)
		}
	}
	if err := testClient.Get(t.Context(), client.ObjectKeyFromObject(theirs), theirs); err != nil || theirs.Spec.SecretStoreRef.Name != "theirs" {
		t.Errorf("what another made was changed (%v)", err)
	}

	// Edited and deleted by hand; labels of namespaces that come and go; names.
	if err := testClient.Patch(t.Context(), child(a), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"purpose":"other"},"annotations":{"mine":"1"}},"spec":{"refreshInterval":"7m"}}`))); err != nil {
		t.Fatal(err)
	}
	await(w, child(a), "mended", func(es *v1.ExternalSecret) bool {
		return es.Labels["purpose"] == "registry" && es.Spec.RefreshInterval.Minutes() == 60 && es.Annotations["mine"] == "1"
	})
	if err := testClient.Delete(t.Context(), child(b)); err != nil {
		t.Fatal(err)
	}
	await(w, child(b), "made anew", func(*v1.ExternalSecret) bool { return true })
	w.label(b, `{"`+label+`":null}`)
	w.absent(child(b), b, "registry")
	w.label(c, `{"`+label+`":"wanted"}`)
	await(w, child(c), "made in another", func(*v1.ExternalSecret) bool { return true })
	if err := testClient.Delete(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	w.spread(name, "in 3 namespaces", true)
	w.kubectl("annotate", "ces", name, "external-secrets.io/force-sync=7")
	await(w, child(c), "asked for anew", func(es *v1.ExternalSecret) bool { return es.Annotations["external-secrets.io/force-sync"] == "7" })
	w.kubectl("patch", "ces", name, "--type=merge", "-p", `{"spec":{"namespaceSelectors":null,"namespaces":["`+a+`","not-there"],"externalSecretMetadata":{"labels":null},"externalSecretName":"renamed"}}`)
	await(w, &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{Namespace: a, Name: "renamed"}}, "renamed", func(es *v1.ExternalSecret) bool { return es.Labels["purpose"] == "" })
	for _, ns := range []string{a, c, d} {
		w.absent(child(ns), ns, "registry")
	}
	w.spread(name, "in 1 namespaces", true)

	// A namespace that is being deleted gets nothing more, and hinders nobody.
	if err := testClient.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: a}}); err != nil {
		t.Fatal(err)
	}
	w.spread(name, "in 0 namespaces", true)
	w.kubectl("patch", "ces", name, "--type=merge", "-p", `{"spec":{"namespaceSelectors":[{"matchExpressions":[{"key":"a","operator":"Odd"}]}]}}`)
	w.spread(name, "namespaceSelectors[0]", false)
	out := w.kubectl("get", "ces", name) + w.kubectl("get", "clusterexternalsecrets.v1beta1.external-secrets.io", name)
	if strings.Count(out, "STORE") != 2 || strings.Count(out, "REFRESH INTERVAL") != 2 || !strings.Contains(out, "1h0m0s") {
		t.Errorf("columns:\n%s", out)
	}
}

// The manifest of examples/: PushSecrets in many namespaces. Two that push to one
// property are rivals, also from different namespaces.
func TestClusterPushSecret(t *testing.T) {
	w := newWorld(t)
	text := strings.NewReplacer("NAME", w.ns+"-shared-push", "NS", w.ns).Replace(clusterStore)
	w.apply(store + strings.Replace(text, "  conditions: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: "+w.ns+"}}}]\n", "", 1))
	w.Cleanup(func() { w.remove(&v1.ClusterSecretStore{ObjectMeta: metav1.ObjectMeta{Name: w.ns + "-shared-push"}}) })
	label := w.ns + "-push-authority"
	a := w.namespace("a", map[string]string{label: "wanted"})
	if err := testClient.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: a, Name: "ca"}, Data: map[string][]byte{"ca.crt": []byte(canary)}}); err != nil {
		t.Fatal(err)
	}
	w.start(func(cfg *Config) { cfg.Namespaces = nil })
	w.example("cluster-push-secret.yaml", "push-authority", "shared-push")
	w.Cleanup(func() {
		var list v1alpha1.ClusterPushSecretList
		if err := testClient.List(contextOf(w), &list); err != nil {
			w.Error(err)
		}
		for i := range list.Items {
			w.remove(&list.Items[i])
		}
	})
	w.remote("authorities/all", `{"ca.crt":"`+canary+`"}`)
	var list v1alpha1.ClusterPushSecretList
	w.until("the status says so", func() bool {
		if err := testClient.List(t.Context(), &list); err != nil {
			t.Fatal(err)
		}
		return len(list.Items) == 1 && slices.Equal(list.Items[0].Status.ProvisionedNamespaces, []string{a}) && list.Items[0].Status.PushSecretName == "authority"
	})
	w.label(a, `{"`+label+`":null}`)
	w.absent(&v1alpha1.PushSecret{}, a, "authority")
}
