package fix_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"maps"
	"os"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator"
	"github.com/strongkeep/strongkeep/internal/kube/operator/operatortest"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	vaultprovider "github.com/strongkeep/strongkeep/internal/kube/provider/vault"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/await"
)

// home is a vault, and somebody with its root token at a terminal.
type home struct {
	*testing.T
	*testenv.Vault
}

func newHome(t *testing.T) *home {
	t.Helper()
	v := testenv.Start(t, func(c *app.ServerConfig) { c.Storage = "mem" })
	if err := v.Sys().Mount("secret", &vault.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}); err != nil {
		t.Fatal(err)
	}
	return &home{t, v}
}

// fix runs the command on the vault, and must end with code and say all of want.
func (h *home) fix(code int, args []string, want ...string) string {
	h.Helper()
	out, stderr, got := runWith(h.T, map[string]string{"VAULT_ADDR": h.Server.URL(), "VAULT_TOKEN": h.Root, "VAULT_CACERT": h.Server.CAFile()}, append([]string{"fix", "SEC-05"}, args...)...)
	if got != code {
		h.Fatalf("%v: exit code %d, want %d:\n%s%s", args, got, code, out, stderr)
	}
	for _, w := range want {
		if !strings.Contains(out+stderr, w) {
			h.Errorf("%v lacks %q:\n%s%s", args, w, out, stderr)
		}
	}
	return out
}

// store is one of the vault, of a namespace or with kind ClusterSecretStore of all.
func (h *home) store(ns, kind, name string) {
	h.Helper()
	pem, err := os.ReadFile(h.Server.CAFile())
	if err != nil {
		h.Fatal(err)
	}
	if err := server.Client.Create(h.T.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "token"}, StringData: map[string]string{"token": h.Root}}); err != nil {
		h.Fatal(err)
	}
	p, err := v1.NewProvider("vault", map[string]any{"server": h.Server.URL(), "path": "secret", "version": "v2", "caBundle": base64.StdEncoding.EncodeToString(pem),
		"auth": map[string]any{"tokenSecretRef": map[string]any{"name": "token", "namespace": ns, "key": "token"}}})
	if err != nil {
		h.Fatal(err)
	}
	var o client.Object = &v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: v1.SecretStoreSpec{Provider: p}}
	if kind == v1.KindClusterSecretStore {
		o = &v1.ClusterSecretStore{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.SecretStoreSpec{Provider: p}}
	}
	if err := server.Client.Create(h.T.Context(), o); err != nil {
		h.Fatal(err)
	}
}

func (h *home) operator(namespaces ...string) {
	h.Helper()
	operatortest.Start(h.T, operator.Config{
		Providers: map[string]provider.Provider{vaultprovider.Name: vaultprovider.Provider{}}, REST: server.REST, Namespaces: namespaces, OwnNamespace: "default",
		MetricsAddr: "127.0.0.1:0", HealthAddr: "127.0.0.1:0", NoRotation: true, NoReload: true, NoPush: true,
	})
}

// holds is what lies at a path of the vault; nil for nothing.
func (h *home) holds(path string) map[string]any {
	h.Helper()
	s, err := h.KVv2("secret").Get(context.Background(), path)
	if err != nil {
		return nil
	}
	return s.Data
}

// byHand makes a Secret as kubectl does, and watches every state of it from then on.
func byHand(t *testing.T, ns, name string, data map[string][]byte) *witness {
	t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Data: data}
	if err := server.Client.Create(t.Context(), s, client.FieldOwner("kubectl-create")); err != nil {
		t.Fatal(err)
	}
	w, err := server.Client.Watch(t.Context(), &corev1.SecretList{}, client.InNamespace(ns),
		&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: s.ResourceVersion, FieldSelector: "metadata.name=" + name}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return &witness{t, w, s}
}

// witness has seen every state of a Secret.
type witness struct {
	*testing.T
	w   watch.Interface
	was *corev1.Secret
}

