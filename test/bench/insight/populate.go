package insight

import (
	"context"
	"strings"
	"sync/atomic"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/gentest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
	"github.com/strongkeep/strongkeep/test/bench/rig"
)

// writers is how many objects are made at once.
const writers = 32

// world is a generated cluster that is made real.
type world struct {
	*gentest.Cluster
	kube client.Client
	// made are the Deployments.
	made map[snapshot.Ref]*appsv1.Deployment
}

// populate makes the objects of g.
func populate(ctx context.Context, b *rig.Rig, config *rest.Config, g *gentest.Cluster) error {
	log.SetLogger(logr.Discard())
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, rbacv1.AddToScheme, appsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return errs.Newf(errs.Internal, "registering kinds: %w", err)
		}
	}
	fast := rest.CopyConfig(config)
	fast.ContentType = runtime.ContentTypeProtobuf
	kube, err := client.New(fast, client.Options{Scheme: scheme})
	if err != nil {
		return errs.Newf(errs.Unavailable, "making a client of the cluster: %w", err)
	}
	w := &world{Cluster: g, kube: kube, made: map[snapshot.Ref]*appsv1.Deployment{}}
	for _, step := range []struct {
		what string
		all  []client.Object
	}{
		{"namespaces and nodes", w.places()}, {"ServiceAccounts", w.accounts()}, {"Secrets", w.secrets()},
		{"Roles", w.roles()}, {"bindings", w.bindings()}, {"Deployments", w.deployments()},
	} {
		b.Say("  making %d %s", len(step.all), step.what)
		if err := w.create(ctx, step.all); err != nil {
			return err
		}
	}
	b.Say("  making %d pods", len(g.Pods))
	return w.create(ctx, w.pods())
}

func (w *world) create(ctx context.Context, all []client.Object) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range writers {
		g.Go(func() error {
			for i := int(next.Add(1)) - 1; i < len(all); i = int(next.Add(1)) - 1 {
				o := all[i]
				if err := w.kube.Create(ctx, o, client.FieldOwner("kubectl-create")); err != nil && !apierrors.IsAlreadyExists(err) {
					return errs.Newf(errs.Unavailable, "creating %T %s: %w", o, o.GetName(), err)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func object(m *snapshot.Meta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, Labels: m.Labels}
}

// places are the namespaces, and the nodes by name: nothing runs.
func (w *world) places() []client.Object {
	var out []client.Object
	for i := range w.Namespaces {
		out = append(out, &corev1.Namespace{ObjectMeta: object(&w.Namespaces[i].Meta)})
	}
	seen := map[string]bool{}
	for i := range w.Pods {
		if name := w.Pods[i].Node; !seen[name] {
			seen[name] = true
			out = append(out, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
		}
	}
	return out
}

func (w *world) accounts() []client.Object {
	var out []client.Object
	for i := range w.Accounts {
		out = append(out, &corev1.ServiceAccount{ObjectMeta: object(&w.Accounts[i].Meta)})
	}
	return out
}

func (w *world) secrets() []client.Object {
	var out []client.Object
	for i := range w.Secrets {
		m := &w.Secrets[i].Meta
		out = append(out, &corev1.Secret{ObjectMeta: object(m), StringData: w.Data(path.Name{Namespace: m.Namespace, Name: m.Name})})
	}
	return out
}

func (w *world) roles() []client.Object {
	var out []client.Object
	for i := range w.RBAC.Roles {
		out = append(out, w.RBAC.Roles[i].DeepCopy())
	}
	for i := range w.RBAC.ClusterRoles {
		out = append(out, w.RBAC.ClusterRoles[i].DeepCopy())
	}
	return out
}

func (w *world) bindings() []client.Object {
	var out []client.Object
	for i := range w.RBAC.RoleBindings {
		out = append(out, w.RBAC.RoleBindings[i].DeepCopy())
	}
	for i := range w.RBAC.ClusterRoleBindings {
		out = append(out, w.RBAC.ClusterRoleBindings[i].DeepCopy())
	}
	return out
}

// deployments make no pods themselves: the generated ones are theirs.
func (w *world) deployments() []client.Object {
	var out []client.Object
	for i := range w.Workloads {
		o := &w.Workloads[i]
		labels := map[string]string{"app": o.Name}
		d := &appsv1.Deployment{ObjectMeta: object(&o.Meta), Spec: appsv1.DeploymentSpec{
			Paused: true, Replicas: ptr.To(int32(0)), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec(&o.Template)},
		}}
		w.made[snapshot.Ref{Group: "apps", Kind: "Deployment", Namespace: o.Namespace, Name: o.Name}] = d
		out = append(out, d)
	}
	return out
}

// pods bear with nodes that are not ready, so that nobody evicts them.
func (w *world) pods() []client.Object {
	var out []client.Object
	for i := range w.Pods {
		p := &w.Pods[i]
		o := &corev1.Pod{ObjectMeta: object(&p.Meta), Spec: podSpec(&p.Template)}
		o.Labels = map[string]string{"app": p.Workload.Name}
		if d := w.made[p.Workload]; d != nil {
			o.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
		}
		o.Spec.NodeName = p.Node
		o.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
		out = append(out, o)
	}
	return out
}

// podSpec is what a template was kept of.
func podSpec(t *snapshot.Template) corev1.PodSpec {
	app := corev1.Container{Name: "app", Image: t.Containers[0].Image, Env: []corev1.EnvVar{{Name: "LOG_LEVEL", Value: "info"}, {Name: "DB_HOST", Value: "db.internal.example"}}}
	out := corev1.PodSpec{ServiceAccountName: t.Account}
	for _, u := range t.Secrets {
		if u.Kind != consumer.UseVolume {
			app.EnvFrom = append(app.EnvFrom, corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: u.Secret}}})
			continue
		}
		volume := strings.ReplaceAll(u.Secret, ".", "-")
		out.Volumes = append(out.Volumes, corev1.Volume{Name: volume, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: u.Secret}}})
		app.VolumeMounts = append(app.VolumeMounts, corev1.VolumeMount{Name: volume, MountPath: "/etc/secrets/" + u.Secret})
	}
	out.Containers = []corev1.Container{app}
	return out
}
