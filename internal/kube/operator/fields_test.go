package operator

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/template"
)

// facts/external-secrets.md §1.2: every value of remoteRef's fields.
func TestRemoteRefs(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.vault.Put("coded", `{"std":"fn5+Pw==","url":"fn5-Pw==","plain":"not base64!","nul":"a\u0000b","a/b":"slash"}`)
	w.vault.Put("coded", `{"std":"fn5+Pw==","url":"fn5-Pw==","plain":"second","nul":"a\u0000b","a/b":"slash"}`)
	w.start(nil)
	w.apply(fakeStore("other", "{key: x, value: from the other}, {key: pairs, value: '{\"one\":\"1\"}'}") + es("refs", `  data:
  - {secretKey: none, remoteRef: {key: coded, property: std, decodingStrategy: None, metadataPolicy: None, conversionStrategy: Default}}
  - {secretKey: std, remoteRef: {key: coded, property: std, decodingStrategy: Base64}}
  - {secretKey: url, remoteRef: {key: coded, property: url, decodingStrategy: Base64URL}}
  - {secretKey: auto-std, remoteRef: {key: coded, property: std, decodingStrategy: Auto}}
  - {secretKey: auto-url, remoteRef: {key: coded, property: url, decodingStrategy: Auto}}
  - {secretKey: auto-plain, remoteRef: {key: coded, property: plain, decodingStrategy: Auto}}
  - {secretKey: former, remoteRef: {key: coded, property: plain, version: '1'}}
  - {secretKey: nul, remoteRef: {key: coded, property: nul, nullBytePolicy: Ignore}}
  - {secretKey: other, remoteRef: {key: x}, sourceRef: {storeRef: {name: other, kind: SecretStore}}}
  dataFrom:
  - {extract: {key: pairs}, sourceRef: {storeRef: {name: other}}}`) +
		es("default", "  dataFrom: [{extract: {key: coded, conversionStrategy: Default}}]") +
		es("not-base64", "  data: [{secretKey: k, remoteRef: {key: coded, property: plain, decodingStrategy: Base64}}]") +
		es("zero-byte", "  data: [{secretKey: k, remoteRef: {key: coded, property: nul, nullBytePolicy: Fail}}]") +
		es("by-generator", "  data: [{secretKey: k, remoteRef: {key: x}, sourceRef: {generatorRef: {kind: UUID, name: x}}}]"))
	w.secret("refs", map[string]string{
		"none": "fn5+Pw==", "std": "~~~?", "url": "~~~?", "auto-std": "~~~?", "auto-url": "~~~?", "auto-plain": "second", "former": "not base64!",
		"nul": "a\x00b", "other": "from the other", "one": "1",
	})
	w.secret("default", map[string]string{"std": "fn5+Pw==", "url": "fn5-Pw==", "plain": "second", "nul": "a\x00b", "a_b": "slash"})
	w.es("not-base64", v1.ReasonSecretSyncedError, "the value is not Base64, which decodingStrategy says it is")
	w.es("zero-byte", v1.ReasonSecretSyncedError, "which nullBytePolicy Fail forbids")
	w.es("by-generator", v1.ReasonSecretSyncedError, "data[].sourceRef.generatorRef is not supported")
}

