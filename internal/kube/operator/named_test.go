package operator

import (
	"context"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rbac"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rbac/census"
)

// wanted is what the operator of these tests is to do, and its roles are made of.
const wanted = store + `
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: login}
spec:
  provider:
    vault:
      server: VAULT
      path: secret
      auth: {kubernetes: {role: app, serviceAccountRef: {name: default, audiences: [vault]}}}
---
`

// rightsByName starts an operator with the roles that manifests give, and returns a client with
// its identity.
func (w *world) rightsByName(manifests string) (client.WithWatch, func() []string) {
	w.Helper()
	c := census.Census{Namespace: w.ns}
	if err := c.Add("manifests", strings.NewReader(manifests)); err != nil {
		w.Fatal(err)
	}
	home := newWorld(w.T) // where the operator's own Secret is
	o := rbac.Options{Name: w.ns, Namespace: home.ns, Namespaces: []string{w.ns}, Push: true, Named: c.Named()}
	cfg, rec := w.grant(o)
	w.start(func(c *Config) {
		c.REST, c.OwnNamespace, c.WatchSecrets = cfg, home.ns, WatchNamed
		c.NoClusterStores, c.NoReload, c.NoRotation = true, true, true
	})
	as, err := client.NewWithWatch(cfg, client.Options{Scheme: testClient.Scheme()})
	if err != nil {
		w.Fatal(err)
	}
	return as, rec.Refused
}

// With roles that name each Secret everything goes on as it does with all of them: Secrets
// are made, drift and deletion are mended at once, a credential that comes late or
// changes is heard of, templates and sources too.
func TestNamedRights(t *testing.T) {
	w := newWorld(t)
	templates := "{templateFrom: [{secret: {name: tpl, items: [{key: conf}]}}]}"
	all := wanted + es("own", oneKey+"\n  target: {deletionPolicy: Delete, template: "+templates+"}") +
		strings.Replace(es("by-account", oneKey), "{name: vault}", "{name: login}", 1) +
		source("shared", "{theirs: x}") + es("merged", oneKey+"\n  target: {name: shared, creationPolicy: Merge}") +
		es("either", oneKey+"\n  target: {creationPolicy: CreateOrMerge}") +
		source("src", "{k: v}") + ps("pushed", pushTo("pushed")) + source("tpl", "{conf: '{{ .k }}'}")
	_, refused := w.rightsByName(all)
	w.vault.Put("app", `{"k":"`+canary+`1"}`)
	credential, rest, _ := strings.Cut(all, "---\n")
	w.apply(rest)
	w.es("own", v1.ReasonSecretSyncedError, "vault-token")
	w.apply(credential)
	w.secret("own", map[string]string{"conf": canary + "1"})
	w.secret("by-account", map[string]string{"k": canary + "1"})
	w.secret("shared", map[string]string{"theirs": "x", "k": canary + "1"})
	w.secret("either", map[string]string{"k": canary + "1"})
	w.remote("pushed/pushed", `{"k":"v"}`)

	own := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "own"}}
	if err := testClient.Patch(t.Context(), own, client.RawPatch(types.MergePatchType, []byte(`{"data":{"conf":"eA==","mine":"eA=="}}`))); err != nil {
		t.Fatal(err)
	}
	w.secret("own", map[string]string{"conf": canary + "1"})
	w.kubectl("delete", "secret", "own", "either")
	w.secret("own", map[string]string{"conf": canary + "1"})
	w.secret("either", map[string]string{"k": canary + "1"})
	w.apply(source("tpl", "{conf: 'now {{ .k }}'}"))
	w.secret("own", map[string]string{"conf": "now " + canary + "1"})
	w.apply(source("src", "{k: v2}"))
	w.remote("pushed/pushed", `{"k":"v2"}`)
	w.vault.Delete("app")
	w.es("own", v1.ReasonSecretDeleted, "")
	for _, path := range refused() {
		t.Errorf("refused: %s", path)
	}
}

