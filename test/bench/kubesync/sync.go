package kubesync

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	vault "github.com/hashicorp/vault/api"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/rig"
	"github.com/strongkeep/strongkeep/test/cluster"
	"github.com/strongkeep/strongkeep/test/cluster/process"
)

// Creating so many ExternalSecrets at once until all are Ready must not take
// longer than this many times what it takes to write so many small objects.
const (
	bound        = 3.0
	objects      = 1000
	smallObjects = 2000
	timeout      = 5 * time.Minute
	kubeWriters  = 16
	kubectls     = 4
	namespace    = "bench"
)

// Measure runs the operator against a real API server and a real vault. The
// small objects are ConfigMaps of one value, written by several kubectl create
// at once, before and after.
func Measure(ctx context.Context, b *rig.Rig) (_ []figure.Figure, err error) {
	w, err := newWorld(ctx, b)
	if err != nil {
		return nil, err
	}
	defer w.close()
	if err := w.storeReady(ctx); err != nil {
		return nil, err
	}
	before, err := w.writeSmall(ctx, "before")
	if err != nil {
		return nil, err
	}
	b.Say("  %d ConfigMaps: %.2f s", smallObjects, before.Seconds())
	operator, server := rig.CPUTime(w.operator.PID()), rig.CPUTime(w.server.Process.PID())
	took, err := w.sync(ctx)
	if err != nil {
		return nil, w.operator.Explain(err)
	}
	b.Say("  %d ExternalSecrets: %.2f s, in which the operator used %.2f s of CPU and the vault %.2f s", objects, took.Seconds(),
		(rig.CPUTime(w.operator.PID()) - operator).Seconds(), (rig.CPUTime(w.server.Process.PID()) - server).Seconds())
	if err := w.verify(ctx); err != nil {
		return nil, err
	}
	after, err := w.writeSmall(ctx, "after")
	if err != nil {
		return nil, err
	}
	bare, err := w.writeBare(ctx)
	if err != nil {
		return nil, err
	}
	b.Say("  %d ConfigMaps: %.2f s; by a bare client over %d connections: %.2f s", smallObjects, after.Seconds(), kubeWriters, bare.Seconds())
	return []figure.Figure{figure.AtMost(bound, "sync-1000", took.Seconds(), "s", (before+after).Seconds()/2)}, nil
}

// world is a cluster, a vault and an operator.
type world struct {
	rig      *rig.Rig
	cluster  *cluster.Cluster
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
	if w.kube, err = newKube(w.cluster.Kubeconfig()); err != nil {
		return nil, err
	}
	if w.server, err = b.StartDev(ctx); err != nil {
		return nil, err
	}
	if err := w.server.Fill(ctx); err != nil {
		return nil, err
	}
	if err := w.makeStore(ctx); err != nil {
		return nil, err
	}
	w.operator, err = b.Start("operator", b.Binary, "operator", "run", "-kubeconfig="+w.cluster.Kubeconfig(),
		"-own-namespace="+namespace, "-metrics-addr=0", "-health-addr=0", "-log-level=warn")
	return w, err
}

func (w *world) close() {
	if w.operator != nil {
		w.operator.Stop(10 * time.Second)
	}
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

// newKube returns a client that is limited by the server only.
func newKube(kubeconfig string) (client.WithWatch, error) {
	c, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "reading the kubeconfig: %w", err)
	}
	c.QPS = -1
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, errs.Newf(errs.Internal, "registering kinds: %w", err)
		}
	}
	kube, err := client.NewWithWatch(c, client.Options{Scheme: scheme})
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "making a client of the cluster: %w", err)
	}
	return kube, nil
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
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.Secret{ObjectMeta: meta("vault-token"), StringData: map[string]string{"token": made.Auth.ClientToken}},
		&v1.SecretStore{ObjectMeta: meta("vault"), Spec: v1.SecretStoreSpec{Provider: provider}},
	} {
		if err := w.kube.Create(ctx, o); err != nil {
			return errs.Newf(errs.Unavailable, "creating %T %s: %w", o, o.GetName(), err)
		}
	}
	return nil
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func (w *world) storeReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return w.operator.Await(ctx, func(ctx context.Context) error {
		var s v1.SecretStore
		if err := w.kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "vault"}, &s); err != nil {
			return err
		}
		if !ready(s.Status.Conditions) {
			return errs.Newf(errs.Unavailable, "the SecretStore is not Ready: %+v", s.Status.Conditions)
		}
		return nil
	})
}

