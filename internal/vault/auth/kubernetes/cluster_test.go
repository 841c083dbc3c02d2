package kubernetes

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
	"github.com/strongkeep/strongkeep/test/cluster"
)

// TestRealAPIServer logs in against a real kube-apiserver: what the fake of the
// other tests answers is what this one answers.
func TestRealAPIServer(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED with -short: starts a real control plane")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	c, err := cluster.Start(ctx, cluster.Config{Log: testLog{t}})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	defer func() {
		if !stopped {
			_ = c.Stop()
		}
	}()
	kubectl := func(args ...string) string {
		t.Helper()
		out, err := c.Kubectl(ctx, nil, args...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	for _, line := range []string{
		"create namespace vault", "create serviceaccount reviewer -n vault", "create serviceaccount powerless -n vault",
		"create clusterrolebinding r1 --clusterrole=system:auth-delegator --serviceaccount=vault:reviewer",
		"create clusterrole namespaces --verb=get --resource=namespaces",
		"create clusterrolebinding r2 --clusterrole=namespaces --serviceaccount=vault:reviewer",
		"create serviceaccount my-app", "label namespace default team=a",
	} {
		kubectl(strings.Fields(line)...)
	}
	token := func(args ...string) string { return kubectl(append([]string{"create", "token"}, args...)...) }
	ca, err := os.ReadFile(c.CAFile())
	if err != nil {
		t.Fatal(err)
	}

	w := &world{t: t, Harness: enginetest.New(t, factoryIn(t.TempDir()))}
	w.Advance(time.Since(w.Now()))
	config := map[string]any{"kubernetes_host": c.URL(), "kubernetes_ca_cert": string(ca), "token_reviewer_jwt": token("reviewer", "-n", "vault")}
	w.write("config", config)
	w.write("role/my-app", map[string]any{"bound_service_account_names": "my-app", "bound_service_account_namespaces": "default", "token_policies": "app"})
	refused := func(what, jwt string, kind errs.Kind, text string) {
		t.Helper()
		if _, err := w.login(jwt); !errs.Is(err, kind) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", what, err)
		}
	}

	app, forVault := token("my-app"), token("my-app", "--audience=vault")
	a, err := w.login(app)
	if err != nil {
		t.Fatal(err)
	}
	if uid := kubectl("get", "serviceaccount", "my-app", "-o", "jsonpath={.metadata.uid}"); a.Alias != uid || a.DisplayName != "default-my-app" ||
		a.Metadata["service_account_name"] != "my-app" || a.Metadata["service_account_namespace"] != "default" {
		t.Errorf("%+v, uid %s", a, uid)
	}
	refused("another ServiceAccount", token("default"), errs.Denied,
		`service account name not authorized: role "my-app" is not bound to ServiceAccount "default", which this token is of (namespace "default")`)
	refused("another namespace", token("reviewer", "-n", "vault"), errs.Denied, "service account name not authorized")
	refused("a token for others", forVault, errs.Denied, "does not accept the jwt")
	forged := []byte(app)
	if i := len(forged) - 10; forged[i] == 'A' {
		forged[i] = 'B'
	} else {
		forged[i] = 'A'
	}
	refused("a forged signature", string(forged), errs.Denied, "does not accept the jwt")

	w.write("role/my-app", map[string]any{"audience": "vault"})
	if _, err := w.login(forVault); err != nil {
		t.Errorf("with the audience: %v", err)
	}
	refused("without the audience", app, errs.Denied, "invalid audience (aud) claim")
	w.write("role/my-app", map[string]any{"audience": "", "bound_service_account_namespaces": "other", "bound_service_account_namespace_selector": `{"matchLabels":{"team":"a"}}`})
	if _, err := w.login(app); err != nil {
		t.Errorf("by the namespace's label: %v", err)
	}
	w.write("role/my-app", map[string]any{"bound_service_account_namespace_selector": `{"matchLabels":{"team":"b"}}`})
	refused("another label", app, errs.Denied, "namespace not authorized")
	w.write("role/my-app", map[string]any{"bound_service_account_namespaces": "default", "bound_service_account_namespace_selector": ""})

	config["token_reviewer_jwt"] = token("powerless", "-n", "vault")
	w.write("config", config)
	refused("a reviewer without rights", app, errs.Unavailable, "system:auth-delegator")
	config["token_reviewer_jwt"] = "not-a-token"
	w.write("config", config)
	refused("a reviewer nobody knows", app, errs.Unavailable, "renew token_reviewer_jwt")
	delete(config, "token_reviewer_jwt")
	w.write("config", config)
	refused("an account that may not review itself", app, errs.Denied, "system:auth-delegator")
	kubectl("create", "clusterrolebinding", "r3", "--clusterrole=system:auth-delegator", "--serviceaccount=default:my-app")
	if _, err := eventually(func() (*engine.Auth, error) { return w.login(app) }); err != nil {
		t.Errorf("an account that reviews itself: %v", err)
	}

	config["token_reviewer_jwt"] = token("reviewer", "-n", "vault")
	w.write("config", config)
	kubectl("delete", "serviceaccount", "my-app")
	_, err = eventually(func() (*engine.Auth, error) { // the API server caches a good token for ten seconds
		_, err := w.login(app)
		if errs.Is(err, errs.Denied) {
			return nil, nil
		}
		return nil, errs.Newf(errs.Internal, "still: %v", err)
	})
	if err != nil {
		t.Errorf("the ServiceAccount was deleted: %v", err)
	}
	if strings.Contains(w.Logs(), app) || strings.Contains(w.Logs(), forVault) {
		t.Error("the log shows a token")
	}
	stopped = true
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	refused("a cluster that is gone", app, errs.Unavailable, "the Kubernetes API server at "+c.URL()+" cannot be reached")
}

// eventually tries f for up to half a minute.
func eventually(f func() (*engine.Auth, error)) (a *engine.Auth, err error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); ; <-tick.C {
		if a, err = f(); err == nil || time.Now().After(end) {
			return a, err
		}
	}
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}
