package operator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/operatortest/permits"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rbac"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
)

// apiServerFlags make the API server check what only some clusters check.
func apiServerFlags() []string {
	return []string{"--enable-admission-plugins=OwnerReferencesPermissionEnforcement"}
}

// grant makes the roles for o and returns a configuration that has them and
// nothing else, and what it does.
func (w *world) grant(o rbac.Options) (*rest.Config, *permits.Recording) {
	w.Helper()
	objects := rbac.Objects(o)
	for _, object := range objects {
		object := object.(client.Object)
		if err := testClient.Create(w.Context(), object); err != nil {
			w.Fatal(err)
		}
		w.Cleanup(func() { w.remove(object) })
	}
	cfg := rest.CopyConfig(testREST)
	cfg.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + o.Namespace + ":" + o.Name,
		Groups:   []string{"system:serviceaccounts", "system:authenticated"},
	}
	if err := apiserver.InForce(w.Context(), testREST, cfg.Impersonate, objects); err != nil {
		w.Fatal(err)
	}
	rec := permits.New()
	return rec.Wrap(cfg), rec
}

const clusterStore = `
apiVersion: external-secrets.io/v1
kind: ClusterSecretStore
metadata: {name: NAME}
spec:
  conditions: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}}]
  provider:
    vault:
      server: VAULT
      path: secret
      auth: {kubernetes: {role: app, serviceAccountRef: {name: default, namespace: NS}}}
---
`

// exercise does everything an operator has permissions for.
func (w *world) exercise() {
	w.Helper()
	ready(w)
	named := strings.NewReplacer("NAME", w.ns, "NS", w.ns)
	w.apply(named.Replace(clusterStore))
	w.Cleanup(func() { w.remove(&v1.ClusterSecretStore{ObjectMeta: metav1.ObjectMeta{Name: w.ns}}) })
	w.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: tpl}\ndata: {conf: '{{ .k }}'}\n")
	w.apply(es("own", oneKey+"\n  target: {deletionPolicy: Delete, template: {templateFrom: [{configMap: {name: tpl, items: [{key: conf}]}}]}}") +
		strings.Replace(es("through-cluster", oneKey), "{name: vault}", "{kind: ClusterSecretStore, name: "+w.ns+"}", 1))
	w.applyAWS("aws-secretsmanager.yaml")
	w.secret("own", map[string]string{"conf": canary + "1"})
	w.secret("through-cluster", map[string]string{"k": canary + "1"})
	w.until("an event is counted up", func() bool {
		// Events are one if the status is the same, which has the time in seconds.
		for range 2 {
			own := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "own"}}
			if err := testClient.Patch(w.Context(), own, client.RawPatch(types.MergePatchType, []byte(`{"data":{"mine":"eA=="}}`))); err != nil {
				w.Fatal(err)
			}
			w.secret("own", map[string]string{"conf": canary + "1"})
		}
		var events corev1.EventList
		if err := testClient.List(w.Context(), &events, client.InNamespace(w.ns)); err != nil {
			w.Fatal(err)
		}
		return slices.ContainsFunc(events.Items, func(e corev1.Event) bool { return e.Series != nil && e.Series.Count >= 2 })
	})
	w.vault.Lend("database/creds/app", 600)
	w.applyGenerator("vault.yaml")
	w.generated("app-database", 2, nil)
	w.kubectl("annotate", "es", "app-database", "force-sync=1")
	for _, s := range w.states(nil, 2) { // the time of the old one is over
		w.kubectl("patch", "generatorstate", s.Name, "--type=merge", "-p", `{"spec":{"garbageCollectionDeadline":"2026-01-01T00:00:00Z"}}`)
	}
	w.until("the old lease is revoked", func() bool { return len(w.vault.Leases()) == 1 })
	w.exerciseReload()
	w.exercisePush(named)
	w.kubectl("patch", "es", "through-cluster", "--type=merge", "-p", `{"metadata":{"finalizers":["externalsecrets.external-secrets.io/externalsecret-cleanup"]}}`)
	w.kubectl("delete", "es", "through-cluster", "--timeout=90s")
	w.until("subscribed", func() bool { return w.vault.Subscribers() >= 1 })
	w.kubectl("delete", "es", "app-database")
	w.kubectl("delete", "secret", "app-database", "--ignore-not-found")
	w.until("its lease is revoked", func() bool { return len(w.vault.Leases()) == 0 })
	w.states(nil, 0)
	w.apply(pushMade("made", "VaultDynamicSecret", "app-database", entry("username", "pushed/made")))
	w.pushedValue("pushed/made", "username", nil)
	w.kubectl("delete", "ps", "made", "--timeout=60s")
	w.until("the lease of what was pushed is revoked", func() bool { return len(w.vault.Leases()) == 0 })
	w.states(nil, 0)
	w.vault.Delete("app")
	w.es("own", v1.ReasonSecretDeleted, "")
}

