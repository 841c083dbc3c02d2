package operator

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/generator/acr"
	"github.com/strongkeep/strongkeep/internal/kube/generator/ecr"
	fakegenerator "github.com/strongkeep/strongkeep/internal/kube/generator/fake"
	"github.com/strongkeep/strongkeep/internal/kube/generator/gcr"
	"github.com/strongkeep/strongkeep/internal/kube/generator/github"
	"github.com/strongkeep/strongkeep/internal/kube/generator/password"
	"github.com/strongkeep/strongkeep/internal/kube/generator/record"
	"github.com/strongkeep/strongkeep/internal/kube/generator/sshkey"
	"github.com/strongkeep/strongkeep/internal/kube/generator/sts"
	"github.com/strongkeep/strongkeep/internal/kube/generator/uuid"
	"github.com/strongkeep/strongkeep/internal/kube/generator/vaultdynamic"
	"github.com/strongkeep/strongkeep/internal/kube/generator/webhook"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/awstest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure/azuretest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp"
)

// kinds are those of the registry, with AWS being the test's.
func (w *world) kinds() map[string]generator.Kind {
	cloud := aws.Provider{Getenv: w.aws.Getenv}
	return map[string]generator.Kind{
		generators.KindACRAccessToken:        acr.Kind{Azure: azure.Provider{Getenv: w.azure.Getenv}},
		generators.KindGCRAccessToken:        gcr.Kind{Google: gcp.Provider{Getenv: w.gcp.Getenv}},
		generators.KindECRAuthorizationToken: ecr.Kind{AWS: cloud},
		generators.KindFake:                  fakegenerator.Kind{},
		generators.KindGithubAccessToken:     github.Kind{},
		generators.KindPassword:              password.Kind{},
		generators.KindSSHKey:                sshkey.New(),
		generators.KindSTSSessionToken:       sts.Kind{AWS: cloud},
		generators.KindUUID:                  uuid.Kind{},
		generators.KindVaultDynamicSecret:    vaultdynamic.Kind{},
		generators.KindWebhook:               webhook.Kind{},
	}
}

func (w *world) applyGenerator(example string) {
	w.Helper()
	text, err := os.ReadFile("../../../examples/generators/" + example)
	if err != nil {
		w.Fatal(err)
	}
	w.apply(strings.NewReplacer("your-secret-access-key", awstest.KeySecret, "https://strongkeep.example:8200", "VAULT").Replace(string(text)))
}

// generated waits until a Secret's keys are as many as wanted and f holds.
func (w *world) generated(name string, keys int, f func(*corev1.Secret) bool) *corev1.Secret {
	w.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}
	return await(w, s, fmt.Sprintf("Secret %s with %d keys", name, keys), func(s *corev1.Secret) bool {
		return len(s.Data) == keys && (f == nil || f(s))
	})
}

func generatorES(name, rest, kind string) string {
	return "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: " + name + "}\nspec:\n" + rest +
		"\n  dataFrom: [{sourceRef: {generatorRef: {kind: " + kind + "}}}]\n---\n"
}

const passwordObject = "apiVersion: generators.external-secrets.io/v1alpha1\nkind: Password\nmetadata: {name: pw}\nspec: {length: 20}\n---\n"

