package finder

import (
	"context"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/stock"
)

// found is what else refers to Secrets. Keys are namespace/name.
type found struct {
	others   map[string][]consumer.Object // by Secret
	pulls    map[string][]string          // ServiceAccounts by the Secret they pull images with
	classes  map[string]class             // SecretProviderClasses
	rollouts map[string][]*stock.Entry    // Argo Rollouts by Secret
	unknown  []string
}

// extras remembers what else refers to Secrets for a little while: nothing of
// it restarts or proves anything, so it is listed and not watched.
type extras struct {
	mu   sync.Mutex
	last *found
	at   time.Time
}

// extrasAge is how old that may be.
const extrasAge = 30 * time.Second

func (x *extras) of(ctx context.Context, s *search, at site) (*found, error) {
	if at.name != "" || s.wanted.Live {
		return s.lookFurther(ctx, at)
	}
	if f := x.young(s.now); f != nil {
		return f, nil
	}
	f, err := s.lookFurther(ctx, at)
	if err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.last, x.at = f, s.now
	return f, nil
}

// young returns what is remembered, nil when it is too old.
func (x *extras) young(now time.Time) *found {
	x.mu.Lock()
	defer x.mu.Unlock()
	if age := now.Sub(x.at); x.last == nil || age < 0 || age >= extrasAge {
		return nil
	}
	return x.last
}

// further is a kind of object that is listed.
type further struct {
	resource string
	list     client.ObjectList
	optional bool // of an API that need not be installed
	note     func(f *found, o runtime.Object)
}

func furthers() []further {
	return []further{
		{"serviceaccounts", &corev1.ServiceAccountList{}, false, noteAccount},
		{"ingresses.networking.k8s.io", &networkingv1.IngressList{}, false, noteIngress},
		{"gateways.gateway.networking.k8s.io", custom("gateway.networking.k8s.io", "v1", "GatewayList"), true, noteGateway},
		{"secretproviderclasses.secrets-store.csi.x-k8s.io", custom("secrets-store.csi.x-k8s.io", "v1", "SecretProviderClassList"), true, noteClass},
		{"rollouts.argoproj.io", custom("argoproj.io", "v1alpha1", "RolloutList"), true, noteRollout},
	}
}

func custom(group, version, kind string) client.ObjectList {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: group, Version: version, Kind: kind})
	return list
}

func (s *search) lookFurther(ctx context.Context, at site) (*found, error) {
	f := &found{others: map[string][]consumer.Object{}, pulls: map[string][]string{}, classes: map[string]class{}, rollouts: map[string][]*stock.Entry{}}
	for _, k := range furthers() {
		for _, ns := range at.namespaces {
			err := stock.Pages(ctx, at.live, k.list, ns, func(o runtime.Object) error { k.note(f, o); return nil })
			switch {
			case k.optional && (meta.IsNoMatchError(err) || apierrors.IsNotFound(err)):
			case stock.Refused(err):
				f.unknown = append(f.unknown, stock.Refusal(k.resource, ns, "list"))
			case err != nil:
				return nil, stock.Unreachable(k.resource, err)
			}
		}
	}
	return f, nil
}

func (f *found) other(namespace, secret string, o consumer.Object) {
	if secret != "" {
		key := namespace + "/" + secret
		f.others[key] = append(f.others[key], o)
	}
}

func noteAccount(f *found, o runtime.Object) {
	a, ok := o.(*corev1.ServiceAccount)
	if !ok {
		return
	}
	self := consumer.Object{Kind: corev1.SchemeGroupVersion.WithKind("ServiceAccount"), NamespacedName: nameOf(a.Namespace, a.Name)}
	for _, ref := range a.ImagePullSecrets {
		f.other(a.Namespace, ref.Name, self)
		key := a.Namespace + "/" + ref.Name
		f.pulls[key] = append(f.pulls[key], a.Namespace+"/"+a.Name)
	}
	for _, ref := range a.Secrets {
		f.other(a.Namespace, ref.Name, self)
	}
}

// ingressSecrets are annotations of the NGINX ingress controllers that name a
// Secret, as "name" or "namespace/name".
var ingressSecrets = [...]string{
	"nginx.ingress.kubernetes.io/auth-secret",
	"nginx.ingress.kubernetes.io/auth-tls-secret",
	"nginx.ingress.kubernetes.io/proxy-ssl-secret",
}

func noteIngress(f *found, o runtime.Object) {
	i, ok := o.(*networkingv1.Ingress)
	if !ok {
		return
	}
	self := consumer.Object{Kind: networkingv1.SchemeGroupVersion.WithKind("Ingress"), NamespacedName: nameOf(i.Namespace, i.Name)}
	for _, tls := range i.Spec.TLS {
		f.other(i.Namespace, tls.SecretName, self)
	}
	for _, annotation := range ingressSecrets {
		ns, name, both := strings.Cut(i.Annotations[annotation], "/")
		if !both {
			ns, name = i.Namespace, ns
		}
		f.other(ns, name, self)
	}
}

func noteGateway(f *found, o runtime.Object) {
	g, ok := o.(*unstructured.Unstructured)
	if !ok {
		return
	}
	self := consumer.Object{Kind: g.GroupVersionKind(), NamespacedName: nameOf(g.GetNamespace(), g.GetName())}
	listeners, _, _ := unstructured.NestedSlice(g.Object, "spec", "listeners")
	for _, l := range listeners {
		refs, _, _ := unstructured.NestedSlice(object(l), "tls", "certificateRefs")
		for _, r := range refs {
			ref := object(r)
			if kind := text(ref, "kind"); kind != "" && kind != kindSecret {
				continue
			}
			ns := text(ref, "namespace")
			if ns == "" {
				ns = g.GetNamespace()
			}
			f.other(ns, text(ref, "name"), self)
		}
	}
}

func noteRollout(f *found, o runtime.Object) {
	r, ok := o.(*unstructured.Unstructured)
	if !ok {
		return
	}
	e, err := stock.NewEntry(r)
	if err != nil {
		return
	}
	for _, use := range e.Uses() {
		key := e.Namespace + "/" + use.Secret
		f.rollouts[key] = append(f.rollouts[key], e)
	}
}

// object returns v as an object of JSON; empty when it is none.
func object(v any) map[string]any {
	m, ok := v.(map[string]any)
	if !ok {
		return map[string]any{}
	}
	return m
}

func text(m map[string]any, fields ...string) string {
	s, _, _ := unstructured.NestedString(m, fields...)
	return s
}

// others adds what else uses feds.
func (s *search) others(at site, feds []*consumer.Fed, extra *found) {
	for _, text := range extra.unknown {
		s.unknown("%s%s", prefix(at.name), text)
	}
	for _, fed := range feds {
		if fed.Kind.Kind != kindSecret {
			continue
		}
		for _, o := range extra.others[fed.Namespace+"/"+fed.Name] {
			o.Cluster = at.name
			s.out.Others = append(s.out.Others, consumer.Other{Object: o, Secret: fed.Name})
		}
	}
}
