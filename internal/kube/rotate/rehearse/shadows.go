package rehearse

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Cast is what shadows are made from.
type Cast struct {
	Rotation *v1alpha1.Rotation
	Graph    *consumer.Graph
	Location string        // of the credential
	Staged   redact.Secret // what would be there
}

// Absent is a consumer that has no shadow, and why; of none in particular when
// Of is zero.
type Absent struct {
	Of  consumer.Object
	Why string
}

// Shadow is a pod that runs for a workload.
type Shadow struct {
	Of      consumer.Object
	Control bool // on the present credential
	Ready   bool
	Waits   string // for what, while it is not ready; "" when that is not known
	Failing string // why it does not run, and will not by waiting
}

// Shadows runs copies of consumers' pods. shadow.Crew does. All is idempotent.
type Shadows interface {
	// Start makes a shadow for each workload that can have one, on what is staged.
	Start(ctx context.Context, c Cast) ([]Absent, error)
	// Control makes one more, on what the workload has now.
	Control(ctx context.Context, rot *v1alpha1.Rotation, of consumer.Object) error
	// Look returns all there are.
	Look(ctx context.Context, rot *v1alpha1.Rotation) ([]Shadow, error)
	// Remove removes all that was made for rot. Nil: nothing is left. Unavailable:
	// something still is; ask again.
	Remove(ctx context.Context, rot *v1alpha1.Rotation) error
}

// How long a shadow may take to be ready, and how long it must stay so.
const (
	patience = 2 * time.Minute
	settle   = 10 * time.Second
)

// act is where a workload's shadow is.
type act struct {
	began  time.Time // of the shadow, or of the control
	ready  time.Time // since when it is; zero while it is not
	failed string    // why the shadow did; then the control tells
	over   bool
}

// stage makes the credential, and shadows on it.
func (x *run) stage(ctx context.Context, q controller.Rehearsal, g *consumer.Graph) {
	x.ending = true // unless all goes well
	lender, ok := q.Target.(target.Lender)
	switch {
	case x.Shadows == nil:
		x.found.add("shadow pods", v1alpha1.TrialEffectUnknown, "NotTried", "this operator may make no pods: run it with -rehearsal-pods, and apply the roles that strongkeep operator rbac -rehearsal-pods prints")
		x.credential(ctx, q)
		return
	case !ok || g == nil:
		x.found.add("shadow pods", v1alpha1.TrialEffectUnknown, "NotTried", "this kind of credential cannot be lent before it is published, or its consumers were not found")
		x.credential(ctx, q)
		return
	case q.Observed.Gate.Frozen:
		x.found.add("shadow pods", v1alpha1.TrialEffectUnknown, "NotTried", "a freeze is in force: "+q.Observed.Gate.Reason)
		x.credential(ctx, q)
		return
	}
	if _, err := q.Target.Stage(ctx, x.turn(q)); err != nil {
		x.refused("making a new credential", err)
		return
	}
	x.say("a new credential was made beside the old one, stored, and tried")
	staged, err := lender.Lend(ctx, x.turn(q))
	if err != nil {
		x.refused("lending it to shadow pods", err)
		return
	}
	defer staged.Wipe()
	absent, err := x.Shadows.Start(ctx, Cast{q.Rotation, g, q.Rotation.Status.Location, staged})
	for _, a := range absent {
		x.absent(a)
	}
	if err != nil {
		x.refused("making shadow pods", err)
		return
	}
	x.ending, x.acts = false, map[consumer.Object]*act{}
}

func (x *run) absent(a Absent) {
	if a.Of == (consumer.Object{}) {
		x.found.add("shadow pods", v1alpha1.TrialEffectUnknown, "NotTried", a.Why)
		return
	}
	x.say("%s has no shadow: %s", describe(a.Of), a.Why)
}

// watch looks at shadows until each has shown what it can, and then removes all.
func (x *run) watch(ctx context.Context, q controller.Rehearsal) {
	if !x.ending {
		x.look(ctx, q)
	}
	if !x.ending {
		return
	}
	if x.Shadows != nil {
		if err := x.Shadows.Remove(ctx, q.Rotation); err != nil {
			if !again(err) {
				x.left(err)
				x.over = true
			}
			return // looked at again
		}
	}
	if err := discard(ctx, q.Target, x.turn(q)); err != nil {
		if again(err) {
			return
		}
		x.left(err)
	} else if x.acts != nil {
		x.say("the shadows and their credential were removed")
	}
	x.over = true
}

func (x *run) look(ctx context.Context, q controller.Rehearsal) {
	seen, err := x.Shadows.Look(ctx, q.Rotation)
	if err != nil {
		x.Log.Warn("looking at shadow pods", "rotation", nameOf(q.Rotation), "error", err)
		return
	}
	done := true
	for _, s := range seen {
		a := x.acts[s.Of]
		if a == nil {
			a = &act{began: x.Clock.Now()}
			x.acts[s.Of] = a
		}
		if !a.over && s.Control == (a.failed != "") {
			x.move(ctx, q, s, a)
		}
		done = done && a.over
	}
	x.ending = done
}

// judge says why a shadow fails, "" that it runs. It is not known at once.
func (a *act) judge(s Shadow, now time.Time) (failed string, known bool) {
	switch {
	case s.Failing != "":
		return s.Failing, true
	case !s.Ready:
		a.ready = time.Time{}
		if now.Sub(a.began) < patience {
			return "", false
		}
		failed = "not ready after " + patience.String()
		if s.Waits != "" {
			failed += ": " + s.Waits
		}
		return failed, true
	case a.ready.IsZero():
		a.ready = now
		return "", false
	}
	return "", now.Sub(a.ready) >= settle
}

// move judges one shadow, or the control of one that failed.
func (x *run) move(ctx context.Context, q controller.Rehearsal, s Shadow, a *act) {
	now := x.Clock.Now()
	failed, known := a.judge(s, now)
	if !known {
		return
	}
	name := describe(s.Of)
	switch {
	case failed == "" && !s.Control:
		x.say("%s: a shadow of it runs on the new credential", name)
		a.over = true
	case failed == "":
		x.found.add(name, v1alpha1.TrialEffectFails, "ShadowFails", "a shadow of it fails on the new credential, and one on the present credential runs: "+a.failed)
		a.over = true
	case !s.Control:
		if err := x.Shadows.Control(ctx, q.Rotation, s.Of); err != nil {
			x.Log.Warn("making a control", "rotation", nameOf(q.Rotation), "error", err)
			return // again
		}
		*a = act{began: now, failed: failed}
	default:
		x.found.add(name, v1alpha1.TrialEffectUnknown, "ShadowTellsNothing", "its shadow fails on the present credential too ("+failed+"), as on the new one ("+a.failed+"): see docs/rotation/rehearsal.md for what a shadow lacks")
		a.over = true
	}
}