// facts/external-secrets.md §1.8, #4756: what was generated stays until the interval
// is over, the generator changes or somebody asks; neither a restart, nor a label,
// nor a foreign key in the Secret makes another.
func TestGeneratedValuesStay(t *testing.T) {
	w := newWorld(t)
	stop := w.start(nil)
	w.apply(passwordObject + generatorES("kept", "  refreshInterval: 24h", "Password, name: pw"))
	first := w.generated("kept", 1, nil)
	was := string(first.Data["password"])
	if len(was) != 20 || strings.Contains(first.Annotations[record.Annotation], was) {
		t.Fatalf("a password of %d characters", len(was))
	}
	same := func(s *corev1.Secret) bool { return string(s.Data["password"]) == was }
	stop()
	stop = w.start(nil)
	w.kubectl("label", "es", "kept", "team=shop")
	w.generated("kept", 1, func(s *corev1.Secret) bool { return s.Labels["team"] == "shop" && same(s) })
	if err := testClient.Patch(w.Context(), first, client.RawPatch(types.MergePatchType, []byte(`{"data":{"mine":"eA=="}}`))); err != nil {
		t.Fatal(err)
	}
	w.generated("kept", 1, same)

	// A value that somebody changed cannot be read back: another one is made, and said so.
	if err := testClient.Patch(w.Context(), first, client.RawPatch(types.MergePatchType, []byte(`{"data":{"password":"eA=="}}`))); err != nil {
		t.Fatal(err)
	}
	second := w.generated("kept", 1, func(s *corev1.Secret) bool { return len(s.Data["password"]) == 20 })
	if same(second) {
		t.Error("a password that only the changed Secret had")
	}
	w.until("an event says so", func() bool { return strings.Contains(w.events(), "Regenerated") })

	// The generator changes; somebody asks; the interval ends.
	w.apply(strings.Replace(passwordObject, "20", "21", 1))
	third := w.generated("kept", 1, func(s *corev1.Secret) bool { return len(s.Data["password"]) == 21 })
	w.kubectl("annotate", "es", "kept", "force-sync=1")
	w.generated("kept", 1, func(s *corev1.Secret) bool { return string(s.Data["password"]) != string(third.Data["password"]) })
	stop()
}

func (w *world) events() string {
	w.Helper()
	var list corev1.EventList
	if err := testClient.List(w.Context(), &list, client.InNamespace(w.ns)); err != nil {
		w.Fatal(err)
	}
	var all strings.Builder
	for i := range list.Items {
		all.WriteString(list.Items[i].Reason + ": " + list.Items[i].Message + "\n")
	}
	return all.String()
}

// A template makes something else of a value; as long as nothing else changes it is
// not made anew, also after a restart.
func TestGeneratedAndTemplated(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.vault.Put("host", `{"name":"db-1"}`)
	stop := w.start(nil)
	const both = "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: url}\nspec:\n  refreshInterval: 24h\n" +
		"  secretStoreRef: {name: vault}\n  target: {template: {data: {url: 'db://app:{{ .password }}@{{ .name }}'}}}\n" +
		"  dataFrom: [{sourceRef: {generatorRef: {kind: Password, name: pw}}}, {extract: {key: host}}]\n"
	w.apply(passwordObject + both)
	first := string(w.generated("url", 1, nil).Data["url"])
	stop()
	stop = w.start(nil)
	w.until("subscribed", func() bool { return w.vault.Subscribers() == 1 })
	w.vault.PutQuietly("host", `{"name":"db-1"}`)
	w.kubectl("label", "es", "url", "team=shop") // a template does not take labels over: nothing to write
	w.until("it was looked at", func() bool {
		es := w.es("url", v1.ReasonSecretSynced, "")
		return es.Status.SyncedResourceVersion != "" && strings.Contains(w.log.String(), "refreshed")
	})
	w.generated("url", 1, func(s *corev1.Secret) bool { return string(s.Data["url"]) == first })
	w.vault.Put("host", `{"name":"db-2"}`) // now it must be written, and the password cannot be read back
	w.generated("url", 1, func(s *corev1.Secret) bool {
		url := string(s.Data["url"])
		return strings.HasSuffix(url, "@db-2") && strings.Split(url, "@")[0] != strings.Split(first, "@")[0]
	})
	stop()
}

