package operator

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
)

// The advisories of the External Secrets Operator, each as an attack on this one: a
// tenant has a namespace, an operator works there and in another, and the tenant may
// write ExternalSecrets, SecretStores and PushSecrets in the own one only.

// attacked returns the tenant's world and another with a Secret and a ConfigMap that
// nobody else is to learn of, and an operator that works in both.
func attacked(t *testing.T) (w, other *world) {
	t.Helper()
	w, other = newWorld(t), newWorld(t)
	ready(w)
	other.apply(source("theirs", `{k: "`+canary+`-theirs", token: root}`) + "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs}\ndata: {ca.crt: " + canary + "-ca}\n")
	w.start(func(c *Config) { c.Namespaces = []string{w.ns, other.ns} })
	return w, other
}

// nothingMade fails if the tenant has Secrets beside names, or one with a word of the other's.
func (w *world) nothingMade(names ...string) {
	w.Helper()
	var made corev1.SecretList
	if err := testClient.List(w.Context(), &made, client.InNamespace(w.ns)); err != nil {
		w.Fatal(err)
	}
	for i := range made.Items {
		s := &made.Items[i]
		if !slices.Contains(append(names, "vault-token", KeySecret), s.Name) {
			w.Errorf("there is Secret %s", s.Name)
		}
		for key, value := range s.Data {
			if strings.Contains(string(value), "-theirs") {
				w.Errorf("Secret %s has what is another namespace's at %s", s.Name, key)
			}
		}
	}
}

// GHSA-77v3-r3jw-j2v2: a template asked the API server for Secrets of any namespace by
// getSecretKey. No function of ours reads anything, whatever it is called.
func TestGHSA77v3TemplatesReadNoSecrets(t *testing.T) {
	w, other := attacked(t)
	for name, template := range map[string]string{
		"key":    `{{ getSecretKey "theirs" "` + other.ns + `" "k" }}`,
		"whole":  `{{ getSecret "theirs" "` + other.ns + `" }}`,
		"lookup": `{{ lookup "v1" "Secret" "` + other.ns + `" "theirs" }}`,
	} {
		w.apply(es(name, oneKey+"\n  target: {template: {data: {stolen: '"+template+"'}}}"))
		w.es(name, v1.ReasonSecretSyncedError, "not defined")
		w.apply(ps("push-"+name, pushTo(name)+"\n  template: {data: {k: '"+template+"'}}") + source("src", "{k: mine}"))
		w.pushed("push-"+name, v1alpha1.ReasonErrored, "not defined")
		if _, _, ok := w.vault.State("pushed/" + name); ok {
			t.Errorf("%s: something was pushed", name)
		}
	}
	w.nothingMade("src")
}

// GHSA-77v3-r3jw-j2v2, its other half: templateFrom names an object of the own namespace,
// also by a name that looks like a path.
func TestGHSA77v3TemplateFromStaysInItsNamespace(t *testing.T) {
	w, other := attacked(t)
	for name, from := range map[string]string{
		"secret":    "{secret: {name: theirs, items: [{key: k}]}}",
		"configmap": "{configMap: {name: theirs, items: [{key: ca.crt}]}}",
		"path":      "{secret: {name: ../" + other.ns + "/theirs, items: [{key: k}]}}",
	} {
		text := es(name, oneKey+"\n  target: {template: {templateFrom: ["+from+"]}}")
		if name == "path" {
			if _, err := testCluster.Kubectl(t.Context(), strings.NewReader(text), "apply", "-n", w.ns, "-f", "-"); err != nil {
				continue // the API server refuses such a name
			}
		} else {
			w.apply(text)
		}
		w.es(name, v1.ReasonSecretSyncedError, "")
	}
	w.nothingMade()
}

// GHSA-fcxq-v2r3-cc8h: a PushSecret's selector listed Secrets of all namespaces.
func TestGHSAfcxqSelectorsListTheOwnNamespace(t *testing.T) {
	w, other := attacked(t)
	other.apply(source("labelled", `{k: "`+canary+`-theirs"}`))
	w.apply(source("labelled", "{k: mine}"))
	for name, selector := range map[string]string{"by-label": "{matchLabels: {made: here}}", "by-everything": "{}"} {
		w.apply(ps(name, "  selector: {secret: {selector: "+selector+"}}\n  data: [{match: {remoteRef: {remoteKey: pushed/"+name+"}}}]"))
		await(w, &v1alpha1.PushSecret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}, name, func(p *v1alpha1.PushSecret) bool {
			return v1.FindCondition(p.Status.Conditions, v1.ConditionReady) != nil
		})
		if object, _, _ := w.vault.State("pushed/" + name); strings.Contains(object, "-theirs") {
			t.Errorf("%s pushed what is another namespace's", name)
		}
	}
	object, _, _ := w.vault.State("pushed/by-label")
	if !strings.Contains(object, "mine") {
		t.Error("nothing was pushed at all, so that this test shows nothing")
	}
}

