package rehearse_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/rehearse"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// world is a Rotation, its target and its consumers, all played.
type world struct {
	*testing.T
	rot      *v1alpha1.Rotation
	observed rotate.Observed // of what is now
	foreseen rotate.Observed
	graph    *consumer.Graph
	progress rollout.Progress
	tryErr   error
	deploy   *appsv1.Deployment
	quotas   []corev1.ResourceQuota

	last                 int64 // turn that the target knows of
	there                bool  // its new credential
	rehearseErr, tidyErr error
	die                  bool // the next rehearsal ends half way
	retired              []int64
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, last: 3, graph: &consumer.Graph{}, rot: &v1alpha1.Rotation{}}
	w.rot.Namespace, w.rot.Name, w.rot.UID = "shop", "db", "uid"
	w.rot.Status.Turn = 3
	return w
}

// operator is one process.
func (w *world) operator() *rehearse.Rehearser {
	return rehearse.New(rehearse.Config{
		Restarts: w, Live: w, Clock: clocktesting.NewFakePassiveClock(time.Unix(1e9, 0)), Log: slog.New(slog.DiscardHandler),
	})
}

func (w *world) Try(_ context.Context, s controller.Restart) (rollout.Progress, error) {
	if s.Graph != w.graph {
		w.Error("other consumers are tried than were found")
	}
	return w.progress, w.tryErr
}

func (w *world) Get(_ context.Context, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	*o.(*appsv1.Deployment) = *w.deploy
	return nil
}

func (w *world) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	list.(*corev1.ResourceQuotaList).Items = w.quotas
	return nil
}

// key is the target.
type key struct {
	target.Target
	*world
}

func (k key) Observe(context.Context) (target.State, error) {
	return target.State{Turn: k.last}, k.tidyErr
}

func (k key) Rehearse(_ context.Context, t target.Turn) ([]string, error) {
	if t.Number <= k.last || t.Rotation != "shop/db" || k.there {
		k.Errorf("rehearsed as %+v behind turn %d", t, k.last)
	}
	k.last, k.there = t.Number, k.die
	return []string{"it logged in"}, k.rehearseErr
}

func (k key) Retire(_ context.Context, t target.Turn, side target.Side) error {
	if side != target.New || t.Number != k.last || t.Number == k.rot.Status.Turn {
		k.Errorf("%v of turn %d is removed; the last is %d", side, t.Number, k.last)
	}
	k.there, k.retired = false, append(k.retired, t.Number)
	return nil
}

func (w *world) next(r *rehearse.Rehearser) controller.Trial {
	q := w.question()
	q.Target = key{world: w}
	return r.Next(w.Context(), q)
}

// question is what is asked, without a target.
func (w *world) question() controller.Rehearsal {
	o := w.observed
	o.Turn.Number, o.Turn.Known = w.rot.Status.Turn, max(w.last, ptr.Deref(w.rot.Status.Rehearsal, v1alpha1.RehearsalStatus{}).Turn)
	return controller.Rehearsal{
		Rotation: w.rot, Observed: o,
		Foresee: func(_ context.Context, number int64) (rotate.Observed, controller.Restart) {
			if number != w.rot.Status.Rehearsal.Turn {
				w.Errorf("foreseen as turn %d", number)
			}
			return w.foreseen, controller.Restart{Graph: w.graph}
		},
	}
}

// take writes what a Trial wants, and then does it.
func (w *world) take(t controller.Trial) {
	if t.Status != nil {
		w.rot.Status.Rehearsal = t.Status
	}
	if t.Act != nil {
		t.Act(w.Context())
	}
}

func (w *world) ask(value string) {
	w.rot.Annotations = map[string]string{v1alpha1.AnnotationTry: value}
}

// ends asks until the Rehearser has nothing to do.
func (w *world) ends(r *rehearse.Rehearser) *v1alpha1.RehearsalStatus {
	w.Helper()
	for range 10 {
		t := w.next(r)
		if !t.Busy {
			return w.rot.Status.Rehearsal
		}
		w.take(t)
	}
	w.Fatalf("it does not end: %+v", w.rot.Status.Rehearsal)
	return nil
}

