package asks_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/asks"
)

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
		if got := asks.Of(rot); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
