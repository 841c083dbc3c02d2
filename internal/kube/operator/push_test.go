package operator

import (
	neturl "net/url"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/awstest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure/azuretest"
)

func ps(name, body string) string {
	return "apiVersion: external-secrets.io/v1alpha1\nkind: PushSecret\nmetadata: {name: " + name + "}\nspec:\n  secretStoreRefs: [{name: vault}]\n" + body + "\n---\n"
}

func source(name, data string) string {
	return "apiVersion: v1\nkind: Secret\nmetadata: {name: " + name + ", labels: {made: here}}\nstringData: " + data + "\n---\n"
}

const pushK = "  selector: {secret: {name: src}}\n  data: [{match: {secretKey: k, remoteRef: {remoteKey: pushed/NAME, property: k}}}]"

func pushTo(name string) string { return strings.ReplaceAll(pushK, "NAME", name) }

// pushed waits until the Ready condition of a PushSecret has a reason and words.
func (w *world) pushed(name, reason, words string) *v1alpha1.PushSecret {
	w.Helper()
	return await(w, &v1alpha1.PushSecret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}, name+" "+reason+" "+words, func(p *v1alpha1.PushSecret) bool {
		c := v1.FindCondition(p.Status.Conditions, v1.ConditionReady)
		return c != nil && c.Reason == reason && strings.Contains(c.Message, words)
	})
}

// remote waits until the vault has an object at a key; "" is none.
func (w *world) remote(key, want string) {
	w.Helper()
	w.until("the vault has at "+key+" what it is to have", func() bool {
		object, _, ok := w.vault.State(key)
		return ok == (want != "") && object == want
	})
}

// facts §1.4: a key, at once when the Secret changes (#6069); nothing is written
// when nothing changed (#5443), also after a restart; drift in the store is mended
// when asked; what is no longer asked for is deleted.
func TestPushSecret(t *testing.T) {
	w := newWorld(t)
	ready(w)
	stop := w.start(nil)
	w.apply(source("src", `{k: "`+canary+`", user: app}`) + ps("one", pushTo("one")+"\n  deletionPolicy: Delete"))
	p := w.pushed("one", v1alpha1.ReasonSynced, "PushSecret synced successfully")
	w.remote("pushed/one", `{"k":"`+canary+`"}`)
	if m := w.vault.Meta("pushed/one"); m["managed-by"] != "external-secrets" {
		t.Errorf("metadata %v", m)
	}
	if d, ok := p.Status.SyncedPushSecrets["SecretStore/vault"]["pushed/one/k"]; !ok || d.Match.RemoteRef.Property != "k" || p.Status.RefreshTime.IsZero() {
		t.Errorf("status %+v", p.Status)
	}
	await(w, &v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "vault"}}, "finalizer and capabilities", func(s *v1.SecretStore) bool {
		return len(s.Finalizers) == 1 && s.Finalizers[0] == v1alpha1.StoreFinalizer && s.Status.Capabilities == v1.ReadWrite
	})
	out := w.kubectl("get", "ps")
	for _, want := range []string{"AGE", "STATUS", "LAST SYNC", "Synced"} {
		if !strings.Contains(out, want) {
			t.Errorf("kubectl get ps lacks %q:\n%s", want, out)
		}
	}
	w.apply(source("src", `{k: "`+canary+`2", user: app}`))
	w.remote("pushed/one", `{"k":"`+canary+`2"}`)
	w.pushed("one", v1alpha1.ReasonSynced, "")

	// After a restart, and when the Secret changes where nothing is pushed from,
	// nothing is asked of the store.
	stop()
	writes := w.vault.Writes()
	w.start(nil)
	w.apply(source("src", `{k: "`+canary+`2", user: other}`) + source("other", `{k: x}`) + ps("marker", strings.ReplaceAll(pushTo("marker"), "name: src", "name: other")))
	w.pushed("marker", v1alpha1.ReasonSynced, "")
	w.remote("pushed/marker", `{"k":"x"}`)
	if n := w.vault.Writes() - writes; n != 2 {
		t.Errorf("%d writes after a restart, want the 2 of the new one", n)
	}

	// By hand in the store: mended when it is asked for.
	w.vault.Put("pushed/one", `{"k":"by hand","theirs":"stays"}`)
	w.kubectl("annotate", "ps", "one", "external-secrets.io/force-sync=1")
	w.remote("pushed/one", `{"k":"`+canary+`2","theirs":"stays"}`)

	// Another place: the old one is cleared. Then all is deleted with the object, and
	// the store waits for it.
	w.apply(ps("one", pushTo("two")+"\n  deletionPolicy: Delete"))
	w.remote("pushed/two", `{"k":"`+canary+`2"}`)
	w.remote("pushed/one", `{"theirs":"stays"}`)
	w.kubectl("delete", "ss", "vault", "--wait=false")
	w.kubectl("delete", "ps", "one", "--timeout=60s")
	w.remote("pushed/two", "")
	w.kubectl("wait", "--for=delete", "ss/vault", "--timeout=60s")
	w.remote("pushed/marker", `{"k":"x"}`)
}

