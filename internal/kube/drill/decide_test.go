package drill

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) *metav1.Time { t := metav1.NewTime(start.Add(d)); return &t }

// a drill in a phase, made and begun at start, for ten minutes.
func drillIn(phase v1alpha1.DrillPhase) *v1alpha1.Drill {
	d := &v1alpha1.Drill{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "x", UID: "1", CreationTimestamp: *at(0), Generation: 1},
		Spec: v1alpha1.DrillSpec{Workload: v1alpha1.DrillWorkload{Kind: "Deployment", Name: "web"}, Failure: v1alpha1.DrillStoreAway,
			Duration: metav1.Duration{Duration: 10 * time.Minute}},
		Status: v1alpha1.DrillStatus{Phase: phase, Reason: "TimeIsUp"},
	}
	switch phase {
	case v1alpha1.DrillRunning, v1alpha1.DrillUndoing, v1alpha1.DrillRecovering:
		d.Status.Began, d.Status.Until = at(0), at(10*time.Minute)
	}
	if phase == v1alpha1.DrillUndoing || phase == v1alpha1.DrillRecovering {
		d.Status.Ended = at(10 * time.Minute)
	}
	if phase == v1alpha1.DrillRecovering {
		d.Status.Undone = at(10 * time.Minute)
	}
	return d
}

func TestDecide(t *testing.T) {
	stopped := map[string]string{v1alpha1.AnnotationDrillStop: ""}
	no := refusal{"SharedSecret", "others use it"}
	for name, c := range map[string]struct {
		phase  v1alpha1.DrillPhase
		after  time.Duration
		change func(s *seen)
		want   v1alpha1.DrillPhase
		reason string
	}{
		"begins":                   {"", time.Second, func(s *seen) { s.allowed = true }, v1alpha1.DrillRunning, "Broken"},
		"begins late":              {v1alpha1.DrillPending, 10 * time.Minute, func(s *seen) { s.allowed = true }, v1alpha1.DrillRunning, "Broken"},
		"too late":                 {v1alpha1.DrillPending, 10*time.Minute + 1, func(s *seen) { s.allowed = true }, v1alpha1.DrillRefused, "TooLate"},
		"too late and blind":       {v1alpha1.DrillPending, 11 * time.Minute, func(s *seen) { s.blind = "x" }, v1alpha1.DrillRefused, "TooLate"},
		"blind":                    {"", time.Second, func(s *seen) { s.allowed, s.blind = true, "x" }, v1alpha1.DrillPending, "CannotAsk"},
		"not allowed":              {"", time.Second, func(*seen) {}, v1alpha1.DrillRefused, "NotAllowed"},
		"refused":                  {"", time.Second, func(s *seen) { s.allowed, s.may = true, no }, v1alpha1.DrillRefused, "SharedSecret"},
		"stopped before":           {"", time.Second, func(s *seen) { s.allowed, s.drill.Annotations = true, stopped }, v1alpha1.DrillRefused, "Stopped"},
		"runs":                     {v1alpha1.DrillRunning, time.Minute, func(s *seen) { s.allowed = true }, v1alpha1.DrillRunning, "Broken"},
		"runs, blind":              {v1alpha1.DrillRunning, time.Minute, func(s *seen) { s.blind, s.may = "x", no }, v1alpha1.DrillRunning, "Broken"},
		"time is up":               {v1alpha1.DrillRunning, 10 * time.Minute, func(s *seen) { s.allowed = true }, v1alpha1.DrillUndoing, "TimeIsUp"},
		"time is up, blind":        {v1alpha1.DrillRunning, time.Hour, func(s *seen) { s.blind = "x" }, v1alpha1.DrillUndoing, "TimeIsUp"},
		"stopped":                  {v1alpha1.DrillRunning, time.Minute, func(s *seen) { s.drill.Annotations, s.blind = stopped, "x" }, v1alpha1.DrillUndoing, "Stopped"},
		"the label is gone":        {v1alpha1.DrillRunning, time.Minute, func(*seen) {}, v1alpha1.DrillUndoing, "NotAllowed"},
		"others come":              {v1alpha1.DrillRunning, time.Minute, func(s *seen) { s.allowed, s.may = true, no }, v1alpha1.DrillUndoing, "SharedSecret"},
		"no deadline":              {v1alpha1.DrillRunning, time.Minute, func(s *seen) { s.allowed, s.drill.Status.Until = true, nil }, v1alpha1.DrillUndoing, "TimeIsUp"},
		"a deadline far away":      {v1alpha1.DrillRunning, time.Minute, func(s *seen) { s.allowed, s.drill.Status.Until = true, at(2*time.Hour) }, v1alpha1.DrillUndoing, "ClockLeapt"},
		"the clock leaps back":     {v1alpha1.DrillRunning, -time.Hour, func(s *seen) { s.allowed = true }, v1alpha1.DrillUndoing, "ClockLeapt"},
		"undoing":                  {v1alpha1.DrillUndoing, 11 * time.Minute, func(*seen) {}, v1alpha1.DrillUndoing, "TimeIsUp"},
		"undoing for days":         {v1alpha1.DrillUndoing, 99 * time.Hour, func(s *seen) { s.blind = "x" }, v1alpha1.DrillUndoing, "TimeIsUp"},
		"undone":                   {v1alpha1.DrillUndoing, 11 * time.Minute, func(s *seen) { s.undone = true }, v1alpha1.DrillRecovering, "TimeIsUp"},
		"recovering":               {v1alpha1.DrillRecovering, 11 * time.Minute, func(*seen) {}, v1alpha1.DrillRecovering, "TimeIsUp"},
		"recovered":                {v1alpha1.DrillRecovering, 11 * time.Minute, func(s *seen) { s.well = true }, v1alpha1.DrillOver, "TimeIsUp"},
		"never recovered":          {v1alpha1.DrillRecovering, 20 * time.Minute, func(*seen) {}, v1alpha1.DrillOver, "TimeIsUp"},
		"the workload is gone":     {v1alpha1.DrillRecovering, 11 * time.Minute, func(s *seen) { s.gone = true }, v1alpha1.DrillOver, "TimeIsUp"},
		"a status with no history": {v1alpha1.DrillRecovering, 11 * time.Minute, func(s *seen) { s.drill.Status.Undone = nil }, v1alpha1.DrillOver, "TimeIsUp"},
	} {
		s := seen{now: start.Add(c.after), drill: drillIn(c.phase)}
		c.change(&s)
		p := decide(s)
		if p.phase != c.want || p.reason != c.reason {
			t.Errorf("%s: %s %s, want %s %s", name, p.phase, p.reason, c.want, c.reason)
		}
		if ends := p.phase == v1alpha1.DrillOver || p.phase == v1alpha1.DrillRefused; ends != (p.after == 0) || p.after < 0 || p.after > tick {
			t.Errorf("%s: looks again after %v", name, p.after)
		}
	}
}

