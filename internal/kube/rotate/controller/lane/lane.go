// Package lane keeps the Rotations of one namespace from taking all workers: a look
// asks vaults, clusters and endpoints that users of a namespace name, and these may
// take as long as they like to answer.
//
// Start reading at Lanes.Reconcile.
package lane

import (
	"context"
	"sync"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// again is when one is looked at that found its namespace's lane full.
const again = time.Second

// Lanes passes requests on, of one namespace at most so many at a time. It is safe
// for concurrent use.
type Lanes struct {
	next  reconcile.Reconciler
	width int

	mu  sync.Mutex
	all map[string]int // requests under way, by namespace
}

// New returns Lanes before next, each for width requests.
func New(next reconcile.Reconciler, width int) *Lanes {
	return &Lanes{next: next, width: width, all: map[string]int{}}
}

// Width is how many of workers one namespace may have: a quarter, and one at least.
func Width(workers int) int { return max(1, workers/4) }

// Reconcile implements reconcile.Reconciler. What finds no room is asked for again in
// a second, and keeps no worker meanwhile.
func (l *Lanes) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if !l.enter(req.Namespace) {
		return ctrl.Result{RequeueAfter: again}, nil
	}
	defer l.leave(req.Namespace)
	return l.next.Reconcile(ctx, req)
}

func (l *Lanes) enter(namespace string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all[namespace] >= l.width {
		return false
	}
	l.all[namespace]++
	return true
}

func (l *Lanes) leave(namespace string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all[namespace]--; l.all[namespace] == 0 {
		delete(l.all, namespace)
	}
}
