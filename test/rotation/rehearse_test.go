package rotation_test

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/test/rotation/world"
)

// A rehearsal with shadow pods finds the workload that crashes as the new user,
// and it alone. Nobody who serves is touched, nobody else sees the credential, and
// nothing is left: no pod, no Secret, no user. Also if the operator is killed
// while the shadows run.
func TestRehearsalWithShadows(t *testing.T) {
	t.Parallel()
	w := world.NewWith(t, "postgres", world.Powers{RehearsalPods: true})
	w.Rotation(nil)
	o := w.SpawnUnelected("")
	w.Rotate()
	user, _, version := w.Published()
	other := otherThan(w, user)
	w.Consume(byEnv, byFile, world.Consumer{Name: "bad", Source: "env", Replicas: 1, Args: []string{"-crash-as=" + other}})
	serving := servers(w)

	s := rehearsed(w, "one")
	if s.Verdict != v1alpha1.TrialFails || len(s.WouldBreak) != 1 || s.WouldBreak[0].Reason != "ShadowFails" ||
		!strings.HasSuffix(s.WouldBreak[0].Consumer, w.Namespace+"/bad") {
		t.Errorf("verdict %s, %+v, want bad to fail and nobody else", s.Verdict, s.WouldBreak)
	}
	told := strings.Join(s.Lines, "\n")
	for _, name := range []string{"env", "file"} {
		if !strings.Contains(told, "Deployment "+w.Namespace+"/"+name+": a shadow of it runs on the new credential") {
			t.Errorf("nothing is said of %s:\n%s", name, told)
		}
	}
	untouched := func(when string) {
		t.Helper()
		if now := servers(w); now != serving {
			t.Errorf("%s: those who serve were\n%s\nand are\n%s", when, serving, now)
		}
		if left := shadows(w); left != "" {
			t.Errorf("%s: left are %s", when, left)
		}
		if now, _, v := w.Published(); now != user || v != version {
			t.Errorf("%s: published is %s, version %s; want %s, version %s", when, now, v, user, version)
		}
		if has := w.Users(); len(has) != 1 || !has[user] {
			t.Errorf("%s: the database has %v, want %s alone", when, has, user)
		}
	}
	untouched("after the rehearsal")

	w.Ask(v1alpha1.AnnotationTry, v1alpha1.RehearseWithPods+"killed")
	w.Kubectl("wait", "--for=create", "pod", "--selector="+rehearsalLabel, "--timeout="+world.Patience.String())
	o.Kill()
	if has := w.Users(); len(has) != 2 || shadows(w) == "" {
		t.Fatalf("the database has %v and the cluster %q: nothing was cut short", has, shadows(w))
	}
	w.SpawnUnelected("")
	if s := over(w, v1alpha1.RehearseWithPods+"killed"); s.Verdict != v1alpha1.TrialInterrupted {
		t.Errorf("verdict %s: %v", s.Verdict, s.Lines)
	}
	untouched("after the operator was killed")
	settled(t, w)
}

// rehearsalLabel is on all that a rehearsal makes.
const rehearsalLabel = "strongkeep.io/rehearsal"

func otherThan(w *world.World, user string) string {
	for _, name := range w.UsersOf() {
		if name != user {
			return name
		}
	}
	return ""
}

// rehearsed asks for a rehearsal with pods, and waits for it.
func rehearsed(w *world.World, name string) v1alpha1.RehearsalStatus {
	w.Helper()
	w.Ask(v1alpha1.AnnotationTry, v1alpha1.RehearseWithPods+name)
	return over(w, v1alpha1.RehearseWithPods+name)
}

// over waits for the end of a rehearsal that was asked for.
func over(w *world.World, asked string) v1alpha1.RehearsalStatus {
	w.Helper()
	s := w.Await("the rehearsal", func(s v1alpha1.RotationStatus) bool {
		return s.Rehearsal != nil && s.Rehearsal.Asked == asked && s.Rehearsal.Time != nil
	})
	return *s.Rehearsal
}

// servers are the pods that nobody rehearses with: who they are, and how often
// they were restarted.
func servers(w *world.World) string {
	w.Helper()
	return w.Kubectl("get", "pods", "--selector=app,!"+rehearsalLabel, "--sort-by=.metadata.name",
		`--output=jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.status.containerStatuses[*].restartCount}{"\n"}{end}`)
}

// shadows are the pods and Secrets that rehearsals made and that are there.
func shadows(w *world.World) string {
	w.Helper()
	return w.Kubectl("get", "pods,secrets", "--selector="+rehearsalLabel, "--output=name")
}
