package rbac_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/server/options/encryptionconfig"

	"github.com/strongkeep/strongkeep/internal/kube/encryption/config"
)

// EncryptionConfigurations made at random are taken and refused as by Kubernetes' own
// loading with automatic reload. KMS v1 is left out: it is behind a gate there.
func TestEncryptionConfigurations(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	one := func(from ...string) string { return from[r.IntN(len(from))] }
	key := func(n int) string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", n))) }
	provider := func() string {
		// Most are right: a file with five wrong ones says little.
		switch r.IntN(12) {
		case 0:
			return fmt.Sprintf("%s: {keys: [{name: %s, secret: %s}]}", one("aescbc", "aesgcm", "secretbox"), one("a", "''"), key([]int{16, 24, 32, 31}[r.IntN(4)]))
		case 1:
			return one("{}", "aescbc: {keys: []}", "aescbc: {}", "aesgcm: {keys: [{name: a, secret: '!'}]}", "identity: {a: b}", "secretbox: {keys: [{name: a}]}")
		case 2, 3, 4, 5:
			return fmt.Sprintf("kms: {apiVersion: %s, name: %s, endpoint: %q%s}", one("v2", "v2", "v2", "v2", "v2", "v3"), one("a", "b", "c", "d", "e", "f", "g", "'a:b'", "''"),
				one("unix:///k", "unix:///k", "unix:///k", "unix:///k", "unix:///@k", "tcp://k", ""), one("", "", "", "", ", timeout: 3s", ", timeout: 0s", ", timeout: -1s", ", cachesize: 1"))
		case 6:
			return fmt.Sprintf("aescbc: {keys: [{name: a, secret: %s}, {name: %s, secret: %s}]}", key(32), one("a", "b"), key(16))
		}
		return "identity: {}"
	}
	taken := 0
	for range 300 {
		text := "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n"
		for range 1 + r.IntN(3) {
			var names []string
			for range 1 + r.IntN(2) {
				names = append(names, one("secrets", "configmaps", "pods", "deployments.apps", "daemonsets.apps", "jobs.batch", "leases.coordination.k8s.io", "'*.apps'", "'*.batch'", "'*.'", "'*.*'", "'*'", "Secrets",
					"'secrets.*'", "events.events.k8s.io", "events", "a.extensions", "apiserveripinfo", "''"))
			}
			text += "- resources: [" + strings.Join(names, ", ") + "]\n  providers:\n"
			for range 1 + r.IntN(3) {
				text += "  - " + provider() + "\n"
			}
		}
		want := loaded(t, text)
		_, err := config.Parse("f", []byte(text))
		if (err == nil) != (want == nil) {
			t.Errorf("ours: %v\nKubernetes: %v\n%s", err, want, text)
		}
		if err == nil {
			taken++
		}
	}
	if taken < 20 {
		t.Errorf("only %d of them are right", taken)
	}
}

// loaded is what Kubernetes says.
func loaded(t *testing.T, text string) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := encryptionconfig.LoadEncryptionConfig(ctx, path, true, "id")
	return err
}
