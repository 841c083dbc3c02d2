package controller

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/asks"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/ledger"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/scan"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/tell"
)

// Bounds of a status.
const (
	maxMessage  = 2048 // bytes of a condition's message; the API's limit is 32768
	maxBaseline = 256
)

// tellApart gives a second hold within a second a key of its own.
func tellApart(next *v1alpha1.RotationStatus) {
	for next.Honoured[v1alpha1.AnnotationResume] == next.ResumeKey() {
		next.Since = timestamp(next.Since.Add(time.Second))
	}
}

// entered notes what goes with a phase that is new.
func entered(next, before *v1alpha1.RotationStatus, now time.Time) {
	switch {
	case next.Phase == before.Phase:
	case next.Phase == v1alpha1.PhaseHeld:
		tellApart(next)
	case next.Phase == v1alpha1.PhaseDone:
		next.LastDone = timestamp(now)
	}
}

// nextStatus is the status that announces step.
func (r *Reconciler) nextStatus(l *look, step rotate.Step) *v1alpha1.RotationStatus { //nolint:cyclop // flat: a case after the other
	before := &l.rot.Status
	next := before.DeepCopy()
	next.ObservedGeneration = l.rot.Generation
	turn := l.o.Turn
	if step.Begin != "" {
		turn.NoOld = cmp.Or(l.state.Version, before.Version) == ""
	}
	setTurn(next, turn.Take(step, l.o.Now))
	if before.First && !next.First && step.Begin == "" {
		next.PreviousVersion, next.Version = l.state.Version, l.state.Version
	}
	if step.Begin != "" {
		begin(next, l)
	}
	if acting(step) {
		next.Fence++
	}
	if l.mem.result.Number == before.Turn && step.Begin == "" {
		setResult(next, &l.mem.result)
	}
	if l.proof != nil {
		next.Proof = *l.proof
	}
	if before.Phase == v1alpha1.PhaseStaged && l.graph != nil {
		next.Baseline = baseline(l.failing)
	}
	if l.graph != nil && origin(turn) == v1alpha1.PhaseStaged {
		next.Copies = scan.Status(l.graph.Copies)
	}
	asks.Honour(next, l.rot, l.o.Asks, step)
	entered(next, before, l.o.Now)
	next.Next = nextText(l, step)
	tell.Timeline(next, before, step, *timestamp(l.o.Now))
	tell.Remind(next, before, &l.rot.Spec, step.Reason, l.o.Now)
	r.conditions(next, l, step)
	return next
}

// setTurn writes t down.
func setTurn(s *v1alpha1.RotationStatus, t rotate.Turn) {
	s.Turn, s.Phase, s.HeldFrom, s.HeldFor, s.Cause, s.First = t.Number, t.Phase, t.HeldFrom, t.HeldFor, t.Cause, t.NoOld
	s.HeldMessage = short(t.HeldText)
	s.Act, s.Back, s.BackReason, s.BackMessage = string(t.Act), string(t.Back), t.Why, short(t.WhyText)
	s.Since, s.Begun, s.PublishedAt, s.ClosedAt, s.ResumedAt = timestamp(t.Since), timestamp(t.Begun), timestamp(t.Published), timestamp(t.Closed), timestamp(t.Resumed)
	s.StagedAt, s.RetiredAt, s.EndedAt = timestamp(t.Staged), timestamp(t.Retired), timestamp(t.Ended)
}

// begin forgets what was of the turn before.
func begin(s *v1alpha1.RotationStatus, l *look) {
	s.PreviousVersion = cmp.Or(l.state.Version, s.Version)
	s.Version = s.PreviousVersion
	s.PreviousAt = timestamp(l.state.Changed)
	s.Baseline, s.Copies, s.Proof = nil, nil, v1alpha1.ProofStatus{}
}

// setResult writes down what came of an act.
func setResult(s *v1alpha1.RotationStatus, r *result) {
	if r.state != nil && r.state.Version != "" {
		s.Version = r.state.Version
	}
	if r.Act != rotate.ActRecord || !r.Done {
		return
	}
	s.Statement = r.statement
	if r.pending != "" {
		s.Pending = ledger.Append(s.Pending, v1alpha1.PendingStatement{Turn: r.Number, Statement: r.pending})
	}
}

