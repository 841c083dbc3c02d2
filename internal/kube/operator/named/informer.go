package named

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// schemaResource is a resource and its kind.
type schemaResource struct {
	resource schema.GroupVersionResource
	kind     schema.GroupVersionKind
}

// informer tells of all Secrets that a Cache watches, now and later.
type informer Cache

var _ cache.Informer = (*informer)(nil)

// registration is one handler, and where it is registered.
type registration struct {
	handler toolscache.ResourceEventHandler
	options toolscache.HandlerOptions

	mu    sync.Mutex
	parts map[toolscache.SharedIndexInformer]toolscache.ResourceEventHandlerRegistration
}

// join lets r hear of w.
func (r *registration) join(w toolscache.SharedIndexInformer) error {
	part, err := w.AddEventHandlerWithOptions(r.handler, r.options)
	if err != nil {
		return errs.Newf(errs.Internal, "listening to a watch of a Secret: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parts[w] = part
	return nil
}

// HasSynced implements ResourceEventHandlerRegistration. It does not wait: who asks for a Secret
// that is not watched yet gets it from the API server.
func (*registration) HasSynced() bool { return true }

// HasSyncedChecker implements ResourceEventHandlerRegistration.
func (*registration) HasSyncedChecker() toolscache.DoneChecker { return synced{} }

// synced is a DoneChecker that is done.
type synced struct{}

func (synced) Name() string { return "named Secrets" }

func (synced) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

// AddEventHandler implements cache.Informer.
func (i *informer) AddEventHandler(h toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error) {
	return i.AddEventHandlerWithOptions(h, toolscache.HandlerOptions{})
}

// AddEventHandlerWithResyncPeriod implements cache.Informer.
func (i *informer) AddEventHandlerWithResyncPeriod(h toolscache.ResourceEventHandler, every time.Duration) (toolscache.ResourceEventHandlerRegistration, error) {
	return i.AddEventHandlerWithOptions(h, toolscache.HandlerOptions{ResyncPeriod: &every})
}

// AddEventHandlerWithOptions implements cache.Informer.
func (i *informer) AddEventHandlerWithOptions(h toolscache.ResourceEventHandler, o toolscache.HandlerOptions) (toolscache.ResourceEventHandlerRegistration, error) {
	r := &registration{handler: h, options: o, parts: map[toolscache.SharedIndexInformer]toolscache.ResourceEventHandlerRegistration{}}
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, w := range i.watches {
		if err := r.join(w); err != nil {
			return nil, err
		}
	}
	i.handlers = append(i.handlers, r)
	return r, nil
}

// RemoveEventHandler implements cache.Informer.
func (i *informer) RemoveEventHandler(handle toolscache.ResourceEventHandlerRegistration) error {
	r, ok := handle.(*registration)
	if !ok {
		return errs.New(errs.Internal, "removing a handler that another informer has")
	}
	i.mu.Lock()
	i.handlers = slices.DeleteFunc(i.handlers, func(other *registration) bool { return other == r })
	i.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for w, part := range r.parts {
		if err := w.RemoveEventHandler(part); err != nil {
			return errs.Newf(errs.Internal, "removing a handler: %w", err)
		}
	}
	return nil
}

// AddIndexers implements cache.Informer. Unsupported: nothing is looked for but by name.
func (*informer) AddIndexers(toolscache.Indexers) error {
	return errs.New(errs.Unsupported, "Secrets that are watched by name have no other index")
}

// HasSyncedChecker implements cache.Informer; see registration.
func (*informer) HasSyncedChecker() toolscache.DoneChecker { return synced{} }

// HasSynced implements cache.Informer; see registration.
func (*informer) HasSynced() bool { return true }

// IsStopped implements cache.Informer.
func (i *informer) IsStopped() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.running != nil && i.running.Err() != nil
}
