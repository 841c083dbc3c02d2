package pushsecret

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/pushsecret/claim"
	"github.com/strongkeep/strongkeep/internal/kube/operator/pushsecret/plan"
)

// observed is what is known, from caches only.
type observed struct {
	ps         *v1alpha1.PushSecret
	now        time.Time
	sources    []string // names of Secrets
	stores     []v1.Store
	problems   []error // with stores and sources
	unseen     []error // sources that may not be looked at, which does not mean that they are gone
	answerable bool    // some store is ours to answer for
	// seen changes with all that a push depends on.
	seen string
	// where changes with what is pushed where, but for the values.
	where string
	ends  time.Time // when what a generator made must be made anew; zero: never
}

// due reports whether the interval is over.
func (o observed) due() bool {
	every := interval(o.ps)
	since := o.now.Sub(o.ps.Status.RefreshTime.Time)
	return every > 0 && (since >= every || since < -skew)
}

func (r *Reconciler) observe(ctx context.Context, ps *v1alpha1.PushSecret) (observed, error) {
	o := observed{ps: ps, now: r.Clock.Now()}
	seen := []string{string(ps.UID), fmt.Sprint(ps.Generation)}
	where := []string{fmt.Sprint(ps.Generation)}
	raw, err := json.Marshal([]any{ps.Labels, annotations(ps)})
	if err != nil {
		return o, errs.Newf(errs.Internal, "encoding labels: %w", err)
	}
	seen = append(seen, string(raw))
	others, err := r.observeStores(ctx, &o)
	if err != nil {
		return o, err
	}
	o.answerable = others == 0 || len(o.stores) > 0
	for _, s := range o.stores {
		is := fmt.Sprintf("%s %s %d", v1.KeyOf(s), s.GetUID(), s.GetGeneration())
		where = append(where, is)
		seen = append(seen, fmt.Sprintf("%s %v", is, v1.IsReady(s.StoreStatus().Conditions)))
	}
	versions, err := r.observeSources(ctx, &o)
	if err != nil {
		return o, err
	}
	seen = append(seen, versions...)
	o.where = strings.Join(append(where, versions...), "\n")
	made, err := r.observeGenerator(ctx, &o)
	if err != nil {
		return o, err
	}
	seen = append(seen, made)
	for _, p := range o.problems {
		seen = append(seen, p.Error())
	}
	sum := sha256.Sum256([]byte(strings.Join(seen, "\n")))
	o.seen = hex.EncodeToString(sum[:])
	return o, nil
}

// observeStores finds the stores; those of another class are passed over and counted.
func (r *Reconciler) observeStores(ctx context.Context, o *observed) (others int, err error) {
	for i := range o.ps.Spec.SecretStoreRefs {
		ref := &o.ps.Spec.SecretStoreRefs[i]
		found, err := r.resolve(ctx, o.ps.Namespace, ref)
		if err != nil {
			o.problems = append(o.problems, errs.Newf(errs.KindOf(err), "secretStoreRefs[%d]: %w", i, err))
			continue
		}
		for _, s := range found {
			switch known := func(t v1.Store) bool { return v1.KeyOf(t) == v1.KeyOf(s) }; {
			case !r.lookup().Answers(s):
				others++
			case !slices.ContainsFunc(o.stores, known):
				o.stores = append(o.stores, s)
			}
		}
	}
	if len(o.stores) == 0 && others == 0 && len(o.problems) == 0 {
		o.problems = append(o.problems, errs.New(errs.Invalid, "secretStoreRefs: no store matches: name one, or give a store the labels"))
	}
	return others, nil
}

// resolve returns the stores that ref means and that namespace may use.
func (r *Reconciler) resolve(ctx context.Context, namespace string, ref *v1alpha1.PushSecretStoreRef) ([]v1.Store, error) {
	if ref.Kind == v1.KindClusterSecretStore && !r.ClusterStores {
		return nil, errs.New(errs.Unsupported, "this operator serves no ClusterSecretStores: use a SecretStore")
	}
	if ref.LabelSelector == nil {
		if ref.Name == "" {
			return nil, errs.New(errs.Invalid, "neither name nor labelSelector: name a store")
		}
		s, err := r.lookup().Store(ctx, namespace, v1.SecretStoreRef{Name: ref.Name, Kind: ref.Kind})
		if err != nil {
			return nil, err
		}
		return []v1.Store{s}, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(ref.LabelSelector)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "labelSelector: %w", err)
	}
	names, err := r.labelled(ctx, namespace, ref, selector)
	if err != nil {
		return nil, err
	}
	var out []v1.Store
	for _, name := range names {
		s, err := r.lookup().Store(ctx, namespace, v1.SecretStoreRef{Name: name, Kind: ref.Kind})
		switch {
		case errs.Is(err, errs.Denied): // a selector means those that may be used
		case err != nil:
			return nil, err
		default:
			out = append(out, s)
		}
	}
	return out, nil
}

