package operator

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	admission "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// store is a SecretStore on the test's vault with a token from a Secret.
const store = `
apiVersion: v1
kind: Secret
metadata: {name: vault-token}
stringData: {token: root}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: vault}
spec:
  provider:
    vault:
      server: VAULT
      path: secret
      auth: {tokenSecretRef: {name: vault-token, key: token}}
---
`

// The manifest of seed 002, as it stands in examples/, changed only in the
// server's address: v1beta1, a key with mount and "data/", no property.
func TestExampleManifest(t *testing.T) {
	w := newWorld(t)
	w.vault.Put("my-app/config", `{"user":"app","password":"`+canary+`","html":"<&>"}`)
	w.start(nil)
	raw, err := os.ReadFile("../../../examples/operator/my-app.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w.apply(strings.ReplaceAll(string(raw), "https://strongkeep.example:8200", "VAULT"))
	es := w.es("my-app-secrets", v1.ReasonSecretSynced, "")
	s := w.secret("my-app-secrets", map[string]string{"config": `{"html":"<&>","password":"` + canary + `","user":"app"}`})

	if s.Labels[target.LabelManaged] != "true" || s.Labels[target.LabelCreatedBy] != target.CreatedBy(w.ns, "my-app-secrets") {
		t.Errorf("labels %v", s.Labels)
	}
	if c := metav1.GetControllerOf(s); c == nil || c.UID != es.UID || c.APIVersion != "external-secrets.io/v1" {
		t.Errorf("owner %+v", c)
	}
	if s.Type != corev1.SecretTypeOpaque || s.Annotations[target.AnnotationMark] == "" {
		t.Errorf("type %s, annotations %v", s.Type, s.Annotations)
	}
	if es.Status.Binding.Name != "my-app-secrets" || es.Status.RefreshTime.IsZero() || !strings.HasPrefix(es.Status.SyncedResourceVersion, "1-") {
		t.Errorf("status %+v", es.Status)
	}
	if n := w.vault.Count("auth/kubernetes/login"); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
	out := w.kubectl("get", "es")
	for _, want := range []string{"STORETYPE", "vault-backend", "SecretSynced", "True", "LAST SYNC"} {
		if !strings.Contains(out, want) {
			t.Errorf("kubectl get es lacks %q:\n%s", want, out)
		}
	}
	if out := w.kubectl("get", "externalsecrets.v1beta1.external-secrets.io", "my-app-secrets", "-o", "jsonpath={.apiVersion}"); out != "external-secrets.io/v1beta1" {
		t.Errorf("read as v1beta1 it is %q", out)
	}
}

func es(name, body string) string {
	return "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: " + name + "}\nspec:\n  secretStoreRef: {name: vault}\n" + body + "\n---\n"
}

const oneKey = "  data: [{secretKey: k, remoteRef: {key: app, property: k}}]"

func ready(w *world) {
	w.Helper()
	w.vault.Put("app", `{"k":"`+canary+`1","num":7,"o":{"deep":"`+canary+`2"},"b64":"Y2FuYXJ5LTRiZTE="}`)
	w.apply(store)
}

// facts/external-secrets.md §1.2: data, extract, strategies, precedence.
func TestSources(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.vault.Put("odd", `{"a/b":"1","k":"from odd"}`)
	w.vault.PutMeta("app", map[string]string{"owner": "team"})
	w.start(nil)
	w.apply(es("parts", `  data:
  - {secretKey: k, remoteRef: {key: app, property: k}}
  - {secretKey: num, remoteRef: {key: app, property: num}}
  - {secretKey: deep, remoteRef: {key: app, property: o.deep}}
  - {secretKey: decoded, remoteRef: {key: app, property: b64, decodingStrategy: Auto}}
  - {secretKey: meta, remoteRef: {key: app, property: owner, metadataPolicy: Fetch}}`) +
		es("extract", "  dataFrom: [{extract: {key: app}}, {extract: {key: odd, conversionStrategy: Unicode}}]\n  data: [{secretKey: num, remoteRef: {key: app, property: k}}]") +
		es("whole", "  data: [{secretKey: all, remoteRef: {key: secret/data/odd}}]"))
	w.secret("parts", map[string]string{"k": canary + "1", "num": "7", "deep": canary + "2", "decoded": canary, "meta": "team"})
	w.secret("extract", map[string]string{"k": "from odd", "num": canary + "1", "o": `{"deep":"` + canary + `2"}`, "b64": "Y2FuYXJ5LTRiZTE=", "a_U002f_b": "1"})
	w.secret("whole", map[string]string{"all": `{"a/b":"1","k":"from odd"}`})
}

// A write in the vault reaches the Secret by the vault's word (the next look would
// be in an hour), a lost subscription resyncs, and what is frozen stays.
func TestChangesArriveAtOnce(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.vault.Put("still", `{"k":"first"}`)
	still := strings.Replace(oneKey, "key: app", "key: still", 1)
	w.start(nil)
	w.apply(es("live", oneKey) + es("frozen", still+"\n  refreshInterval: 0s"))
	w.es("frozen", v1.ReasonSecretSynced, "")
	w.apply(es("once", strings.Replace(still, "property: k", "property: k, version: '1'", 1)+"\n  refreshPolicy: CreatedOnce"))
	for _, name := range []string{"live", "frozen", "once"} {
		w.es(name, v1.ReasonSecretSynced, "")
	}
	w.until("subscribed", func() bool { return w.vault.Subscribers() == 1 })
	began := time.Now()
	w.vault.Put("app", `{"k":"second"}`)
	w.secret("live", map[string]string{"k": "second"})
	t.Logf("the change took %v", time.Since(began))
	w.vault.DropConnections()
	w.vault.PutQuietly("app", `{"k":"missed"}`)
	w.vault.Put("still", `{"k":"later"}`)
	w.secret("live", map[string]string{"k": "missed"})
	for _, name := range []string{"frozen", "once"} {
		w.secret(name, map[string]string{"k": "first"})
	}
	// A change of the object itself always counts (#4447).
	w.kubectl("annotate", "es", "frozen", "force-sync=1")
	w.secret("frozen", map[string]string{"k": "later"})
}

func TestDriftIsRepaired(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	w.apply(strings.Replace(es("drift", oneKey), "metadata: {name: drift}", "metadata: {name: drift, labels: {team: a}}", 1))
	w.secret("drift", map[string]string{"k": canary + "1"})
	reads := w.vault.Count("secret/data/app")
	want := map[string]string{"k": canary + "1"}
	for what, args := range map[string][]string{
		"value":   {"patch", "secret", "drift", "--type=merge", "-p", `{"data":{"k":"eA=="}}`},
		"new key": {"patch", "secret", "drift", "--type=merge", "-p", `{"data":{"mine":"eA=="}}`},
		"key":     {"patch", "secret", "drift", "--type=json", "-p", `[{"op":"remove","path":"/data/k"}]`},
		"label":   {"label", "secret", "drift", "team=b", "--overwrite"},
		"managed": {"label", "secret", "drift", target.LabelManaged + "-"},
		"owner":   {"label", "secret", "drift", target.LabelCreatedBy + "=x", "--overwrite"},
		"mark":    {"annotate", "secret", "drift", target.AnnotationMark + "-"},
		"deleted": {"delete", "secret", "drift"},
	} {
		before := w.secret("drift", want)
		w.kubectl(args...)
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "drift"}}
		await(w, s, "repair of "+what, func(s *corev1.Secret) bool {
			return s.ResourceVersion != before.ResourceVersion && len(s.Data) == 1 && string(s.Data["k"]) == want["k"] && s.Labels["team"] == "a" &&
				s.Labels[target.LabelManaged] == "true" && s.Labels[target.LabelCreatedBy] == target.CreatedBy(w.ns, "drift") && s.Annotations[target.AnnotationMark] != ""
		})
	}
	// What others add beside our fields is theirs, and costs no read of the store.
	_ = reads
	w.kubectl("label", "secret", "drift", "theirs=1")
	w.es("drift", v1.ReasonSecretSynced, "")
	if s := w.secret("drift", want); s.Labels["theirs"] != "1" {
		t.Error("a label of somebody else was removed")
	}
}