// facts/external-secrets.md §1.2: refreshPolicy OnChange follows the object and not the
// store; a change of the spec, of a label or of an annotation is one.
func TestOnChange(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.vault.Put("still", `{"k":"first"}`) // which nobody else reads: what is read for another may be asked for anew
	still := strings.Replace(oneKey, "key: app", "key: still", 1) + "\n  refreshPolicy: OnChange"
	w.start(nil)
	w.apply(es("live", oneKey) + es("still", still))
	w.secret("live", map[string]string{"k": canary + "1"})
	w.secret("still", map[string]string{"k": "first"})
	w.es("live", v1.ReasonSecretSynced, "")
	w.es("still", v1.ReasonSecretSynced, "")
	w.until("subscribed", func() bool { return w.vault.Subscribers() == 1 })
	was := "first"
	for value, change := range map[string]func(){
		"by a label":       func() { w.kubectl("label", "es", "still", "team=shop") },
		"by an annotation": func() { w.kubectl("annotate", "es", "still", "ask=1") },
		"by the spec":      func() { w.apply(es("still", still+"\n  refreshInterval: 2h")) },
	} {
		before := w.kubectl("get", "secret", "still", "-o", "jsonpath={.data.k}")
		w.vault.Put("still", `{"k":"`+value+`"}`)
		w.goesOn("live", value)
		if after := w.kubectl("get", "secret", "still", "-o", "jsonpath={.data.k}"); after != before {
			t.Errorf("%s: it follows the store", was)
		}
		change()
		w.secret("still", map[string]string{"k": value})
		was = value
	}
}

// facts/external-secrets.md §1.2: the status, and what is said in events.
func TestStatusAndEvents(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.vault.Put("second", `{"x":"y"}`)
	w.start(nil)
	w.apply(es("said", oneKey+"\n  target: {name: named, deletionPolicy: Delete}") + es("failing", "  data: [{secretKey: k, remoteRef: {key: nope}}]") +
		es("partly", "  target: {deletionPolicy: Delete}\n  data: [{secretKey: k, remoteRef: {key: nope}}, {secretKey: x, remoteRef: {key: second, property: x}}]") +
		es("nowhere", oneKey+"\n  target: {creationPolicy: None}"))
	event := func(reason, words string) {
		t.Helper()
		w.until("the event "+reason+": "+words, func() bool { return strings.Contains(w.events(), reason+": "+words) })
	}
	made := w.es("said", v1.ReasonSecretSynced, "secret synced")
	event("Created", `Secret "named" created`)
	event("UpdateFailed", `data "k"`)
	event("MissingProviderSecret", "synced without what the store does not have")
	format := regexp.MustCompile(`^(\d+)-[0-9a-f]{28}$`)
	version := made.Status.SyncedResourceVersion
	if m := format.FindStringSubmatch(version); m == nil || m[1] != "1" || made.Status.Binding.Name != "named" || made.Status.RefreshTime.IsZero() {
		t.Errorf("status %+v", made.Status)
	}
	if c := v1.FindCondition(made.Status.Conditions, v1.ConditionReady); len(made.Status.Conditions) != 1 || c.Status != metav1.ConditionTrue || c.LastTransitionTime.IsZero() {
		t.Errorf("conditions %+v", made.Status.Conditions)
	}
	if none := w.es("nowhere", v1.ReasonSecretSynced, "creationPolicy None"); none.Status.Binding.Name != "" {
		t.Errorf("nothing is bound, and the status says %q", none.Status.Binding.Name)
	}
	w.kubectl("label", "es", "said", "team=shop")
	labelled := await(w, made, "a label is in the version", func(es *v1.ExternalSecret) bool { return es.Status.SyncedResourceVersion != version })
	if m := format.FindStringSubmatch(labelled.Status.SyncedResourceVersion); m == nil || m[1] != "1" {
		t.Errorf("after a label it is %q", labelled.Status.SyncedResourceVersion)
	}
	w.kubectl("patch", "es", "said", "--type=merge", "-p", `{"spec":{"refreshInterval":"2h"}}`)
	await(w, made, "the generation is in the version", func(es *v1.ExternalSecret) bool {
		return strings.HasPrefix(es.Status.SyncedResourceVersion, "2-")
	})
	w.until("subscribed", func() bool { return w.vault.Subscribers() == 1 })
	w.goesOn("named", "other")
	event("Updated", `Secret "named" updated`)
	w.vault.Delete("app")
	gone := w.es("said", v1.ReasonSecretDeleted, "secret deleted due to DeletionPolicy=Delete")
	event("Deleted", "secret deleted due to DeletionPolicy=Delete")
	if gone.Status.Binding.Name != "" || !v1.IsReady(gone.Status.Conditions) {
		t.Errorf("of a Secret that is deleted the status says %+v", gone.Status)
	}
}

