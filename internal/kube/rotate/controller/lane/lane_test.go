package lane

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func request(namespace, name string) ctrl.Request {
	return ctrl.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
}

// However many Rotations of a namespace hang, those of others are looked at.
func TestOneNamespaceTakesItsLane(t *testing.T) {
	release, entered := make(chan struct{}), make(chan struct{}, 100)
	l := New(reconcile.Func(func(_ context.Context, req ctrl.Request) (ctrl.Result, error) {
		if req.Namespace == "slow" {
			entered <- struct{}{}
			<-release
		}
		return ctrl.Result{}, nil
	}), Width(16))
	var hanging sync.WaitGroup
	for i := range 4 {
		hanging.Go(func() { _, _ = l.Reconcile(t.Context(), request("slow", fmt.Sprint(i))) })
	}
	for range 4 {
		<-entered
	}
	for i := range 10 { // these do not wait
		if got, err := l.Reconcile(t.Context(), request("slow", fmt.Sprint("more", i))); err != nil || got.RequeueAfter != again {
			t.Fatalf("%+v, %v", got, err)
		}
		if got, err := l.Reconcile(t.Context(), request("other", "db")); err != nil || got.RequeueAfter != 0 {
			t.Fatalf("another namespace waits: %+v, %v", got, err)
		}
	}
	close(release)
	hanging.Wait()
	if got, err := l.Reconcile(t.Context(), request("slow", "db")); err != nil || got.RequeueAfter != 0 || len(l.all) != 0 {
		t.Errorf("%+v, %v, %v", got, err, l.all)
	}
}

func TestWidth(t *testing.T) {
	for workers, want := range map[int]int{0: 1, 1: 1, 7: 1, 8: 2, 16: 4, 64: 16} {
		if got := Width(workers); got != want {
			t.Errorf("%d workers: %d", workers, got)
		}
	}
}

// What panics or fails leaves its lane.
func TestLeaves(t *testing.T) {
	l := New(reconcile.Func(func(context.Context, ctrl.Request) (ctrl.Result, error) { panic("at once") }), 1)
	func() {
		defer func() { _ = recover() }()
		_, _ = l.Reconcile(t.Context(), request("a", "b"))
	}()
	if len(l.all) != 0 {
		t.Error("it is under way still")
	}
}