// #2416: a Secret that is not ours is never overwritten.
func TestForeignSecretsAreLeftAlone(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: argocd-secret}\nstringData: {admin: theirs}\n")
	w.start(nil)
	for _, policy := range []string{"Owner", "Orphan"} {
		w.apply(es("thief-"+strings.ToLower(policy), oneKey+"\n  target: {name: argocd-secret, creationPolicy: "+policy+"}"))
		w.es("thief-"+strings.ToLower(policy), v1.ReasonSecretSyncedError, `Secret "argocd-secret" is not overwritten: it was not made by this ExternalSecret`)
	}
	s := w.secret("argocd-secret", map[string]string{"admin": "theirs"})
	if len(s.Labels) != 0 || len(s.OwnerReferences) != 0 {
		t.Errorf("it was touched: %v %v", s.Labels, s.OwnerReferences)
	}
	// Once it is gone, the name is free.
	w.kubectl("delete", "secret", "argocd-secret")
	w.secret("argocd-secret", map[string]string{"k": canary + "1"})
}

func TestTwoOwnersOfOneName(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	w.apply(es("first", oneKey+"\n  target: {name: shared}"))
	w.es("first", v1.ReasonSecretSynced, "")
	w.apply(es("second", oneKey+"\n  target: {name: shared}"))
	w.es("second", v1.ReasonSecretSyncedError, `it belongs to ExternalSecret "first"`)
}