// facts/external-secrets.md §1.2–1.4: selectable fields and printed columns, in each
// version that is served.
func TestSelectableFieldsAndColumns(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	w.apply(es("one", oneKey+"\n  target: {name: shared}\n  refreshInterval: 7m") + of(w.ns+"-x, kind: ClusterSecretStore", es("two", oneKey)) +
		ps("push", "  selector: {secret: {name: shared}}\n  data: [{match: {secretKey: k, remoteRef: {remoteKey: pushed/c, property: k}}}]"))
	w.es("one", v1.ReasonSecretSynced, "")
	w.es("two", v1.ReasonSecretSyncedError, "")
	w.pushed("push", v1alpha1.ReasonSynced, "")
	w.storeReady("vault", v1.ReasonStoreValid, "")
	for _, version := range []string{"v1", "v1beta1"} {
		for selector, want := range map[string]string{
			"spec.secretStoreRef.name=vault": "one", "spec.secretStoreRef.kind=ClusterSecretStore": "two", "spec.target.name=shared": "one",
			"spec.refreshInterval=7m": "one", "spec.refreshInterval=1h0m0s": "two",
		} {
			if out := w.kubectl("get", "externalsecrets."+version+".external-secrets.io", "--field-selector="+selector, "-o", "jsonpath={.items[*].metadata.name}"); out != want {
				t.Errorf("%s: %s selects %q, want %s", version, selector, out, want)
			}
		}
	}
	for kind, want := range map[string][]string{
		"externalsecrets.v1.":      {"NAME", "STORETYPE", "STORE", "REFRESH INTERVAL", "STATUS", "READY", "LAST SYNC"},
		"externalsecrets.v1beta1.": {"NAME", "STORETYPE", "STORE", "REFRESH INTERVAL", "STATUS", "READY", "LAST SYNC"},
		"secretstores.v1.":         {"NAME", "AGE", "STATUS", "CAPABILITIES", "READY"},
		"secretstores.v1beta1.":    {"NAME", "AGE", "STATUS", "CAPABILITIES", "READY"},
		"pushsecrets.v1alpha1.":    {"NAME", "AGE", "STATUS", "LAST SYNC"},
	} {
		head, _, _ := strings.Cut(w.kubectl("get", kind+"external-secrets.io"), "\n")
		if got := regexp.MustCompile(`\s{2,}`).Split(strings.TrimSpace(head), -1); !slices.Equal(got, want) {
			t.Errorf("%s: columns %q, want %q", kind, got, want)
		}
	}
	for _, short := range []string{"es", "ss", "css", "ces", "ps", "external-secrets"} { // and the category
		w.kubectl("get", short, "--ignore-not-found", "-o", "name")
	}
}

