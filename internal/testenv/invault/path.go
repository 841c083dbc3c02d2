package invault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/targettest"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

// Policy is what a turn of secret/PATH needs, as docs/rotation/kv.md has it.
func Policy(path string) string {
	return fmt.Sprintf(`
path "secret/data/%[1]s"     { capabilities = ["create", "read", "update"] }
path "secret/metadata/%[1]s" { capabilities = ["read"] }
path "secret/delete/%[1]s"   { capabilities = ["update"] }
path "secret/undelete/%[1]s" { capabilities = ["update"] }
path "secret/destroy/%[1]s"  { capabilities = ["update"] }
path "secret/data/strongkeep-staged/%[1]s"     { capabilities = ["create", "read", "update"] }
path "secret/metadata/strongkeep-staged/%[1]s" { capabilities = ["create", "read", "update"] }
path "secret/data/strongkeep-provided/%[1]s"     { capabilities = ["read"] }
path "secret/metadata/strongkeep-provided/%[1]s" { capabilities = ["read", "delete"] }
path "sys/policies/password/+/generate" { capabilities = ["read"] }
`, path)
}

// Path is secret/PATH of a vault, whose property is turned.
type Path struct {
	*testenv.Vault
	Path, Property string
}

// Start runs a vault with a KV v2 engine at secret/.
func Start(t testing.TB, path, property string) *Path {
	t.Helper()
	v := testenv.Start(t, func(c *app.ServerConfig) { c.Storage = "mem" })
	if err := v.Sys().Mount("secret", &api.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}); err != nil {
		t.Fatal(err)
	}
	return &Path{v, path, property}
}

// Login is the vault with no more rights than a turn needs.
func (p *Path) Login(t testing.TB) target.Vault {
	return Open(t, p.Vault, p.Policy("turns", Policy(p.Path)))
}

// Read returns what readers see.
func (p *Path) Read(t *testing.T) (targettest.Credential, bool) {
	t.Helper()
	s, err := p.KVv2("secret").Get(context.Background(), p.Path)
	if errors.Is(err, api.ErrSecretNotFound) || err == nil && s.Data[p.Property] == nil {
		return targettest.Credential{}, false
	}
	if err != nil {
		t.Fatal(err)
	}
	return targettest.Credential{Public: p.Path, Secret: fmt.Sprint(s.Data[p.Property])}, true
}

// Works reports whether any version can be read that has the credential.
func (p *Path) Works(t *testing.T, c targettest.Credential) bool {
	t.Helper()
	for _, s := range p.Versions(t) {
		if s.Data[p.Property] == c.Secret {
			return true
		}
	}
	return false
}

// Versions returns every version that can be read.
func (p *Path) Versions(t *testing.T) []*api.KVSecret {
	t.Helper()
	m, err := p.KVv2("secret").GetMetadata(context.Background(), p.Path)
	if errors.Is(err, api.ErrSecretNotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var out []*api.KVSecret
	for n := m.OldestVersion; n <= m.CurrentVersion; n++ {
		s, err := p.KVv2("secret").GetVersion(context.Background(), p.Path, n)
		if err == nil && s.Data != nil {
			out = append(out, s)
		} else if err != nil && !errors.Is(err, api.ErrSecretNotFound) {
			t.Fatal(err)
		}
	}
	return out
}

// Logs is what the vault wrote down, its audit log included.
func (p *Path) Logs() string {
	audit, err := os.ReadFile(p.AuditFile())
	if err != nil {
		return err.Error()
	}
	return p.Log.String() + string(audit)
}

// Left names the values that a turn keeps beside the path, as public as they are:
// properties, and not what they are.
func (p *Path) Left(t *testing.T) []string {
	t.Helper()
	s, err := p.KVv2("secret").Get(context.Background(), "strongkeep-staged/"+p.Path)
	if errors.Is(err, api.ErrSecretNotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, side := range []string{"new", "old", "prepared"} {
		values, _ := s.Data[side].(map[string]any)
		for property := range values {
			out = append(out, side+" "+property)
		}
	}
	slices.Sort(out)
	return out
}