// The manifest of examples/, as it stands there.
func TestPushExample(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	raw, err := os.ReadFile("../../../examples/push/push-secret.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w.apply(strings.ReplaceAll(string(raw), "https://strongkeep.example:8200", "VAULT"))
	w.pushed("my-app", v1alpha1.ReasonSynced, "")
	w.remote("my-app/api", `{"token":"example-token","url":"https://app@api.example"}`)
	w.remote("my-app/all", `{"api-token":"example-token","user":"app"}`)
	if m := w.vault.Meta("my-app/api"); m["team"] != "my-app" {
		t.Errorf("metadata %v", m)
	}
	if raw, err = os.ReadFile("../../../examples/push/generated.yaml"); err != nil {
		t.Fatal(err)
	}
	w.apply(string(raw))
	w.pushed("app-login", v1alpha1.ReasonSynced, "")
	password := w.pushedValue("my-app/login", "password", nil)
	if url := w.pushedValue("my-app/login", "url", nil); len(password) != 32 || url != "postgres://app:"+neturl.QueryEscape(password)+"@db.example/app" {
		t.Errorf("a password of %d characters, and another in the address", len(password))
	}
}

// Policies, selectors, several stores, generators; what is wrong is said, with what
// to do, and other entries and objects go on.
func TestPushSecretWays(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.vault.Put("pushed/foreign", `{"k":"theirs"}`)
	w.vault.Put("pushed/there", `{"k":"theirs"}`)
	w.start(nil)
	w.apply(strings.ReplaceAll(store, "{name: vault}", "{name: other, labels: {to: many}}"))
	w.apply("apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: fake, labels: {to: many}}\nspec: {provider: {fake: {data: []}}}\n---\n")
	w.apply(source("src", `{k: "`+canary+`", user: app}`))
	body := func(entries string) string { return "  selector: {secret: {name: src}}\n  data: [" + entries + "]" }
	k := func(key string) string {
		return "{match: {secretKey: k, remoteRef: {remoteKey: " + key + ", property: k}}}"
	}
	w.apply(ps("foreign", body(k("pushed/foreign")+", "+k("pushed/beside"))) +
		ps("kept", body(k("pushed/there")+", "+k("pushed/new"))+"\n  updatePolicy: IfNotExists\n  deletionPolicy: Delete") +
		ps("missing", body("{match: {secretKey: nope, remoteRef: {remoteKey: pushed/missing}}}, "+k("pushed/beside-missing"))) +
		ps("nosource", strings.ReplaceAll(body(k("pushed/nosource")), "name: src", "name: absent")) +
		ps("text", body("{match: {secretKey: k, remoteRef: {remoteKey: pushed/text}}}")) +
		ps("generated", "  selector: {generatorRef: {kind: Password, name: x}}\n  data: ["+k("pushed/generated")+"]") +
		ps("whole", "  selector: {secret: {selector: {matchLabels: {made: here}}}}\n  data: [{match: {remoteRef: {remoteKey: pushed/whole}}}]") +
		strings.ReplaceAll(ps("nostore", body(k("pushed/nostore"))), "{name: vault}", "{name: nope}, {name: vault}") +
		strings.ReplaceAll(ps("many", body(k("pushed/many"))), "{name: vault}", "{labelSelector: {matchLabels: {to: many}}}"))
	w.pushed("foreign", v1alpha1.ReasonErrored, "was not written by an operator")
	w.remote("pushed/foreign", `{"k":"theirs"}`)
	w.remote("pushed/beside", `{"k":"`+canary+`"}`)
	kept := w.pushed("kept", v1alpha1.ReasonSynced, "Existing secrets in providers unchanged")
	if places := kept.Status.SyncedPushSecrets["SecretStore/vault"]; len(places) != 1 {
		t.Errorf("what was there already is taken for pushed: %v", places)
	}
	w.pushed("missing", v1alpha1.ReasonErrored, `Secret "src" has no key "nope"`)
	w.remote("pushed/beside-missing", `{"k":"`+canary+`"}`)
	w.pushed("nosource", v1alpha1.ReasonErrored, `Secret "absent" does not exist: create it`)
	w.pushed("text", v1alpha1.ReasonErrored, "not a JSON object")
	w.pushed("generated", v1alpha1.ReasonErrored, `Password "x" does not exist: create it`)
	w.pushed("whole", v1alpha1.ReasonSynced, "")
	w.remote("pushed/whole", `{"k":"`+canary+`","user":"app"}`)
	w.pushed("nostore", v1alpha1.ReasonErrored, `nope" does not exist`)
	w.remote("pushed/nostore", `{"k":"`+canary+`"}`)
	many := w.pushed("many", v1alpha1.ReasonSynced, "")
	if len(many.Status.SyncedPushSecrets) != 2 {
		t.Errorf("pushed to %v", many.Status.SyncedPushSecrets)
	}
	w.kubectl("delete", "ps", "kept", "--timeout=60s")
	w.remote("pushed/new", "")
	w.remote("pushed/there", `{"k":"theirs"}`)

	// The Secret comes; a second Secret of the labels makes it unclear what to push.
	w.apply(source("absent", `{k: now, extra: "1"}`))
	w.remote("pushed/nosource", `{"k":"now"}`)
	w.pushed("whole", v1alpha1.ReasonErrored, `Secrets "absent" and "src" are both selected`)
	w.remote("pushed/whole", `{"k":"`+canary+`","user":"app"}`)

	for spec, words := range map[string]string{
		"  selector: {}": "selector", "  selector: {secret: {name: a}, generatorRef: {kind: UUID, name: x}}": "selector",
		"  selector: {secret: {name: a}}\n  dataTo: [{remoteKey: x}]":                                                                       "storeRef must specify",
		"  selector: {secret: {name: a}}\n  dataTo: [{storeRef: {name: vault}, remoteKey: x, rewrite: [{regexp: {source: a, target: b}}]}]": "exclude each other",
		"  selector: {secret: {name: a}}\n  updatePolicy: Sometimes":                                                                        "updatePolicy",
	} {
		out, err := testCluster.Kubectl(t.Context(), strings.NewReader(ps("bad", spec)), "apply", "-n", w.ns, "-f", "-")
		if err == nil || !strings.Contains(string(out)+err.Error(), words) {
			t.Errorf("%s: %v %s, want a refusal with %q", spec, err, out, words)
		}
	}
}

// Two that push to one place: the older holds it, whatever store they name; the
// newer says so, and takes it over when the older goes.
func TestPushSecretRivals(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	w.apply(strings.ReplaceAll(store, "{name: vault}", "{name: same}"))
	w.apply(source("src", `{k: older}`) + source("src2", `{k: newer}`) + ps("older", pushTo("x")+"\n  deletionPolicy: Delete"))
	w.pushed("older", v1alpha1.ReasonSynced, "")
	newer := strings.ReplaceAll(strings.ReplaceAll(ps("newer", pushTo("x")), "{name: vault}", "{name: same}"), "name: src}", "name: src2}")
	w.tick("older")
	w.apply(newer)
	w.pushed("newer", v1alpha1.ReasonErrored, `is pushed to by PushSecret "older", which is older`)
	w.remote("pushed/x", `{"k":"older"}`)
	w.kubectl("delete", "ps", "older", "--timeout=60s")
	w.pushed("newer", v1alpha1.ReasonSynced, "")
	w.remote("pushed/x", `{"k":"newer"}`)
}

// tick waits until what is made is younger than a PushSecret.
func (w *world) tick(older string) {
	w.Helper()
	w.until("a second later", func() bool { // creation times have seconds
		w.apply(source("tick", "{k: v}"))
		var s corev1.Secret
		var p v1alpha1.PushSecret
		if testClient.Get(w.Context(), types.NamespacedName{Namespace: w.ns, Name: "tick"}, &s) != nil || testClient.Get(w.Context(), types.NamespacedName{Namespace: w.ns, Name: older}, &p) != nil {
			return false
		}
		later := p.CreationTimestamp.Before(&s.CreationTimestamp)
		w.kubectl("delete", "secret", "tick")
		return later
	})
}

// The same in clouds, where a place is told by account and region, or by project: two
// stores that log in otherwise lead to one.
func TestPushSecretRivalsInClouds(t *testing.T) {
	other := "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: aws-other}\nspec: {provider: {aws: {service: SecretsManager, region: eu-central-1, role: 'arn:aws:iam::123456789012:role/other', auth: {jwt: {serviceAccountRef: {name: secrets-reader}}}}}}\n---\n"
	for name, c := range map[string]struct {
		one, two string
		stores   func(*world)
	}{
		"AWS": {"aws-secrets", "aws-other", func(w *world) {
			w.applyAWS("aws-secretsmanager.yaml")
			w.aws.AddRole("arn:aws:iam::123456789012:role/other", awstest.Role{By: "role/shop-secrets-reader"})
			w.apply(other)
		}},
		"Google": {"google-secrets", "google-secrets-by-key", func(w *world) {
			w.applyGCP("gcpsm-workload-identity.yaml")
			w.applyGCP("gcpsm-key.yaml")
		}},
		"Azure": {"azure-secrets", "azure-by-secret", func(w *world) {
			w.azure.App("aaaaaaaa-0000-0000-0000-000000000001", azuretest.App{Subject: "system:serviceaccount:" + w.ns + ":secrets-reader"})
			w.azure.App("aaaaaaaa-0000-0000-0000-000000000002", azuretest.App{Secret: canary + "-client"})
			w.applyAzure("azurekv-workload-identity.yaml")
			w.applyAzure("azurekv-service-principal.yaml")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.start(nil)
			c.stores(w)
			w.apply(source("src", `{k: older}`) + source("src2", `{k: newer}`))
			push := func(name, store, from string) string {
				return strings.NewReplacer("{name: vault}", "{name: "+store+"}", "name: src}", "name: "+from+"}", "pushed/", "pushed-").Replace(ps(name, pushTo("x")))
			}
			w.apply(push("older", c.one, "src"))
			w.pushed("older", v1alpha1.ReasonSynced, "")
			w.tick("older")
			w.apply(push("newer", c.two, "src2"))
			w.pushed("newer", v1alpha1.ReasonErrored, `is pushed to by PushSecret "older", which is older`)
		})
	}
}

// Pushing to where the Secret comes from is refused.
func TestPushSecretRoundabout(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.vault.Put("pushed/round", `{"k":"`+canary+`"}`)
	w.vault.PutMeta("pushed/round", map[string]string{"managed-by": "external-secrets"})
	w.start(nil)
	w.apply(es("src", "  data: [{secretKey: k, remoteRef: {key: secret/data/pushed/round, property: k}}]"))
	w.secret("src", map[string]string{"k": canary})
	w.apply(ps("round", pushTo("round")) + ps("elsewhere", pushTo("elsewhere")))
	w.pushed("round", v1alpha1.ReasonErrored, `is where ExternalSecret "src" reads Secret "src" from`)
	w.pushed("elsewhere", v1alpha1.ReasonSynced, "")
	w.remote("pushed/elsewhere", `{"k":"`+canary+`"}`)
}

// deletionPolicy Delete acts on the API server's word that the Secret is gone, and
// not while the store is down; nothing is forgotten meanwhile.
func TestPushSecretSourceDeleted(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	w.apply(source("src", `{k: "`+canary+`"}`) + ps("gone", pushTo("gone")+"\n  deletionPolicy: Delete") + ps("stays", pushTo("stays")))
	w.pushed("gone", v1alpha1.ReasonSynced, "")
	w.pushed("stays", v1alpha1.ReasonSynced, "")
	w.vault.Fail(503)
	w.kubectl("delete", "secret", "src")
	p := w.pushed("gone", v1alpha1.ReasonErrored, "is not deleted yet")
	if len(p.Status.SyncedPushSecrets) == 0 {
		t.Error("what is still in the store is forgotten")
	}
	w.pushed("stays", v1alpha1.ReasonErrored, `Secret "src" does not exist`)
	w.vault.Fail(0)
	w.pushed("gone", v1alpha1.ReasonSourceDeleted, "what was pushed is deleted")
	w.remote("pushed/gone", "")
	w.remote("pushed/stays", `{"k":"`+canary+`"}`)
	w.apply(source("src", `{k: back}`))
	w.remote("pushed/gone", `{"k":"back"}`)
	w.pushed("gone", v1alpha1.ReasonSynced, "")
}

// Ended in the middle of a push, the next operator knows of what may be in the store.
func TestPushSecretKilled(t *testing.T) {
	w := newWorld(t)
	ready(w)
	stop := w.start(nil)
	w.apply(source("src", `{k: "`+canary+`"}`))
	reached, release := make(chan struct{}), make(chan struct{})
	w.vault.Before(func() { // the mark
		w.vault.Before(func() { close(reached); <-release }) // the data, whose answer nobody hears
	})
	w.apply(ps("killed", pushTo("killed")+"\n  deletionPolicy: Delete"))
	<-reached
	p := &v1alpha1.PushSecret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "killed"}}
	await(w, p, "noted before it is written", func(p *v1alpha1.PushSecret) bool {
		_, ok := p.Status.SyncedPushSecrets["SecretStore/vault"]["pushed/killed/k"]
		return ok
	})
	stop()
	close(release)
	w.remote("pushed/killed", `{"k":"`+canary+`"}`)
	w.apply(ps("killed", pushTo("after")+"\n  deletionPolicy: Delete"))
	w.start(nil)
	w.remote("pushed/after", `{"k":"`+canary+`"}`)
	w.remote("pushed/killed", "")
	w.kubectl("delete", "ps", "killed", "--timeout=60s")
	w.remote("pushed/after", "")
}

