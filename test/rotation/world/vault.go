package world

import (
	"fmt"
	"net"
	"os"
	"strings"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

// Who the vault asks whose token it was given.
const (
	reviewerNamespace = "vault-auth"
	reviewer          = "token-reviewer"
)

// audience is that of the tokens that log in.
const audience = "strongkeep"

// appPolicy is what the applications' store may do, rotatorPolicy what the
// Rotation's may, and lenderPolicy what it may for shadow pods too.
const (
	appPolicy = `
path "database/alternating-creds/app" { capabilities = ["read"] }
path "sys/events/subscribe/*" { capabilities = ["read"] }
`
	rotatorPolicy = `
path "database/alternating-creds/app" { capabilities = ["read"] }
path "database/alternating-roles/app/*" { capabilities = ["create", "read", "update"] }
path "evidence/statements/*" { capabilities = ["create", "read"] }
`
	lenderPolicy = `
path "database/alternating-staged/app" { capabilities = ["read"] }
`
)

// startVault starts a vault where pods and the API server could reach it, and
// has it trust the cluster.
func (w *World) startVault() {
	w.Helper()
	w.Vault = testenv.Start(w, func(c *app.ServerConfig) { c.Listen = net.JoinHostPort(w.HostIP(), "0") })
	token := strings.TrimSpace(w.Kubectl("create", "token", reviewer, "--namespace="+reviewerNamespace, "--duration=24h"))
	ca, err := os.ReadFile(w.site.CAFile())
	if err != nil {
		w.Fatal(err)
	}
	if err := w.Vault.Sys().EnableAuthWithOptions("kubernetes", &vault.EnableAuthOptions{Type: "kubernetes"}); err != nil {
		w.Fatal(err)
	}
	for _, mount := range []string{"database", "evidence"} {
		if err := w.Vault.Sys().Mount(mount, &vault.MountInput{Type: mount}); err != nil {
			w.Fatal(err)
		}
	}
	w.Write("auth/kubernetes/config", map[string]any{"kubernetes_host": w.site.URL(), "kubernetes_ca_cert": string(ca), "token_reviewer_jwt": token})
	rotator := rotatorPolicy
	if w.powers.RehearsalPods {
		rotator += lenderPolicy
	}
	for name, policy := range map[string]string{"app": appPolicy, "rotator": rotator} {
		if err := w.Vault.Sys().PutPolicy(name, policy); err != nil {
			w.Fatal(err)
		}
		w.Write("auth/kubernetes/role/"+name, map[string]any{
			"bound_service_account_names": name, "bound_service_account_namespaces": w.Namespace,
			"audience": audience, "token_policies": name, "token_ttl": "1h",
		})
		w.Kubectl("create", "serviceaccount", name)
	}
	w.Kubectl("create", "configmap", "vault-ca", "--from-file=ca.crt="+w.Vault.Server.CAFile())
}

// Write writes to the vault as its root.
func (w *World) Write(path string, body map[string]any) {
	w.Helper()
	if _, err := w.Vault.Logical().WriteWithContext(w.Context(), path, body); err != nil {
		w.Fatal(err)
	}
}

// Published is what the vault gives readers now. Its password is remembered as
// one that may be nowhere else.
func (w *World) Published() (user, password, version string) {
	w.Helper()
	s, err := w.Vault.Logical().ReadWithContext(w.Context(), "database/alternating-creds/app")
	if err != nil || s == nil {
		w.Fatalf("reading the published credential: %v, %v", s, err)
	}
	user, _ = s.Data["username"].(string)
	password, _ = s.Data["password"].(string)
	if user == "" || password == "" {
		w.Fatalf("the published credential lacks a user or a password")
	}
	w.remember("the password of "+user, password)
	return user, password, fmt.Sprint(s.Data["version"])
}

// feed makes the stores, the ExternalSecret and the Rotation.
func (w *World) feed() {
	w.Helper()
	for name, account := range map[string]string{"database": "app", "rotator": "rotator"} {
		w.Apply(fmt.Sprintf(store, name, w.Vault.Server.URL(), account, account, audience))
	}
	w.Feed("db")
}

// Feed makes an ExternalSecret of the published credential, and the Secret that it
// feeds, of one name.
func (w *World) Feed(name string) {
	w.Helper()
	w.Apply(fmt.Sprintf(externalSecret, name, name))
}

const store = `
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: %s}
spec:
  provider:
    vault:
      server: %s
      path: database
      version: v1
      caProvider: {type: ConfigMap, name: vault-ca, key: ca.crt}
      auth:
        kubernetes:
          mountPath: kubernetes
          role: %s
          serviceAccountRef: {name: %s, audiences: [%s]}
`

// externalSecret feeds a Secret that applications use.
const externalSecret = `
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: %s}
spec:
  refreshInterval: 1h
  secretStoreRef: {kind: SecretStore, name: database}
  target: {name: %s}
  data:
  - {secretKey: username, remoteRef: {key: alternating-creds/app, property: username}}
  - {secretKey: password, remoteRef: {key: alternating-creds/app, property: password}}
`