// untouched looks at every state until now: none was missing, another object, or held
// something else.
func (x *witness) untouched() {
	x.Helper()
	now := &corev1.Secret{}
	if err := server.Client.Get(x.Context(), client.ObjectKeyFromObject(x.was), now); err != nil {
		x.Fatal(err)
	}
	for seen := x.was.ResourceVersion; seen != now.ResourceVersion; {
		e, ok := await.Next(x, "a state of Secret "+x.was.Name, x.w.ResultChan())
		s, is := e.Object.(*corev1.Secret)
		if !ok || !is || e.Type != watch.Modified {
			x.Fatalf("the Secret met %s", e.Type)
		}
		if s.UID != x.was.UID || !maps.EqualFunc(s.Data, x.was.Data, bytes.Equal) || s.Type != x.was.Type || len(s.OwnerReferences) > 0 {
			x.Errorf("Secret %s was rewritten", s.Name)
		}
		seen = s.ResourceVersion
	}
	x.was = now
}

func (x *witness) managed() {
	x.Helper()
	for _, f := range x.was.ManagedFields {
		if strings.HasPrefix(f.Manager, "externalsecrets.external-secrets.io/") {
			return
		}
	}
	x.Errorf("no ExternalSecret fills Secret %s", x.was.Name)
}

func password(n string) string { return canary + "-" + n + "-xK9fQ2" }

