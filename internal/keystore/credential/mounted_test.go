package credential_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/credential"
)

// Tokens that a cluster gives to its pods, for itself or for a cloud, are refused.
func TestTokensOfClouds(t *testing.T) {
	for _, at := range []string{
		"kubernetes.io/serviceaccount/token", "eks.amazonaws.com/serviceaccount/token",
		"pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token", "azure/tokens/azure-identity-token",
	} {
		path := filepath.Join(t.TempDir(), "var/run/secrets", at)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("canary"), 0o400); err != nil {
			t.Fatal(err)
		}
		if _, err := credential.Read(path); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "gives to a pod") {
			t.Errorf("%s: %v", at, err)
		}
	}
}
