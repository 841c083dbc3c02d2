package kubesync

import (
	"context"
	"path/filepath"
	"time"

	vault "github.com/hashicorp/vault/api"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/test/bench/rig"
	"github.com/strongkeep/strongkeep/test/cluster"
	"github.com/strongkeep/strongkeep/test/cluster/process"
)

const (
	namespace = "bench"
	writers   = 16               // requests that a client of ours has under way at once
	timeout   = 10 * time.Minute // of all that is waited for
)

// world is a cluster, a vault, and an operator while it is started.
type world struct {
	rig      *rig.Rig
	cluster  *cluster.Cluster
	rest     *rest.Config
	server   *rig.Server
	operator *process.Process
	kube     client.WithWatch
}

func newWorld(ctx context.Context, b *rig.Rig) (_ *world, err error) {
	w := &world{rig: b}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	b.Say("  starting a cluster (the first time, its programs are built)")
	if w.cluster, err = cluster.Start(ctx, cluster.Config{Log: b.Progress}); err != nil {
		return nil, err
	}
	if _, err := w.cluster.Kubectl(ctx, nil, "apply", "--server-side", "-f", filepath.Join(b.Root, "api", "crds")); err != nil {
		return nil, err
	}
	if err := w.connect(); err != nil {
		return nil, err
	}
	if w.server, err = b.StartDev(ctx); err != nil {
		return nil, err
	}
	if err := w.makeStore(ctx); err != nil {
		return nil, err
	}
	return w, w.makeBare(ctx)
}

func (w *world) close() {
	w.stopOperator()
	if w.server != nil {
		w.server.Process.Stop(10 * time.Second)
	}
	if w.cluster == nil {
		return
	}
	if err := w.cluster.Stop(); err != nil {
		w.rig.Say("  %v", err)
	}
}

// startOperator runs the operator as it is by default, but that nobody asks it
// for its metrics, and that it warns only.
func (w *world) startOperator() (err error) {
	w.operator, err = w.rig.Start("operator", w.rig.Binary, "operator", "run", "-kubeconfig="+w.cluster.Kubeconfig(),
		"-own-namespace="+namespace, "-metrics-addr=0", "-health-addr=0", "-log-level=warn")
	return err
}

func (w *world) stopOperator() {
	if w.operator != nil {
		w.operator.Stop(10 * time.Second)
		w.operator = nil
	}
}

// clusterTime is how long the cluster's programs have run. It says less about the
// machine than the time that passes does, when other programs use it.
func (w *world) clusterTime() time.Duration {
	but := []int{w.server.Process.PID()}
	if w.operator != nil {
		but = append(but, w.operator.PID())
	}
	return rig.FamilyTime(but...)
}

// connect makes a client that is limited by the server only.
func (w *world) connect() (err error) {
	if w.rest, err = clientcmd.BuildConfigFromFlags("", w.cluster.Kubeconfig()); err != nil {
		return errs.Newf(errs.Unavailable, "reading the kubeconfig: %w", err)
	}
	w.rest.QPS = -1
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1.AddToScheme} {
		if err := add(scheme); err != nil {
			return errs.Newf(errs.Internal, "registering kinds: %w", err)
		}
	}
	if w.kube, err = client.NewWithWatch(w.rest, client.Options{Scheme: scheme}); err != nil {
		return errs.Newf(errs.Unavailable, "making a client of the cluster: %w", err)
	}
	return nil
}

// makeStore makes the namespace and its SecretStore, which logs in with a token
// that reads the secrets and hears of their changes.
func (w *world) makeStore(ctx context.Context) error {
	const policy = `
path "secret/data/bench/*"         { capabilities = ["read"] }
path "sys/events/subscribe/kv-v2*" { capabilities = ["read"] }`
	if err := w.server.Client.Sys().PutPolicyWithContext(ctx, "operator", policy); err != nil {
		return err
	}
	made, err := w.server.Client.Auth().Token().CreateWithContext(ctx, &vault.TokenCreateRequest{Policies: []string{"operator"}})
	if err != nil {
		return err
	}
	provider, err := v1.NewProvider("vault", map[string]any{
		"server": w.server.URL, "path": rig.Mounted, "version": "v2",
		"auth": map[string]any{"tokenSecretRef": map[string]any{"name": "vault-token", "key": "token"}},
	})
	if err != nil {
		return err
	}
	return w.createAll(ctx,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.Secret{ObjectMeta: meta("vault-token"), StringData: map[string]string{"token": made.Auth.ClientToken}},
		&v1.SecretStore{ObjectMeta: meta("vault"), Spec: v1.SecretStoreSpec{Provider: provider}})
}

func (w *world) createAll(ctx context.Context, objects ...client.Object) error {
	for _, o := range objects {
		if err := w.kube.Create(ctx, o); err != nil {
			return errs.Newf(errs.Unavailable, "creating %T %s: %w", o, o.GetName(), err)
		}
	}
	return nil
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}