// Whoever decides again and again comes to an end, whatever is seen in between,
// and breaks nothing that is not allowed.
func TestEveryDrillEnds(t *testing.T) {
	for bits := range 32 {
		d := drillIn("")
		for step := 0; !d.Ends(); step++ {
			if step > 10000 {
				t.Fatalf("with %05b it never ends: %+v", bits, d.Status)
			}
			now := start.Add(time.Duration(step) * tick)
			s := seen{now: now, drill: d, allowed: bits&1 != 0, undone: bits&2 != 0 || step > 5000, well: bits&4 != 0}
			if bits&8 != 0 && step%3 == 0 {
				s.blind = "x"
			}
			if bits&16 != 0 && step > 20 {
				s.may = refusal{"SharedSecret", "x"}
			}
			if d.Active(now) && now.After(start.Add(patience+v1alpha1.MaxDrill)) {
				t.Fatalf("with %05b it breaks things at %v", bits, now)
			}
			next := d.Status.DeepCopy()
			nextStatus(s, decide(s), next)
			if next.Phase == v1alpha1.DrillRunning && (next.Until == nil || next.Began == nil) {
				t.Fatalf("with %05b it runs without a deadline", bits)
			}
			d.Status = *next
		}
		if d.Status.Began != nil && bits&1 == 0 {
			t.Errorf("with %05b it began without being allowed", bits)
		}
		if d.Status.Began != nil && (d.Status.Undone == nil || !meta.IsStatusConditionTrue(d.Status.Conditions, v1alpha1.ConditionUndone)) {
			t.Errorf("with %05b it is over and not undone: %+v", bits, d.Status)
		}
	}
}

func podOf(name string, ready bool, restarts int32, since time.Duration) corev1.Pod {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)},
		Status: corev1.PodStatus{Phase: corev1.PodRunning,
			Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: status, LastTransitionTime: *at(since)}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "c", Ready: ready, RestartCount: restarts, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}},
	}
}

