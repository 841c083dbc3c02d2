package identity_test

import (
	"slices"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/identity"
)

func TestAccount(t *testing.T) {
	for key, want := range map[string]bool{
		"eks.amazonaws.com/role-arn": true, "eks.amazonaws.com/audience": true, "iam.gke.io/gcp-service-account": true, "azure.workload.identity/tenant-id": true,
		"vault.hashicorp.com/alias-metadata-team": true, "openbao.org/x": true,
		"eks.amazonaws.com": false, "iam.gke.io.example.com/x": false, "example.com/role-arn": false, "note": false,
	} {
		if got := identity.Account(map[string]string{key: "x", "a.example.com/b": ""}); slices.Equal(got, []string{key}) != want || len(got) > 1 {
			t.Errorf("%s: %v", key, got)
		}
	}
	all := map[string]string{"iam.gke.io/b": "", "eks.amazonaws.com/c": "", "iam.gke.io/a": ""}
	if got := identity.Account(all); !slices.Equal(got, []string{"eks.amazonaws.com/c", "iam.gke.io/a", "iam.gke.io/b"}) {
		t.Errorf("%v", got)
	}
}

func TestInjector(t *testing.T) {
	for name, c := range map[string]struct {
		annotations map[string]string
		want        string
	}{
		"none":               {map[string]string{"example.com/agent-inject": "true"}, ""},
		"Vault's":            {map[string]string{"vault.hashicorp.com/role": "shop", "vault.hashicorp.com/agent-inject": "true"}, "vault.hashicorp.com/agent-inject"},
		"its value is blank": {map[string]string{"vault.hashicorp.com/agent-inject": ""}, "vault.hashicorp.com/agent-inject"},
		"off":                {map[string]string{"vault.hashicorp.com/role": "shop", "vault.hashicorp.com/agent-inject": "False"}, ""},
		"one is off":         {map[string]string{"openbao.org/role": "shop", "openbao.org/agent-inject": "0", "consul.hashicorp.com/connect-inject": "true"}, "consul.hashicorp.com/connect-inject"},
		"disabled":           {map[string]string{"akeyless/enabled": "disabled"}, ""},
		"without asking":     {map[string]string{"vault.security.banzaicloud.io/vault-role": "shop"}, "vault.security.banzaicloud.io/vault-role"},
		"Vault's word alone": {map[string]string{"vault.hashicorp.com/role": "shop"}, "vault.hashicorp.com/role"},
	} {
		if got := identity.Injector(c.annotations); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