// ADR 0008, invariants 3 and 4; #1199, #2198, #6911: the old credential is taken back
// after the grace, and not while the Secret holds it; all go with the Secret.
func TestLeasesAreTakenBack(t *testing.T) {
	w := newWorld(t)
	w.vault.Lend("database/creds/app", 600)
	w.vault.TTL = 3600
	w.start(nil)
	w.applyGenerator("vault.yaml")
	first := string(w.generated("app-database", 2, nil).Data["username"])
	if alive := w.vault.Leases(); len(alive) != 1 || !alive[first] {
		t.Fatalf("leases %v, want that of %s", alive, first)
	}
	w.states(func(s generators.GeneratorState) bool { return s.Spec.GarbageCollectionDeadline == nil }, 1)
	w.kubectl("annotate", "es", "app-database", "force-sync=1")
	second := string(w.generated("app-database", 2, func(s *corev1.Secret) bool { return string(s.Data["username"]) != first }).Data["username"])
	// Both are good now; the old one has a deadline, five minutes from when it was seen.
	old := w.states(func(s generators.GeneratorState) bool { return s.Spec.GarbageCollectionDeadline != nil }, 1)[0]
	if left := time.Until(old.Spec.GarbageCollectionDeadline.Time); left < 2*time.Minute || !w.vault.Leases()[first] || !w.vault.Leases()[second] {
		t.Errorf("%s is left to the old one; leases %v", left, w.vault.Leases())
	}
	// Time passes: who collects asks the Secret, and takes back only what it does not hold.
	for _, s := range w.states(nil, 2) {
		w.kubectl("patch", "generatorstate", s.Name, "--type=merge", "-p", `{"spec":{"garbageCollectionDeadline":"2026-01-01T00:00:00Z"}}`)
	}
	w.until("the old lease is revoked", func() bool { alive := w.vault.Leases(); return len(alive) == 1 && alive[second] })
	w.states(func(s generators.GeneratorState) bool { return s.Spec.GarbageCollectionDeadline == nil }, 1)
	// The ExternalSecret goes, and the Secret with it.
	w.kubectl("delete", "es", "app-database")
	w.kubectl("delete", "secret", "app-database", "--ignore-not-found")
	w.until("every lease is revoked", func() bool { return len(w.vault.Leases()) == 0 })
	w.states(nil, 0)
}

// What a ClusterGenerator says stands in nobody's namespace, and what it made is taken back
// all the same.
func TestClusterGeneratorIsHidden(t *testing.T) {
	w := newWorld(t)
	w.vault.Lend("database/creds/app", 600)
	w.start(nil)
	name := "lender-" + w.ns
	w.Cleanup(func() { w.remove(&generators.ClusterGenerator{ObjectMeta: metav1.ObjectMeta{Name: name}}) })
	w.apply("apiVersion: generators.external-secrets.io/v1alpha1\nkind: ClusterGenerator\nmetadata: {name: " + name + "}\nspec:\n  kind: VaultDynamicSecret\n" +
		"  generator: {vaultDynamicSecretSpec: {path: database/creds/app, provider: {server: VAULT, auth: {kubernetes: {role: app, serviceAccountRef: {name: default, namespace: " + w.ns + "}}}}}}\n---\n" +
		generatorES("lent", "", "ClusterGenerator, name: "+name))
	w.generated("lent", 2, nil)
	for _, s := range w.states(func(s generators.GeneratorState) bool { return s.Spec.GarbageCollectionDeadline == nil }, 1) {
		for _, said := range []string{w.vault.URL, "database/creds/app", "serviceAccountRef"} {
			if text := string(s.Spec.Resource.Raw); strings.Contains(text, said) || !strings.Contains(text, name) {
				t.Errorf("a GeneratorState shows %q of a ClusterGenerator: %s", said, text)
			}
		}
	}
	w.kubectl("delete", "es", "lent")
	w.kubectl("delete", "secret", "lent", "--ignore-not-found")
	w.until("the lease is revoked", func() bool { return len(w.vault.Leases()) == 0 })
	w.states(nil, 0)
}

