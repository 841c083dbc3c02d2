package stock

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// watcher keeps the objects of one kind in one namespace, or all.
type watcher struct {
	kind
	namespace string
	informer  cache.SharedIndexInformer
	settled   chan struct{} // closed at the first word of the API server

	mu      sync.Mutex
	failure error // of the last request; nil when it succeeded
	told    bool
}

func newWatcher(live client.WithWatch, k kind, namespace string, changed func(namespace string, secrets []string)) (*watcher, error) {
	w := &watcher{kind: k, namespace: namespace, settled: make(chan struct{})}
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list := k.list()
			err := live.List(ctx, list, &client.ListOptions{Namespace: namespace, Limit: o.Limit, Continue: o.Continue, Raw: &o})
			w.note(err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			events, err := live.Watch(ctx, k.list(), &client.ListOptions{Namespace: namespace, Raw: &o})
			w.note(err)
			return events, err
		},
	}
	w.informer = cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(lw, live), k.object, 0, indexers())
	if err := w.informer.SetTransform(shrink); err != nil {
		return nil, errs.Newf(errs.Internal, "watching %s: %w", k.resource, err)
	}
	quiet := func(context.Context, *cache.Reflector, error) {} // every search says it, see state
	if err := w.informer.SetWatchErrorHandlerWithContext(quiet); err != nil {
		return nil, errs.Newf(errs.Internal, "watching %s: %w", k.resource, err)
	}
	if changed == nil {
		return w, nil
	}
	tell := func(o any) {
		if e, ok := o.(*Entry); ok && len(e.Uses()) > 0 {
			changed(e.Namespace, e.Secrets())
		}
	}
	_, err := w.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    tell,
		UpdateFunc: func(_, o any) { tell(o) },
		DeleteFunc: func(o any) {
			if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			tell(o)
		},
	})
	if err != nil {
		return nil, errs.Newf(errs.Internal, "watching %s: %w", k.resource, err)
	}
	return w, nil
}

// note remembers how a request went. A version that is too old is the API
// server's way to ask for another list.
func (w *watcher) note(err error) {
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failure = err
	if err != nil && !w.told {
		w.told = true
		close(w.settled)
	}
}

// await returns once the objects are there or the API server has said no.
func (w *watcher) await(ctx context.Context) error {
	select {
	case <-w.informer.HasSyncedChecker().Done():
	case <-w.settled:
	case <-ctx.Done():
		return errs.Newf(errs.Unavailable, "reading %s for the first time: %w", w.resource, ctx.Err())
	}
	return nil
}

// state returns what the objects that are kept are worth: "" and nil when they
// are true, a text when they may not be read, an error when they could not.
func (w *watcher) state() (unknown string, err error) {
	w.mu.Lock()
	failure := w.failure
	w.mu.Unlock()
	switch {
	case Refused(failure):
		return Refusal(w.resource, w.namespace, "list", "watch"), nil
	case failure != nil:
		return "", Unreachable(w.resource, failure)
	case !w.informer.HasSynced():
		return "", errs.Newf(errs.Unavailable, "%s are not all read yet", w.resource)
	}
	return "", nil
}

// firstRead bounds how long a search waits for the first read of everything.
const firstRead = 30 * time.Second

// Keeper keeps a Stock true by informers. It is safe for concurrent use.
type Keeper struct {
	watchers []*watcher
	start    sync.Once
	wanted   chan struct{} // closed when the stock is first asked for
}

// NewKeeper returns a Keeper of namespaces, where "" is all. Nothing is watched
// until Run runs and Stock is called. changed, which may be nil and must not
// block, is told the namespace of each object with a Secret that comes, changes
// or goes, and its Secrets.
func NewKeeper(live client.WithWatch, namespaces []string, changed func(namespace string, secrets []string)) (*Keeper, error) {
	k := &Keeper{wanted: make(chan struct{})}
	for _, ns := range namespaces {
		for _, kind := range kinds() {
			w, err := newWatcher(live, kind, ns, changed)
			if err != nil {
				return nil, err
			}
			k.watchers = append(k.watchers, w)
		}
	}
	return k, nil
}

// Run keeps the stock from the first call of Stock on, until ctx ends. It
// returns when all that it started has stopped. It is called once.
func (k *Keeper) Run(ctx context.Context) error {
	select {
	case <-k.wanted:
	case <-ctx.Done():
		return nil
	}
	var running sync.WaitGroup
	for _, w := range k.watchers {
		running.Go(func() { w.informer.RunWithContext(ctx) })
	}
	running.Wait()
	return nil
}

// Stock returns what is kept, which changes under the caller's eyes. The first
// call starts the informers and waits for them. Unavailable: what is kept is not
// complete, or may be old.
func (k *Keeper) Stock(ctx context.Context) (*Stock, error) {
	k.start.Do(func() { close(k.wanted) })
	ctx, cancel := context.WithTimeout(ctx, firstRead)
	defer cancel()
	s := newStock()
	for _, w := range k.watchers {
		if err := w.await(ctx); err != nil {
			return nil, err
		}
		unknown, err := w.state()
		if err != nil {
			return nil, err
		}
		if unknown != "" {
			s.Unknown = append(s.Unknown, unknown)
		}
		s.shelves[w.name] = append(s.shelves[w.name], w.informer.GetIndexer())
	}
	return s, nil
}