func (w *world) clean() {
	w.Helper()
	if w.there {
		w.Error("a credential is left")
	}
}

func TestNothingAsked(t *testing.T) {
	w := newWorld(t)
	if got := w.next(w.operator()); got.Busy || got.Status != nil || got.Act != nil {
		t.Errorf("%+v", got)
	}
}

// It is announced, done, told, and not done again; a second one has a number of
// its own.
func TestOnce(t *testing.T) {
	w := newWorld(t)
	r := w.operator()
	w.ask("a")
	first := w.next(r)
	if !first.Busy || first.Status.Verdict != v1alpha1.TrialRunning || first.Status.Turn != 4 || w.last != 3 {
		t.Fatalf("%+v, the target knows of turn %d", first.Status, w.last)
	}
	w.take(first)
	s := w.ends(r)
	if s.Verdict != v1alpha1.TrialSucceeds || s.Asked != "a" || s.Time == nil || !slices.Contains(s.Lines, "it logged in") {
		t.Errorf("%+v", s)
	}
	w.ask("b")
	if s = w.ends(r); s.Asked != "b" || s.Turn != 5 {
		t.Errorf("%+v", s)
	}
	w.clean()
}

// A write that fails means that nothing is done; the answer is written later if
// that write fails.
func TestWriteRefused(t *testing.T) {
	w := newWorld(t)
	r := w.operator()
	w.ask("a")
	w.next(r)
	w.next(r)
	if w.last != 3 {
		t.Fatal("something was done before it was written")
	}
	w.take(w.next(r))
	w.next(r)
	w.next(r)
	if s := w.ends(r); s.Verdict != v1alpha1.TrialSucceeds || w.last != 4 {
		t.Errorf("%+v, the target knows of turn %d", s, w.last)
	}
}

// Another process removes what was made, says so, and does it not again by itself.
func TestInterrupted(t *testing.T) {
	w := newWorld(t)
	w.die = true
	w.ask("a")
	w.take(w.next(w.operator()))
	if !w.there {
		t.Fatal("nothing was made")
	}
	r := w.operator()
	w.tidyErr = errs.New(errs.Unavailable, "away")
	for range 3 {
		if got := w.next(r); !got.Busy || got.Status != nil || got.After == 0 {
			t.Fatalf("a turn may begin while a credential is left: %+v", got)
		}
	}
	w.tidyErr = nil
	if s := w.ends(r); s.Verdict != v1alpha1.TrialInterrupted || w.last != 4 {
		t.Errorf("%+v", s)
	}
	w.clean()
	w.there = true // an ex-leader wakes up and makes it once more
	w.next(w.operator())
	w.clean()
	w.rot.Status.Turn, w.retired = 4, nil // never, but a real turn must not be touched
	w.next(r)
	if len(w.retired) > 0 {
		t.Errorf("turns %v were discarded", w.retired)
	}
}

// What cannot be removed for good is told, and keeps no turn from beginning.
func TestCannotBeRemoved(t *testing.T) {
	w := newWorld(t)
	w.die = true
	w.ask("a")
	w.take(w.next(w.operator()))
	w.tidyErr = errs.New(errs.Denied, "permission denied")
	s := w.ends(w.operator())
	if s.Verdict != v1alpha1.TrialInterrupted || len(s.WouldBreak) != 1 || s.WouldBreak[0].Reason != "NotRemoved" || !strings.Contains(s.WouldBreak[0].Message, "permission denied") {
		t.Errorf("%+v", s)
	}
}

// A leak goes before: what goes on is broken off, what is asked for waits.
func TestLeak(t *testing.T) {
	w := newWorld(t)
	r := w.operator()
	w.ask("a")
	w.die = true
	w.take(w.next(r))
	w.observed.Asks.Leaked = true
	if s := w.ends(r); s.Verdict != v1alpha1.TrialInterrupted || !strings.Contains(strings.Join(s.Lines, ""), "leak") {
		t.Errorf("%+v", s)
	}
	w.clean()
	w.ask("b")
	if got := w.next(r); got.Busy || got.Status != nil {
		t.Errorf("it is rehearsed before a leak is mended: %+v", got)
	}
}