// exercisePush pushes to both kinds of store, and takes everything back.
func (w *world) exercisePush(named *strings.Replacer) {
	w.Helper()
	w.apply(source("src", "{k: v}") + ps("local", pushTo("local")+"\n  deletionPolicy: Delete") +
		named.Replace(strings.Replace(ps("wide", pushTo("wide")+"\n  deletionPolicy: Delete"), "{name: vault}", "{kind: ClusterSecretStore, name: NAME}", 1)))
	w.remote("pushed/local", `{"k":"v"}`)
	w.remote("pushed/wide", `{"k":"v"}`)
	await(w, &v1.ClusterSecretStore{ObjectMeta: metav1.ObjectMeta{Name: w.ns}}, "finalizer", func(s *v1.ClusterSecretStore) bool { return len(s.Finalizers) == 1 })
	w.kubectl("delete", "ps", "local", "wide", "--timeout=60s")
	await(w, &v1.ClusterSecretStore{ObjectMeta: metav1.ObjectMeta{Name: w.ns}}, "no finalizer", func(s *v1.ClusterSecretStore) bool { return len(s.Finalizers) == 0 })
	await(w, &v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "vault"}}, "no finalizer", func(s *v1.SecretStore) bool { return len(s.Finalizers) == 0 })
}

// exerciseSpread makes and deletes what is to be in many namespaces.
func (w *world) exerciseSpread() {
	w.Helper()
	w.apply("apiVersion: external-secrets.io/v1\nkind: ClusterExternalSecret\nmetadata: {name: " + w.ns + ", finalizers: [externalsecrets.external-secrets.io/clusterexternalsecret-cleanup]}\nspec:\n  namespaces: [" + w.ns + "]\n  externalSecretName: spread\n  externalSecretSpec: {secretStoreRef: {name: vault}, data: [{secretKey: k, remoteRef: {key: app, property: k}}]}\n---\n" +
		"apiVersion: external-secrets.io/v1alpha1\nkind: ClusterPushSecret\nmetadata: {name: " + w.ns + "}\nspec:\n  pushSecretName: spread\n  namespaceSelectors: [{matchLabels: {kubernetes.io/metadata.name: " + w.ns + "}}]\n  pushSecretSpec: {secretStoreRefs: [{name: vault}], selector: {secret: {name: src}}, data: [{match: {secretKey: k, remoteRef: {remoteKey: spread, property: k}}}]}\n")
	w.remote("spread", `{"k":"v"}`)
	await(w, &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "spread"}}, "made", func(*v1.ExternalSecret) bool { return true })
	w.kubectl("patch", "ces", w.ns, "--type=merge", "-p", `{"spec":{"namespaces":null}}`)
	w.kubectl("patch", "clusterpushsecret", w.ns, "--type=merge", "-p", `{"spec":{"namespaceSelectors":null}}`)
	w.absent(&v1.ExternalSecret{}, w.ns, "spread")
	w.absent(&v1alpha1.PushSecret{}, w.ns, "spread")
	w.kubectl("delete", "ces", w.ns, "--timeout=60s")
	w.kubectl("delete", "clusterpushsecret", w.ns, "--timeout=60s")
}

