// Package asks reads what people ask of a Rotation by annotations, and notes what was
// honoured.
//
// Start reading at Of.
package asks

import (
	"strconv"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
)

// Of reads what people ask for by annotations. An empty value asks for nothing.
//
// Rotate, leaked and resume are honoured once: a value that the status remembers
// is not seen again. The others count for as long as they name the turn.
func Of(rot *v1alpha1.Rotation) rotate.Asks {
	s := &rot.Status
	number := strconv.FormatInt(s.Turn, 10)
	is := func(annotation, value string) bool { return rot.Annotations[annotation] == value }
	fresh := func(annotation string) bool {
		v := rot.Annotations[annotation]
		return v != "" && s.Honoured[annotation] != v
	}
	return rotate.Asks{
		Rotate:          fresh(v1alpha1.AnnotationRotate),
		Leaked:          fresh(v1alpha1.AnnotationLeaked) && onLeak(rot),
		Approve:         is(v1alpha1.AnnotationApprove, number),
		Hold:            rot.Annotations[v1alpha1.AnnotationHold],
		Resume:          fresh(v1alpha1.AnnotationResume) && is(v1alpha1.AnnotationResume, s.ResumeKey()),
		RollBack:        is(v1alpha1.AnnotationBack, number),
		AcceptUnproven:  is(v1alpha1.AnnotationAccept, number),
		RetireConfirmed: is(v1alpha1.AnnotationLost, number),
	}
}

func onLeak(rot *v1alpha1.Rotation) bool {
	on := rot.Spec.Schedule.OnLeak
	return on == nil || *on
}

// Honour notes in next which requests step has honoured. before is the status
// that was decided on.
func Honour(next *v1alpha1.RotationStatus, rot *v1alpha1.Rotation, asks rotate.Asks, step rotate.Step) { //nolint:cyclop // a flat list of requests
	mark := func(yes bool, annotation string) {
		if !yes || next.Honoured[annotation] == rot.Annotations[annotation] {
			return
		}
		if next.Honoured == nil {
			next.Honoured = map[string]string{}
		}
		next.Honoured[annotation] = rot.Annotations[annotation]
	}
	before := rot.Status.Phase
	begun := step.Begin != ""
	mark(begun && asks.Rotate, v1alpha1.AnnotationRotate)
	mark((begun || step.Cause == rotate.CauseLeak) && asks.Leaked, v1alpha1.AnnotationLeaked)
	mark(asks.RollBack && step.Phase == v1alpha1.PhaseRollingBack, v1alpha1.AnnotationBack)
	mark(asks.Resume && before == v1alpha1.PhaseHeld && step.Phase != v1alpha1.PhaseHeld, v1alpha1.AnnotationResume)
	mark(asks.Approve && before == v1alpha1.PhaseStaged && step.Phase == v1alpha1.PhasePublishing, v1alpha1.AnnotationApprove)
	mark(asks.AcceptUnproven && step.Reason == rotate.ReasonAcceptedUnproven, v1alpha1.AnnotationAccept)
	mark(asks.RetireConfirmed && (step.Did == rotate.ActRetire || step.Did == rotate.ActDiscard), v1alpha1.AnnotationLost)
}
