package share

import (
	"context"
	"slices"
	"sync"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

// Groups are those of an object of a namespace that works with these stores: its
// namespace, and each ClusterSecretStore, which many namespaces use.
func Groups(namespace string, stores []v1.SecretStoreRef) []string {
	keys := make([]v1.StoreKey, len(stores))
	for i, ref := range stores {
		keys[i] = v1.KeyFor(ref, namespace)
	}
	return GroupsOf(namespace, keys)
}

// GroupsOf is Groups by the keys of stores.
func GroupsOf(namespace string, stores []v1.StoreKey) []string {
	groups := []string{"namespace " + namespace}
	for _, key := range stores {
		if key.Kind == v1.KindClusterSecretStore {
			groups = append(groups, "store "+key.Name)
		}
	}
	return groups
}

// Share lets in those whose groups have less than what is free: one group alone gets
// half of the workers, each of k groups a (k+1)th, and there is always one free for a
// group that has none. It is safe for concurrent use. A nil Share lets everybody in.
type Share struct {
	workers int

	mu      sync.Mutex
	add     func(reconcile.Request) // nil before Source has started
	inside  int
	running map[string]int                 // by group
	waiting map[string][]reconcile.Request // by the group that had no room, the first come first
	listed  map[reconcile.Request]bool     // of waiting
}

// New returns a Share of so many workers.
func New(workers int) *Share {
	return &Share{workers: workers, running: map[string]int{}, waiting: map[string][]reconcile.Request{}, listed: map[reconcile.Request]bool{}}
}

// Workers is how many there are.
func (s *Share) Workers() int { return s.workers }

// Before shares the workers of next among namespaces.
func (s *Share) Before(next reconcile.Reconciler) reconcile.Reconciler {
	return reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
		return s.Do(req, Groups(req.Namespace, nil), func() (reconcile.Result, error) { return next.Reconcile(ctx, req) })
	})
}

// Do has work done, or req queued again once there may be room; see Enter.
func (s *Share) Do(req reconcile.Request, groups []string, work func() (reconcile.Result, error)) (reconcile.Result, error) {
	leave, ok := s.Enter(req, groups...)
	if !ok {
		return reconcile.Result{}, nil
	}
	defer leave()
	return work()
}

// Source is where those that waited come from. It must be watched by the controller
// whose workers are shared.
func (s *Share) Source() source.Source {
	return source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.add = q.Add
		return nil
	})
}

// Enter lets req in, whose caller is a worker that calls leave at the end. When ok is
// false a group has no room: the worker goes on with something else, and req is queued
// again once there may be some.
func (s *Share) Enter(req reconcile.Request, groups ...string) (leave func(), ok bool) {
	if s == nil {
		return func() {}, true
	}
	slices.Sort(groups)
	groups = slices.Compact(groups)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range groups {
		// Who waits for g is woken when one of g leaves, and there is one: the caller is
		// a worker too, so that one at least is free.
		if s.running[g] >= s.workers-s.inside && s.add != nil {
			s.wait(req, g)
			return nil, false
		}
	}
	s.inside++
	for _, g := range groups {
		s.running[g]++
	}
	return func() { s.leave(groups) }, true
}

func (s *Share) wait(req reconcile.Request, group string) {
	if !s.listed[req] {
		s.listed[req] = true
		s.waiting[group] = append(s.waiting[group], req)
	}
}

// leave queues one of each of the groups, and one of any that has room: with what
// others leave a group grows again.
func (s *Share) leave(groups []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inside--
	for _, g := range groups {
		if s.running[g]--; s.running[g] == 0 {
			delete(s.running, g)
		}
	}
	for _, g := range groups {
		s.wake(g)
	}
	for g := range s.waiting {
		if s.running[g] < s.workers-s.inside {
			s.wake(g)
			return
		}
	}
}

func (s *Share) wake(group string) {
	line := s.waiting[group]
	if len(line) == 0 {
		return
	}
	delete(s.listed, line[0])
	s.add(line[0])
	if s.waiting[group] = line[1:]; len(line) == 1 {
		delete(s.waiting, group)
	}
}