// The roles are as narrow as they can be: every permission granted is used, and
// none is missing.
func TestNoExcessPermission(t *testing.T) {
	w := newWorld(t)
	o := rbac.Options{Name: w.ns, Namespace: w.ns, ClusterStores: true, Push: true, Spread: true, Reload: true, LeaderElection: true}
	cfg, rec := w.grant(o)
	// Rotation is left out: its rights are another option.
	stop := w.start(func(c *Config) { c.REST, c.Namespaces, c.LeaderElection, c.NoRotation = cfg, nil, true, true })
	w.exercise()
	w.exerciseSpread()
	stop()
	for _, path := range rec.Refused() {
		t.Errorf("refused: %s", path)
	}
	all, used := permits.Granted(o), rec.Used()
	// Asked for by the admission plugin, not by a request: without it every
	// Secret with an owner is refused, which rec.Refused() would show.
	for _, kind := range []string{"externalsecrets", "clusterexternalsecrets", "clusterpushsecrets"} {
		delete(all, "update external-secrets.io/"+kind+"/finalizers")
	}
	for _, verb := range []string{"get", "list", "watch", "patch"} { // this cluster has none
		delete(all, verb+" argoproj.io/rollouts")
	}
	for _, p := range slices.Sorted(maps.Keys(all)) {
		// A server that streams lists is asked for a watch only; older ones for both.
		if resource, ok := strings.CutPrefix(p, "list "); ok && used["watch "+resource] {
			continue
		}
		if !used[p] {
			t.Errorf("granted and never used: %s", p)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(used)) {
		if !permits.Granted(o)[p] {
			t.Errorf("used and not granted: %s", p)
		}
	}
}

// In one namespace, with the Roles of that namespace, all the same works.
func TestNamespacedPermissions(t *testing.T) {
	w := newWorld(t)
	cfg, rec := w.grant(rbac.Options{Name: w.ns, Namespace: w.ns, Namespaces: []string{w.ns}, ClusterStores: true, Push: true, Reload: true})
	stop := w.start(func(c *Config) { c.REST, c.NoRotation = cfg, true })
	w.exercise()
	stop()
	for _, path := range rec.Refused() {
		t.Errorf("refused: %s", path)
	}
}

// The roles of an earlier release know nothing of rotation and reloading: these
// are left out, and said to be; Secrets are kept in step as before.
func TestRolesOfAnEarlierRelease(t *testing.T) {
	w := newWorld(t)
	ready(w)
	cfg, _ := w.grant(rbac.Options{Name: w.ns, Namespace: w.ns, Namespaces: []string{w.ns}, ClusterStores: true})
	w.start(func(c *Config) { c.REST = cfg })
	w.apply(es("kept", oneKey))
	w.es("kept", v1.ReasonSecretSynced, "")
	for _, part := range []string{"part=rotation", "part=reloading", "part=pushing"} {
		if !strings.Contains(w.log.String(), part) {
			t.Errorf("the log does not say that %s is left out", part)
		}
	}
}

// What one kind lacks does not leave the other out.
func TestRolesWithoutSpread(t *testing.T) {
	w := newWorld(t)
	cfg, _ := w.grant(rbac.Options{Name: w.ns, Namespace: w.ns, ClusterStores: true, Push: true})
	w.start(func(c *Config) { c.REST, c.Namespaces, c.NoRotation = cfg, nil, true })
	for _, part := range []string{"part=ClusterExternalSecrets", "part=ClusterPushSecrets"} {
		w.until("the log says that "+part+" is left out", func() bool { return strings.Contains(w.log.String(), part) })
	}
}

func (w *world) remove(o client.Object) {
	if err := testClient.Delete(contextOf(w), o); client.IgnoreNotFound(err) != nil {
		w.Error(err)
	}
}

// A ClusterSecretStore serves the namespaces its conditions admit, and no other.
func TestClusterStoreConditions(t *testing.T) {
	w := newWorld(t)
	ready(w)
	w.start(nil)
	for name, c := range map[string]struct{ conditions, reason string }{
		"listed":   {"[{namespaces: [" + w.ns + "]}]", v1.ReasonSecretSynced},
		"matched":  {"[{namespaces: [x]}, {namespaceRegexes: ['^t-']}]", v1.ReasonSecretSynced},
		"selected": {"[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: " + w.ns + "}}}]", v1.ReasonSecretSynced},
		"other":    {"[{namespaces: [x], namespaceSelector: {matchLabels: {no: such}}}]", v1.ReasonSecretSyncedError},
	} {
		full := w.ns + "-" + name
		text := strings.NewReplacer("NAME", full, "NS", w.ns).Replace(clusterStore)
		w.apply(strings.Replace(text, "[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: "+w.ns+"}}}]", c.conditions, 1))
		w.Cleanup(func() { w.remove(&v1.ClusterSecretStore{ObjectMeta: metav1.ObjectMeta{Name: full}}) })
		w.apply(strings.Replace(es(name, oneKey), "{name: vault}", "{kind: ClusterSecretStore, name: "+full+"}", 1))
		words := ""
		if c.reason == v1.ReasonSecretSyncedError {
			words = `does not admit namespace "` + w.ns + `"`
		}
		w.es(name, c.reason, words)
	}
}

// GHSA-fq7h-9x26-6j22, GHSA-wv26-88m5-6h59: a SecretStore cannot borrow what
// belongs to another namespace.
func TestNoNamespaceIsCrossed(t *testing.T) {
	w := newWorld(t)
	other := newWorld(t)
	other.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: vault-token}\nstringData: {token: root}\n")
	w.start(func(c *Config) { c.Namespaces = []string{w.ns, other.ns} })
	for i, auth := range []string{
		"auth: {tokenSecretRef: {name: vault-token, key: token, namespace: " + other.ns + "}}",
		"auth: {kubernetes: {role: x, serviceAccountRef: {name: default, namespace: " + other.ns + "}}}",
		"caProvider: {type: Secret, name: vault-token, key: token, namespace: " + other.ns + "}\n      auth: {kubernetes: {role: x, serviceAccountRef: {name: default}}}",
	} {
		name := fmt.Sprintf("thief-%d", i)
		w.apply("apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: " + name + "}\nspec:\n  provider:\n    vault:\n      server: VAULT\n      " + auth + "\n")
		await(w, &v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}, name, func(s *v1.SecretStore) bool {
			c := v1.FindCondition(s.Status.Conditions, v1.ConditionReady)
			return c != nil && c.Reason == v1.ReasonInvalidProvider && strings.Contains(c.Message, "reads only its own namespace")
		})
	}
	var made corev1.SecretList
	if err := testClient.List(t.Context(), &made, client.InNamespace(w.ns)); err != nil || len(made.Items) > 1 {
		t.Errorf("%d Secrets (%v)", len(made.Items), err)
	}
}
