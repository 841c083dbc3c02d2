package rotation

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// fieldManager owns the annotations by which people ask. Its name tells the
// operator, and who reads managedFields, that a person did.
const fieldManager = "strongkeep-cli"

// request is one annotation, removed when value is empty, and what is said when
// it is written.
type request struct{ annotation, value, done string }

// ask writes a request.
func (x *commands) ask(ctx context.Context, k *cluster.Cluster, r *v1alpha1.Rotation, q request) error {
	before := r.DeepCopy()
	if q.value == "" {
		delete(r.Annotations, q.annotation)
	} else {
		if r.Annotations == nil {
			r.Annotations = map[string]string{}
		}
		r.Annotations[q.annotation] = q.value
	}
	err := k.Patch(ctx, r, client.MergeFrom(before), client.FieldOwner(fieldManager))
	if err != nil {
		return cluster.Explain(err, what(r))
	}
	_, err = fmt.Fprintln(x.Env.Stdout, q.done)
	return err
}

func turnOf(r *v1alpha1.Rotation) string { return strconv.FormatInt(r.Status.Turn, 10) }

// underWay refuses what is about a turn when there is none.
func underWay(r *v1alpha1.Rotation) error {
	switch r.Status.Phase {
	case "", v1alpha1.PhaseIdle, v1alpha1.PhaseDone, v1alpha1.PhaseFailed:
		return errs.Newf(errs.Conflict, "%s has no turn under way (phase %s): begin one with strongkeep rotation start %s", what(r), phase(r), args(r))
	}
	return nil
}

func phase(r *v1alpha1.Rotation) v1alpha1.Phase {
	if r.Status.Phase == "" {
		return v1alpha1.PhaseIdle
	}
	return r.Status.Phase
}

// args are the arguments that name r in a command that is proposed.
func args(r *v1alpha1.Rotation) string { return "-n " + r.Namespace + " " + r.Name }

func (x *commands) start() *cobra.Command {
	wait := false
	c := x.named("start NAME", "Begin a turn now", func(ctx context.Context, k *cluster.Cluster, r *v1alpha1.Rotation) error {
		if r.Spec.Suspend {
			return errs.Newf(errs.Conflict, "%s is suspended: set spec.suspend to false", what(r))
		}
		if underWay(r) == nil {
			return errs.Newf(errs.Conflict, "%s is in turn %d already (phase %s): see strongkeep rotation status %s", what(r), r.Status.Turn, phase(r), args(r))
		}
		next := r.Status.Turn + 1
		if s := r.Status.Rehearsal; s != nil { // its number is used up
			next = max(next, s.Turn+1)
		}
		if err := x.ask(ctx, k, r, request{v1alpha1.AnnotationRotate, uuid.NewString(), fmt.Sprintf("Asked for turn %d of %s/%s; see it with: strongkeep rotation watch %s", next, r.Namespace, r.Name, args(r))}); err != nil || !wait {
			return err
		}
		return x.follow(ctx, k, r, turnEnds(next))
	})
	c.Flags().BoolVar(&wait, "wait", false, "follow it until it ends or is held")
	return c
}

func (x *commands) leaked() *cobra.Command {
	return x.named("leaked NAME", "Report that the credential leaked: rotate at once, outside windows too", func(ctx context.Context, k *cluster.Cluster, r *v1alpha1.Rotation) error {
		if on := r.Spec.Schedule.OnLeak; on != nil && !*on {
			return errs.Newf(errs.Conflict, "%s does not rotate on a leak (spec.schedule.onLeak is false): use strongkeep rotation start %s", what(r), args(r))
		}
		return x.ask(ctx, k, r, request{v1alpha1.AnnotationLeaked, uuid.NewString(),
			fmt.Sprintf("Reported. The credential of %s/%s is rotated at once; the old one is closed as soon as consumers are proven: strongkeep rotation watch %s", r.Namespace, r.Name, args(r))})
	})
}

func (x *commands) approve() *cobra.Command {
	return x.named("approve NAME", "Let a staged turn go on", func(ctx context.Context, k *cluster.Cluster, r *v1alpha1.Rotation) error {
		if err := underWay(r); err != nil {
			return err
		}
		if at := origin(r); at != v1alpha1.PhaseStaged && at != v1alpha1.PhaseStaging {
			return errs.Newf(errs.Conflict, "%s is in phase %s: turn %d is approved already, or needs no approval", what(r), phase(r), r.Status.Turn)
		}
		return x.ask(ctx, k, r, request{v1alpha1.AnnotationApprove, turnOf(r), fmt.Sprintf("Approved turn %d of %s/%s.", r.Status.Turn, r.Namespace, r.Name)})
	})
}

// origin is the phase a turn is in, or was held in.
func origin(r *v1alpha1.Rotation) v1alpha1.Phase {
	if r.Status.Phase == v1alpha1.PhaseHeld {
		return r.Status.HeldFrom
	}
	return r.Status.Phase
}

