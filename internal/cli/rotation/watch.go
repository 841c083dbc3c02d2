package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// end says that a watch is over; err is then the command's.
type end func(r *v1alpha1.Rotation) (over bool, err error)

// turnEnds is the end of turn number n, or its being held.
func turnEnds(n int64) end {
	return func(r *v1alpha1.Rotation) (bool, error) {
		switch s := &r.Status; {
		case s.Turn < n:
			return false, nil
		case s.Phase == v1alpha1.PhaseHeld:
			return true, errs.Newf(errs.Conflict, "turn %d is held: see strongkeep rotation status %s", s.Turn, args(r))
		case s.Phase == v1alpha1.PhaseFailed:
			return true, errs.Newf(errs.Unavailable, "turn %d failed and was taken back (%s): %s", s.Turn, s.BackReason, s.BackMessage)
		case s.Phase == v1alpha1.PhaseDone, s.Phase == v1alpha1.PhaseIdle, s.Turn > n:
			return true, nil
		}
		return false, nil
	}
}

func (x *commands) watch() *cobra.Command {
	var until []string
	c := x.named("watch NAME", "Show a line for each step of a Rotation as it happens", func(ctx context.Context, k *cluster.Cluster, r *v1alpha1.Rotation) error {
		wanted, err := phases(until)
		if err != nil {
			return err
		}
		err = x.follow(ctx, k, r, func(r *v1alpha1.Rotation) (bool, error) { return wanted[phase(r)], nil })
		if len(wanted) == 0 && ctx.Err() != nil {
			return nil // there is no other end
		}
		return err
	})
	c.Long = `Show a line for each step of a Rotation as it happens, until it is interrupted, or until
it is in one of the phases that -until names. Lost connections are taken up again.`
	c.Example = "  strongkeep rotation watch -n shop db -until=Done,Failed,Held"
	c.Flags().StringSliceVar(&until, "until", nil, "end in one of these phases")
	_ = c.RegisterFlagCompletionFunc("until", cobra.FixedCompletions(allPhases(), cobra.ShellCompDirectiveNoFileComp))
	return c
}

// phases takes names of phases, in upper or lower case.
func phases(given []string) (map[v1alpha1.Phase]bool, error) {
	wanted, all := map[v1alpha1.Phase]bool{}, allPhases()
	for _, name := range given {
		i := slices.IndexFunc(all, func(p string) bool { return strings.EqualFold(p, name) })
		if i < 0 {
			return nil, errs.Newf(errs.Invalid, "-until=%q is no phase: use some of %s", name, strings.Join(all, ", "))
		}
		wanted[v1alpha1.Phase(all[i])] = true
	}
	return wanted, nil
}

// allPhases are the names of all there are, in the order of a turn.
func allPhases() []string {
	return []string{
		string(v1alpha1.PhaseIdle), string(v1alpha1.PhaseStaging), string(v1alpha1.PhaseStaged), string(v1alpha1.PhasePublishing), string(v1alpha1.PhaseRolling),
		string(v1alpha1.PhaseProving), string(v1alpha1.PhaseQuiescing), string(v1alpha1.PhaseRetiring), string(v1alpha1.PhaseDone),
		string(v1alpha1.PhaseHeld), string(v1alpha1.PhaseRollingBack), string(v1alpha1.PhaseFailed),
	}
}

// retryAfter is how long a lost watch waits before it is taken up again.
const retryAfter = time.Second

// follow prints a line for each change of r until over says so. It is an error
// that ctx ends before.
func (x *commands) follow(ctx context.Context, k *cluster.Cluster, r *v1alpha1.Rotation, over end) error {
	last := ""
	for {
		done, err := x.followOnce(ctx, k, r, &last, over)
		switch {
		case done:
			return err
		case ctx.Err() != nil:
			return interrupted(r)
		case err != nil && !worthAnotherTry(err):
			return cluster.Explain(err, what(r))
		}
		select {
		case <-ctx.Done():
			return interrupted(r)
		case <-time.After(retryAfter):
		}
	}
}

func interrupted(r *v1alpha1.Rotation) error {
	return session.Interrupted{Left: fmt.Sprintf("%s was last seen in phase %s, and goes on without you: see strongkeep rotation status %s", what(r), phase(r), args(r))}
}

func worthAnotherTry(err error) bool {
	var status apierrors.APIStatus
	return !errors.As(err, &status) || apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsResourceExpired(err) || apierrors.IsInternalError(err)
}

// followOnce follows until the watch is lost, and keeps in r what it saw last. It
// begins with what is now.
func (x *commands) followOnce(ctx context.Context, k *cluster.Cluster, r *v1alpha1.Rotation, last *string, over end) (bool, error) { //nolint:cyclop // flat: a case after the other
	w, err := k.Watch(ctx, &v1alpha1.RotationList{}, client.InNamespace(r.Namespace),
		client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector(metav1.ObjectNameField, r.Name)})
	if err != nil {
		return false, err
	}
	defer w.Stop()
	silence := time.NewTimer(x.quiet)
	defer silence.Stop()
	for {
		var e watch.Event
		var ok bool
		select {
		case <-ctx.Done():
			return false, nil
		case <-silence.C:
			if text := x.operatorSilent(ctx, k, r); text != "" {
				_, _ = fmt.Fprintln(x.Env.Stderr, text)
			}
			continue
		case e, ok = <-w.ResultChan():
		}
		if !ok {
			return false, nil
		}
		now, is := e.Object.(*v1alpha1.Rotation)
		switch {
		case e.Type == watch.Error:
			return false, apierrors.FromObject(e.Object)
		case !is:
			continue
		case e.Type == watch.Deleted:
			return true, errs.Newf(errs.NotExist, "%s was deleted", what(r))
		}
		now.DeepCopyInto(r)
		if line := progress(now); line != *last {
			*last = line
			if _, err := fmt.Fprintf(x.Env.Stdout, "%s  %s\n", x.now().UTC().Format(time.TimeOnly), line); err != nil {
				return true, err
			}
		}
		if done, err := over(now); done {
			return true, err
		}
	}
}

// progress is the line for what is.
func progress(r *v1alpha1.Rotation) string {
	s := &r.Status
	b := fmt.Sprintf("turn %d  %-11s", s.Turn, phase(r))
	if p := s.Proof; p.Secrets > 0 || p.Pods > 0 {
		b += fmt.Sprintf("  secrets %d/%d  pods %d/%d", p.SecretsConfirmed, p.Secrets, p.PodsProven, p.Pods)
	}
	for _, c := range s.Conditions {
		if c.Type == v1alpha1.ConditionHeld && c.Status == metav1.ConditionTrue ||
			c.Type == v1alpha1.ConditionObserved && c.Status == metav1.ConditionFalse {
			return b + "  " + c.Message
		}
	}
	for _, c := range s.Conditions {
		if c.Type == v1alpha1.ConditionProgressing && c.Message != "" {
			return b + "  " + c.Message
		}
	}
	return b
}
