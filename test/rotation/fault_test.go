package rotation_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/test/rotation/world"
)

// begun is a world with a first turn done, an operator and consumers.
func begun(t *testing.T, change func(*v1alpha1.RotationSpec), consumers ...world.Consumer) *world.World {
	t.Helper()
	w := world.New(t, "postgres")
	w.Rotation(change)
	w.Start()
	w.Rotate()
	w.Consume(consumers...)
	return w
}

func overlap(limit time.Duration) func(*v1alpha1.RotationSpec) {
	return func(s *v1alpha1.RotationSpec) { s.Overlap.Max = &metav1.Duration{Duration: limit} }
}

// A consumer that never reloads: held, the pod is named, old and new work; once
// it was restarted by somebody the turn goes on.
func TestConsumerNeverReloads(t *testing.T) {
	stuck := world.Consumer{Name: "stuck", Source: "file", Replicas: 1, Args: []string{"-reload=0"}, Annotations: leftAlone, PodAnnotations: askable}
	w := begun(t, overlap(15*time.Second), byEnv, stuck)
	user, password, _ := w.Published()
	n := w.Begin()
	s := w.Await("held", func(s v1alpha1.RotationStatus) bool { return s.Turn == n && s.Phase == v1alpha1.PhaseHeld })
	pod := w.Kubectl("get", "pods", "--selector=app=stuck", "--output=jsonpath={.items[*].metadata.name}")
	if _, message, is := world.Condition(s, v1alpha1.ConditionHeld); !is || !strings.Contains(message, pod) || !strings.Contains(message, "strongkeep rotation") {
		t.Errorf("the condition does not name the pod %s and the next command: %s", pod, message)
	}
	if s.ClosedAt != nil {
		t.Error("the old credential was closed")
	}
	for name, open := range w.Users() {
		if !open {
			t.Errorf("user %s cannot log in", name)
		}
	}
	if err := w.Login(user, password); err != nil {
		t.Errorf("the old credential does not work while held: %v", err)
	}
	w.Kubectl("rollout", "restart", "deployment/stuck")
	w.Kubectl("rollout", "status", "deployment/stuck", "--timeout=2m")
	w.Ask(v1alpha1.AnnotationResume, s.ResumeKey())
	w.Await("going on", func(s v1alpha1.RotationStatus) bool { return s.Phase != v1alpha1.PhaseHeld })
	proven(t, w.Ended(n), 3)
	settled(t, w)
}

// New pods that crash, or are never ready: rolled back by itself, and no query of
// the pods that serve fails.
func TestNewPodsFail(t *testing.T) {
	for name, flag := range map[string]string{"crash": "-crash-as=", "never ready": "-unready-as="} {
		t.Run(name, func(t *testing.T) {
			w := world.New(t, "postgres")
			w.Rotation(func(s *v1alpha1.RotationSpec) { s.Rollout.Deadline = &metav1.Duration{Duration: 20 * time.Second} })
			w.Start()
			w.Rotate()
			user, password, version := w.Published()
			other := w.UsersOf()[0]
			if other == user {
				other = w.UsersOf()[1]
			}
			w.Consume(byFile, world.Consumer{Name: "bad", Source: "env", Args: []string{flag + other}, Progress: 15, Crashes: true})
			n := w.Begin()
			s := w.Await("gone back", func(s v1alpha1.RotationStatus) bool { return s.Turn == n && s.Phase == v1alpha1.PhaseFailed })
			if now, _, v := w.Published(); now != user || v != version {
				t.Errorf("published is %s, version %s; want %s, version %s again: %s", now, v, user, version, world.Brief(s))
			}
			if has := w.Users(); len(has) != 1 || !has[user] {
				t.Errorf("the database has %v, want %s alone", has, user)
			}
			if err := w.Login(user, password); err != nil {
				t.Errorf("the old credential does not work: %v", err)
			}
			w.Kubectl("rollout", "status", "deployment/bad", "--timeout=1m")
			w.Kubectl("rollout", "status", "deployment/file", "--timeout=1m")
			settled(t, w)
		})
	}
}

// The database dies amid staging: staging goes on once it is back, and nothing
// was refused to anybody.
func TestDatabaseRestartedAmidStaging(t *testing.T) {
	w := begun(t, nil, byEnv, alive)
	w.Database.Pause(t)
	n := w.Begin()
	w.Await("staging", func(s v1alpha1.RotationStatus) bool {
		return s.Turn == n && s.Phase == v1alpha1.PhaseStaging && s.Act != ""
	})
	w.Database.Kill(t)
	w.Database.Start(t)
	proven(t, w.Ended(n), 4)
	sum := w.Settle()
	t.Log(sum)
	if sum.Refused != 0 {
		t.Errorf("somebody was refused: %v", sum)
	}
}