// An owner reference that somebody takes off comes back, or the Secret would outlive its
// ExternalSecret; and nothing else changes with it.
func TestOwnerReferenceComesBack(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	w.apply(es("owned", oneKey+"\n  target: {template: {data: {drawn: '{{ randAlphaNum 20 }}'}}}"))
	w.es("owned", v1.ReasonSecretSynced, "")
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "owned"}}
	first := await(w, s, "the Secret", func(s *corev1.Secret) bool { return len(s.OwnerReferences) == 1 }).DeepCopy()
	w.kubectl("patch", "secret", "owned", "--type=json", "-p", `[{"op":"remove","path":"/metadata/ownerReferences"}]`)
	again := await(w, s, "its owner reference", func(s *corev1.Secret) bool {
		return s.ResourceVersion != first.ResourceVersion && len(s.OwnerReferences) == 1
	})
	if got := again.OwnerReferences[0]; !equality.Semantic.DeepEqual(got, first.OwnerReferences[0]) {
		t.Errorf("%+v, want %+v", got, first.OwnerReferences[0])
	}
	if string(again.Data["drawn"]) != string(first.Data["drawn"]) {
		t.Error("what was drawn was drawn anew")
	}
}

// What refuses the owner reference is told, and ends nothing else.
func TestOwnerReferenceRefused(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	w.apply(es("owned", oneKey))
	w.es("owned", v1.ReasonSecretSynced, "")
	policy := "owners-" + w.ns
	binding := &admission.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: policy}}
	t.Cleanup(func() {
		for _, o := range []client.Object{binding, &admission.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: policy}}} {
			if err := testClient.Delete(context.WithoutCancel(t.Context()), o); client.IgnoreNotFound(err) != nil {
				t.Error(err)
			}
		}
	})
	w.apply(`apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: ` + policy + `}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [secrets]}]
  validations: [{expression: "!has(object.metadata.ownerReferences)", message: nobody owns Secrets here}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: ` + policy + `}
spec:
  policyName: ` + policy + `
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ` + w.ns + `}}}
`)
	// Until the policy is in force, the reference comes back, and is taken off again.
	w.until("the refusal", func() bool {
		w.kubectl("patch", "secret", "owned", "--type=merge", "-p", `{"metadata":{"ownerReferences":null}}`)
		return strings.Contains(w.kubectl("get", "es", "owned", "-o", "jsonpath={.status.conditions[0].message}"), "nobody owns Secrets here")
	})
	if err := testClient.Delete(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	w.es("owned", v1.ReasonSecretSynced, "")
	await(w, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "owned"}}, "its owner reference", func(s *corev1.Secret) bool {
		return len(s.OwnerReferences) == 1
	})
}

// Who only merged into a Secret that another made does not own it by saying so.
func TestMergingMakesNoOwner(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	w.apply(es("maker", oneKey+"\n  target: {name: left, creationPolicy: Orphan}"))
	w.es("maker", v1.ReasonSecretSynced, "")
	w.kubectl("delete", "es", "maker")
	const other = "  data: [{secretKey: other, remoteRef: {key: app, property: num}}]\n"
	w.apply(es("guest", other+"  target: {name: left, creationPolicy: Merge}"))
	w.secret("left", map[string]string{"k": canary + "1", "other": "7"})
	w.apply(es("guest", other+"  target: {name: left, creationPolicy: Owner}"))
	w.es("guest", v1.ReasonSecretSyncedError, `Secret "left" is not overwritten: it was not made by this ExternalSecret`)
	if s := w.secret("left", map[string]string{"k": canary + "1", "other": "7"}); len(s.OwnerReferences) > 0 {
		t.Errorf("it was taken over: %v", s.OwnerReferences)
	}
}