func (r *Reconciler) labelled(ctx context.Context, namespace string, ref *v1alpha1.PushSecretStoreRef, selector labels.Selector) (names []string, err error) {
	matching := client.MatchingLabelsSelector{Selector: selector}
	if ref.Kind == v1.KindClusterSecretStore {
		var list v1.ClusterSecretStoreList
		if err = r.Client.List(ctx, &list, matching, client.UnsafeDisableDeepCopy); err == nil {
			for i := range list.Items {
				names = append(names, list.Items[i].Name)
			}
		}
	} else {
		var list v1.SecretStoreList
		if err = r.Client.List(ctx, &list, client.InNamespace(namespace), matching, client.UnsafeDisableDeepCopy); err == nil {
			for i := range list.Items {
				names = append(names, list.Items[i].Name)
			}
		}
	}
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "listing stores: %w", err)
	}
	slices.Sort(names)
	if ref.Name != "" {
		names = slices.DeleteFunc(names, func(n string) bool { return n != ref.Name })
	}
	return names, nil
}

// observeSources finds the Secrets, and returns their versions and those of the
// objects that hold templates.
func (r *Reconciler) observeSources(ctx context.Context, o *observed) (versions []string, err error) {
	look := func(kind, name string) (bool, error) {
		m := &metav1.PartialObjectMetadata{}
		m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
		err := r.Client.Get(ctx, types.NamespacedName{Namespace: o.ps.Namespace, Name: name}, m)
		versions = append(versions, fmt.Sprintf("%s %s %s %s", kind, name, m.UID, m.ResourceVersion))
		return err == nil, client.IgnoreNotFound(err)
	}
	if s := o.ps.Spec.Selector.Secret; s != nil {
		names := []string{s.Name}
		if s.Selector != nil {
			if names, err = r.selected(ctx, o); err != nil {
				return nil, err
			}
		}
		for _, name := range names {
			switch there, err := look("Secret", name); {
			case errs.Is(err, errs.Denied): // no role of the operator names it
				o.unseen = append(o.unseen, err)
			case err != nil:
				return nil, err
			case there || s.Selector == nil:
				o.sources = append(o.sources, name)
			}
		}
	}
	for _, ref := range plan.Refs(&o.ps.Spec) {
		if _, err := look(ref.Kind, ref.Name); err != nil && !errs.Is(err, errs.Denied) { // what may not be read the push reports
			return nil, err
		}
	}
	return versions, nil
}

// selected returns the names of the Secrets that have the labels.
func (r *Reconciler) selected(ctx context.Context, o *observed) ([]string, error) {
	s := o.ps.Spec.Selector.Secret
	selector, err := metav1.LabelSelectorAsSelector(s.Selector)
	if err != nil {
		o.problems = append(o.problems, errs.Newf(errs.Invalid, "selector.secret.selector: %w", err))
		return nil, nil
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	if err := r.Client.List(ctx, list, client.InNamespace(o.ps.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		if errs.Is(err, errs.Unsupported) {
			o.unseen = append(o.unseen, errs.Newf(errs.Unsupported, "selector.secret.selector: %w", err))
			return nil, nil
		}
		return nil, errs.Newf(errs.Unavailable, "listing Secrets: %w", err)
	}
	var names []string
	for i := range list.Items {
		if s.Name == "" || s.Name == list.Items[i].Name {
			names = append(names, list.Items[i].Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// prime learns at the start who claims what, before anything is pushed.
func (r *Reconciler) prime(ctx context.Context) error {
	r.primeMu.Lock()
	primed := r.primed
	r.primeMu.Unlock()
	if primed {
		return nil
	}
	var list v1alpha1.PushSecretList
	if err := r.Client.List(ctx, &list); err != nil {
		return err
	}
	for i := range list.Items {
		ps := &list.Items[i]
		o := observed{ps: ps}
		if _, err := r.observeStores(ctx, &o); err != nil {
			return err
		}
		r.claims.Set(ownerOf(ps), r.places(ctx, ps, o.stores, nil))
	}
	r.primeMu.Lock()
	r.primed = true
	r.primeMu.Unlock()
	return nil
}

func ownerOf(ps *v1alpha1.PushSecret) claim.Owner {
	return claim.Owner{Key: client.ObjectKeyFromObject(ps), UID: ps.UID, Born: ps.CreationTimestamp}
}

// places returns every place that ps wants: what is in its status, what its data
// names, and entries.
func (r *Reconciler) places(ctx context.Context, ps *v1alpha1.PushSecret, list []v1.Store, entries []plan.Entry) claim.Wanted {
	out := claim.Wanted{}
	for _, s := range list {
		for _, d := range ps.Status.SyncedPushSecrets[plan.StoreName(s)] {
			out.Add(r.place(ctx, s, d), s)
		}
		for _, d := range ps.Spec.Data {
			out.Add(r.place(ctx, s, d), s)
		}
	}
	for _, e := range entries {
		out.Add(r.place(ctx, e.Store, e.Data), e.Store)
	}
	return out
}

// place names where d is in store, alike for all stores that lead there, as far as
// the provider can tell.
func (r *Reconciler) place(ctx context.Context, store v1.Store, d v1alpha1.PushSecretData) claim.Place {
	at := d.Match.RemoteRef
	location, err := r.Stores.LocateKey(ctx, store, at.RemoteKey)
	if err != nil || location == "" {
		location = v1.KeyOf(store).String() + " " + at.RemoteKey
	}
	return claim.Place{Location: location, Property: at.Property}
}

// storeGone reports whether there is no such store any more.
func (r *Reconciler) storeGone(ctx context.Context, key v1.StoreKey) (bool, error) {
	var store v1.Store = &v1.SecretStore{}
	if key.Kind == v1.KindClusterSecretStore {
		store = &v1.ClusterSecretStore{}
	}
	err := r.Client.Get(ctx, key.NamespacedName(), store)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return false, err
}
