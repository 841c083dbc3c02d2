package look

import (
	"context"
	"fmt"
	"slices"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	external "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// page is how many objects of a list are held in memory beside what is kept.
const page = 500

// Scope is what is to be looked at.
type Scope struct {
	Namespace string // "" for all
	// RBAC reads roles and bindings too, and nothing else but pods, workloads and
	// ServiceAccounts.
	RBAC bool
}

// Live reads a Case. An API server that cannot be reached, or does not know who
// asks, is an error.
func Live(ctx context.Context, config *rest.Config, scope Scope, now time.Time) (*doctor.Case, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, rbacv1.AddToScheme, storagev1.AddToScheme, discoveryv1.AddToScheme, admissionv1.AddToScheme, external.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, errs.Newf(errs.Internal, "registering kinds: %w", err)
		}
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("making a client of %s: %w", config.Host, err)
	}
	l := &live{ctx: ctx, client: c, scope: scope, out: &doctor.Case{Now: now, Only: scope.Namespace, Coverage: snapshot.Coverage{}}}
	l.core()
	l.workloads()
	if scope.RBAC {
		l.rbac()
	} else {
		l.sources()
		l.cluster()
	}
	return l.out, l.err
}

type live struct {
	ctx    context.Context //nolint:containedctx // of one reading, from its begin to its end
	client client.Client
	scope  Scope
	out    *doctor.Case
	err    error // the first that is no gap
}

// read reads a list page by page: of one namespace, of all for "". keep is told
// of each page, whose objects are its own.
func read[L any, P interface {
	*L
	client.ObjectList
}](l *live, resource, namespace string, list P, keep func()) bool {
	if l.err != nil {
		return false
	}
	kind := list.GetObjectKind().GroupVersionKind()
	for token := ""; ; {
		var empty L
		*list = empty // what decodes into old objects mixes them with new ones
		list.GetObjectKind().SetGroupVersionKind(kind)
		err := l.client.List(l.ctx, list, client.InNamespace(namespace), client.Limit(page), client.Continue(token))
		if !l.noted(resource, err) {
			return false
		}
		keep()
		if token = list.GetContinue(); err != nil || token == "" {
			return true
		}
	}
}

// noted makes a gap of an error that is one. What the cluster does not serve is not
// there, which is no gap.
func (l *live) noted(resource string, err error) bool {
	switch {
	case err == nil, meta.IsNoMatchError(err), apierrors.IsNotFound(err):
		l.out.Coverage[resource] = snapshot.Gap{}
		return true
	case apierrors.IsForbidden(err):
		l.out.Coverage[resource] = snapshot.Gap{Reason: "no right to list them"}
	case apierrors.IsResourceExpired(err):
		l.out.Coverage[resource] = snapshot.Gap{Reason: "the list changed while it was read: try again"}
	default:
		l.err = fmt.Errorf("listing %s: %w", resource, err)
	}
	return false
}

// everywhere reads a list of all namespaces, or of the one that is asked about if
// only that may be read. keep is told of each page.
func everywhere[L any, P interface {
	*L
	client.ObjectList
}](l *live, resource string, list P, keep func()) {
	if read(l, resource, "", list, keep) || l.err != nil || l.scope.Namespace == "" {
		return
	}
	if read(l, resource, l.scope.Namespace, list, keep) {
		l.out.Coverage[resource] = snapshot.Gap{Reason: "no right to list them in all namespaces", Namespaces: []string{"all namespaces but " + l.scope.Namespace}}
	}
}

func (l *live) core() {
	var namespaces corev1.NamespaceList
	read(l, "namespaces", "", &namespaces, func() { l.out.Namespaces = append(l.out.Namespaces, namespaces.Items...) })
	var pods corev1.PodList
	read(l, "pods", l.scope.Namespace, &pods, func() {
		for i := range pods.Items {
			bare(&pods.Items[i].ObjectMeta)
			blank(&pods.Items[i].Spec)
		}
		l.out.Pods = append(l.out.Pods, pods.Items...)
	})
	var accounts corev1.ServiceAccountList
	read(l, "serviceaccounts", l.scope.Namespace, &accounts, func() { l.out.Accounts = append(l.out.Accounts, accounts.Items...) })
}