func TestCreationPolicies(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: shared, labels: {theirs: x}}\nstringData: {theirs: x, k: old}\n")
	w.start(nil)
	w.apply(es("merge", oneKey+"\n  target: {name: shared, creationPolicy: Merge}") +
		es("absent", oneKey+"\n  target: {name: not-there, creationPolicy: Merge}") +
		es("orphan", oneKey+"\n  target: {creationPolicy: Orphan}") +
		es("none", oneKey+"\n  target: {creationPolicy: None}"))
	s := w.secret("shared", map[string]string{"theirs": "x", "k": canary + "1"})
	if s.Labels[target.LabelManaged] != "" || s.Annotations[target.AnnotationMark] != "" || len(s.OwnerReferences) > 0 {
		t.Errorf("a merged Secret was marked as ours: %v %v", s.Labels, s.Annotations)
	}
	w.es("absent", v1.ReasonSecretMissing, "creationPolicy Merge needs it")
	if s := w.secret("orphan", map[string]string{"k": canary + "1"}); len(s.OwnerReferences) != 0 {
		t.Error("an orphan has an owner")
	}
	w.es("none", v1.ReasonSecretSynced, "writes no Secret")
	w.kubectl("get", "secret", "none", "--ignore-not-found")
	if out := w.kubectl("get", "secret", "none", "--ignore-not-found", "-o", "name"); out != "" {
		t.Errorf("creationPolicy None made %s", out)
	}
	// What appears later is found; keys that are no longer asked for go, others stay.
	w.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: not-there}\nstringData: {a: b}\n")
	w.secret("not-there", map[string]string{"a": "b", "k": canary + "1"})
	w.apply(es("merge", "  data: [{secretKey: other, remoteRef: {key: app, property: num}}]\n  target: {name: shared, creationPolicy: Merge}"))
	w.secret("shared", map[string]string{"theirs": "x", "other": "7"})
	w.kubectl("patch", "secret", "shared", "--type=merge", "-p", `{"data":{"other":"eA=="}}`)
	w.secret("shared", map[string]string{"theirs": "x", "other": "7"})
}

func TestDeletionPolicies(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.vault.Put("second", `{"x":"y"}`)
	w.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: shared}\nstringData: {theirs: x}\n")
	w.start(nil)
	w.apply(es("retain", oneKey) + es("delete", oneKey+"\n  target: {deletionPolicy: Delete}") +
		es("merge", oneKey+"\n  target: {name: shared, creationPolicy: Merge, deletionPolicy: Merge}") +
		es("part", "  target: {deletionPolicy: Delete}\n  data: [{secretKey: k, remoteRef: {key: app, property: k}}, {secretKey: x, remoteRef: {key: second, property: x}}]"))
	for _, name := range []string{"retain", "delete", "merge", "part"} {
		w.es(name, v1.ReasonSecretSynced, "")
	}
	w.until("subscribed", func() bool { return w.vault.Subscribers() == 1 })
	// A store that is down or sealed is not a store without secrets.
	w.vault.Fail(503)
	tries := 0
	w.until("the store is asked again", func() bool { // values read half a second ago are shared
		tries++
		w.kubectl("annotate", "es", "delete", "--overwrite", fmt.Sprint("try=", tries))
		return strings.Contains(w.kubectl("get", "es", "delete", "-o", "jsonpath={.status.conditions[*].message}"), "Vault is sealed")
	})
	w.secret("delete", map[string]string{"k": canary + "1"})
	w.vault.Fail(0)
	w.vault.Delete("app")
	w.es("retain", v1.ReasonSecretSyncedError, `secret "app" does not exist, or its latest version was deleted`)
	w.secret("retain", map[string]string{"k": canary + "1"})
	w.es("delete", v1.ReasonSecretDeleted, "DeletionPolicy=Delete")
	w.until("the Secret is deleted", func() bool { return w.kubectl("get", "secret", "delete", "--ignore-not-found") == "" })
	w.secret("shared", map[string]string{"theirs": "x"})
	w.secret("part", map[string]string{"x": "y"})
	// It comes back with the value.
	w.vault.Put("app", `{"k":"back"}`)
	w.secret("delete", map[string]string{"k": "back"})
	w.secret("shared", map[string]string{"theirs": "x", "k": "back"})
	w.secret("retain", map[string]string{"k": "back"})
}

