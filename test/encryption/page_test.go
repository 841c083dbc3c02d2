package encryption_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/testenv/await"
	"github.com/strongkeep/strongkeep/test/encryption/page"
)

// onPage are pairs of what docs/encryption.md calls etcd and its certificates, and what they are here.
func onPage() []string {
	at := env.server.Etcd()
	return []string{
		"https://127.0.0.1:2379", at.Endpoint, "/etc/kubernetes/pki/etcd/ca.crt", at.CAFile,
		"/etc/kubernetes/pki/apiserver-etcd-client.crt", at.CertFile, "/etc/kubernetes/pki/apiserver-etcd-client.key", at.KeyFile,
	}
}

// What the page asks a plugin, of one that an API server has.
func TestPluginIsAsked(t *testing.T) {
	socket := "-socket=" + env.one.socket()
	if said := strongkeep(t, 0, append(page.Command(t, "kms status"), socket)...); !strings.Contains(said, keyID(t, env.one)) {
		t.Errorf("status:\n%s", said)
	}
	if said := strongkeep(t, 0, append(page.Command(t, "kms conform"), socket)...); strings.Contains(said, "fail ") {
		t.Errorf("conform:\n%s", said)
	}
	config := filepath.Join(t.TempDir(), "kms.yaml")
	if err := os.WriteFile(config, []byte(env.one.text(filepath.Join(env.one.dir, "key"))), 0o600); err != nil {
		t.Fatal(err)
	}
	doctor := append(page.Command(t, "kms doctor", "KEY-ID-OF-ANOTHER-NODE", keyID(t, env.one)), "-config="+config, "-manifest=")
	if said := strongkeep(t, 0, doctor...); strings.Contains(said, "fail ") {
		t.Errorf("doctor:\n%s", said)
	}
	another := append(page.Command(t, "kms doctor", "KEY-ID-OF-ANOTHER-NODE", "sk1-00000000000000000000000000000000"), "-config="+config, "-manifest=")
	strongkeep(t, 10, another...)
}

// underOneKey rewrites what other tests have left under keys of before, and waits for the API server's lease, which
// it writes some seconds after it is ready.
func underOneKey(t *testing.T) {
	t.Helper()
	await.Until(t, "the API server has a lease", func() bool {
		list, err := env.client.CoordinationV1().Leases(metav1.NamespaceSystem).List(t.Context(), metav1.ListOptions{LabelSelector: "apiserver.kubernetes.io/identity=kube-apiserver"})
		return err == nil && len(list.Items) > 0
	})
	strongkeep(t, 0, append(page.Command(t, "encryption rewrite"), "-by=ourselves", "-pace=full")...)
}

// compact has etcd forget what was overwritten, as API servers do every 5 minutes: other tests may have
// written in the clear.
func compact(t *testing.T) {
	t.Helper()
	c := etcd(t)
	head, err := c.Get(t.Context(), "x", clientv3.WithCountOnly())
	if err == nil {
		_, err = c.Compact(t.Context(), head.Header.Revision, clientv3.WithCompactPhysical())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// etcd reaches the cluster's.
func etcd(t *testing.T) *clientv3.Client {
	t.Helper()
	at := env.server.Etcd()
	secure, err := transport.TLSInfo{CertFile: at.CertFile, KeyFile: at.KeyFile, TrustedCAFile: at.CAFile}.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{at.Endpoint}, TLS: secure, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// A backup is verified without a cluster; what a cloud says is never enough.
func TestVerifyElsewhere(t *testing.T) {
	create(t, env.client, "in-backup")
	compact(t)
	backup := saveEtcd(t, filepath.Join(t.TempDir(), "etcd.db"))
	verify := page.Command(t, "encryption verify -snapshot", "/var/backups/etcd.db", backup)
	if said := strongkeep(t, 0, verify...); !strings.Contains(said, "yes") {
		t.Errorf("a backup:\n%s", said)
	}
	cluster := filepath.Join(t.TempDir(), "cluster.json")
	answer := `{"cluster": {"name": "prod", "version": "1.31", "encryptionConfig": [{"resources": ["secrets"], "provider": {"keyArn": "arn:aws:kms:eu-central-1:1:key/a"}}]}}`
	if err := os.WriteFile(cluster, []byte(answer), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := strongkeep(t, 10, page.Command(t, "encryption verify -eks-cluster", "cluster.json", cluster)...); !strings.Contains(said, "not checked") {
		t.Errorf("a cloud:\n%s", said)
	}
}