// bare takes out of metadata what is not looked at and may hold values.
func bare(m *metav1.ObjectMeta) {
	m.ManagedFields = nil
	delete(m.Annotations, corev1.LastAppliedConfigAnnotation)
}

// blank takes the values out of a pod's spec.
func blank(spec *corev1.PodSpec) {
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			list[i].Command, list[i].Args = nil, nil
			for j := range list[i].Env {
				list[i].Env[j].Value = ""
			}
		}
	}
	spec.EphemeralContainers = nil
}

func (l *live) workloads() {
	ns := l.scope.Namespace
	var d appsv1.DeploymentList
	everywhere(l, "deployments", &d, func() {
		for i := range d.Items {
			l.deployment(&d.Items[i])
		}
	})
	var s appsv1.StatefulSetList
	read(l, "statefulsets", ns, &s, func() {
		for i := range s.Items {
			o := &s.Items[i]
			l.add(doctor.Workload{ObjectMeta: o.ObjectMeta, Group: "apps", Kind: "StatefulSet", Template: o.Spec.Template, At: template, Replicas: count(o.Spec.Replicas), Updated: o.Status.UpdatedReplicas, Ready: o.Status.ReadyReplicas})
		}
	})
	var e appsv1.DaemonSetList
	read(l, "daemonsets", ns, &e, func() {
		for i := range e.Items {
			o := &e.Items[i]
			l.add(doctor.Workload{ObjectMeta: o.ObjectMeta, Group: "apps", Kind: "DaemonSet", Template: o.Spec.Template, At: template, Replicas: o.Status.DesiredNumberScheduled, Updated: o.Status.UpdatedNumberScheduled, Ready: o.Status.NumberReady})
		}
	})
	var r appsv1.ReplicaSetList
	read(l, "replicasets", ns, &r, func() {
		for i := range r.Items {
			o := &r.Items[i]
			l.add(doctor.Workload{ObjectMeta: o.ObjectMeta, Group: "apps", Kind: "ReplicaSet", Template: o.Spec.Template, At: template, Replicas: count(o.Spec.Replicas), Updated: o.Status.Replicas, Ready: o.Status.ReadyReplicas})
		}
	})
	l.jobs(ns)
}

func (l *live) jobs(ns string) {
	var j batchv1.JobList
	read(l, "jobs", ns, &j, func() {
		for i := range j.Items {
			o := &j.Items[i]
			l.add(doctor.Workload{ObjectMeta: o.ObjectMeta, Group: "batch", Kind: "Job", Template: o.Spec.Template, Replicas: count(o.Spec.Parallelism), Updated: o.Status.Active, Ready: o.Status.Succeeded + o.Status.Active, Ended: ended(o)})
		}
	})
	var c batchv1.CronJobList
	read(l, "cronjobs", ns, &c, func() {
		for i := range c.Items {
			o := &c.Items[i]
			l.add(doctor.Workload{ObjectMeta: o.ObjectMeta, Group: "batch", Kind: "CronJob", Template: o.Spec.JobTemplate.Spec.Template, At: "/spec/jobTemplate" + template})
		}
	})
}

func ended(o *batchv1.Job) bool {
	return slices.ContainsFunc(o.Status.Conditions, func(c batchv1.JobCondition) bool {
		return (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue
	})
}

// template is where most workloads have it.
const template = "/spec/template"

func count(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

// operators are the names by which Deployments of operators are known, theirs
// and the External Secrets Operator's.
var operators = map[string]bool{"strongkeep-operator": true, "external-secrets": true}

func (l *live) deployment(o *appsv1.Deployment) {
	if operators[o.Spec.Template.Labels["app.kubernetes.io/name"]] {
		l.out.Operators = append(l.out.Operators, appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name}, Status: o.Status})
	}
	if l.scope.Namespace != "" && o.Namespace != l.scope.Namespace {
		return
	}
	w := doctor.Workload{ObjectMeta: o.ObjectMeta, Group: "apps", Kind: "Deployment", Template: o.Spec.Template, At: template, Replicas: count(o.Spec.Replicas), Updated: o.Status.UpdatedReplicas, Ready: o.Status.ReadyReplicas, Paused: o.Spec.Paused}
	for _, c := range o.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse {
			w.Stalled = c.Reason
		}
	}
	l.add(w)
}

