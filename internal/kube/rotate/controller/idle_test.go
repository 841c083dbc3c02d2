package controller

import (
	"context"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// A hundred Rotations at rest cost nothing: an operator that starts among them
// writes nothing, and looks at none again before something is due.
func TestHundredAtRest(t *testing.T) {
	w := newWorld(t)
	const n = 100
	r := w.operator()
	for i := range n {
		name := fmt.Sprint("r", i)
		w.create(name, nil)
		for range 3 {
			w.once(r, name)
		}
	}
	for i := range n { // those that saw no older one yet do so now
		w.once(r, fmt.Sprint("r", i))
	}
	writes := 0
	w.client = interceptor.NewClient(testClient, interceptor.Funcs{
		SubResourceUpdate: func(context.Context, client.Client, string, client.Object, ...client.SubResourceUpdateOption) error {
			writes++
			return nil
		},
		Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
			writes++
			return nil
		},
	})
	r = w.operator()
	began := time.Now()
	for i := range n {
		result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: w.ns, Name: fmt.Sprint("r", i)}})
		if err != nil || result.RequeueAfter != 0 && result.RequeueAfter < time.Hour { // all but one are refused, and looked at each hour
			t.Fatalf("r%d: again after %v (%v); nothing is due", i, result.RequeueAfter, err)
		}
	}
	if writes != 0 || len(w.acts) != 0 {
		t.Errorf("%d writes, acts %v", writes, w.acts)
	}
	t.Logf("%d looks took %v", n, time.Since(began))
}
