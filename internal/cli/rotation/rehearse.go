package rotation

import (
	"bufio"
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

func (x *commands) rehearse() *cobra.Command {
	limit, pods := 10*time.Minute, false
	c := x.named("rehearse NAME", "Try a turn up to publishing, and see which consumers would break", func(ctx context.Context, k *cluster.Cluster, r *v1alpha1.Rotation) error {
		if underWay(r) == nil {
			return errs.Newf(errs.Conflict, "%s is in turn %d (phase %s): rehearse when it has ended; see strongkeep rotation status %s", what(r), r.Status.Turn, phase(r), args(r))
		}
		asked := uuid.NewString()
		if pods {
			asked = v1alpha1.RehearseWithPods + asked
		}
		before := r.DeepCopy()
		if r.Annotations == nil {
			r.Annotations = map[string]string{}
		}
		r.Annotations[v1alpha1.AnnotationTry] = asked
		if err := k.Patch(ctx, r, client.MergeFrom(before), client.FieldOwner(fieldManager)); err != nil {
			return cluster.Explain(err, what(r))
		}
		s, err := x.rehearsal(ctx, k, r, asked, limit)
		if err != nil {
			return err
		}
		if err := x.printRehearsal(r, s); err != nil {
			return err
		}
		return wouldBreak(r, s)
	})
	c.Long = `Try a turn up to publishing, and see which consumers would break. The operator makes a new
credential, tries it and removes it; finds every consumer and says who could never be proven;
sends the restarts as dry runs. Readers see nothing of it, and nobody is restarted.

With -with-pods it also runs a copy of a pod of each workload on the new credential, without the
labels that would have it serve. A copy is your application: it may work off a queue or take part
in an election. docs/rotation/rehearsal.md says more; the operator must be run with -rehearsal-pods.

The exit code is 0 when nothing was found, 6 when a turn would fail or be held, and 8 when
something could not be tried.`
	c.Flags().BoolVar(&pods, "with-pods", false, "run a copy of a pod of each workload, too")
	c.Flags().DurationVar(&limit, "timeout", limit, "how long to wait for the answer")
	return c
}

// poll is how often the answer is looked for.
const poll = 500 * time.Millisecond

// rehearsal waits for the answer to asked.
func (x *commands) rehearsal(outer context.Context, k *cluster.Cluster, r *v1alpha1.Rotation, asked string, limit time.Duration) (*v1alpha1.RehearsalStatus, error) {
	ctx, cancel := context.WithTimeout(outer, limit)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		if s, err := x.answer(ctx, k, r, asked); s != nil || err != nil {
			return s, err
		}
		select {
		case <-ctx.Done():
			if outer.Err() != nil {
				return nil, session.Interrupted{Left: fmt.Sprintf("the rehearsal of %s that was asked for goes on without you: its answer will be in strongkeep rotation status %s -format=json", what(r), args(r))}
			}
			return nil, errs.Newf(errs.Unavailable, "no answer for %s: %s", what(r), x.silence(k, r))
		case <-tick.C:
		}
	}
}

// answer looks once; nil while there is none.
func (x *commands) answer(ctx context.Context, k *cluster.Cluster, r *v1alpha1.Rotation, asked string) (*v1alpha1.RehearsalStatus, error) {
	if err := k.Get(ctx, client.ObjectKeyFromObject(r), r); err != nil {
		if ctx.Err() != nil || worthAnotherTry(err) {
			return nil, nil
		}
		return nil, cluster.Explain(err, what(r))
	}
	if s := r.Status.Rehearsal; s != nil && s.Asked == asked && s.Verdict != v1alpha1.TrialRunning {
		return s, nil
	}
	if r.Annotations[v1alpha1.AnnotationTry] != asked {
		return nil, errs.Newf(errs.Conflict, "somebody else asked for a rehearsal of %s meanwhile: its answer is in strongkeep rotation status %s -format=json", what(r), args(r))
	}
	return nil, nil
}

// silence says why there may be no answer.
func (x *commands) silence(k *cluster.Cluster, r *v1alpha1.Rotation) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if text := x.operatorSilent(ctx, k, r); text != "" {
		return text
	}
	if underWay(r) == nil {
		return fmt.Sprintf("turn %d is under way, and it is rehearsed when that has ended", r.Status.Turn)
	}
	return "the operator has not ended it, or is of a release that rehearses nothing"
}

// wouldBreak is the error that a command ends with for what was found.
func wouldBreak(r *v1alpha1.Rotation, s *v1alpha1.RehearsalStatus) error {
	found := "1 finding"
	if n := len(s.WouldBreak) + int(s.More); n != 1 {
		found = fmt.Sprintf("%d findings", n)
	}
	switch s.Verdict {
	case v1alpha1.TrialSucceeds:
		return nil
	case v1alpha1.TrialFails:
		return errs.Newf(errs.Conflict, "a turn of %s would fail and be taken back: %s", what(r), found)
	case v1alpha1.TrialHolds:
		return errs.Newf(errs.Conflict, "a turn of %s would be held: %s", what(r), found)
	case v1alpha1.TrialInterrupted:
		return errs.Newf(errs.Unavailable, "the rehearsal of %s was interrupted, and nothing of it is left: ask again", what(r))
	}
	return errs.Newf(errs.Unavailable, "not everything of %s could be tried: %s", what(r), found)
}

func (x *commands) printRehearsal(r *v1alpha1.Rotation, s *v1alpha1.RehearsalStatus) error {
	if x.Format != "table" || x.Field != "" {
		return x.Print(s, nil, nil)
	}
	w := bufio.NewWriter(x.Env.Stdout)
	_, _ = fmt.Fprintf(w, "Rehearsal of %s/%s (%s): %s\n", r.Namespace, r.Name, kind(&r.Spec.Target), s.Verdict)
	if len(s.Lines) > 0 {
		_, _ = fmt.Fprintln(w)
	}
	for _, line := range s.Lines {
		_, _ = fmt.Fprintf(w, "  %s\n", line)
	}
	if len(s.WouldBreak) > 0 {
		_, _ = fmt.Fprintln(w)
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		_, _ = fmt.Fprintln(t, "CONSUMER\tEFFECT\tREASON\tMESSAGE")
		for i := range s.WouldBreak {
			f := &s.WouldBreak[i]
			_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", f.Consumer, f.Effect, f.Reason, f.Message)
		}
		_ = t.Flush()
	}
	if s.More > 0 {
		_, _ = fmt.Fprintf(w, "and %d more\n", s.More)
	}
	return w.Flush()
}