func (l *live) add(w doctor.Workload) {
	bare(&w.ObjectMeta)
	blank(&w.Template.Spec)
	l.out.Workloads = append(l.out.Workloads, w)
}

func (l *live) rbac() {
	to := &l.out.RBAC
	var roles rbacv1.RoleList
	read(l, "roles", "", &roles, func() { to.Roles = append(to.Roles, roles.Items...) })
	var clusterRoles rbacv1.ClusterRoleList
	read(l, "clusterroles", "", &clusterRoles, func() { to.ClusterRoles = append(to.ClusterRoles, clusterRoles.Items...) })
	var bindings rbacv1.RoleBindingList
	read(l, "rolebindings", "", &bindings, func() { to.RoleBindings = append(to.RoleBindings, bindings.Items...) })
	var clusterBindings rbacv1.ClusterRoleBindingList
	read(l, "clusterrolebindings", "", &clusterBindings, func() { to.ClusterRoleBindings = append(to.ClusterRoleBindings, clusterBindings.Items...) })
}

// sources are Secrets and what makes them.
func (l *live) sources() {
	ns := l.scope.Namespace
	l.held("secrets", "Secret", func(h doctor.Held) { l.out.Secrets = append(l.out.Secrets, h) })
	l.held("configmaps", "ConfigMap", func(h doctor.Held) { l.out.ConfigMaps = append(l.out.ConfigMaps, h) })
	var es external.ExternalSecretList
	everywhere(l, "externalsecrets", &es, func() { l.out.Externals = append(l.out.Externals, es.Items...) })
	var stores external.SecretStoreList
	everywhere(l, "secretstores", &stores, func() { l.out.Stores = append(l.out.Stores, stores.Items...) })
	var clusterStores external.ClusterSecretStoreList
	read(l, "clustersecretstores", "", &clusterStores, func() { l.out.ClusterStores = append(l.out.ClusterStores, clusterStores.Items...) })
	var classes unstructured.UnstructuredList
	classes.SetGroupVersionKind(schema.GroupVersionKind{Group: "secrets-store.csi.x-k8s.io", Version: "v1", Kind: "SecretProviderClassList"})
	everywhere(l, "secretproviderclasses", &classes, func() {
		for i := range classes.Items {
			l.out.Classes = append(l.out.Classes, class(&classes.Items[i]))
		}
	})
	var events corev1.EventList
	read(l, "events", ns, &events, func() {
		for i := range events.Items {
			if events.Items[i].Type == corev1.EventTypeWarning {
				l.out.Events = append(l.out.Events, events.Items[i])
			}
		}
	})
}

func class(u *unstructured.Unstructured) doctor.Class {
	out := doctor.Class{Namespace: u.GetNamespace(), Name: u.GetName()}
	made, _, _ := unstructured.NestedSlice(u.Object, "spec", "secretObjects") // absent or malformed: none
	for _, m := range made {
		if o, ok := m.(map[string]any); ok {
			if name, ok := o["secretName"].(string); ok {
				out.Secrets = append(out.Secrets, name)
			}
		}
	}
	return out
}

// cluster is what pods pass by, and what runs on nodes.
func (l *live) cluster() {
	var mutating admissionv1.MutatingWebhookConfigurationList
	read(l, "mutatingwebhookconfigurations", "", &mutating, func() {
		for i := range mutating.Items {
			l.out.Hooks = append(l.out.Hooks, mutatingHooks(&mutating.Items[i])...)
		}
	})
	var validating admissionv1.ValidatingWebhookConfigurationList
	read(l, "validatingwebhookconfigurations", "", &validating, func() {
		for i := range validating.Items {
			l.out.Hooks = append(l.out.Hooks, validatingHooks(&validating.Items[i])...)
		}
	})
	l.slices()
	var drivers storagev1.CSIDriverList
	read(l, "csidrivers", "", &drivers, func() {
		for i := range drivers.Items {
			l.out.Drivers = append(l.out.Drivers, drivers.Items[i].Name)
		}
	})
	var nodes storagev1.CSINodeList
	read(l, "csinodes", "", &nodes, func() { l.out.Nodes = append(l.out.Nodes, nodes.Items...) })
}