// A Secret made by hand gets its values from the vault, and was at no moment missing or
// another; from then on it follows the vault.
func TestAdopt(t *testing.T) {
	h := newHome(t)
	ns := namespace(t, "")
	h.store(ns, v1.KindSecretStore, "vault")
	binary := append([]byte{0xff, 0x00, 0xfe}, canary...)
	x := byHand(t, ns, "db", map[string][]byte{"password": []byte(password("a") + "\n<&>\u2028"), "user.name": []byte(canary), "key.der": binary, "empty": {}})
	args := []string{ns + "/db", "-store=vault", "-path=secret/" + ns + "/db"}

	out := h.fix(0, args, "creationPolicy: Merge", "Nothing is changed yet", "# write secret/"+ns+"/db of the vault: fields empty, key.der, password, user.name", "decodingStrategy: Base64")
	if h.holds(ns+"/db") != nil || strings.Contains(out, "token") {
		t.Error("something was written by a proposal")
	}
	h.fix(0, append(args, "-o", "yaml"), "kind: ExternalSecret")
	h.operator(ns)
	h.fix(0, append(args, "-apply"), "SEC-05 finds nothing more of Secret "+ns+"/db")
	x.untouched()
	x.managed()
	if got := h.holds(ns + "/db"); got["password"] != password("a")+"\n<&>\u2028" || got["key.der"] != base64.StdEncoding.EncodeToString(binary) {
		t.Error("the vault has something else")
	}
	h.fix(errs.NotExist.ExitCode(), append(args, "-apply"), "is filled from a store already")
	x.untouched()

	if _, err := h.KVv2("secret").Patch(t.Context(), ns+"/db", map[string]any{"password": password("b")}); err != nil {
		t.Fatal(err)
	}
	es := &v1.ExternalSecret{}
	es.Namespace, es.Name = ns, "db"
	if err := server.Client.Patch(t.Context(), es, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"force-sync":"1"}}}`))); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the Secret follows the vault", func() bool {
		s := &corev1.Secret{}
		return server.Client.Get(t.Context(), client.ObjectKeyFromObject(es), s) == nil && string(s.Data["password"]) == password("b")
	})
}

// What cannot be adopted without harm is refused, and nothing is written: neither into
// the vault nor into the cluster.
func TestAdoptRefused(t *testing.T) {
	h := newHome(t)
	ns := namespace(t, "")
	h.store(ns, v1.KindSecretStore, "vault")
	x := byHand(t, ns, "db", map[string][]byte{"password": []byte(password("c"))})
	yes := true
	for _, s := range []*corev1.Secret{
		{ObjectMeta: metav1.ObjectMeta{Name: "chart", Annotations: map[string]string{"meta.helm.sh/release-name": "shop"}}, StringData: map[string]string{"password": password("d")}},
		{ObjectMeta: metav1.ObjectMeta{Name: "copied", Annotations: map[string]string{"reflector.v1.k8s.emberstack.com/reflects": ns + "/db"}}, StringData: map[string]string{"password": password("c")}},
		{ObjectMeta: metav1.ObjectMeta{Name: "fixed"}, Immutable: &yes, StringData: map[string]string{"password": password("e")}},
		{ObjectMeta: metav1.ObjectMeta{Name: "nothing"}},
	} {
		s.Namespace = ns
		if err := server.Client.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.KVv2("secret").Put(t.Context(), "taken", map[string]any{"password": password("other")}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.KVv2("secret").Put(t.Context(), "gone", map[string]any{"password": password("c")}); err != nil {
		t.Fatal(err)
	}
	if err := h.KVv2("secret").Delete(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	if err := h.Sys().Mount("old", &vault.MountInput{Type: "kv", Options: map[string]string{"version": "1"}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		kind errs.Kind
		says string
	}{
		{[]string{"db", "-path=secret/taken", "-store=vault"}, errs.Exist, "another value of password"},
		{[]string{"db", "-path=secret/gone", "-store=vault"}, errs.Conflict, "was deleted"},
		{[]string{"db", "-path=old/db", "-store=vault"}, errs.Unsupported, "no KV engine of version 2"},
		{[]string{"db", "-path=nowhere/db", "-store=vault"}, errs.Denied, "is a KV engine mounted there?"},
		{[]string{"db", "-path=secret", "-store=vault"}, errs.Invalid, "names the mount alone"},
		{[]string{"db", "-path=secret/db", "-store=none"}, errs.NotExist, "kind: SecretStore"},
		{[]string{"db", "-path=secret/db", "-store=x/vault"}, errs.Invalid, "ClusterSecretStore/NAME"},
		{[]string{"chart", "-path=secret/db", "-store=vault"}, errs.Conflict, "comes from a manifest or chart"},
		{[]string{"copied", "-path=secret/db", "-store=vault"}, errs.Conflict, "adopt the one that it is of"},
		{[]string{"fixed", "-path=secret/db", "-store=vault"}, errs.Unsupported, "immutable"},
		{[]string{"nothing", "-path=secret/db", "-store=vault"}, errs.NotExist, "holds nothing"},
	} {
		c.args[0] = ns + "/" + c.args[0]
		h.fix(c.kind.ExitCode(), append(c.args, "-apply"), c.says)
	}
	list := &v1.ExternalSecretList{}
	if err := server.Client.List(t.Context(), list, client.InNamespace(ns)); err != nil || len(list.Items) > 0 || h.holds("db") != nil {
		t.Errorf("%v: %d ExternalSecrets", err, len(list.Items))
	}
	x.untouched()
	if h.holds("taken")["password"] != password("other") {
		t.Error("another value was written over")
	}
}

// A store of another vault than the one that is written to is found before anything in
// the cluster is written, and no operator leaves the Secret as it is.
func TestAdoptUnproven(t *testing.T) {
	h, other := newHome(t), newHome(t)
	ns := namespace(t, "")
	other.store(ns, v1.KindSecretStore, "vault")
	x := byHand(t, ns, "db", map[string][]byte{"password": []byte(password("f"))})
	if _, err := other.KVv2("secret").Put(t.Context(), "db", map[string]any{"password": password("g")}); err != nil {
		t.Fatal(err)
	}
	args := []string{ns + "/db", "-store=vault", "-path=secret/db", "-apply", "-wait=0s"}
	h.fix(errs.Conflict.ExitCode(), args, "would get another value", "this wrote secret/db in the vault, and nothing in the cluster")
	list := &v1.ExternalSecretList{}
	if err := server.Client.List(t.Context(), list, client.InNamespace(ns)); err != nil || len(list.Items) > 0 {
		t.Errorf("%v: %d ExternalSecrets", err, len(list.Items))
	}
	x.untouched()

	// The same value lies there already, and nobody runs.
	if _, err := other.KVv2("secret").Put(t.Context(), "db", map[string]any{"password": password("f"), "more": "x"}); err != nil {
		t.Fatal(err)
	}
	other.fix(errs.Unavailable.ExitCode(), args, "no operator has looked at it", "are as they were")
	x.untouched()
	if m, err := other.KVv2("secret").GetMetadata(t.Context(), "db"); err != nil || m.CurrentVersion != 2 {
		t.Errorf("it was written again: %v", err)
	}
	// Called again it goes on with what it made, and still waits.
	other.fix(errs.Unavailable.ExitCode(), args, "no operator has looked at it", "are as they were")
	other.operator(ns)
	await.Until(t, "the ExternalSecret is ready", func() bool {
		es := &v1.ExternalSecret{}
		return server.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "db"}, es) == nil && v1.IsReady(es.Status.Conditions)
	})
	x.untouched()
	x.managed()
}

// What somebody writes while it is waited for an operator is told, though it is undone
// before anybody looks again.
func TestAdoptUndone(t *testing.T) {
	h := newHome(t)
	ns := namespace(t, "")
	h.store(ns, v1.KindSecretStore, "vault")
	x := byHand(t, ns, "db", map[string][]byte{"password": []byte(password("h"))})
	type end struct {
		said string
		code int
	}
	ended := make(chan end, 1)
	go func() {
		out, stderr, code := runWith(t, map[string]string{"VAULT_ADDR": h.Server.URL(), "VAULT_TOKEN": h.Root, "VAULT_CACERT": h.Server.CAFile()},
			"fix", "SEC-05", ns+"/db", "-store=vault", "-path=secret/"+ns+"/db", "-apply", "-wait=10m")
		ended <- end{out + stderr, code}
	}()
	es := &v1.ExternalSecret{}
	await.Until(t, "the ExternalSecret is there", func() bool {
		return server.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "db"}, es) == nil
	})
	for _, value := range []string{"theirs", "h"} {
		s := x.was.DeepCopy()
		s.ResourceVersion, s.Data["password"] = "", []byte(password(value))
		if err := server.Client.Update(t.Context(), s, client.FieldOwner("somebody")); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := await.Next(t, "the end of fix", ended)
	for _, want := range []string{"something else", `written by "somebody"`, "write that into the vault"} {
		if got.code != errs.Conflict.ExitCode() || !strings.Contains(got.said, want) {
			t.Errorf("exit code %d without %q:\n%s", got.code, want, got.said)
		}
	}
}

// Copies in other namespaces and under other names are filled from one place of the vault;
// what has more in it is named and left alone.
func TestAdoptCopies(t *testing.T) {
	h := newHome(t)
	a, b, c := namespace(t, ""), namespace(t, ""), namespace(t, "")
	store := "vault-" + a
	h.store(a, v1.KindClusterSecretStore, store)
	data := func(key string) map[string][]byte { return map[string][]byte{key: []byte(password(a))} }
	both := func() map[string][]byte {
		return map[string][]byte{"password": []byte(password(a)), "user": []byte("app")}
	}
	seen := []*witness{byHand(t, a, "db", both()), byHand(t, b, "db", both()), byHand(t, c, "other", data("pw"))}
	mixed := data("password")
	mixed["more"] = []byte(canary)
	left := []*witness{byHand(t, c, "mixed", mixed), byHand(t, c, "user", map[string][]byte{"name": []byte("app")}), byHand(t, b, "different", map[string][]byte{"password": []byte(password("z"))})}
	args := []string{a + "/db", "-store=ClusterSecretStore/" + store, "-path=secret/" + a, "-copies", "-in=" + strings.Join([]string{a, b, c}, ",")}
	out := h.fix(0, args, "kind: ClusterExternalSecret", "name: other", "Secret "+c+"/mixed, which has the credential too, is left as it is: it has other values beside it")
	if strings.Contains(out, "different") || strings.Contains(out, "name: user") {
		t.Errorf("what is none is taken for a copy:\n%s", out)
	}
	h.operator()
	h.fix(0, append(args, "-apply"), "finds nothing more", "create           ClusterExternalSecret "+a+"-db")
	for _, x := range seen {
		x.untouched()
		x.managed()
	}
	for _, x := range left {
		x.untouched()
		if len(x.was.ManagedFields) != 1 {
			t.Errorf("Secret %s was taken", x.was.Name)
		}
	}
	h.fix(errs.NotExist.ExitCode(), append(args, "-apply"), "there is nothing else to adopt")
}
