package read

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/record"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// steps are what is done side by side.
type steps = []func(context.Context) error

// minimal are what who-can needs.
func (l *live) minimal() steps {
	return append(append(l.rbac(), l.deputies()...),
		step(l, kind[corev1.Pod, snapshot.Pod]{resource: "pods", list: l.listPods, record: thinPod, keep: func(s *snapshot.Snapshot, all []snapshot.Pod) { s.Pods = all }}),
		l.namespaceLabels(), l.secretNames(), l.cloud)
}

// whole are all. Secrets come first: they take longest.
func (l *live) whole() steps {
	core := l.client.CoreV1()
	out := steps{l.secrets(), l.version}
	out = append(out, l.rbac()...)
	out = append(append(out, l.workloads()...), l.customs()...)
	return append(out,
		step(l, kind[corev1.ConfigMap, snapshot.ConfigMap]{
			resource: "configmaps", record: all(l.maker.ConfigMap), keep: func(s *snapshot.Snapshot, all []snapshot.ConfigMap) { s.ConfigMaps = all },
			list: func(ctx context.Context, ns string, o metav1.ListOptions) ([]corev1.ConfigMap, string, error) {
				list, err := core.ConfigMaps(ns).List(ctx, o)
				return items(list, err, func() ([]corev1.ConfigMap, string) { return list.Items, list.Continue })
			},
		}),
		l.pods(), l.stored(),
		step(l, kind[corev1.ServiceAccount, snapshot.Account]{
			resource: "serviceaccounts", record: all(record.Account), keep: func(s *snapshot.Snapshot, all []snapshot.Account) { s.Accounts = all },
			list: func(ctx context.Context, ns string, o metav1.ListOptions) ([]corev1.ServiceAccount, string, error) {
				list, err := core.ServiceAccounts(ns).List(ctx, o)
				return items(list, err, func() ([]corev1.ServiceAccount, string) { return list.Items, list.Continue })
			},
		}),
		l.namespaceLabels(),
	)
}

