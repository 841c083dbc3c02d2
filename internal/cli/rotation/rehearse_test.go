package rotation_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// answer plays the operator: it waits for a question and answers it with s. The
// question is sent to the channel returned.
func answer(t *testing.T, r *v1alpha1.Rotation, s v1alpha1.RehearsalStatus) <-chan string {
	t.Helper()
	asked := make(chan string, 1)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	old := r.Annotations[v1alpha1.AnnotationTry]
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		now := r.DeepCopy()
		for {
			err := testClient.Get(ctx, client.ObjectKeyFromObject(r), now)
			if value := now.Annotations[v1alpha1.AnnotationTry]; err == nil && value != old {
				s.Asked = value
				now.Status.Rehearsal = &s
				if testClient.Status().Update(ctx, now) == nil {
					asked <- value
					return
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return asked
}

// What a rehearsal found is shown, and the exit code says what it means.
func TestRehearse(t *testing.T) {
	u := newUser(t)
	finding := v1alpha1.TrialFinding{Consumer: "Deployment shop/web", Effect: v1alpha1.TrialEffectHolds, Reason: "ProofImpossible", Message: "nobody restarts it"}
	for verdict, code := range map[v1alpha1.TrialVerdict]int{
		v1alpha1.TrialSucceeds: 0, v1alpha1.TrialHolds: errs.Conflict.ExitCode(), v1alpha1.TrialFails: errs.Conflict.ExitCode(),
		v1alpha1.TrialUnknown: errs.Unavailable.ExitCode(), v1alpha1.TrialInterrupted: errs.Unavailable.ExitCode(),
	} {
		r := rotation(t, at(v1alpha1.PhaseIdle, 3))
		s := v1alpha1.RehearsalStatus{Verdict: verdict, Turn: 4, Lines: []string{"it logged in"}}
		if verdict != v1alpha1.TrialSucceeds {
			s.WouldBreak, s.More = []v1alpha1.TrialFinding{finding}, 7
		}
		asked := answer(t, r, s)
		var out bytes.Buffer
		got, complaint := u.into(t.Context(), &out, "rotation", "rehearse", r.Namespace+"/db")
		if got != code || (code == 0) != (complaint == "") {
			t.Errorf("%s: exit code %d, %q; want %d", verdict, got, complaint, code)
		}
		<-asked
		for _, want := range []string{string(verdict), "it logged in"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %q in:\n%s", verdict, want, out.String())
			}
		}
		if code != 0 && (!strings.Contains(out.String(), finding.Consumer) || !strings.Contains(out.String(), finding.Message) || !strings.Contains(out.String(), "and 7 more")) {
			t.Errorf("%s: the finding is not in:\n%s", verdict, out.String())
		}
	}
}

// A program gets what the status has, and the exit code beside it.
func TestRehearseJSON(t *testing.T) {
	u := newUser(t)
	r := rotation(t, at(v1alpha1.PhaseIdle, 3))
	asked := answer(t, r, v1alpha1.RehearsalStatus{Verdict: v1alpha1.TrialHolds, Turn: 4, WouldBreak: []v1alpha1.TrialFinding{{Consumer: "c", Effect: v1alpha1.TrialEffectHolds, Reason: "R", Message: "m"}}})
	var out bytes.Buffer
	code, _ := u.into(t.Context(), &out, "rotation", "rehearse", "-o=json", "-n", r.Namespace, "db")
	var s v1alpha1.RehearsalStatus
	if err := json.Unmarshal(out.Bytes(), &s); err != nil || code != errs.Conflict.ExitCode() || s.Asked != <-asked || len(s.WouldBreak) != 1 {
		t.Errorf("exit code %d, %v: %s", code, err, out.String())
	}
}

// What cannot be answered is said, with why.
func TestRehearseRefused(t *testing.T) {
	u := newUser(t)
	r := rotation(t, at(v1alpha1.PhaseRolling, 3))
	u.fails(errs.Conflict, "turn 3", "rotation", "rehearse", r.Namespace+"/db")
	if annotations(t, r)[v1alpha1.AnnotationTry] != "" {
		t.Error("it was asked for amid a turn")
	}
	r = rotation(t, at(v1alpha1.PhaseIdle, 3))
	u.fails(errs.Unavailable, "operator", "rotation", "rehearse", "-timeout=5s", r.Namespace+"/db")
}