func (x *commands) hold() *cobra.Command {
	reason := ""
	c := x.named("hold NAME", "Keep a turn where it is: old and new credential both work", func(ctx context.Context, k *cluster.Cluster, r *v1alpha1.Rotation) error {
		if strings.TrimSpace(reason) == "" {
			return errs.New(errs.Invalid, "say why with -reason: it is shown to everybody who asks why nothing happens")
		}
		return x.ask(ctx, k, r, request{v1alpha1.AnnotationHold, reason,
			fmt.Sprintf("Held. Go on with: strongkeep rotation resume %s", args(r))})
	})
	c.Flags().StringVar(&reason, "reason", "", "why; shown in the condition")
	return c
}

func (x *commands) resume() *cobra.Command {
	return x.named("resume NAME", "Let a held turn try again", func(ctx context.Context, k *cluster.Cluster, r *v1alpha1.Rotation) error {
		if r.Annotations[v1alpha1.AnnotationHold] != "" {
			if err := x.ask(ctx, k, r, request{v1alpha1.AnnotationHold, "", fmt.Sprintf("%s/%s is no longer held by a person.", r.Namespace, r.Name)}); err != nil {
				return err
			}
			if r.Status.Phase != v1alpha1.PhaseHeld {
				return nil
			}
		}
		if r.Status.Phase != v1alpha1.PhaseHeld {
			return errs.Newf(errs.Conflict, "%s is not held (phase %s)", what(r), phase(r))
		}
		return x.ask(ctx, k, r, request{v1alpha1.AnnotationResume, r.Status.ResumeKey(), fmt.Sprintf("Turn %d of %s/%s goes on from %s.", r.Status.Turn, r.Namespace, r.Name, r.Status.HeldFrom)})
	})
}

func (x *commands) rollback() *cobra.Command {
	return x.named("rollback NAME", "Go back to the old credential", func(ctx context.Context, k *cluster.Cluster, r *v1alpha1.Rotation) error {
		if err := underWay(r); err != nil {
			return err
		}
		if origin(r) == v1alpha1.PhaseRetiring {
			return errs.Newf(errs.Conflict, "%s is removing the old credential: nothing is left to go back to; begin another turn when it is done", what(r))
		}
		if r.Status.First && r.Status.PublishedAt != nil {
			return errs.Newf(errs.Conflict, "%s: nothing was published before turn %d: there is nothing to go back to", what(r), r.Status.Turn)
		}
		return x.ask(ctx, k, r, request{v1alpha1.AnnotationBack, turnOf(r), fmt.Sprintf("Turn %d of %s/%s goes back: strongkeep rotation watch %s", r.Status.Turn, r.Namespace, r.Name, args(r))})
	})
}

func (x *commands) accept() *cobra.Command {
	return x.named("accept-unproven NAME", "Close the old credential without the proof that is missing", func(ctx context.Context, k *cluster.Cluster, r *v1alpha1.Rotation) error {
		if err := underWay(r); err != nil {
			return err
		}
		p := r.Status.Proof
		missing := []string{}
		for _, e := range p.Evidence {
			if !e.Proven {
				missing = append(missing, e.Namespace+"/"+e.Pod)
			}
		}
		text := fmt.Sprintf("%d of %d pods of %s/%s are not proven to use the new credential (%s) and may fail.", p.Pods-p.PodsProven, p.Pods, r.Namespace, r.Name, some(missing))
		if err := x.Confirm(text + " Their old credential will be closed. This is recorded in the signed statement."); err != nil {
			return err
		}
		return x.ask(ctx, k, r, request{v1alpha1.AnnotationAccept, turnOf(r), fmt.Sprintf("Accepted for turn %d of %s/%s: %s", r.Status.Turn, r.Namespace, r.Name, text)})
	})
}

// some is a list that a person can read.
func some(list []string) string {
	const most = 5
	if len(list) > most {
		return strings.Join(list[:most], ", ") + fmt.Sprintf(" and %d more", len(list)-most)
	}
	return strings.Join(list, ", ")
}

func (x *commands) confirmRetired() *cobra.Command {
	return x.named("confirm-retired NAME", "Say that a person has removed a credential that the operator cannot (manual keys, certificates of others)", func(ctx context.Context, k *cluster.Cluster, r *v1alpha1.Rotation) error {
		if r.Spec.Target.Manual == nil && r.Spec.Target.Certificate == nil {
			return errs.Newf(errs.Invalid, "%s is not of kind manual or certificate: the operator removes the old credential itself, and proves it", what(r))
		}
		side := map[v1alpha1.Phase]string{v1alpha1.PhaseRetiring: "old", v1alpha1.PhaseRollingBack: "new"}[origin(r)]
		if side == "" {
			return errs.Newf(errs.Conflict, "%s is in phase %s: the credential is still needed; remove it when the phase is Retiring, or RollingBack for the new one", what(r), phase(r))
		}
		return x.ask(ctx, k, r, request{v1alpha1.AnnotationLost, turnOf(r), fmt.Sprintf("Confirmed that the %s credential of turn %d of %s/%s is removed.", side, r.Status.Turn, r.Namespace, r.Name)})
	})
}

// ago is a duration as people say it.
func ago(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 2*time.Minute:
		return d.Round(time.Second).String()
	case d < 2*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	case d < 48*time.Hour:
		return strings.TrimSuffix(strings.TrimSuffix(d.Round(time.Hour).String(), "0s"), "0m")
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