// A Rotation that may not turn, or whose vault is away, is told so at once.
func TestNotPossible(t *testing.T) {
	for verdict, o := range map[v1alpha1.TrialVerdict]rotate.Observed{
		v1alpha1.TrialFails:   {Refused: "another Rotation has it"},
		v1alpha1.TrialUnknown: {Blind: []string{"the vault: connection refused"}},
	} {
		w := newWorld(t)
		w.observed = o
		w.ask("a")
		if s := w.ends(w.operator()); s.Verdict != verdict || w.last != 3 || s.Turn != 3 || len(s.WouldBreak) != 1 {
			t.Errorf("%+v: %+v", o, s)
		}
	}
}

func TestSweepOfADeletedRotation(t *testing.T) {
	w := newWorld(t)
	r := w.operator()
	w.die = true
	w.ask("a")
	w.take(w.next(r))
	if err := r.Sweep(t.Context(), w.rot, nil); !errs.Is(err, errs.Unavailable) {
		t.Errorf("what could not be looked for is taken for gone: %v", err)
	}
	for range 2 {
		if err := r.Sweep(t.Context(), w.rot, key{world: w}); err != nil {
			t.Error(err)
		}
	}
	w.clean()
	w.rot.Status.Rehearsal.Verdict, w.retired = v1alpha1.TrialSucceeds, nil
	if err := r.Sweep(t.Context(), w.rot, nil); err != nil || len(w.retired) > 0 {
		t.Errorf("%v, %v", err, w.retired)
	}
}

func object(kind, name string) consumer.Object {
	o := consumer.Object{NamespacedName: types.NamespacedName{Namespace: "shop", Name: name}}
	o.Kind.Kind = kind
	return o
}