// baseline is bounded: what it leaves out counts as failing later, which is the
// safer mistake.
func baseline(failing map[string]int32) map[string]int32 {
	if len(failing) == 0 {
		return nil
	}
	out := map[string]int32{}
	for _, k := range slices.Sorted(maps.Keys(failing)) {
		if len(out) < maxBaseline {
			out[k] = failing[k]
		}
	}
	return out
}

func nextText(l *look, step rotate.Step) string {
	switch {
	case underWay(step.Phase):
		return ""
	case l.rot.Spec.Suspend:
		return "suspended"
	case l.o.Due.Next.IsZero():
		return "on demand"
	}
	return l.o.Due.Next.UTC().Format(time.RFC3339)
}

// text is what a step says to a person: what is, and the command that goes on.
func text(l *look, step rotate.Step) string {
	s := step.Message
	if cmd := step.Command(l.rot.Namespace, l.rot.Name); cmd != "" {
		s = strings.TrimSuffix(s, ".") + "; next: " + cmd
	}
	return short(s)
}

func short(s string) string { return tell.Short(s, maxMessage) }

func (r *Reconciler) conditions(next *v1alpha1.RotationStatus, l *look, step rotate.Step) {
	set := func(kind string, yes bool, reason, message string) {
		c := metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: message, ObservedGeneration: l.rot.Generation, LastTransitionTime: *timestamp(l.o.Now)}
		if yes {
			c.Status = metav1.ConditionTrue
		}
		meta.SetStatusCondition(&next.Conditions, c)
	}
	message := text(l, step)
	held := step.Phase == v1alpha1.PhaseHeld
	set(v1alpha1.ConditionProgressing, underWay(step.Phase) && !held, step.Reason, message)
	if held {
		set(v1alpha1.ConditionHeld, true, step.Reason, message)
	} else {
		set(v1alpha1.ConditionHeld, false, "NotHeld", "")
	}
	if len(l.o.Blind) > 0 {
		set(v1alpha1.ConditionObserved, false, "CannotAsk", short(strings.Join(few(l.o.Blind), "; ")))
	} else {
		set(v1alpha1.ConditionObserved, true, "Asked", "")
	}
	switch overdue := l.overdue(next); {
	case l.o.Refused != "":
		set(v1alpha1.ConditionReady, false, rotate.ReasonRefused, text(l, rotate.Refusal(l.o.Refused)))
	case step.Phase == v1alpha1.PhaseFailed:
		set(v1alpha1.ConditionReady, false, rotate.ReasonTurnFailed, message)
	case overdue > 0:
		set(v1alpha1.ConditionReady, false, "Overdue", fmt.Sprintf("the credential may be %s old and is older; next: strongkeep rotation start %s -n %s", l.limit, l.rot.Name, l.rot.Namespace))
	default:
		set(v1alpha1.ConditionReady, true, "Accepted", "")
	}
	if step.Did == rotate.ActRecord {
		ledger.SetProven(next, l.mem.result.why, l.rot.Generation, *timestamp(l.o.Now))
	}
}

// overdue is by how much the credential is older than it may be.
func (l *look) overdue(s *v1alpha1.RotationStatus) time.Duration {
	since := l.changed(s)
	if l.limit <= 0 || since.IsZero() {
		return 0
	}
	return max(0, l.o.Now.Sub(since)-l.limit)
}

// changed is when the credential that readers see was published, as far as it is known.
func (l *look) changed(s *v1alpha1.RotationStatus) time.Time {
	if !l.state.Changed.IsZero() {
		return l.state.Changed
	}
	if s.LastDone != nil {
		return s.LastDone.Time
	}
	return time.Time{}
}

// announce tells people what is news in the status that was written.
func (r *Reconciler) announce(l *look, before *v1alpha1.RotationStatus, step rotate.Step) {
	for _, e := range tell.Of(before, &l.rot.Status) {
		r.Event(l.rot, e.Type, e.Reason, e.Message)
	}
	if before.Phase != step.Phase {
		r.Log.Info("entered a phase", "rotation", l.name(), "turn", l.rot.Status.Turn, "phase", string(step.Phase), "reason", step.Reason)
	}
}
