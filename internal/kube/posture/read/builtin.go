package read

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/record"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// steps are what is done side by side.
type steps = []func(context.Context) error

// minimal are what who-can needs.
func (l *live) minimal() steps {
	return append(append(l.rbac(), l.deputies()...),
		builtin(l, l.client.CoreV1().RESTClient(), kind[corev1.Pod, snapshot.Pod]{resource: "pods", record: some(thinPod), keep: func(s *snapshot.Snapshot, all []snapshot.Pod) { s.Pods = all }}),
		l.namespaceLabels(), l.secretNames(), l.cloud)
}

// whole are all. What takes longest comes first: nothing else is left to be done beside it
// otherwise.
func (l *live) whole() steps {
	core := l.client.CoreV1().RESTClient()
	out := steps{l.secrets(), l.pods(), l.version}
	out = append(out, l.rbac()...)
	out = append(append(out, l.workloads()...), l.customs()...)
	return append(out,
		builtin(l, core, kind[corev1.ConfigMap, snapshot.ConfigMap]{
			resource: "configmaps", record: all(l.maker.ConfigMap), keep: func(s *snapshot.Snapshot, all []snapshot.ConfigMap) { s.ConfigMaps = all },
		}),
		l.stored(),
		builtin(l, core, kind[corev1.ServiceAccount, snapshot.Account]{
			resource: "serviceaccounts", record: all(record.Account), keep: func(s *snapshot.Snapshot, all []snapshot.Account) { s.Accounts = all },
		}),
		l.namespaceLabels(),
	)
}

func (l *live) namespaceLabels() func(context.Context) error {
	return builtin(l, l.client.CoreV1().RESTClient(), kind[corev1.Namespace, snapshot.Namespace]{
		resource: "namespaces", global: true, record: all(record.Namespace), keep: func(s *snapshot.Snapshot, all []snapshot.Namespace) { s.Namespaces = all },
	})
}

// items are those of a list, if there is one.
func items[O, L any](_ *L, err error, of func() ([]O, string)) ([]O, string, error) {
	if err != nil {
		return nil, "", err
	}
	out, next := of()
	return out, next, nil
}

// thinPod is what who-can needs of a pod.
func thinPod(p *corev1.Pod) (snapshot.Pod, bool) {
	if ended(p) {
		return snapshot.Pod{}, false
	}
	account := p.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	return snapshot.Pod{
		Meta: snapshot.Meta{Namespace: p.Namespace, Name: p.Name}, Node: p.Spec.NodeName,
		Template: snapshot.Template{Account: account, Secrets: consumer.Uses(&p.Spec), Privileged: record.Privileged(&p.Spec), Lowered: record.Lowered(&p.Spec)},
	}, true
}

// ended reports whether a pod has run to its end.
func ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// bare is what is kept of the metadata of RBAC's objects.
func bare(m *metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, Labels: m.Labels, Annotations: record.Annotations(m.Annotations)}
}

// secrets reads their content for fingerprints, or their names.
func (l *live) secrets() func(context.Context) error {
	if l.Key == nil {
		return l.secretNames()
	}
	return builtin(l, l.client.CoreV1().RESTClient(), kind[corev1.Secret, snapshot.Secret]{
		resource: "secrets", record: all(l.maker.Secret),
		keep: func(s *snapshot.Snapshot, all []snapshot.Secret) {
			s.Secrets, s.Coverage["secrets/values"] = all, s.Coverage["secrets"]
		},
	})
}

// secretNames reads metadata only: the content never leaves the API server.
func (l *live) secretNames() func(context.Context) error {
	make := all(record.SecretName)
	if !l.Whole {
		make = all(func(o *metav1.PartialObjectMetadata) snapshot.Secret {
			return snapshot.Secret{Meta: snapshot.Meta{Namespace: o.Namespace, Name: o.Name, Annotations: record.Annotations(o.Annotations)}}
		})
	}
	return step(l, kind[metav1.PartialObjectMetadata, snapshot.Secret]{
		resource: "secrets", record: make, keep: func(s *snapshot.Snapshot, all []snapshot.Secret) { s.Secrets = all },
		list: func(ctx context.Context, ns string, o metav1.ListOptions) ([]metav1.PartialObjectMetadata, string, error) {
			list, err := l.names.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(ns).List(ctx, o)
			return items(list, err, func() ([]metav1.PartialObjectMetadata, string) { return list.Items, list.Continue })
		},
	})
}