// #1430: edits of stores and template objects reach the Secret.
func TestReferencesAreFollowed(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.vault.PutV1("app", `{"k":"from v1"}`)
	const config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: tpl}\ndata: {conf: 'user={{ .k }} VERSION'}\n"
	w.apply(strings.Replace(config, "VERSION", "1", 1))
	w.start(nil)
	w.apply(es("templated", oneKey+"\n  target: {template: {templateFrom: [{configMap: {name: tpl, items: [{key: conf}]}}]}}") +
		es("late", oneKey+"\n  target: {template: {templateFrom: [{secret: {name: later, items: [{key: t, templateAs: KeysAndValues}]}}]}}"))
	w.secret("templated", map[string]string{"conf": "user=" + canary + "1 1"})
	w.es("late", v1.ReasonSecretSyncedError, `Secret "later" does not exist`)
	w.apply(strings.Replace(config, "VERSION", "2", 1) + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: later}\nstringData:\n  t: |\n    a: \"{{ .k }}\"\n    b: 2\n")
	w.secret("templated", map[string]string{"conf": "user=" + canary + "1 2"})
	w.secret("late", map[string]string{"a": canary + "1", "b": "2"})
	w.apply(strings.Replace(store, "path: secret", "path: kv1\n      version: v1", 1))
	w.secret("templated", map[string]string{"conf": "user=from v1 2"})
}

// The order in which objects appear does not matter, and each missing one is named.
func TestMissingObjects(t *testing.T) {
	w := newWorld(t)
	w.vault.Put("app", `{"k":"v"}`)
	w.start(nil)
	w.apply(es("early", oneKey))
	w.es("early", v1.ReasonSecretSyncedError, `SecretStore "`+w.ns+`/vault" does not exist: create it`)
	parts := strings.SplitN(store, "---", 2)
	w.apply(parts[1])
	w.storeReady("vault", v1.ReasonValidationFailed, `Secret "`+w.ns+`/vault-token" does not exist`)
	w.es("early", v1.ReasonSecretSyncedError, `Secret "`+w.ns+`/vault-token" does not exist: create it`)
	w.apply(parts[0])
	w.storeReady("vault", v1.ReasonStoreValid, "")
	w.secret("early", map[string]string{"k": "v"})
}

func (w *world) storeReady(name, reason, words string) {
	w.Helper()
	await(w, &v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}, "SecretStore "+reason, func(s *v1.SecretStore) bool {
		c := v1.FindCondition(s.Status.Conditions, v1.ConditionReady)
		return c != nil && c.Reason == reason && strings.Contains(c.Message, words)
	})
}

// until polls f as watches go by; f must come true by what the operator writes.
func (w *world) until(what string, f func() bool) {
	w.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			w.Fatalf("waited in vain: %s", what)
		}
	}
}