func (l *live) namespaceLabels() func(context.Context) error {
	return step(l, kind[corev1.Namespace, snapshot.Namespace]{
		resource: "namespaces", global: true, record: all(record.Namespace), keep: func(s *snapshot.Snapshot, all []snapshot.Namespace) { s.Namespaces = all },
		list: func(ctx context.Context, _ string, o metav1.ListOptions) ([]corev1.Namespace, string, error) {
			list, err := l.client.CoreV1().Namespaces().List(ctx, o)
			return items(list, err, func() ([]corev1.Namespace, string) { return list.Items, list.Continue })
		},
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

func (l *live) listPods(ctx context.Context, ns string, o metav1.ListOptions) ([]corev1.Pod, string, error) {
	list, err := l.client.CoreV1().Pods(ns).List(ctx, o)
	return items(list, err, func() ([]corev1.Pod, string) { return list.Items, list.Continue })
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
	return step(l, kind[corev1.Secret, snapshot.Secret]{
		resource: "secrets", record: all(l.maker.Secret),
		keep: func(s *snapshot.Snapshot, all []snapshot.Secret) {
			s.Secrets, s.Coverage["secrets/values"] = all, s.Coverage["secrets"]
		},
		list: func(ctx context.Context, ns string, o metav1.ListOptions) ([]corev1.Secret, string, error) {
			list, err := l.client.CoreV1().Secrets(ns).List(ctx, o)
			return items(list, err, func() ([]corev1.Secret, string) { return list.Items, list.Continue })
		},
	})
}

// secretNames reads metadata only: the content never leaves the API server.
func (l *live) secretNames() func(context.Context) error {
	make := all(record.SecretName)
	if !l.Whole {
		make = func(o *metav1.PartialObjectMetadata) (snapshot.Secret, bool) {
			return snapshot.Secret{Meta: snapshot.Meta{Namespace: o.Namespace, Name: o.Name, Annotations: record.Annotations(o.Annotations)}}, true
		}
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
	api := l.client.RbacV1()
	return steps{
		step(l, kind[rbacv1.ClusterRole, rbacv1.ClusterRole]{
			resource: "clusterroles", global: true, keep: func(s *snapshot.Snapshot, all []rbacv1.ClusterRole) { s.RBAC.ClusterRoles = all },
			record: all(func(o *rbacv1.ClusterRole) rbacv1.ClusterRole {
				return rbacv1.ClusterRole{ObjectMeta: bare(&o.ObjectMeta), Rules: o.Rules, AggregationRule: o.AggregationRule}
			}),
			list: func(ctx context.Context, _ string, o metav1.ListOptions) ([]rbacv1.ClusterRole, string, error) {
				list, err := api.ClusterRoles().List(ctx, o)
				return items(list, err, func() ([]rbacv1.ClusterRole, string) { return list.Items, list.Continue })
			},
		}),
		step(l, kind[rbacv1.Role, rbacv1.Role]{
			resource: "roles", keep: func(s *snapshot.Snapshot, all []rbacv1.Role) { s.RBAC.Roles = all },
			record: all(func(o *rbacv1.Role) rbacv1.Role { return rbacv1.Role{ObjectMeta: bare(&o.ObjectMeta), Rules: o.Rules} }),
			list: func(ctx context.Context, ns string, o metav1.ListOptions) ([]rbacv1.Role, string, error) {
				list, err := api.Roles(ns).List(ctx, o)
				return items(list, err, func() ([]rbacv1.Role, string) { return list.Items, list.Continue })
			},
		}),
		step(l, kind[rbacv1.ClusterRoleBinding, rbacv1.ClusterRoleBinding]{
			resource: "clusterrolebindings", global: true, keep: func(s *snapshot.Snapshot, all []rbacv1.ClusterRoleBinding) { s.RBAC.ClusterRoleBindings = all },
			record: all(func(o *rbacv1.ClusterRoleBinding) rbacv1.ClusterRoleBinding {
				return rbacv1.ClusterRoleBinding{ObjectMeta: bare(&o.ObjectMeta), RoleRef: o.RoleRef, Subjects: o.Subjects}
			}),
			list: func(ctx context.Context, _ string, o metav1.ListOptions) ([]rbacv1.ClusterRoleBinding, string, error) {
				list, err := api.ClusterRoleBindings().List(ctx, o)
				return items(list, err, func() ([]rbacv1.ClusterRoleBinding, string) { return list.Items, list.Continue })
			},
		}),
		step(l, kind[rbacv1.RoleBinding, rbacv1.RoleBinding]{
			resource: "rolebindings", keep: func(s *snapshot.Snapshot, all []rbacv1.RoleBinding) { s.RBAC.RoleBindings = all },
			record: all(func(o *rbacv1.RoleBinding) rbacv1.RoleBinding {
				return rbacv1.RoleBinding{ObjectMeta: bare(&o.ObjectMeta), RoleRef: o.RoleRef, Subjects: o.Subjects}
			}),
			list: func(ctx context.Context, ns string, o metav1.ListOptions) ([]rbacv1.RoleBinding, string, error) {
				list, err := api.RoleBindings(ns).List(ctx, o)
				return items(list, err, func() ([]rbacv1.RoleBinding, string) { return list.Items, list.Continue })
			},
		}),
	}
}

// makes is a step that lists one kind of workloads.
func makes[O any](l *live, resource string, list func(context.Context, string, metav1.ListOptions) ([]O, string, error), as func(*O) metav1.Object) func(context.Context) error {
	return step(l, kind[O, snapshot.Workload]{
		resource: resource, list: list,
		record: func(o *O) (snapshot.Workload, bool) {
			w, ok := l.maker.Workload(as(o))
			if by, passes := maker(&w); ok && passes {
				l.keep(func(*snapshot.Snapshot) { l.join.made(&w, by) })
				return w, false
			}
			return w, ok
		},
		keep: func(s *snapshot.Snapshot, all []snapshot.Workload) { s.Workloads = append(s.Workloads, all...) },
	})
}

// workloads are the steps for what makes pods.
func (l *live) workloads() steps {
	apps, batch, core := l.client.AppsV1(), l.client.BatchV1(), l.client.CoreV1()
	return steps{
		makes(l, "deployments", func(ctx context.Context, ns string, o metav1.ListOptions) ([]appsv1.Deployment, string, error) {
			list, err := apps.Deployments(ns).List(ctx, o)
			return items(list, err, func() ([]appsv1.Deployment, string) { return list.Items, list.Continue })
		}, func(o *appsv1.Deployment) metav1.Object { return o }),
		makes(l, "statefulsets", func(ctx context.Context, ns string, o metav1.ListOptions) ([]appsv1.StatefulSet, string, error) {
			list, err := apps.StatefulSets(ns).List(ctx, o)
			return items(list, err, func() ([]appsv1.StatefulSet, string) { return list.Items, list.Continue })
		}, func(o *appsv1.StatefulSet) metav1.Object { return o }),
		makes(l, "daemonsets", func(ctx context.Context, ns string, o metav1.ListOptions) ([]appsv1.DaemonSet, string, error) {
			list, err := apps.DaemonSets(ns).List(ctx, o)
			return items(list, err, func() ([]appsv1.DaemonSet, string) { return list.Items, list.Continue })
		}, func(o *appsv1.DaemonSet) metav1.Object { return o }),
		makes(l, "replicasets", func(ctx context.Context, ns string, o metav1.ListOptions) ([]appsv1.ReplicaSet, string, error) {
			list, err := apps.ReplicaSets(ns).List(ctx, o)
			return items(list, err, func() ([]appsv1.ReplicaSet, string) { return list.Items, list.Continue })
		}, func(o *appsv1.ReplicaSet) metav1.Object { return o }),
		makes(l, "replicationcontrollers", func(ctx context.Context, ns string, o metav1.ListOptions) ([]corev1.ReplicationController, string, error) {
			list, err := core.ReplicationControllers(ns).List(ctx, o)
			return items(list, err, func() ([]corev1.ReplicationController, string) { return list.Items, list.Continue })
		}, func(o *corev1.ReplicationController) metav1.Object { return o }),
		makes(l, "jobs", func(ctx context.Context, ns string, o metav1.ListOptions) ([]batchv1.Job, string, error) {
			list, err := batch.Jobs(ns).List(ctx, o)
			return items(list, err, func() ([]batchv1.Job, string) { return list.Items, list.Continue })
		}, func(o *batchv1.Job) metav1.Object { return o }),
		makes(l, "cronjobs", func(ctx context.Context, ns string, o metav1.ListOptions) ([]batchv1.CronJob, string, error) {
			list, err := batch.CronJobs(ns).List(ctx, o)
			return items(list, err, func() ([]batchv1.CronJob, string) { return list.Items, list.Continue })
		}, func(o *batchv1.CronJob) metav1.Object { return o }),
	}
}
