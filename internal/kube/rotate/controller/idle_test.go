package controller

import (
	"context"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
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

func TestAsksOf(t *testing.T) {
	since := metav1.NewTime(time.Unix(1e9, 0))
	off := false
	for name, c := range map[string]struct {
		annotations map[string]string
		change      func(*v1alpha1.Rotation)
		want        rotate.Asks
	}{
		"nothing":                     {nil, nil, rotate.Asks{}},
		"empty values":                {map[string]string{v1alpha1.AnnotationRotate: "", v1alpha1.AnnotationHold: ""}, nil, rotate.Asks{}},
		"rotate":                      {map[string]string{v1alpha1.AnnotationRotate: "x"}, nil, rotate.Asks{Rotate: true}},
		"rotate, honoured":            {map[string]string{v1alpha1.AnnotationRotate: "old"}, nil, rotate.Asks{}},
		"leaked":                      {map[string]string{v1alpha1.AnnotationLeaked: "x"}, nil, rotate.Asks{Leaked: true}},
		"leaked, and nobody minds":    {map[string]string{v1alpha1.AnnotationLeaked: "x"}, func(r *v1alpha1.Rotation) { r.Spec.Schedule.OnLeak = &off }, rotate.Asks{}},
		"words for this turn":         {map[string]string{v1alpha1.AnnotationApprove: "7", v1alpha1.AnnotationBack: "7", v1alpha1.AnnotationAccept: "7", v1alpha1.AnnotationLost: "7"}, nil, rotate.Asks{Approve: true, RollBack: true, AcceptUnproven: true, RetireConfirmed: true}},
		"words for another turn":      {map[string]string{v1alpha1.AnnotationApprove: "6", v1alpha1.AnnotationBack: "8", v1alpha1.AnnotationAccept: "07", v1alpha1.AnnotationLost: " 7"}, nil, rotate.Asks{}},
		"resume of this hold":         {map[string]string{v1alpha1.AnnotationResume: "7@2001-09-09T01:46:40Z"}, nil, rotate.Asks{Resume: true}},
		"resume of another hold":      {map[string]string{v1alpha1.AnnotationResume: "7@2001-09-09T01:46:41Z"}, nil, rotate.Asks{}},
		"a hold is there until it is": {map[string]string{v1alpha1.AnnotationHold: "lunch"}, nil, rotate.Asks{Hold: "lunch"}},
	} {
		rot := &v1alpha1.Rotation{ObjectMeta: metav1.ObjectMeta{Annotations: c.annotations}}
		rot.Status.Turn, rot.Status.Since, rot.Status.Honoured = 7, &since, map[string]string{v1alpha1.AnnotationRotate: "old"}
		if c.change != nil {
			c.change(rot)
		}
		if got := asksOf(rot); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