// facts/external-secrets.md §1.3: the reasons of a store's condition, its events, and
// refreshInterval as seconds and as a duration.
func TestStoreStatus(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	every := func(name, interval string) string {
		return "---\n" + strings.NewReplacer("{name: vault}", "{name: "+name+"}", "spec:\n", "spec:\n  refreshInterval: "+interval+"\n").Replace(store)
	}
	result := func(name, n string) string {
		return strings.Replace(fakeStore(name, ""), "{data: []}", "{data: [], validationResult: "+n+"}", 1)
	}
	w.apply(every("seconds", "1") + every("duration", "1s") + every("soon", "soon") + result("valid", "0") + result("unknown", "1") + result("invalid", "2") +
		strings.Replace(fakeStore("retries", ""), "spec: {", "spec: {retrySettings: {maxRetries: 3, retryInterval: often}, ", 1) +
		strings.Replace(fakeStore("retried", ""), "spec: {", "spec: {retrySettings: {maxRetries: 3, retryInterval: 10ms}, ", 1) +
		"apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: typo}\nspec: {provider: {vault: {server: 'http://x', auth: {}, sever: x}}}\n")
	for name, want := range map[string][2]string{
		"vault": {v1.ReasonStoreValid, "store validated"}, "seconds": {v1.ReasonStoreValid, ""}, "duration": {v1.ReasonStoreValid, ""},
		"soon":  {v1.ReasonInvalidStore, `spec.refreshInterval "soon" is neither seconds nor a duration`},
		"valid": {v1.ReasonStoreValid, ""}, "unknown": {v1.ReasonValidationUnknown, "validationResult is 1"},
		"invalid": {v1.ReasonInvalidProvider, "validationResult is 2"}, "typo": {v1.ReasonInvalidProvider, "sever"},
		"retries": {v1.ReasonInvalidProvider, `spec.retrySettings.retryInterval "often" is not a duration`}, "retried": {v1.ReasonStoreValid, ""},
	} {
		w.storeReady(name, want[0], want[1])
	}
	for name, ready := range map[string]string{"vault": "True", "unknown": "True", "soon": "False", "invalid": "False"} {
		if out := w.kubectl("get", "ss", name, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`); out != ready {
			t.Errorf("%s: Ready is %s", name, out)
		}
	}
	if out := w.kubectl("get", "ss", "vault", "-o", "jsonpath={.status.capabilities}"); out != string(v1.ReadWrite) {
		t.Errorf("capabilities %q", out)
	}
	w.until("events say so", func() bool {
		all := w.events()
		return strings.Contains(all, "Valid: store validated") && strings.Contains(all, "InvalidProviderConfig: ") && strings.Contains(all, "InvalidStoreConfiguration: ")
	})
	// Nobody uses these: that the vault is sealed is found by looking.
	w.vault.Fail(503)
	w.storeReady("seconds", v1.ReasonValidationFailed, "Vault is sealed")
	w.storeReady("duration", v1.ReasonValidationFailed, "Vault is sealed")
	w.vault.Fail(0)
	w.storeReady("seconds", v1.ReasonStoreValid, "")
	w.storeReady("duration", v1.ReasonStoreValid, "")
}

// facts/external-secrets.md §1.6: every source of templates, every target, and what
// goes over what.
func TestTemplateSources(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.vault.Put("app", `{"k":"`+canary+`1","a":"read","b":"read","c":"read"}`)
	w.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: texts}\ndata:\n  conf: 'k={{ .k }}'\n  pairs: |\n    b: from\n    c: from\n---\n" +
		"apiVersion: v1\nkind: Secret\nmetadata: {name: texts}\nstringData:\n  sconf: 'k={{ .k | upper }}'\n  spairs: |\n    coded: {{ .k | b64enc }}\n    url: fn5-Pw==\n")
	w.start(nil)
	const from = `
  dataFrom: [{extract: {key: app}}]
  target:
    template:
      engineVersion: v2
      MERGE
      data: {c: data}
      metadata: {finalizers: [strongkeep.io/test]}
      templateFrom:
      - {configMap: {name: texts, items: [{key: conf, templateAs: Values}, {key: pairs, templateAs: KeysAndValues}]}}
      - {secret: {name: texts, items: [{key: sconf}]}}
      - {secret: {name: texts, items: [{key: spairs, templateAs: KeysAndValues}]}, valuesDecodingStrategy: Auto}
      - {literal: "over: {{ .a | quote }}", target: Data}
      - {literal: "note: {{ len .k }}", target: Annotations}
      - {literal: "team: {{ .a }}", target: Labels}`
	w.apply(es("merged", strings.Replace(from, "MERGE", "mergePolicy: Merge", 1)) + es("replaced", strings.Replace(from, "MERGE", "mergePolicy: Replace", 1)) +
		es("decoded-wrongly", oneKey+"\n  target: {template: {templateFrom: [{literal: 'k: not base64', valuesDecodingStrategy: Base64}]}}"))
	made := map[string]string{"conf": "k=" + canary + "1", "b": "from", "c": "data", "sconf": "k=" + strings.ToUpper(canary+"1"), "coded": canary + "1", "url": "~~~?", "over": "read"}
	s := w.secret("replaced", made)
	if s.Labels["team"] != "read" || s.Annotations["note"] != "12" || !slices.Contains(s.Finalizers, "strongkeep.io/test") {
		t.Errorf("labels %v, annotations %v, finalizers %v", s.Labels, s.Annotations, s.Finalizers)
	}
	made["k"], made["a"] = canary+"1", "read"
	w.secret("merged", made)
	w.es("decoded-wrongly", v1.ReasonSecretSyncedError, `template literal: key "k": the value is not Base64`)
	for _, name := range []string{"merged", "replaced"} { // which the test has put there
		w.kubectl("delete", "es", name)
		w.kubectl("patch", "secret", name, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	}
}

// facts/external-secrets.md §1.6: each function of the original beside sprig's is there,
// and those of sprig that reach out are not.
func TestTemplateFunctions(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	const call = "\n  target: {template: {data: {x: 'ok{{ if false }}{{ NAME }}{{ end }}'}}}"
	var all strings.Builder
	for _, name := range []string{
		"pkcs12key", "pkcs12keyPass", "pkcs12cert", "pkcs12certPass", "pemToPkcs12", "pemToPkcs12Pass", "fullPemToPkcs12", "fullPemToPkcs12Pass",
		"pemTruststoreToPKCS12", "pemTruststoreToPKCS12Pass", "filterPEM", "filterCertChain", "certSANs", "jwkPublicKeyPem", "jwkPrivateKeyPem",
		"toYaml", "fromYaml", "rsaDecrypt", "b64dec", "regexReplaceAll", "dig", "genSelfSignedCert", "htpasswd",
	} {
		all.WriteString("{{ if false }}{{ " + name + " }}{{ end }}")
	}
	w.apply(es("all", strings.Replace(oneKey+call, "{{ if false }}{{ NAME }}{{ end }}", all.String(), 1)))
	w.secret("all", map[string]string{"x": "ok"})
	for _, name := range []string{"env", "expandenv", "getHostByName"} {
		lower := strings.ToLower(name)
		w.apply(es(lower, strings.Replace(oneKey+call, "NAME", name, 1)))
		w.es(lower, v1.ReasonSecretSyncedError, `function "`+name+`" not defined`)
	}
}

// Other delimiters than the usual ones, in what is read and what is pushed; rewrite
// keeps the usual ones. An operator with others makes anew what its delimiters change.
func TestTemplateDelimiters(t *testing.T) {
	w := newWorld(t)
	ready(w)
	stop := w.start(nil)
	const text = "\n  target: {template: {data: {x: '<< .k >> {{ .k | upper }}'}}}"
	w.apply(es("both", oneKey+text))
	w.secret("both", map[string]string{"x": "<< .k >> " + strings.ToUpper(canary+"1")})
	stop()
	w.start(func(c *Config) {
		c.TemplateDelimiters = template.Delimiters{Left: "<<", Right: ">>"}
		c.GenericTargets = true
	})
	w.apply(es("rewritten", "  dataFrom: [{extract: {key: app}, rewrite: [{transform: {template: 'my_{{ .value }}'}}]}]\n  target: {template: {data: {x: '<< .my_k >>'}}}") +
		es("config", inConfigMap(", template: {data: {x: '<< .k >> {{ of others }}'}}")) + source("src", `{k: "`+canary+`"}`) +
		ps("pushes", pushTo("angles")+"\n  template: {data: {k: '<< .k | upper >>'}}"))
	w.kubectl("annotate", "es", "both", "ask=1")
	w.secret("both", map[string]string{"x": canary + "1 {{ .k | upper }}"})
	w.secret("rewritten", map[string]string{"x": canary + "1"})
	w.configMap("config", map[string]string{"x": canary + "1 {{ of others }}"})
	w.remote("pushed/angles", `{"k":"`+strings.ToUpper(canary)+`"}`)
}
