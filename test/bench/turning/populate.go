package turning

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/test/cluster"
)

// writers is how many objects are written at once.
const writers = 16

// populate makes a Secret that an ExternalSecret feeds, workloads that use it,
// each with a ReplicaSet and a pod, and pods that use others.
func populate(ctx context.Context, c *cluster.Cluster, kube client.Client, root string) error {
	if _, err := c.Kubectl(ctx, nil, "apply", "--server-side", "-f", filepath.Join(root, "api", "crds")); err != nil {
		return err
	}
	if _, err := c.Kubectl(ctx, nil, "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"); err != nil {
		return err
	}
	provider, err := v1.NewProvider("fake", map[string]any{"data": []any{}})
	if err != nil {
		return err
	}
	es := &v1.ExternalSecret{ObjectMeta: meta("db"), Spec: v1.ExternalSecretSpec{
		SecretStoreRef: v1.SecretStoreRef{Name: "vault"},
		Data:           []v1.ExternalSecretData{{SecretKey: "password", RemoteRef: v1.RemoteRef{Key: "alternating-creds/app", Property: "password"}}},
	}}
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&v1.SecretStore{ObjectMeta: meta("vault"), Spec: v1.SecretStoreSpec{Provider: provider}}, es, fedSecret(),
	} {
		if err := create(ctx, kube, o); err != nil {
			return err
		}
	}
	if err := ready(ctx, kube, es); err != nil {
		return err
	}
	if err := accountThere(ctx, kube); err != nil {
		return err
	}
	for i := range nodes { // pods of nodes that are not there are removed
		if err := create(ctx, kube, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", i)}}); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writers)
	for i := range workloads {
		g.Go(func() error { return workload(ctx, kube, i) })
	}
	for i := range strangers {
		g.Go(func() error { return running(ctx, kube, pod(fmt.Sprintf("stranger-%d", i), "another", i)) })
	}
	return g.Wait()
}

// accountThere waits for the ServiceAccount that pods of the namespace need.
func accountThere(ctx context.Context, kube client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "default"}, &corev1.ServiceAccount{})
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errs.Newf(errs.Unavailable, "waiting for the ServiceAccount default: %w", err)
		case <-tick.C:
		}
	}
}

func workload(ctx context.Context, kube client.Client, i int) error {
	name := fmt.Sprintf("web-%d", i)
	labels := map[string]string{"app": name}
	p := pod(name+"-1-x", "db", i)
	p.Labels = labels
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: p.Spec}
	template.Spec.NodeName = ""
	// The pod first, which the ReplicaSet's controller then takes over: otherwise that
	// makes one of its own. Paused, so that the Deployment's leaves the ReplicaSet alone.
	if err := running(ctx, kube, p); err != nil {
		return err
	}
	d := &appsv1.Deployment{ObjectMeta: meta(name), Spec: appsv1.DeploymentSpec{Paused: true, Replicas: ptr.To(int32(1)), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template}}
	if err := create(ctx, kube, d); err != nil {
		return err
	}
	r := &appsv1.ReplicaSet{ObjectMeta: meta(name + "-1"), Spec: appsv1.ReplicaSetSpec{Replicas: ptr.To(int32(1)), Selector: d.Spec.Selector, Template: template}}
	r.Labels, r.OwnerReferences = labels, []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
	return create(ctx, kube, r)
}

func pod(name, secret string, i int) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: meta(name)}
	p.Spec.NodeName = fmt.Sprintf("node-%d", i%nodes)
	p.Spec.TerminationGracePeriodSeconds = ptr.To(int64(0))
	p.Spec.Containers = []corev1.Container{{Name: "web", Image: "none", EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: secret}}}}}}
	return p
}

// running makes a pod that says of itself that it runs.
func running(ctx context.Context, kube client.Client, p *corev1.Pod) error {
	if err := create(ctx, kube, p); err != nil {
		return err
	}
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	if err := kube.Status().Update(ctx, p); err != nil {
		return errs.Newf(errs.Unavailable, "writing the status of %s: %w", p.Name, err)
	}
	return nil
}

func create(ctx context.Context, kube client.Client, o client.Object) error {
	if err := kube.Create(ctx, o); err != nil {
		return errs.Newf(errs.Unavailable, "creating %T %s: %w", o, o.GetName(), err)
	}
	return nil
}