// states waits until n of the states that f lets through are there.
func (w *world) states(f func(generators.GeneratorState) bool, n int) (out []generators.GeneratorState) {
	w.Helper()
	w.until(fmt.Sprintf("%d states", n), func() bool {
		var list generators.GeneratorStateList
		if err := testClient.List(w.Context(), &list, client.InNamespace(w.ns)); err != nil {
			w.Fatal(err)
		}
		out = nil
		for _, s := range list.Items {
			if f == nil || f(s) {
				out = append(out, s)
			}
		}
		return len(out) == n
	})
	return out
}

// facts/external-secrets.md §1.8 (b): a Secret that cannot be written costs one
// credential and not one for each try, and the live one stays good.
func TestFailingWritesMakeNoMore(t *testing.T) {
	w := newWorld(t)
	w.vault.Lend("database/creds/app", 600)
	w.start(nil)
	w.applyGenerator("vault.yaml")
	first := string(w.generated("app-database", 2, nil).Data["username"])
	// A template that fails: nothing can be written.
	w.kubectl("patch", "es", "app-database", "--type=merge", "-p",
		`{"metadata":{"annotations":{"force-sync":"1"}},"spec":{"target":{"template":{"data":{"x":"{{ .absent }}"}}}}}`)
	w.es("app-database", v1.ReasonSecretSyncedError, "absent")
	for i := range 3 {
		before := w.vault.Count("database/creds/app")
		w.kubectl("label", "es", "app-database", "--overwrite", fmt.Sprintf("try=%d", i))
		w.until("it was tried again", func() bool { return strings.Count(w.log.String(), "msg=refreshed") >= 3+i })
		if n := w.vault.Count("database/creds/app"); n > 2 || n < before {
			t.Fatalf("%d credentials were made", n)
		}
	}
	if alive := w.vault.Leases(); !alive[first] || len(alive) != 2 {
		t.Errorf("leases %v, want that of %s and one more", alive, first)
	}
	w.kubectl("patch", "es", "app-database", "--type=json", "-p", `[{"op":"remove","path":"/spec/target/template"}]`)
	w.generated("app-database", 2, func(s *corev1.Secret) bool {
		return w.vault.Leases()[string(s.Data["username"])] && string(s.Data["username"]) != first
	})
	if n := w.vault.Count("database/creds/app"); n != 2 {
		t.Errorf("%d credentials were made, want 2", n)
	}
}

// The examples of docs/generators.md.
func TestGeneratorExamples(t *testing.T) {
	w := newWorld(t)
	w.aws.AddRole("arn:aws:iam::123456789012:role/image-puller", awstest.Role{Subject: "system:serviceaccount:" + w.ns + ":image-puller"})
	w.gcp.Account("image-puller@my-project.iam.gserviceaccount.com", "system:serviceaccount:"+w.ns+":image-puller-google")
	w.azure.App("aaaaaaaa-0000-0000-0000-000000000003", azuretest.App{Subject: "system:serviceaccount:" + w.ns + ":image-puller-azure"})
	w.azure.Pull("aaaaaaaa-0000-0000-0000-000000000003")
	w.start(nil)
	w.vault.Lend("database/creds/app", 600)
	files, err := os.ReadDir("../../../examples/generators")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		w.applyGenerator(file.Name())
	}
	w.Cleanup(func() { w.remove(&generators.ClusterGenerator{ObjectMeta: metav1.ObjectMeta{Name: "stand-in"}}) })
	w.generated("app-login", 4, nil)
	w.generated("install-id", 1, func(s *corev1.Secret) bool { return len(s.Data["uuid"]) == 36 })
	if s := w.generated("deploy-key", 2, nil); s.Type != corev1.SecretTypeSSHAuth || !strings.HasPrefix(string(s.Data["ssh-publickey"]), "ssh-ed25519 ") {
		t.Error("the deploy key is not one that ssh takes")
	}
	w.generated("app-database", 2, nil)
	w.generated("aws-session", 4, nil)
	w.secret("stand-in", map[string]string{"user": "nobody", "password": "not-a-secret"})
	login := string(w.generated("ecr-login", 1, nil).Data[".dockerconfigjson"])
	if !strings.Contains(login, `"username":"AWS"`) || !strings.Contains(login, "123456789012.dkr.ecr.eu-central-1.amazonaws.com") {
		t.Error("the login is not one that kubelets take")
	}
	for name, registry := range map[string]string{"google-login": "europe-west3-docker.pkg.dev", "azure-login": "shop.azurecr.io"} {
		s := w.generated(name, 1, nil)
		if text := string(s.Data[".dockerconfigjson"]); s.Type != corev1.SecretTypeDockerConfigJson || !strings.Contains(text, `{"auths":{"`+registry+`":{"username":"`) {
			t.Errorf("%s is not one that kubelets take", name)
		}
	}
	// These reach out, where nobody is: the condition says what was not reached.
	w.es("made-elsewhere", v1.ReasonSecretSyncedError, "the webhook at maker.example.com")
	w.es("github-token", v1.ReasonSecretSyncedError, "does not exist")
	w.noneForgotten("made-elsewhere", "github-token", "app-login", "install-id", "deploy-key", "app-database", "aws-session", "stand-in", "ecr-login", "google-login", "azure-login")
}