func ready(conditions []v1.Condition) bool {
	for _, c := range conditions {
		if c.Type == v1.ConditionReady {
			return c.Status == metav1.ConditionTrue
		}
	}
	return false
}

// writeSmall measures how long kubectl create needs for the small objects, a
// part of them in each of several processes at once.
func (w *world) writeSmall(ctx context.Context, when string) (time.Duration, error) {
	parts := make([]bytes.Buffer, kubectls)
	for i := range smallObjects {
		_, _ = fmt.Fprintf(&parts[i%kubectls], "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: small-%s-%d, namespace: %s}\ndata: {value: \"%d\"}\n",
			when, i, namespace, i) // a buffer takes everything
	}
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for i := range parts {
		g.Go(func() error {
			_, err := w.cluster.Kubectl(ctx, &parts[i], "create", "-f", "-")
			return err
		})
	}
	err := g.Wait()
	return time.Since(began), err
}

// writeBare measures the same with a client that does nothing else: the ceiling
// of the API server, for the record.
func (w *world) writeBare(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	err := w.create(ctx, smallObjects, func(i int) client.Object {
		return &corev1.ConfigMap{ObjectMeta: meta(fmt.Sprintf("bare-%d", i)), Data: map[string]string{"value": strconv.Itoa(i)}}
	})
	return time.Since(began), err
}

// create writes n objects over kubeWriters connections.
func (w *world) create(ctx context.Context, n int, object func(i int) client.Object) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range kubeWriters {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				o := object(i)
				if err := w.kube.Create(ctx, o); err != nil {
					return errs.Newf(errs.Unavailable, "creating %T %s: %w", o, o.GetName(), err)
				}
			}
		})
	}
	return g.Wait()
}

// sync measures from the first create until the last ExternalSecret is Ready.
func (w *world) sync(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := w.create(ctx, objects, externalSecret)
		w.rig.Say("  created after %.2f s", time.Since(began).Seconds())
		return err
	})
	g.Go(func() error {
		done := map[string]bool{}
		for len(done) < objects {
			if err := w.follow(ctx, done); err != nil {
				return errs.Newf(errs.Unavailable, "%d of %d ExternalSecrets are Ready: %w", len(done), objects, err)
			}
		}
		return nil
	})
	err := g.Wait()
	return time.Since(began), err
}

// follow notes who is Ready until all are or the watch ends, which the API
// server may do at any time. A new watch begins with the state as it is.
func (w *world) follow(ctx context.Context, done map[string]bool) error {
	watch, err := w.kube.Watch(ctx, &v1.ExternalSecretList{}, client.InNamespace(namespace))
	if err != nil {
		return err
	}
	defer watch.Stop()
	for len(done) < objects {
		select {
		case e, open := <-watch.ResultChan():
			if !open {
				return nil
			}
			if es, ok := e.Object.(*v1.ExternalSecret); ok && ready(es.Status.Conditions) {
				done[es.Name] = true
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func externalSecret(i int) client.Object {
	return &v1.ExternalSecret{
		ObjectMeta: meta("app-" + strconv.Itoa(i)),
		Spec: v1.ExternalSecretSpec{
			SecretStoreRef: v1.SecretStoreRef{Name: "vault"},
			Data: []v1.ExternalSecretData{{
				SecretKey: "password",
				RemoteRef: v1.RemoteRef{Key: rig.SecretPath(i), Property: "password"},
			}},
		},
	}
}

// verify checks every Secret's value against what fill stored.
func (w *world) verify(ctx context.Context) error {
	for i := range objects {
		var s corev1.Secret
		name := "app-" + strconv.Itoa(i)
		if err := w.kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &s); err != nil {
			return errs.Newf(errs.Internal, "an ExternalSecret is Ready, and its Secret: %w", err)
		}
		if string(s.Data["password"]) != rig.SecretValue(i)["password"] {
			return errs.Newf(errs.Internal, "Secret %s does not have the value that the vault has", name)
		}
	}
	return nil
}