// What cannot work is said so, in words, and changes nothing.
func TestBadObjects(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	for name, c := range map[string]struct{ body, want string }{
		"no-property": {"  data: [{secretKey: k, remoteRef: {key: app, property: nope}}]", `data "k": key "app": property "nope" does not exist`},
		"no-secret":   {"  data: [{secretKey: k, remoteRef: {key: nope}}]", `secret "nope" does not exist`},
		"no-object":   {"  dataFrom: [{extract: {key: app, property: k}}]", "is not a JSON object"},
		"expression":  {"  dataFrom: [{find: {name: {regexp: '('}}}]", "find.name.regexp"},
		"explosion":   {"  dataFrom: [{extract: {key: app}, rewrite: [{regexp: {source: '" + strings.Repeat(".{1000}", 25) + "', target: x}}]}]", "rewrite[0].regexp.source"},
		"clash":       {"  dataFrom: [{extract: {key: app}, rewrite: [{transform: {template: same}}]}]", `both become "same"`},
		"windows":     {oneKey + "\n  syncWindows: {kind: allow, windows: [{schedule: '0 0 31 2 *', duration: 1h}]}", "spec.syncWindows.windows[0].schedule: cron \"0 0 31 2 *\" never fires"},
		"cron":        {oneKey + "\n  syncWindows: {kind: deny, windows: [{schedule: 'daily', duration: 1h}]}", "must have five fields"},
		"immutable":   {oneKey + "\n  target: {creationPolicy: CreateOrMerge, immutable: true}", "spec.target.immutable cannot be with creationPolicy CreateOrMerge"},
		"loop":        {oneKey + "\n  target: {template: {data: {x: '{{range 1000000000}}{{end}}'}}}", ": the template "},
		"huge":        {oneKey + "\n  target: {template: {data: {x: '{{repeat 1000000000 .k}}'}}}", "builds too much data"},
		"missing":     {oneKey + "\n  target: {template: {data: {x: '{{.nope}}'}}}", `no entry for key "nope"`},
		"syntax":      {oneKey + "\n  target: {template: {data: {x: '{{if}}'}}}", "missing value for if"},
		"env":         {oneKey + "\n  target: {template: {data: {x: '{{env \"HOME\"}}'}}}", `function "env" not defined`},
		"tells":       {oneKey + "\n  target: {template: {data: {x: '{{fail .k}}'}}}", "withheld"},
		"range-tells": {oneKey + "\n  target: {template: {data: {x: '{{range .k}}{{end}}'}}}", "withheld"},
		"label-tells": {oneKey + "\n  target: {template: {metadata: {labels: {x: '{{.k}} !'}}}}", "[redacted] !"},
		"bad-key":     {oneKey + "\n  target: {template: {data: {'a/b': x}}}", `"a/b" cannot be a key`},
		"tls":         {oneKey + "\n  target: {template: {type: kubernetes.io/tls}}", "tls.crt"},
	} {
		w.apply(es(name, c.body))
		w.es(name, v1.ReasonSecretSyncedError, c.want)
		if out := w.kubectl("get", "secret", name, "--ignore-not-found", "-o", "name"); out != "" {
			t.Errorf("%s: a Secret was made", name)
		}
	}
}

// What admission refuses, by the CRDs alone.
func TestAdmission(t *testing.T) {
	w := newWorld(t)
	for want, text := range map[string]string{
		"either data or dataFrom":   es("x", "  refreshInterval: 1h"),
		"creationPolicy=Owner":      es("x", oneKey+"\n  target: {creationPolicy: Merge, deletionPolicy: Delete}"),
		"must not be used with":     es("x", oneKey+"\n  target: {creationPolicy: None, deletionPolicy: Merge}"),
		"Duplicate value":           es("x", "  data: [{secretKey: k, remoteRef: {key: a}}, {secretKey: k, remoteRef: {key: b}}]"),
		"made by Kubernetes itself": es("x", oneKey+"\n  target: {template: {type: kubernetes.io/service-account-token}}"),
		"exactly one of configMap":  es("x", oneKey+"\n  target: {template: {templateFrom: [{target: Data}]}}"),
		"Unsupported value":         es("x", oneKey+"\n  target: {creationPolicy: Steal}"),
		"spec.refreshInterval":      es("x", oneKey+"\n  refreshInterval: 30d"), // which no client could decode, nor a list with it
		"unknown field":             es("x", oneKey+"\n  nope: 1"),
		`supported values: "SecretStore", "ClusterSecretStore"`: strings.Replace(es("x", oneKey), "{name: vault}", "{name: vault, kind: Vault}", 1),
		"should have at least 1":                                "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: x}\nspec: {provider: {}}\n",
		"must have at most 1":                                   "apiVersion: external-secrets.io/v1beta1\nkind: SecretStore\nmetadata: {name: x}\nspec: {provider: {vault: {}, fake: {}}}\n",
		"conditions are for a Cluster":                          "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: x}\nspec: {provider: {fake: {}}, conditions: [{namespaces: [a]}]}\n",
	} {
		for _, version := range []string{"v1\n", "v1beta1\n"} {
			_, err := testCluster.Kubectl(t.Context(), strings.NewReader(strings.Replace(text, "v1\n", version, 1)), "apply", "-n", w.ns, "--dry-run=server", "-f", "-")
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: want a refusal with %q, got %v", strings.TrimSpace(version), want, err)
			}
		}
	}
}