// Each thing that would hold or fail a turn, as it is told.
func TestFindings(t *testing.T) {
	web := object("Deployment", "web")
	item := func(s rollout.State, message string) rollout.Progress {
		return rollout.Progress{Items: []rollout.Item{{Object: web, State: s, Message: message}}}
	}
	for name, c := range map[string]struct {
		set     func(w *world)
		verdict v1alpha1.TrialVerdict
		want    string // consumer, effect and reason of the findings, or a line when there are none
	}{
		"nothing": {func(*world) {}, v1alpha1.TrialSucceeds, "consumers: 0 Secrets"},
		"a stuck Secret": {func(w *world) {
			w.graph.Secrets = []consumer.Fed{{Object: object("Secret", "db"), Problem: "it is immutable", Stuck: true}}
		}, v1alpha1.TrialHolds, "Secret shop/db Holds SecretsStuck"},
		"a late Secret": {func(w *world) {
			w.graph.Secrets = []consumer.Fed{{Object: object("Secret", "db"), Problem: "it is slow"}}
		}, v1alpha1.TrialSucceeds, "it is slow"},
		"unknown consumers": {func(w *world) {
			w.foreseen.Plan.NeedComplete, w.graph.Unknown = true, []string{"pods: forbidden"}
		}, v1alpha1.TrialHolds, "consumers Holds ConsumersUnknown"},
		"unknown consumers, accepted": {func(w *world) { w.graph.Unknown = []string{"pods: forbidden"} }, v1alpha1.TrialSucceeds, "pods: forbidden"},
		"clients of the vault":        {func(w *world) { w.foreseen.Proof.Clients = []string{"entity billing"} }, v1alpha1.TrialSucceeds, "has ended: entity billing"},
		"unknown clients": {func(w *world) {
			w.foreseen.Plan.NeedClients, w.foreseen.Proof.ClientsUnknown = v1alpha1.ClientsRequired, []string{"no audit log"}
		}, v1alpha1.TrialHolds, "clients Holds ConsumersUnknown"},
		"unknown clients, accepted": {func(w *world) { w.foreseen.Proof.ClientsUnknown = []string{"no audit log"} }, v1alpha1.TrialSucceeds, "cannot be known: no audit log"},
		"never proven": {func(w *world) {
			w.graph.Pods = []consumer.Pod{{Object: object("Pod", "web-1"), Workload: web}, {Object: object("Pod", "web-2"), Workload: web}}
			w.foreseen.Proof.Never = []string{"shop/web-1: nobody restarts it: env: X", "shop/web-2: nobody restarts it: env: X"}
		}, v1alpha1.TrialHolds, "Deployment shop/web Holds ProofImpossible"},
		"never proven, elsewhere": {func(w *world) {
			p := consumer.Pod{Object: object("Pod", "web-1"), Workload: web}
			p.Cluster, p.Workload.Cluster = "eu", "eu"
			w.graph.Pods, w.foreseen.Proof.Never = []consumer.Pod{p}, []string{"eu: shop/web-1: nobody restarts it"}
		}, v1alpha1.TrialHolds, "eu: Deployment shop/web Holds ProofImpossible"},
		"no backend": {func(w *world) { w.foreseen.Plan.NeedBackend = v1alpha1.BackendRequired }, v1alpha1.TrialHolds, "credential Holds ProofImpossible"},
		"no backend, first turn": {func(w *world) {
			w.foreseen.Plan.NeedBackend, w.foreseen.Turn.NoOld = v1alpha1.BackendRequired, true
		}, v1alpha1.TrialSucceeds, ""},
		"consumers not found": {func(w *world) {
			w.graph, w.foreseen.Blind = nil, []string{"consumers: timeout"}
		}, v1alpha1.TrialUnknown, "consumers Unknown NotObserved"},
		"refused":       {func(w *world) { w.progress = item(rollout.Failed, "policy") }, v1alpha1.TrialHolds, "Deployment shop/web Holds RestartRefused"},
		"paused":        {func(w *world) { w.progress = item(rollout.Paused, "spec.paused") }, v1alpha1.TrialHolds, "Deployment shop/web Holds Paused"},
		"a budget":      {func(w *world) { w.progress = item(rollout.Waiting, "PDB") }, v1alpha1.TrialHolds, "Deployment shop/web Holds RestartWaits"},
		"not restarted": {func(w *world) { w.progress = item(rollout.Skipped, "reloads by itself") }, v1alpha1.TrialSucceeds, "reloads by itself"},
		"no dry runs": {func(w *world) {
			w.progress = item(rollout.Done, "admission was not tried")
			w.deploy = &appsv1.Deployment{}
		}, v1alpha1.TrialSucceeds, "admission was not tried"},
		"a Job runs": {func(w *world) {
			w.progress = item(rollout.Waiting, "it runs")
			w.progress.Items[0].Object = object("Job", "j")
		}, v1alpha1.TrialSucceeds, "Job shop/j: it runs"},
		"cannot be asked": {func(w *world) {
			w.progress = item(rollout.Waiting, "timeout")
			w.progress.Items[0].Blind, w.tryErr = true, errs.New(errs.Unavailable, "x")
		}, v1alpha1.TrialUnknown, "Deployment shop/web Unknown NotObserved"},
		"told once": {func(w *world) {
			w.graph.Pods = []consumer.Pod{{Object: object("Pod", "web-1"), Workload: web}}
			w.foreseen.Proof.Never, w.progress = []string{"shop/web-1: bare"}, item(rollout.Waiting, "bare")
		}, v1alpha1.TrialHolds, "Deployment shop/web Holds ProofImpossible"},
		"no login":        {func(w *world) { w.rehearseErr = errs.New(errs.Denied, "no") }, v1alpha1.TrialFails, "credential Fails StageFailed"},
		"vault away":      {func(w *world) { w.rehearseErr = errs.New(errs.Unavailable, "no") }, v1alpha1.TrialUnknown, "credential Unknown NotTried"},
		"a person":        {func(w *world) { w.rehearseErr = target.Pending("make one") }, v1alpha1.TrialHolds, "credential Holds AwaitsPerson"},
		"the worst first": {func(w *world) { w.rehearseErr, w.progress = errs.New(errs.Denied, "no"), item(rollout.Paused, "") }, v1alpha1.TrialFails, "credential Fails StageFailed; Deployment shop/web Holds Paused"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.set(w)
			w.ask("a")
			s := w.ends(w.operator())
			var got []string
			for _, f := range s.WouldBreak {
				got = append(got, fmt.Sprintf("%s %s %s", f.Consumer, f.Effect, f.Reason))
			}
			if s.Verdict != c.verdict || len(got) > 0 && strings.Join(got, "; ") != c.want || len(got) == 0 && !strings.Contains(strings.Join(s.Lines, "\n"), c.want) {
				t.Errorf("verdict %s, findings %q, lines %q; want %s, %q", s.Verdict, got, s.Lines, c.verdict, c.want)
			}
			w.clean()
		})
	}
}

