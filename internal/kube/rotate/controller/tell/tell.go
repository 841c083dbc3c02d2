// Package tell says what people are told of a Rotation, by events: phases that are
// entered, refusals, and reminders of what waits for somebody.
//
// Start reading at Of.
package tell

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
)

// Event is one thing that is told; Type is that of a Kubernetes event.
type Event struct{ Type, Reason, Message string }

// usualReminder is how often a reminder is given where the Rotation does not say.
const usualReminder = 24 * time.Hour

// News reports whether next says something that before does not. How many
// sessions there are on the new credential, and how often clients read it, changes
// all the time, and is none.
func News(before, next *v1alpha1.RotationStatus) bool {
	a, b := before.DeepCopy(), next.DeepCopy()
	a.Proof.NewSessions, b.Proof.NewSessions = nil, nil
	still(a.Proof.Clients)
	still(b.Proof.Clients)
	return !equality.Semantic.DeepEqual(a, b)
}

// still leaves out how often, when and from where clients read.
func still(c *v1alpha1.ClientsStatus) {
	if c == nil {
		return
	}
	for i := range c.Evidence {
		e := &c.Evidence[i]
		e.Reads, e.LastRead, e.Address, e.Tokens, e.Leases = 0, nil, "", 0, 0
	}
}

// Of returns what is news in after, which is written, against before.
func Of(before, after *v1alpha1.RotationStatus) []Event {
	var out []Event
	said := after.Phase != before.Phase && (before.Phase != "" || after.Phase != v1alpha1.PhaseIdle)
	switch {
	case said:
		kind := corev1.EventTypeNormal
		switch after.Phase {
		case v1alpha1.PhaseHeld, v1alpha1.PhaseRollingBack, v1alpha1.PhaseFailed:
			kind = corev1.EventTypeWarning
		}
		out = append(out, Event{kind, string(after.Phase), going(after)})
	case after.Phase == v1alpha1.PhaseHeld && after.HeldFor != before.HeldFor:
		out = append(out, Event{corev1.EventTypeWarning, after.HeldFor, going(after)})
	case after.RemindedAt != nil && !after.RemindedAt.Equal(before.RemindedAt):
		out = append(out, Event{corev1.EventTypeWarning, reason(after), going(after)})
	}
	return append(out, unready(before, after)...)
}

// unready tells why the Rotation is not ready any more, or for another reason.
// That a turn failed is told with its phase.
func unready(before, after *v1alpha1.RotationStatus) []Event {
	c := meta.FindStatusCondition(after.Conditions, v1alpha1.ConditionReady)
	if c == nil || c.Status != metav1.ConditionFalse || c.Reason == rotate.ReasonTurnFailed {
		return nil
	}
	was := meta.FindStatusCondition(before.Conditions, v1alpha1.ConditionReady)
	if was != nil && was.Reason == c.Reason && was.Message == c.Message {
		return nil
	}
	return []Event{{corev1.EventTypeWarning, c.Reason, c.Message}}
}

// maxTimeline bounds the timeline, maxMessage each of its messages in bytes.
const (
	maxTimeline = 64
	maxMessage  = 2048
)

// Timeline notes in next that step entered a phase, and where the statement of a
// turn that has ended is. The turn before last is forgotten.
func Timeline(next, before *v1alpha1.RotationStatus, step rotate.Step, now metav1.Time) {
	if next.Phase == cmp.Or(before.Phase, v1alpha1.PhaseIdle) && next.Turn == before.Turn {
		return
	}
	next.Timeline = slices.DeleteFunc(next.Timeline, func(e v1alpha1.TimelineEntry) bool { return e.Turn < next.Turn-1 })
	message := Short(step.Message, maxMessage)
	switch {
	case step.Did == rotate.ActRecord && next.Statement != "":
		message += "; statement: " + next.Statement
	case step.Did == rotate.ActRecord:
		message += "; the statement waits until the vault takes it"
	}
	next.Timeline = append(next.Timeline, v1alpha1.TimelineEntry{Time: now, Turn: next.Turn, Phase: next.Phase, Reason: step.Reason, Message: message})
	if extra := len(next.Timeline) - maxTimeline; extra > 0 {
		next.Timeline = slices.Delete(next.Timeline, 1, 1+extra) // how it began stays
	}
}

// Short returns at most n bytes of s, and says so.
func Short(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n-4], "") + "…"
	}
	return s
}

// going is what the turn's condition says.
func going(s *v1alpha1.RotationStatus) string {
	text := ""
	if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionProgressing); c != nil {
		text = c.Message
	}
	return fmt.Sprintf("turn %d: %s", s.Turn, text)
}

func reason(s *v1alpha1.RotationStatus) string {
	if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionProgressing); c != nil {
		return c.Reason
	}
	return string(s.Phase)
}

// Awaits reports whether a turn that is not held waits for somebody.
func Awaits(s *v1alpha1.RotationStatus) bool {
	c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionProgressing)
	return c != nil && c.Status == metav1.ConditionTrue && awaits(c.Reason)
}

func awaits(reason string) bool {
	return reason == rotate.ReasonAwaitsPerson || reason == rotate.ReasonAwaitsApproval
}

// Remind notes in next that people are reminded now of what waits for them, if
// they are to be: when it begins to wait, and then every so often. What it says
// lasts across operators, and a look that could not see forgets nothing.
func Remind(next, before *v1alpha1.RotationStatus, spec *v1alpha1.RotationSpec, reason string, now time.Time) {
	if next.Phase != before.Phase || next.Turn != before.Turn {
		next.RemindedAt = nil
	}
	if !awaits(reason) && next.Phase != v1alpha1.PhaseHeld {
		return
	}
	every := usualReminder
	if m := spec.Target.Manual; m != nil && m.RemindEvery != nil && m.RemindEvery.Duration > 0 {
		every = max(m.RemindEvery.Duration, time.Minute)
	}
	if last := next.RemindedAt; last != nil && now.Sub(last.Time) < every && !last.After(now.Add(every)) {
		return
	}
	next.RemindedAt = &metav1.Time{Time: now.Truncate(time.Second)}
}