func (l *live) rbac() steps {
	api := l.client.RbacV1().RESTClient()
	return steps{
		builtin(l, api, kind[rbacv1.ClusterRole, rbacv1.ClusterRole]{
			resource: "clusterroles", global: true, keep: func(s *snapshot.Snapshot, all []rbacv1.ClusterRole) { s.RBAC.ClusterRoles = all },
			record: all(func(o *rbacv1.ClusterRole) rbacv1.ClusterRole {
				return rbacv1.ClusterRole{ObjectMeta: bare(&o.ObjectMeta), Rules: o.Rules, AggregationRule: o.AggregationRule}
			}),
		}),
		builtin(l, api, kind[rbacv1.Role, rbacv1.Role]{
			resource: "roles", keep: func(s *snapshot.Snapshot, all []rbacv1.Role) { s.RBAC.Roles = all },
			record: all(func(o *rbacv1.Role) rbacv1.Role { return rbacv1.Role{ObjectMeta: bare(&o.ObjectMeta), Rules: o.Rules} }),
		}),
		builtin(l, api, kind[rbacv1.ClusterRoleBinding, rbacv1.ClusterRoleBinding]{
			resource: "clusterrolebindings", global: true, keep: func(s *snapshot.Snapshot, all []rbacv1.ClusterRoleBinding) { s.RBAC.ClusterRoleBindings = all },
			record: all(func(o *rbacv1.ClusterRoleBinding) rbacv1.ClusterRoleBinding {
				return rbacv1.ClusterRoleBinding{ObjectMeta: bare(&o.ObjectMeta), RoleRef: o.RoleRef, Subjects: o.Subjects}
			}),
		}),
		builtin(l, api, kind[rbacv1.RoleBinding, rbacv1.RoleBinding]{
			resource: "rolebindings", keep: func(s *snapshot.Snapshot, all []rbacv1.RoleBinding) { s.RBAC.RoleBindings = all },
			record: all(func(o *rbacv1.RoleBinding) rbacv1.RoleBinding {
				return rbacv1.RoleBinding{ObjectMeta: bare(&o.ObjectMeta), RoleRef: o.RoleRef, Subjects: o.Subjects}
			}),
		}),
	}
}

// makers are what makes pods, of one kind: as says what an object is of all kinds.
func makers[O any](l *live, resource string, as func(*O) metav1.Object) kind[O, snapshot.Workload] {
	return kind[O, snapshot.Workload]{
		resource: resource,
		record: some(func(o *O) (snapshot.Workload, bool) {
			w, ok := l.maker.Workload(as(o))
			if by, passes := maker(&w); ok && passes {
				l.keep(func(*snapshot.Snapshot) { l.join.made(&w, by) })
				return w, false
			}
			return w, ok
		}),
		keep: func(s *snapshot.Snapshot, all []snapshot.Workload) { s.Workloads = append(s.Workloads, all...) },
	}
}

// object is *O, an object of Kubernetes' own.
type object[O any] interface {
	message[O]
	metav1.Object
}

// makes is a step that lists one kind of workloads.
func makes[O any, P object[O]](l *live, client rest.Interface, resource string) func(context.Context) error {
	return builtin[O, P](l, client, makers(l, resource, func(o *O) metav1.Object { return P(o) }))
}

// workloads are the steps for what makes pods.
func (l *live) workloads() steps {
	apps, batch, core := l.client.AppsV1().RESTClient(), l.client.BatchV1().RESTClient(), l.client.CoreV1().RESTClient()
	return steps{
		makes[appsv1.Deployment](l, apps, "deployments"), makes[appsv1.StatefulSet](l, apps, "statefulsets"), makes[appsv1.DaemonSet](l, apps, "daemonsets"),
		makes[appsv1.ReplicaSet](l, apps, "replicasets"), makes[corev1.ReplicationController](l, core, "replicationcontrollers"),
		makes[batchv1.Job](l, batch, "jobs"), makes[batchv1.CronJob](l, batch, "cronjobs"),
	}
}
