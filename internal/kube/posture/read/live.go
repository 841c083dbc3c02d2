package read

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// page is how many objects of a list are held in memory at a time.
const page = 500

// again is how often a list is begun anew whose continuation the API server has
// forgotten.
const again = 3

// Live reads the cluster that config reaches, as whoever config stands for: RBAC,
// pods, the names of Secrets. What may not be read is a Gap and no error; an API
// server that cannot be reached, or does not know who asks, is one.
func Live(ctx context.Context, config *rest.Config, now time.Time) (*snapshot.Snapshot, error) {
	fast := rest.CopyConfig(config)
	fast.ContentType, fast.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf,application/json"
	c, err := kubernetes.NewForConfig(fast)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "making a client of %s: %w", config.Host, err)
	}
	names, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "making a client of %s: %w", config.Host, err)
	}
	kinds, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "making a client of %s: %w", config.Host, err)
	}
	l := &live{
		client: c, names: names, kinds: kinds,
		out: &snapshot.Snapshot{Source: config.Host, Taken: now, Live: true, Coverage: snapshot.Coverage{}, Served: map[string]bool{}},
	}
	for _, step := range []func(context.Context) error{l.served, l.roles, l.bindings, l.pods, l.secrets} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return l.out, nil
}

type live struct {
	client kubernetes.Interface
	names  metadata.Interface
	kinds  *discovery.DiscoveryClient
	out    *snapshot.Snapshot
}

// served notes which resources the cluster has. Groups that do not answer are
// left out, and said.
func (l *live) served(ctx context.Context) error {
	_, lists, err := l.kinds.ServerGroupsAndResourcesWithContext(ctx)
	for _, list := range lists {
		group, _, ok := strings.Cut(list.GroupVersion, "/")
		if !ok {
			group = ""
		}
		for _, r := range list.APIResources {
			l.out.Served[group+"/"+r.Name] = true
		}
	}
	var partly *discovery.ErrGroupDiscoveryFailed
	if err != nil && len(lists) > 0 && errors.As(err, &partly) {
		l.out.Coverage["resources"] = snapshot.Gap{Reason: fmt.Sprintf("%d API groups do not answer", len(partly.Groups))}
		return nil
	}
	return l.noted("resources", err)
}

// noted makes a Gap of an error that is one.
func (l *live) noted(resource string, err error) error {
	switch {
	case err == nil:
		l.out.Coverage[resource] = snapshot.Gap{}
	case apierrors.IsForbidden(err):
		l.out.Coverage[resource] = snapshot.Gap{Reason: "no right to list them in all namespaces"}
	case apierrors.IsNotFound(err):
		l.out.Coverage[resource] = snapshot.Gap{Reason: "the cluster does not serve them"}
	default:
		return fmt.Errorf("listing %s: %w", resource, err)
	}
	return nil
}

// each reads a list page by page. reset is called before its first page, which
// comes again if the API server forgets where it was.
func each(ctx context.Context, reset func(), next func(context.Context, metav1.ListOptions) (string, error)) error {
	var err error
	for range again {
		reset()
		if err = pages(ctx, next); !apierrors.IsResourceExpired(err) {
			return err
		}
	}
	return err
}

func pages(ctx context.Context, next func(context.Context, metav1.ListOptions) (string, error)) error {
	for token := ""; ; {
		more, err := next(ctx, metav1.ListOptions{Limit: page, Continue: token})
		if err != nil || more == "" {
			return err
		}
		token = more
	}
}

