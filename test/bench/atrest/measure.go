package atrest

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/rig"
	"github.com/strongkeep/strongkeep/test/cluster"
)

// What is promised.
const (
	boundVerify  = 10.0 // s
	boundRewrite = 0.7  // of the bare client's rate
	boundOthers  = 2.0  // times the p99 without us
)

const (
	values  = 100_000 // to read
	secrets = 5000    // to rewrite
)

// world is the cluster, and its etcd.
type world struct {
	*rig.Rig
	cluster *cluster.Cluster
	config  *rest.Config
	kube    kubernetes.Interface
	etcd    *clientv3.Client
}

// Measure starts the cluster and measures everything.
func Measure(ctx context.Context, b *rig.Rig) (_ []figure.Figure, err error) {
	b.Say("  starting a cluster (the first time, its programs are built)")
	flag, err := configuration(b.Dir)
	if err != nil {
		return nil, err
	}
	c, err := cluster.Start(ctx, cluster.Config{Log: b.Progress, APIServerFlags: []string{flag}})
	if err != nil {
		return nil, err
	}
	defer func() {
		if stopped := c.Stop(); err == nil {
			err = stopped
		}
	}()
	w := &world{Rig: b, cluster: c}
	if err := w.connect(ctx); err != nil {
		return nil, err
	}
	defer func() { _ = w.etcd.Close() }()
	verified, err := w.verify(ctx)
	if err != nil {
		return nil, err
	}
	rewritten, err := w.rewrite(ctx)
	return append(verified, rewritten...), err
}

// configuration is the flag of an API server that encrypts Secrets by itself.
func configuration(dir string) (string, error) {
	path := filepath.Join(dir, "encryption.json")
	text := `{"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration", "resources": [{"resources": ["secrets"], "providers": [
{"aesgcm": {"keys": [{"name": "key1", "secret": "` + base64.StdEncoding.EncodeToString(make([]byte, 32)) + `"}]}}, {"identity": {}}]}]}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", errs.Newf(errs.Unavailable, "writing the API server's configuration: %w", err)
	}
	return "--encryption-provider-config=" + path, nil
}

func (w *world) connect(ctx context.Context) (err error) {
	if w.config, err = clientcmd.BuildConfigFromFlags("", w.cluster.Kubeconfig()); err != nil {
		return errs.Newf(errs.Unavailable, "reading the kubeconfig: %w", err)
	}
	w.config.QPS = -1
	if w.kube, err = kubernetes.NewForConfig(w.config); err != nil {
		return errs.Newf(errs.Unavailable, "making a client of the cluster: %w", err)
	}
	at := w.cluster.Etcd()
	secure, err := transport.TLSInfo{CertFile: at.CertFile, KeyFile: at.KeyFile, TrustedCAFile: at.CAFile}.ClientConfig()
	if err != nil {
		return errs.Newf(errs.Unavailable, "reading etcd's certificates: %w", err)
	}
	if w.etcd, err = clientv3.New(clientv3.Config{Endpoints: []string{at.Endpoint}, TLS: secure, Logger: zap.NewNop()}); err != nil {
		return errs.Newf(errs.Unavailable, "making a client of etcd: %w", err)
	}
	for _, name := range []string{"bare", "ours", "others"} {
		if _, err := w.kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			return errs.Newf(errs.Unavailable, "creating namespace %s: %w", name, err)
		}
	}
	return nil
}

// put writes n values into etcd, a hundred in a transaction, and the last one alone: the
// API server believes that it has seen a revision when it has seen the first value of it.
func (w *world) put(ctx context.Context, n int, value func(int) (key, value string)) error {
	for i, end := 0, 0; i < n; i = end {
		var ops []clientv3.Op
		end = min(i+100, max(n-1, i+1))
		for j := i; j < end; j++ {
			key, v := value(j)
			ops = append(ops, clientv3.OpPut(key, v))
		}
		if _, err := w.etcd.Txn(ctx).Then(ops...).Commit(); err != nil {
			return errs.Newf(errs.Unavailable, "filling etcd: %w", err)
		}
	}
	return nil
}

// verify reads values of a kilobyte, where the API server does not look for any.
func (w *world) verify(ctx context.Context) ([]figure.Figure, error) {
	w.Say("  putting %d values into etcd", values)
	data := "\x0a\x80\x08" + string(make([]byte, 1024)) + "\x12\x23sk1-0123456789abcdef0123456789abcde" + "\x1a\x04seed"
	if err := w.put(ctx, values, func(i int) (string, string) {
		return fmt.Sprintf("/bench/secrets/n%03d/s%06d", i%500, i), "k8s:enc:kms:v2:strongkeep:" + data
	}); err != nil {
		return nil, err
	}
	at := w.cluster.Etcd()
	e, err := stored.Dial(stored.EtcdConfig{Endpoints: []string{at.Endpoint}, CAFile: at.CAFile, CertFile: at.CertFile, KeyFile: at.KeyFile})
	if err != nil {
		return nil, err
	}
	defer func() { _ = e.Close() }()
	began := time.Now()
	r, err := stored.Verify(ctx, e, stored.Config{Prefix: "/bench", Resources: []string{"secrets"}, Provider: "strongkeep", KeyID: "sk1-0123456789abcdef0123456789abcde"})
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	if !r.Holds() || r.Resources[0].Values != values {
		return nil, errs.Newf(errs.Internal, "%d values were read, and %d found", r.Resources[0].Values, r.Found)
	}
	if _, err := w.etcd.Delete(ctx, "/bench/", clientv3.WithPrefix()); err != nil {
		return nil, errs.Newf(errs.Unavailable, "deleting the values: %w", err)
	}
	return []figure.Figure{figure.Within(boundVerify, "encryption-verify", took.Seconds(), "s")}, nil
}
