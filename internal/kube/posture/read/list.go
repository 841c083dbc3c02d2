package read

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// page is how many objects a list is asked for at a time, at most. Two pages of each list are held
// in memory: one that comes in, and one that records are made of. Where the size of objects is known the first page
// is small, and later ones have as many as make about pageBytes, since a Secret may have 1 MiB.
const (
	page      = 500
	firstPage = 64
	pageBytes = 8 << 20
)

// again is how often a list is begun anew whose continuation the API server has
// forgotten.
const again = 3

// kind is one resource that is listed: its objects are O, and a snapshot keeps R.
type kind[O, R any] struct {
	resource string // as Coverage calls it
	// global says that it lies in no namespace.
	global bool
	// list reads a page of a namespace, or of all if that is empty.
	list func(ctx context.Context, namespace string, o metav1.ListOptions) (items []O, next string, err error)
	// record makes what is kept of an object; false: nothing. It is called by several
	// goroutines.
	record func(*O) (R, bool, error)
	// size is how many bytes an object takes; nil: it is not known.
	size func(*O) int
	// keep takes all of them, in the order they were listed.
	keep func(*snapshot.Snapshot, []R)
	// extra says that an API server which fails to list them is no reason to stop: what
	// serves them is not Kubernetes itself.
	extra bool
}

// step lists k.
func step[O, R any](l *live, k kind[O, R]) func(context.Context) error {
	return func(ctx context.Context) error {
		all, gap, err := k.everywhere(ctx, l)
		if err != nil {
			return fmt.Errorf("listing %s: %w", k.resource, err)
		}
		l.keep(func(s *snapshot.Snapshot) {
			s.Coverage[k.resource] = gap
			k.keep(s, all)
		})
		return nil
	}
}

// everywhere lists all namespaces at once, or else one by one.
func (k *kind[O, R]) everywhere(ctx context.Context, l *live) ([]R, snapshot.Gap, error) {
	all, err := k.in(ctx, "")
	if k.extra && err != nil && ctx.Err() == nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) {
		return nil, snapshot.Gap{Reason: "the API server fails to list them"}, nil
	}
	if !apierrors.IsForbidden(err) || k.global {
		g, err := reason(err)
		return all, g, err
	}
	names, err := l.namespaces(ctx)
	unknown := err != nil
	if unknown && !apierrors.IsForbidden(err) {
		return nil, snapshot.Gap{}, err
	}
	all, missing, err := k.oneByOne(ctx, names)
	if err != nil {
		return nil, snapshot.Gap{}, err
	}
	return all, partial(names, missing, unknown), nil
}

// oneByOne lists k in each of names, and says which of them may not be listed.
func (k *kind[O, R]) oneByOne(ctx context.Context, names []string) (all []R, missing []string, err error) {
	for _, ns := range names {
		some, err := k.in(ctx, ns)
		switch {
		case err == nil:
			all = append(all, some...)
		case apierrors.IsForbidden(err):
			missing = append(missing, ns)
		case !apierrors.IsNotFound(err):
			return nil, nil, err
		}
	}
	return all, missing, nil
}

// partial says what is missing, after namespaces were asked one by one. unknown says
// that there may be others.
func partial(names, missing []string, unknown bool) snapshot.Gap {
	switch {
	case len(missing) == len(names):
		return snapshot.Gap{Reason: "no right to list them in all namespaces"}
	case unknown:
		return snapshot.Gap{Reason: "no right to list them in all namespaces, nor to list namespaces: only those that were named are read"}
	case len(missing) > 0:
		return snapshot.Gap{Reason: "no right to list them there", Namespaces: missing}
	}
	return snapshot.Gap{}
}

// in lists a namespace, page by page. It begins anew if the API server forgets where
// it was.
func (k *kind[O, R]) in(ctx context.Context, namespace string) ([]R, error) {
	var err error
	for range again {
		var all []R
		if all, err = k.once(ctx, namespace); err == nil {
			return all, nil
		}
		if !apierrors.IsResourceExpired(err) {
			return nil, err
		}
	}
	return nil, err
}

// once lists a namespace. While the API server is asked for a page, records are made of
// the one before.
func (k *kind[O, R]) once(ctx context.Context, namespace string) ([]R, error) {
	var all [][]R // by pages
	var wrong error
	var making sync.WaitGroup // of one page at most
	limit := k.first()
	err := pages(ctx, func(ctx context.Context, o metav1.ListOptions) (string, error) {
		o.Limit = limit
		items, next, err := k.list(ctx, namespace, o)
		limit = k.fitting(limit, items)
		making.Wait()
		if err = cmp.Or(err, wrong); err != nil {
			return "", err
		}
		making.Go(func() {
			var made []R
			made, wrong = records(items, k.record)
			all = append(all, made)
		})
		return next, nil
	})
	making.Wait()
	return slices.Concat(all...), cmp.Or(err, wrong)
}

// first is how many objects the first page has at most.
func (k *kind[O, R]) first() int64 {
	if k.size == nil {
		return page
	}
	return firstPage
}

// fitting is how many objects the next page may have, if they are as large as those of the last one. It grows
// four times at a time, since they may not be.
func (k *kind[O, R]) fitting(limit int64, items []O) int64 {
	if k.size == nil || len(items) == 0 {
		return limit
	}
	bytes := 0
	for i := range items {
		bytes += k.size(&items[i])
	}
	return max(1, min(page, 4*limit, int64(len(items))*pageBytes/int64(max(bytes, 1))))
}

func pages(ctx context.Context, next func(context.Context, metav1.ListOptions) (string, error)) error {
	for token := ""; ; {
		more, err := next(ctx, metav1.ListOptions{Limit: page, Continue: token})
		switch {
		case err != nil || more == "":
			return err
		case more == token:
			return errs.New(errs.Unavailable, "the API server goes on with the same page without end")
		}
		token = more
	}
}

// few is how many objects are not worth another goroutine.
const few = 16

// records makes records of objects on several goroutines, in their order. The objects
// are not needed afterwards.
func records[O, R any](items []O, record func(*O) (R, bool, error)) ([]R, error) {
	made, ok, wrong := make([]R, len(items)), make([]bool, len(items)), make([]error, runtime.GOMAXPROCS(0))
	part := max(few, (len(items)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	var workers sync.WaitGroup
	for n := range wrong {
		workers.Go(func() {
			for i := n * part; i < min((n+1)*part, len(items)) && wrong[n] == nil; i++ {
				made[i], ok[i], wrong[n] = record(&items[i])
				var none O
				items[i] = none
			}
		})
	}
	workers.Wait()
	out := made[:0]
	for i := range made {
		if ok[i] {
			out = append(out, made[i])
		}
	}
	return out, cmp.Or(wrong...)
}

// reason makes a Gap of an error that is one, and returns any other.
func reason(err error) (snapshot.Gap, error) {
	switch {
	case err == nil:
		return snapshot.Gap{}, nil
	case apierrors.IsForbidden(err):
		return snapshot.Gap{Reason: "no right to list them in all namespaces"}, nil
	case apierrors.IsNotFound(err):
		return snapshot.Gap{Reason: "the cluster does not serve them"}, nil
	}
	return snapshot.Gap{}, err
}

// all is a record of whatever it is.
func all[O, R any](make func(*O) R) func(*O) (R, bool, error) {
	return func(o *O) (R, bool, error) { return make(o), true, nil }
}

// some is a record of those that make says.
func some[O, R any](make func(*O) (R, bool)) func(*O) (R, bool, error) {
	return func(o *O) (R, bool, error) {
		r, ok := make(o)
		return r, ok, nil
	}
}