// facts §1.4: keys one by one by dataTo, their names rewritten; keys written in unicode.
func TestPushDataTo(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	w.apply(source("src", `{a-one: '{"x":"1"}', a-two: '{"x":"2"}', b-three: '{"x":"3"}', odd_U0021_: loud}`) +
		ps("to", "  selector: {secret: {name: src}}\n  data: [{match: {secretKey: 'odd!', remoteRef: {remoteKey: pushed/odd, property: k}}, conversionStrategy: ReverseUnicode}]\n"+
			"  dataTo: [{storeRef: {name: vault}, match: {regexp: '^a-'}, rewrite: [{regexp: {source: '^a-', target: 'to-'}}, {transform: {template: 'pushed/{{ .value | upper }}'}}]}]"))
	w.pushed("to", v1alpha1.ReasonSynced, "")
	w.remote("pushed/TO-ONE", `{"x":"1"}`)
	w.remote("pushed/TO-TWO", `{"x":"2"}`)
	w.remote("pushed/odd", `{"k":"loud"}`)
	for _, key := range []string{"pushed/b-three", "pushed/B-THREE", "b-three"} {
		w.remote(key, "")
	}
}

// A pushed secret has the policy of a ConfigMap beside the PushSecret, and follows it,
// long before the interval; the value is not written again for it. What is not there is
// said, and nothing is written.
func TestPushResourcePolicy(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.applyAWS("aws-secretsmanager.yaml")
	raw, err := os.ReadFile("../../../examples/push/aws-policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(raw), "example-token", canary)
	policy := func(words string) {
		t.Helper()
		w.until("the policy has "+words, func() bool {
			s, _ := w.aws.Secret("partner/token")
			return s.Text == canary && s.Versions == 1 && strings.Contains(s.Policy, words)
		})
	}
	w.apply(text)
	w.pushed("partner-token", v1alpha1.ReasonSynced, "")
	policy("role/partner")
	w.apply(strings.ReplaceAll(text, "role/partner", "role/another"))
	policy("role/another")
	w.apply(strings.ReplaceAll(text, `{"AWS": "arn:aws:iam::210987654321:role/partner"}`, `"*"`))
	w.pushed("partner-token", v1alpha1.ReasonErrored, "PublicPolicyException")
	policy("role/another")
	w.apply(strings.ReplaceAll(text, "kind: ConfigMap, name: partner-policy", "kind: Secret, name: partner-policy"))
	w.pushed("partner-token", v1alpha1.ReasonErrored, `Secret "partner-policy" does not exist`)
	w.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: partner-policy}\nstringData: {policy.json: '{\"Statement\":[{\"Sid\":\"third\"}]}'}\n")
	w.pushed("partner-token", v1alpha1.ReasonSynced, "")
	policy("third")
	w.apply(strings.ReplaceAll(text, "kind: ConfigMap, name: partner-policy", "kind: Pod, name: partner-policy"))
	w.pushed("partner-token", v1alpha1.ReasonErrored, "it must be ConfigMap or Secret")
	if n := w.aws.Count("PutSecretValue"); n != 0 {
		t.Errorf("the value is written %d times more", n)
	}
}