// GHSA-fq7h-9x26-6j22 (CVE-2026-42876): an ExternalSecret made a Secret that Kubernetes
// fills with a token of any ServiceAccount of the namespace. The definitions refuse the
// type in every version; where a cluster has others, so does the operator
// (TestGHSAfq7hTypesThatKubernetesFillsIn in render).
func TestGHSAfq7hNoTokensOfServiceAccounts(t *testing.T) {
	w, _ := attacked(t)
	for _, kind := range []string{"kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"} {
		typed := "{template: {type: " + kind + ", metadata: {annotations: {kubernetes.io/service-account.name: default}}}}"
		for name, text := range map[string]string{
			"v1":      es("token", oneKey+"\n  target: "+typed),
			"v1beta1": strings.Replace(es("token", oneKey+"\n  target: "+typed), "external-secrets.io/v1", "external-secrets.io/v1beta1", 1),
			"merge":   es("token", oneKey+"\n  target: "+strings.Replace(typed, "{template", "{creationPolicy: CreateOrMerge, template", 1)),
			"cluster": "apiVersion: external-secrets.io/v1\nkind: ClusterExternalSecret\nmetadata: {name: " + w.ns + "}\nspec: {namespaceSelectors: [{}], externalSecretSpec: {secretStoreRef: {name: vault}, data: [{secretKey: k, remoteRef: {key: app}}], target: " + typed + "}}\n",
			"push":    ps("token", pushTo("token")+"\n  template: {type: "+kind+"}"),
		} {
			_, err := testCluster.Kubectl(t.Context(), strings.NewReader(text), "apply", "-n", w.ns, "--dry-run=server", "-f", "-")
			if err == nil || !strings.Contains(err.Error(), "made by Kubernetes itself") {
				t.Errorf("%s, %s: %v", kind, name, err)
			}
		}
	}
	w.nothingMade()
}

// GHSA-wv26-88m5-6h59 (CVE-2026-42875): a SecretStore's caProvider read a ConfigMap of
// another namespace. The refusal is the same whether it is there or not.
func TestGHSAwv26AuthoritiesOfTheOwnNamespace(t *testing.T) {
	w, other := attacked(t)
	said := map[string]string{}
	for _, kind := range []string{"ConfigMap", "Secret"} {
		for _, name := range []string{"theirs", "nobodys"} {
			store := strings.ToLower(kind) + "-" + name
			w.apply("apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: " + store + "}\nspec:\n  provider:\n    vault:\n      server: VAULT\n" +
				"      caProvider: {type: " + kind + ", name: " + name + ", key: ca.crt, namespace: " + other.ns + "}\n      auth: {tokenSecretRef: {name: vault-token, key: token}}\n")
			s := await(w, &v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: store}}, store, func(s *v1.SecretStore) bool {
				c := v1.FindCondition(s.Status.Conditions, v1.ConditionReady)
				return c != nil && c.Reason == v1.ReasonInvalidProvider && strings.Contains(c.Message, "reads only its own namespace")
			})
			text := strings.ReplaceAll(v1.FindCondition(s.Status.Conditions, v1.ConditionReady).Message, store, "STORE")
			if before, ok := said[kind]; ok && before != text {
				t.Errorf("who asks can tell whether a %s is there: %q and %q", kind, before, text)
			}
			said[kind] = text
		}
	}
}

// GHSA-r2pg-r6h7-crf3 (CVE-2026-34984): a template asked the DNS for a name made of a
// secret. There is no such function, nor one for the environment, in any template.
func TestGHSAr2pgTemplatesAskNoDNS(t *testing.T) {
	w, _ := attacked(t)
	w.apply(source("src", "{k: mine}"))
	for name, function := range map[string]string{"dns": "getHostByName", "env": "env", "expand": "expandenv"} {
		template := "'{{ " + function + ` (print .k ".example.org") }}'`
		w.apply(es(name, oneKey+"\n  target: {template: {data: {x: "+template+"}}}"))
		w.es(name, v1.ReasonSecretSyncedError, "not defined")
		w.apply(es(name+"-literal", oneKey+"\n  target: {template: {templateFrom: [{literal: "+template+"}]}}"))
		w.es(name+"-literal", v1.ReasonSecretSyncedError, "not defined")
		w.apply(es(name+"-rewrite", "  dataFrom: [{extract: {key: app}, rewrite: [{transform: {template: '{{ "+function+" .value }}'}}]}]"))
		w.es(name+"-rewrite", v1.ReasonSecretSyncedError, "not defined")
		w.apply(ps(name, pushTo(name)+"\n  template: {data: {k: "+template+"}}"))
		w.pushed(name, v1alpha1.ReasonErrored, "not defined")
	}
	w.nothingMade("src")
}
