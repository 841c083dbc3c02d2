package named

import (
	"context"
	"log/slog"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Cache is a cache of the metadata of Secrets that are named, and what it is made over
// for all else. A Secret is watched from the first time that it is asked for, or that
// Watch names it, until the operator ends: one small watch for each. Secrets can not be
// listed by it. It is safe for concurrent use.
type Cache struct {
	cache.Cache
	live      metadata.Interface
	transform toolscache.TransformFunc
	log       *slog.Logger

	mu       sync.Mutex // guards what follows
	running  context.Context
	watches  map[types.NamespacedName]toolscache.SharedIndexInformer
	handlers []*registration
	all      sync.WaitGroup
}

// secrets is what is watched. The kind is constant.
func secrets() (resource schemaResource) {
	return schemaResource{corev1.SchemeGroupVersion.WithResource("secrets"), corev1.SchemeGroupVersion.WithKind("Secret")}
}

// New makes a Cache over one that is made of cfg and o. Config.Transform is run on metadata
// before it is kept.
func New(cfg *rest.Config, o cache.Options, log *slog.Logger) (*Cache, error) {
	under, err := cache.New(cfg, o)
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "making a cache: %w", err)
	}
	live, err := metadata.NewForConfig(cfg)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "reaching the API server: %w", err)
	}
	return &Cache{
		Cache: under, live: live, transform: o.DefaultTransform, log: log,
		watches: map[types.NamespacedName]toolscache.SharedIndexInformer{},
	}, nil
}

// Start implements cache.Cache: it runs until ctx ends.
func (c *Cache) Start(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	c.mu.Lock()
	c.running = ctx
	for _, w := range c.watches {
		c.all.Go(func() { w.RunWithContext(ctx) })
	}
	c.mu.Unlock()
	err := c.Cache.Start(ctx)
	end() // nobody starts a watch after this
	c.mu.Lock()
	c.mu.Unlock() //nolint:staticcheck // who began to start one has done so
	c.all.Wait()
	return err
}

// Get implements client.Reader. Until the watch of a Secret has begun, its metadata is
// read from the API server. Denied: the role does not name it.
func (c *Cache) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	into, ok := secret(o)
	if !ok {
		return c.Cache.Get(ctx, key, o, opts...)
	}
	w, err := c.watch(key)
	if err != nil {
		return err
	}
	if w.HasSynced() {
		found, there, err := w.GetStore().GetByKey(key.String())
		if err != nil {
			return errs.Newf(errs.Internal, "looking for Secret %q: %w", key, err)
		}
		if !there {
			return apierrors.NewNotFound(secrets().resource.GroupResource(), key.Name)
		}
		return c.copyInto(found, into)
	}
	live, err := c.live.Resource(secrets().resource).Namespace(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	if err != nil {
		return c.refused(key, err)
	}
	found, err := c.kept(live)
	if err != nil {
		return err
	}
	return c.copyInto(found, into)
}

// refused says what to do about a role that lacks a name. All else stays as it is.
func (c *Cache) refused(key client.ObjectKey, err error) error {
	if apierrors.IsForbidden(err) {
		return errs.Newf(errs.Denied, "the operator's role does not name Secret %q: print the roles anew with the manifests that there are now (strongkeep operator rbac -f): %w", key, err)
	}
	return err
}

func (c *Cache) copyInto(found any, into *metav1.PartialObjectMetadata) error {
	m, ok := found.(*metav1.PartialObjectMetadata)
	if !ok {
		return errs.Newf(errs.Internal, "the cache of Secrets holds a %T", found)
	}
	m.DeepCopyInto(into)
	into.SetGroupVersionKind(secrets().kind)
	return nil
}

// List implements client.Reader. Unsupported: Secrets are not listed.
func (c *Cache) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	kind := list.GetObjectKind().GroupVersionKind()
	if _, full := list.(*corev1.SecretList); full || kind.Group == "" && kind.Kind == "SecretList" {
		return errs.New(errs.Unsupported, "this operator sees only Secrets that manifests name (watch-secrets=named), so it cannot choose them by labels: name the Secret")
	}
	return c.Cache.List(ctx, list, opts...)
}

// GetInformer implements cache.Informers. That of Secrets' metadata tells of all that are watched.
func (c *Cache) GetInformer(ctx context.Context, o client.Object, opts ...cache.InformerGetOption) (cache.Informer, error) {
	if _, ok := secret(o); ok {
		return (*informer)(c), nil
	}
	return c.Cache.GetInformer(ctx, o, opts...)
}

// Watch begins to watch a Secret, if nobody has asked for it before.
func (c *Cache) Watch(namespace, name string) {
	if _, err := c.watch(types.NamespacedName{Namespace: namespace, Name: name}); err != nil {
		c.log.Error("watching a Secret", "namespace", namespace, "name", name, "error", err)
	}
}

func (c *Cache) watch(key types.NamespacedName) (toolscache.SharedIndexInformer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.watches[key]; w != nil {
		return w, nil
	}
	w := metadatainformer.NewFilteredMetadataInformer(c.live, secrets().resource, key.Namespace, 0, toolscache.Indexers{}, func(o *metav1.ListOptions) {
		o.FieldSelector = "metadata.name=" + key.Name
	}).Informer()
	if err := w.SetTransform(c.kept); err != nil {
		return nil, errs.Newf(errs.Internal, "watching Secret %q: %w", key, err)
	}
	if err := w.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *toolscache.Reflector, err error) {
		c.log.Debug("the watch of a Secret ended, and begins anew", "secret", key.String(), "error", err)
	}); err != nil {
		return nil, errs.Newf(errs.Internal, "watching Secret %q: %w", key, err)
	}
	for _, h := range c.handlers {
		if err := h.join(w); err != nil {
			return nil, err
		}
	}
	c.watches[key] = w
	if running := c.running; running != nil && running.Err() == nil {
		c.all.Go(func() { w.RunWithContext(running) })
	}
	return w, nil
}

// kept is what a cache keeps of o.
func (c *Cache) kept(o any) (any, error) {
	if m, ok := o.(*metav1.PartialObjectMetadata); ok {
		m.SetGroupVersionKind(secrets().kind)
	}
	if c.transform == nil {
		return o, nil
	}
	return c.transform(o)
}

// secret returns o if it is a Secret's metadata.
func secret(o client.Object) (*metav1.PartialObjectMetadata, bool) {
	m, ok := o.(*metav1.PartialObjectMetadata)
	return m, ok && m.GroupVersionKind() == secrets().kind
}