func (l *live) roles(ctx context.Context) error {
	api, rbac := l.client.RbacV1(), &l.out.RBAC
	err := each(ctx, func() { rbac.ClusterRoles = nil }, func(ctx context.Context, o metav1.ListOptions) (string, error) {
		list, err := api.ClusterRoles().List(ctx, o)
		if err != nil {
			return "", err
		}
		for i := range list.Items {
			r := &list.Items[i]
			rbac.ClusterRoles = append(rbac.ClusterRoles, rbacv1.ClusterRole{ObjectMeta: bare(&r.ObjectMeta), Rules: r.Rules})
		}
		return list.Continue, nil
	})
	if err := l.noted("clusterroles", err); err != nil {
		return err
	}
	err = each(ctx, func() { rbac.Roles = nil }, func(ctx context.Context, o metav1.ListOptions) (string, error) {
		list, err := api.Roles("").List(ctx, o)
		if err != nil {
			return "", err
		}
		for i := range list.Items {
			r := &list.Items[i]
			rbac.Roles = append(rbac.Roles, rbacv1.Role{ObjectMeta: bare(&r.ObjectMeta), Rules: r.Rules})
		}
		return list.Continue, nil
	})
	return l.noted("roles", err)
}

func (l *live) bindings(ctx context.Context) error {
	api, rbac := l.client.RbacV1(), &l.out.RBAC
	err := each(ctx, func() { rbac.ClusterRoleBindings = nil }, func(ctx context.Context, o metav1.ListOptions) (string, error) {
		list, err := api.ClusterRoleBindings().List(ctx, o)
		if err != nil {
			return "", err
		}
		for i := range list.Items {
			b := &list.Items[i]
			rbac.ClusterRoleBindings = append(rbac.ClusterRoleBindings, rbacv1.ClusterRoleBinding{ObjectMeta: bare(&b.ObjectMeta), RoleRef: b.RoleRef, Subjects: b.Subjects})
		}
		return list.Continue, nil
	})
	if err := l.noted("clusterrolebindings", err); err != nil {
		return err
	}
	err = each(ctx, func() { rbac.RoleBindings = nil }, func(ctx context.Context, o metav1.ListOptions) (string, error) {
		list, err := api.RoleBindings("").List(ctx, o)
		if err != nil {
			return "", err
		}
		for i := range list.Items {
			b := &list.Items[i]
			rbac.RoleBindings = append(rbac.RoleBindings, rbacv1.RoleBinding{ObjectMeta: bare(&b.ObjectMeta), RoleRef: b.RoleRef, Subjects: b.Subjects})
		}
		return list.Continue, nil
	})
	return l.noted("rolebindings", err)
}

// bare is what is kept of an object's metadata.
func bare(m *metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, Labels: m.Labels}
}

func (l *live) pods(ctx context.Context) error {
	err := each(ctx, func() { l.out.Pods = nil }, func(ctx context.Context, o metav1.ListOptions) (string, error) {
		list, err := l.client.CoreV1().Pods("").List(ctx, o)
		if err != nil {
			return "", err
		}
		for i := range list.Items {
			p := &list.Items[i]
			if !ended(p) {
				l.out.Pods = append(l.out.Pods, pod(p.Namespace, p.Name, &p.Spec))
			}
		}
		return list.Continue, nil
	})
	return l.noted("pods", err)
}

// ended reports whether a pod has run to its end.
func ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// pod is what is kept of one.
func pod(namespace, name string, spec *corev1.PodSpec) snapshot.Pod {
	account := spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	return snapshot.Pod{
		Meta: snapshot.Meta{Namespace: namespace, Name: name}, Node: spec.NodeName,
		Template: snapshot.Template{Account: account, Secrets: consumer.Uses(spec)},
	}
}

// secrets reads names only: their content never leaves the API server.
func (l *live) secrets(ctx context.Context) error {
	err := each(ctx, func() { l.out.Secrets = nil }, func(ctx context.Context, o metav1.ListOptions) (string, error) {
		list, err := l.names.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).List(ctx, o)
		if err != nil {
			return "", err
		}
		for i := range list.Items {
			l.out.Secrets = append(l.out.Secrets, snapshot.Secret{Meta: snapshot.Meta{Namespace: list.Items[i].Namespace, Name: list.Items[i].Name}})
		}
		return list.Continue, nil
	})
	return l.noted("secrets", err)
}