// A status has a bound, whatever there is to tell.
func TestBounded(t *testing.T) {
	w := newWorld(t)
	for i := range 300 {
		fed := consumer.Fed{Object: object("Secret", fmt.Sprint("s", i)), Problem: strings.Repeat("é", 4000), Stuck: i < 150}
		w.graph.Secrets = append(w.graph.Secrets, fed)
	}
	w.ask("a")
	s := w.ends(w.operator())
	if len(s.WouldBreak) != 100 || s.More != 50 || len(s.Lines) != 100 || len(s.WouldBreak[0].Message) > 1024 || !strings.HasPrefix(s.Lines[99], "and ") {
		t.Errorf("%d findings and %d more, %d lines", len(s.WouldBreak), s.More, len(s.Lines))
	}
}

// A quota counts where a Deployment needs a pod more than it has, and there only.
func TestQuota(t *testing.T) {
	list := func(pairs ...string) corev1.ResourceList {
		out := corev1.ResourceList{}
		for i := 0; i < len(pairs); i += 2 {
			out[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
		}
		return out
	}
	quota := func(hard, used corev1.ResourceList) corev1.ResourceQuota {
		return corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "q"}, Status: corev1.ResourceQuotaStatus{Hard: hard, Used: used}}
	}
	some := quota(list("pods", "2"), list("pods", "2"))
	some.Spec.Scopes = []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeBestEffort}
	for name, c := range map[string]struct {
		quota       corev1.ResourceQuota
		replicas    int32
		unavailable string
		want        string
	}{
		"room":            {quota(list("pods", "3"), list("pods", "2")), 2, "25%", ""},
		"no pod more":     {quota(list("pods", "2"), list("pods", "2")), 2, "25%", "pods: 2 of 2 used, 1 more needed"},
		"no memory more":  {quota(list("requests.memory", "2Gi"), list("requests.memory", "1536Mi")), 2, "0", "requests.memory"},
		"by short names":  {quota(list("cpu", "1"), list("cpu", "900m")), 2, "0", "cpu: 900m of 1 used, 200m more needed"},
		"limits":          {quota(list("limits.cpu", "10"), list("limits.cpu", "9")), 1, "0", ""},
		"one goes first":  {quota(list("pods", "4"), list("pods", "4")), 4, "25%", ""},
		"none runs":       {quota(list("pods", "0"), nil), 0, "0", ""},
		"of other pods":   {some, 2, "0", ""},
		"of other things": {quota(list("services", "1"), list("services", "1")), 2, "0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := &appsv1.Deployment{}
			d.Spec.Replicas, d.Spec.Strategy.RollingUpdate = &c.replicas, &appsv1.RollingUpdateDeployment{MaxUnavailable: ptr.To(intstr.Parse(c.unavailable))}
			d.Spec.Template.Spec.Containers = []corev1.Container{
				{Resources: corev1.ResourceRequirements{Requests: list("cpu", "100m", "memory", "512Mi"), Limits: list("cpu", "500m")}},
				{Resources: corev1.ResourceRequirements{Requests: list("cpu", "100m", "memory", "512Mi"), Limits: list("cpu", "500m")}},
			}
			w.deploy, w.quotas = d, []corev1.ResourceQuota{c.quota}
			w.progress = rollout.Progress{Items: []rollout.Item{{Object: object("Deployment", "web"), State: rollout.Done}}}
			w.ask("a")
			s := w.ends(w.operator())
			switch {
			case c.want == "" && len(s.WouldBreak) > 0:
				t.Errorf("%+v", s.WouldBreak)
			case c.want != "" && (len(s.WouldBreak) != 1 || !strings.Contains(s.WouldBreak[0].Message, c.want)):
				t.Errorf("%+v, want %q", s.WouldBreak, c.want)
			}
		})
	}
}