// What pods go through is noted: also what happened between two looks, and while
// no operator ran.
func TestNotePods(t *testing.T) {
	s := &v1alpha1.DrillStatus{}
	notePods(s, []corev1.Pod{podOf("a", true, 3, -time.Hour), podOf("b", true, 0, -time.Hour), podOf("c", false, 0, -time.Hour), podOf("d", true, 0, -time.Hour)}, *at(0))
	if s.ReadyBefore != 3 || len(s.Pods) != 4 {
		t.Fatalf("%+v", s)
	}
	s.Began, s.Until = at(0), at(10*time.Minute)
	minute := time.Minute
	notePods(s, []corev1.Pod{podOf("a", false, 5, minute), podOf("b", true, 0, minute), podOf("c", false, 0, -time.Hour), podOf("e", false, 0, minute)}, *at(minute))
	notePods(s, []corev1.Pod{podOf("a", true, 5, 2*minute), podOf("b", true, 0, minute), podOf("c", true, 0, 2*minute), podOf("e", true, 0, 2*minute)}, *at(2 * minute))
	get := func(name string) v1alpha1.DrilledPod {
		return s.Pods[slices.IndexFunc(s.Pods, func(p v1alpha1.DrilledPod) bool { return p.Name == name })]
	}
	if a := get("a"); a.Restarts != 2 || !a.Unready.Equal(at(minute)) || !a.ReadyAgain.Equal(at(2*minute)) {
		t.Errorf("a: %+v", a)
	}
	if b := get("b"); b.Unready == nil || b.ReadyAgain == nil {
		t.Errorf("b flapped between two looks: %+v", b)
	}
	if c := get("c"); c.Unready != nil || c.ReadyBefore || c.ReadyAgain == nil {
		t.Errorf("c was never ready before: %+v", c)
	}
	if d := get("d"); d.Gone == nil {
		t.Errorf("d is gone: %+v", d)
	}
	if e := get("e"); e.Before || e.Unready != nil || e.ReadyAgain == nil {
		t.Errorf("e came later: %+v", e)
	}
	if s.Pods[0].Name != "a" || s.Pods[1].Name != "b" {
		t.Errorf("those that it hurt are not first: %+v", s.Pods)
	}
	text := strings.Join(findings(drillIn(v1alpha1.DrillRunning), s, true), "\n")
	for _, want := range []string{"pod a became unready after 1m0s, was ready again after 2m0s, restarted 2 times", "1 pods were made anew"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	many := &v1alpha1.DrillStatus{}
	var pods []corev1.Pod
	for i := range 80 {
		pods = append(pods, podOf(string(rune('A'+i)), true, 0, -time.Hour))
	}
	notePods(many, pods, *at(0))
	many.Began = at(0)
	if len(many.Pods) != mostPods || many.ReadyBefore != 80 || !strings.Contains(strings.Join(findings(drillIn(v1alpha1.DrillRunning), many, false), "\n"), "only 50 pods were watched") {
		t.Errorf("%d pods, %d ready", len(many.Pods), many.ReadyBefore)
	}
}

func TestWellAgain(t *testing.T) {
	s := &v1alpha1.DrillStatus{ReadyBefore: 2}
	for name, c := range map[string]struct {
		pods []corev1.Pod
		want bool
	}{
		"as many":     {[]corev1.Pod{podOf("a", true, 0, 0), podOf("b", true, 0, 0), podOf("c", false, 0, 0)}, true},
		"fewer":       {[]corev1.Pod{podOf("a", true, 0, 0), podOf("b", false, 0, 0)}, false},
		"scaled down": {[]corev1.Pod{podOf("a", true, 0, 0)}, true},
		"none":        {nil, false},
	} {
		if got := wellAgain(s, c.pods); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestNoteSecret(t *testing.T) {
	ready := func(is bool) *v1.ExternalSecret {
		status := metav1.ConditionFalse
		if is {
			status = metav1.ConditionTrue
		}
		es := &v1.ExternalSecret{}
		es.Status.Conditions = []v1.Condition{{Type: v1.ConditionReady, Status: status, Message: strings.Repeat("é", 400)}}
		return es
	}
	s := &v1alpha1.DrilledSecret{Name: "db", Secret: "db"}
	if !noteSecret(s, ready(true), "", false, *at(0)) || s.Failed != nil || s.Wrong != nil || s.Recovered != nil {
		t.Errorf("nothing felt yet: %+v", s)
	}
	if noteSecret(s, ready(false), "x", false, *at(1)) || s.Failed == nil || s.Wrong == nil || len(s.Message) > 600 {
		t.Errorf("felt: %+v", s)
	}
	if noteSecret(s, ready(true), "x", true, *at(2)) || s.Recovered != nil {
		t.Errorf("the Secret is still wrong: %+v", s)
	}
	if noteSecret(s, ready(false), "", true, *at(2)) {
		t.Errorf("it is not ready: %+v", s)
	}
	if !noteSecret(s, ready(true), "", true, *at(3)) || !s.Recovered.Equal(at(3)) {
		t.Errorf("recovered: %+v", s)
	}
}

// The metric ends with the time, whether or not anybody looks at the drill.
func TestDrillMetrics(t *testing.T) {
	c := testclock.NewFakePassiveClock(start.Add(time.Minute))
	m := NewMetrics(c)
	m.see(drillIn(v1alpha1.DrillRunning))
	is := func(running, undoing string) {
		t.Helper()
		want := "# HELP strongkeep_drill_running 1 while a drill breaks something on purpose.\n# TYPE strongkeep_drill_running gauge\n" +
			`strongkeep_drill_running{failure="StoreAway",name="x",namespace="shop"} ` + running + "\n" +
			"# HELP strongkeep_drill_undoing 1 while something is left of a drill that has ended.\n# TYPE strongkeep_drill_undoing gauge\n" +
			`strongkeep_drill_undoing{failure="StoreAway",name="x",namespace="shop"} ` + undoing + "\n"
		if err := testutil.CollectAndCompare(m, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	}
	is("1", "0")
	c.SetTime(start.Add(10 * time.Minute))
	is("0", "1")
	m.see(drillIn(v1alpha1.DrillRecovering))
	is("0", "0")
	m.forget(types.NamespacedName{Namespace: "shop", Name: "x"})
	if n := testutil.CollectAndCount(m); n != 0 {
		t.Errorf("%d series of what is gone", n)
	}
}