// Bad input: each a condition that says what to do.
func TestBadGenerators(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	object := func(kind, name, spec string) string {
		return "apiVersion: generators.external-secrets.io/v1alpha1\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec: " + spec + "\n---\n"
	}
	w.apply(passwordObject +
		object("Password", "long", "{length: 100000}") +
		object("Webhook", "inside", "{url: 'https://169.254.169.254/latest', result: {}}") +
		object("Webhook", "private", "{url: 'https://10.1.2.3/', result: {}}") +
		object("Webhook", "plain", "{url: 'http://example.com/', result: {}}") +
		object("Fake", "foreign", "{controller: other, data: {a: b}}") +
		object("GCRAccessToken", "gcr", "{projectID: my-project, auth: {}}") +
		object("ACRAccessToken", "acr", "{registry: shop.example.com, auth: {workloadIdentity: {}}}") +
		object("ECRAuthorizationToken", "own", "{region: eu-central-1}") +
		object("VaultDynamicSecret", "thief", "{path: x, provider: {server: VAULT, auth: {tokenSecretRef: {name: a, key: b, namespace: kube-system}}}}"))
	for name, c := range map[string]struct{ rest, kind, words string }{
		"absent":  {"", "Password, name: nope", "create it"},
		"unknown": {"", "Quay, name: x", "docs/generators.md"},
		"long":    {"", "Password, name: long", "spec.length"},
		"nowhere": {"  target: {creationPolicy: None}", "Password, name: pw", "creationPolicy None"},
		"inside":  {"", "Webhook, name: inside", "own machine or network"},
		"private": {"", "Webhook, name: private", "--private-networks"},
		"plain":   {"", "Webhook, name: plain", "must be https"},
		"gcr":     {"", "GCRAccessToken, name: gcr", "--ambient-credentials"},
		"acr":     {"", "ACRAccessToken, name: acr", "NAME.azurecr.io"},
		"own":     {"", "ECRAuthorizationToken, name: own", "--ambient-credentials"},
		"thief":   {"", "VaultDynamicSecret, name: thief", "reads only the namespace that uses it"},
	} {
		w.apply(generatorES(name, c.rest, c.kind))
		w.es(name, v1.ReasonSecretSyncedError, c.words)
	}
	w.apply(generatorES("foreign", "", "Fake, name: foreign") + generatorES("good", "", "Password, name: pw"))
	w.generated("good", 1, nil)
	var foreign v1.ExternalSecret
	if err := testClient.Get(w.Context(), types.NamespacedName{Namespace: w.ns, Name: "foreign"}, &foreign); err != nil || len(foreign.Status.Conditions) > 0 {
		t.Errorf("%v: another operator's was answered: %+v", err, foreign.Status)
	}
	w.states(nil, 0)
}
