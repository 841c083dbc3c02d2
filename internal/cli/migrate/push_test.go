package migrate_test

import (
	"context"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator"
	"github.com/strongkeep/strongkeep/internal/kube/operator/operatortest"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/vaulttest"
)

const pushed = `
apiVersion: v1
kind: Secret
metadata: {name: vault-token}
stringData: {token: root}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: vault}
spec: {provider: {vault: {server: VAULT, path: secret, auth: {tokenSecretRef: {name: vault-token, key: token}}}}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: db}
spec: {secretStoreRef: {name: vault}, data: [{secretKey: v, remoteRef: {key: db, property: v}}]}
---
`

func push(name, from string) string {
	return "apiVersion: v1\nkind: Secret\nmetadata: {name: " + from + "}\nstringData: {k: " + canary + "-1}\n---\n" +
		"apiVersion: external-secrets.io/v1alpha1\nkind: PushSecret\nmetadata: {name: " + name + "}\nspec:\n  secretStoreRefs: [{name: vault}]\n  deletionPolicy: Delete\n" +
		"  selector: {secret: {name: " + from + "}}\n  data: [{match: {secretKey: k, remoteRef: {remoteKey: pushed/" + name + ", property: k}}}]\n---\n"
}

// until waits until f holds.
func (p *place) until(what string, f func() bool) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), 3*time.Minute)
	defer cancel()
	for !f() {
		if ctx.Err() != nil {
			p.Fatalf("%s: not in time", what)
		}
	}
}

// TestPushTakenOver is the last step of docs/migrate-external-secrets.md for PushSecrets,
// with this program in the role of the original too: what was pushed stays, is not pushed
// again by who takes it over, and follows, and is deleted, from then on.
func TestPushTakenOver(t *testing.T) {
	p := newPlace(t)
	store := vaulttest.New().Start(t)
	store.Put("db", `{"v":"`+canary+`"}`)
	run := func(class string, only bool) (stop func()) {
		_, stop = operatortest.Start(t, operator.Config{
			Providers: map[string]provider.Provider{vault.Name: vault.Provider{}}, REST: testREST, Namespaces: []string{p.ns}, OwnNamespace: p.ns,
			Class: class, OnlyClass: only, MetricsAddr: "127.0.0.1:0", HealthAddr: "127.0.0.1:0", NoRotation: true, NoReload: true,
		})
		return stop
	}
	holds := func(key, want string) {
		t.Helper()
		p.until("the vault has at "+key+" what it is to have", func() bool {
			object, _, ok := store.State(key)
			return ok == (want != "") && object == want
		})
	}
	status := func(name string) (s v1alpha1.PushSecretStatus) {
		var ps v1alpha1.PushSecret
		p.get(&ps, name)
		return ps.Status
	}
	theirs := run("", false)
	p.apply(strings.ReplaceAll(pushed, "VAULT", store.URL) + push("app", "source"))
	holds("pushed/app", `{"k":"`+canary+`-1"}`)
	p.until("both are ready", func() bool {
		var es v1.ExternalSecret
		p.get(&es, "db")
		return v1.IsReady(es.Status.Conditions) && v1.IsReady(status("app").Conditions)
	})
	before := status("app")

	ours := run("strongkeep", true)
	p.says(errs.Conflict.ExitCode(), command("-apply", "-n", p.ns), p.ns+"/app", "-pause-pushes")
	p.says(0, command("-apply", "-n", p.ns, "-pause-pushes", "-wait=3m"), "db", "same Secret, same data")
	theirs()
	ours()
	if now := status("app"); len(now.SyncedPushSecrets) != 1 || now.SyncedResourceVersion != before.SyncedResourceVersion {
		t.Errorf("it was pushed while it was to be paused, or forgotten: %+v", now)
	}

	writes := store.Writes()
	run("strongkeep", false)
	p.until("it is taken over", func() bool {
		now := status("app")
		return v1.IsReady(now.Conditions) && now.SyncedResourceVersion != before.SyncedResourceVersion
	})
	if n := store.Writes() - writes; n != 0 {
		t.Errorf("%d writes of what was there", n)
	}
	p.apply(strings.ReplaceAll(push("app", "source"), canary+"-1", canary+"-2"))
	holds("pushed/app", `{"k":"`+canary+`-2"}`)
	var ps v1alpha1.PushSecret
	p.get(&ps, "app")
	if err := testClient.Delete(t.Context(), &ps); err != nil {
		t.Fatal(err)
	}
	holds("pushed/app", "")
	p.until("it is gone", func() bool {
		err := testClient.Get(t.Context(), client.ObjectKeyFromObject(&ps), &v1alpha1.PushSecret{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
		return err != nil
	})
	p.until("its store is held no more", func() bool {
		var s v1.SecretStore
		p.get(&s, "vault")
		return len(s.Finalizers) == 0
	})
}
