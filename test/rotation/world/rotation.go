package world

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// TurnPatience bounds one turn.
const TurnPatience = 3 * time.Minute

// rotation is the one of every world. Its watch is short, so that fifty turns
// end before the day does.
const rotation = `
target:
  storeRef: {kind: SecretStore, name: rotator}
  database: {mount: database, role: app}
proof: {backend: Required}
overlap: {max: 10m, watch: 1s}
rollout: {maxConcurrent: 5, deadline: 2m}
`

// Rotation makes the Rotation "db", or changes it; change may be nil.
func (w *World) Rotation(change func(*v1alpha1.RotationSpec)) {
	w.Helper()
	r := &v1alpha1.Rotation{}
	r.APIVersion, r.Kind, r.Name = v1alpha1.GroupVersion().String(), "Rotation", "db"
	if err := yaml.UnmarshalStrict([]byte(rotation), &r.Spec); err != nil {
		w.Fatal(err)
	}
	if change != nil {
		change(&r.Spec)
	}
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": r.APIVersion, "kind": r.Kind, "metadata": object{"name": r.Name}, "spec": r.Spec,
	})
	if err != nil {
		w.Fatal(err)
	}
	w.Apply(string(text))
}

// Get reads the Rotation. ok is false if the API server does not answer.
func (w *World) Get() (r *v1alpha1.Rotation, ok bool) {
	ctx, cancel := context.WithTimeout(w.Context(), 5*time.Second)
	defer cancel()
	r = &v1alpha1.Rotation{}
	err := w.site.Client.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: "db"}, r)
	return r, err == nil
}

// Status of the Rotation.
func (w *World) Status() v1alpha1.RotationStatus {
	w.Helper()
	var s v1alpha1.RotationStatus
	w.Until("reading the Rotation", func() error {
		r, ok := w.Get()
		if s = r.Status; !ok {
			return errors.New("the API server does not answer")
		}
		return nil
	})
	return s
}

// Ask annotates the Rotation, as the command line does.
func (w *World) Ask(annotation, value string) {
	w.Helper()
	w.Kubectl("annotate", "--overwrite", "rotations", "db", annotation+"="+value)
}

// Begin asks for a turn and returns its number.
func (w *World) Begin() int64 {
	w.Helper()
	turn := w.Status().Turn + 1
	w.Ask(v1alpha1.AnnotationRotate, "test-"+strconv.FormatInt(time.Now().UnixNano(), 36))
	return turn
}

// Ended waits until a turn ended well. One that is held, went back or failed
// ends the test.
func (w *World) Ended(turn int64) v1alpha1.RotationStatus {
	w.Helper()
	s := w.Await(fmt.Sprintf("the end of turn %d", turn), func(s v1alpha1.RotationStatus) bool {
		switch s.Phase {
		case v1alpha1.PhaseHeld, v1alpha1.PhaseRollingBack, v1alpha1.PhaseFailed:
			return s.Turn == turn
		}
		reason, _, _ := Condition(s, v1alpha1.ConditionProgressing)
		return done(s, turn) || reason == "Refused"
	})
	if !done(s, turn) {
		w.Fatalf("turn %d: %s", turn, Brief(s))
	}
	return s
}

// done reports whether a turn ended well, its statement signed and stored.
func done(s v1alpha1.RotationStatus, turn int64) bool {
	return s.Turn == turn && s.LastDone != nil && strings.HasSuffix(s.Statement, "/"+strconv.FormatInt(turn, 10)) &&
		(s.Phase == v1alpha1.PhaseIdle || s.Phase == v1alpha1.PhaseDone)
}

// Rotate does one whole turn.
func (w *World) Rotate() v1alpha1.RotationStatus {
	w.Helper()
	return w.Ended(w.Begin())
}

// Await looks at the status until f is content.
func (w *World) Await(what string, f func(v1alpha1.RotationStatus) bool) v1alpha1.RotationStatus {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), TurnPatience)
	defer cancel()
	tick := time.NewTicker(Often)
	defer tick.Stop()
	var last v1alpha1.RotationStatus
	for {
		if r, ok := w.Get(); ok {
			if last = r.Status; f(last) {
				return last
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.Fatalf("%s: not seen; %s", what, Brief(last))
		}
	}
}

// Brief says in a few lines where a turn is.
func Brief(s v1alpha1.RotationStatus) string {
	var b strings.Builder
	fmt.Fprintf(&b, "turn %d is %s", s.Turn, s.Phase)
	if s.HeldFrom != "" {
		fmt.Fprintf(&b, " from %s", s.HeldFrom)
	}
	fmt.Fprintf(&b, " (act %q, back %q, version %s), proof %s", s.Act, s.Back, s.Version, s.Proof.Summary)
	for _, c := range s.Conditions {
		fmt.Fprintf(&b, "\n  %s %s %s: %s", c.Type, c.Status, c.Reason, c.Message)
	}
	for _, e := range s.Proof.Evidence {
		if !e.Proven {
			fmt.Fprintf(&b, "\n  %s: %s", e.Pod, e.Missing)
		}
	}
	return b.String()
}

// Reach watches the Rotation until it is in a phase of a turn, and returns at
// once: every status that is written is seen, also one that is there for a moment.
// The caller begins the turn with begin.
func (w *World) Reach(phase v1alpha1.Phase, begin func() int64) (turn int64) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), TurnPatience)
	defer cancel()
	r, ok := w.Get()
	if !ok {
		w.Fatal("the API server does not answer")
	}
	watch, err := w.site.Client.Watch(ctx, &v1alpha1.RotationList{}, client.InNamespace(w.Namespace),
		&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: r.ResourceVersion}})
	if err != nil {
		w.Fatal(err)
	}
	defer watch.Stop()
	turn = begin()
	for e := range watch.ResultChan() {
		r, ok := e.Object.(*v1alpha1.Rotation)
		if !ok || r.Status.Turn != turn {
			continue
		}
		if r.Status.Phase == phase {
			return turn
		}
		if done(r.Status, turn) {
			break
		}
	}
	w.Fatalf("turn %d was never seen in %s; %s", turn, phase, Brief(w.Status()))
	return 0
}

// Condition is one of the Rotation's, empty if there is none.
func Condition(s v1alpha1.RotationStatus, kind string) (reason, message string, is bool) {
	c := meta.FindStatusCondition(s.Conditions, kind)
	if c == nil {
		return "", "", false
	}
	return c.Reason, c.Message, c.Status == "True"
}