// By the operator's identity no Secret can be read, written or made, and no ServiceAccount be
// taken, that no manifest names.
func TestNamedRightsReachNothingElse(t *testing.T) {
	w := newWorld(t)
	all := wanted + es("own", oneKey) + es("templated", oneKey)
	as, _ := w.rightsByName(all)
	ready(w)
	w.apply(all + source("private", "{k: "+canary+"-private}") + "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: admin}\n")
	w.secret("own", map[string]string{"k": canary + "1"})
	ctx, in := t.Context(), client.InNamespace(w.ns)
	secret := func(name string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}
	}
	token := func(account string) error {
		return as.SubResource("token").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: account}}, &authenticationv1.TokenRequest{})
	}
	body := []byte(`{"apiVersion":"v1","kind":"Secret","data":{"k":"eA=="}}`)
	apply := func(name string) error {
		return as.Patch(ctx, secret(name), client.RawPatch(types.ApplyPatchType, body), client.FieldOwner("thief"))
	}
	watch := func(opts ...client.ListOption) error {
		w, err := as.Watch(ctx, &corev1.SecretList{}, opts...)
		if err == nil {
			w.Stop()
		}
		return err
	}
	named := func(name string) client.ListOption {
		return &client.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name)}
	}
	for what, c := range map[string]struct {
		err     error
		allowed bool
	}{
		"getting own":              {as.Get(ctx, client.ObjectKeyFromObject(secret("own")), secret("own")), true},
		"getting private":          {as.Get(ctx, client.ObjectKeyFromObject(secret("private")), secret("private")), false},
		"listing all":              {as.List(ctx, &corev1.SecretList{}, in), false},
		"listing own":              {as.List(ctx, &corev1.SecretList{}, in, named("own")), true},
		"listing private":          {as.List(ctx, &corev1.SecretList{}, in, named("private")), false},
		"watching all":             {watch(in), false},
		"watching private":         {watch(in, named("private")), false},
		"watching all by metadata": {as.List(ctx, metadataOfSecrets(), in), false},
		"writing private":          {apply("private"), false},
		"making another":           {apply("another"), false},
		"making by create":         {as.Create(ctx, secret("by-create")), false},
		"deleting private":         {as.Delete(ctx, secret("private")), false},
		"writing a credential":     {apply("vault-token"), false},
		"a token of default":       {token("default"), true},
		"a token of admin":         {token("admin"), false},
	} {
		if c.allowed && c.err != nil || !c.allowed && !apierrors.IsForbidden(c.err) {
			t.Errorf("%s: allowed %v, and %v", what, c.allowed, c.err)
		}
	}
	w.secret("private", map[string]string{"k": canary + "-private"})

	// What is not in the roles is said to be missing there, and disturbs nothing else.
	w.apply(es("templated", oneKey+"\n  target: {template: {templateFrom: [{secret: {name: private, items: [{key: k}]}}]}}") +
		ps("private", strings.ReplaceAll(pushTo("private"), "name: src", "name: private")) +
		ps("template", strings.ReplaceAll(pushTo("template"), "name: src", "name: own")+"\n  template: {templateFrom: [{secret: {name: private, items: [{key: k}]}}]}"))
	w.es("templated", v1.ReasonSecretSyncedError, "private")
	w.pushed("private", v1alpha1.ReasonErrored, `role does not name Secret "`+w.ns+`/private"`)
	w.pushed("template", v1alpha1.ReasonErrored, "private")
	w.apply(es("unnamed", oneKey) + ps("by-label", "  selector: {secret: {selector: {matchLabels: {made: here}}}}\n  data: [{match: {remoteRef: {remoteKey: pushed/by-label}}}]"))
	w.es("unnamed", v1.ReasonSecretSyncedError, `role does not name Secret "`+w.ns+`/unnamed"`)
	w.pushed("by-label", v1alpha1.ReasonErrored, "name the Secret")
	w.vault.Put("app", `{"k":"`+canary+`2"}`)
	w.secret("own", map[string]string{"k": canary + "2"})
}

func metadataOfSecrets() *metav1.PartialObjectMetadataList {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	return list
}

func TestWatchSecretsSettings(t *testing.T) {
	good := Config{REST: testREST, WatchSecrets: WatchNamed, Namespaces: []string{"a"}, NoReload: true, NoRotation: true}
	if _, err := good.withDefaults(); err != nil {
		t.Error(err)
	}
	for words, change := range map[string]func(*Config){
		"use all or named":   func(c *Config) { c.WatchSecrets = "some" },
		"without namespaces": func(c *Config) { c.Namespaces = nil },
		"rotation, restarts": func(c *Config) { c.NoReload = false },
		"restarts or drills": func(c *Config) { c.NoRotation = false },
		"leave --drills out": func(c *Config) { c.Drills = true },
	} {
		cfg := good
		change(&cfg)
		if err := Run(context.Background(), cfg); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %q", err, words)
		}
	}
}
