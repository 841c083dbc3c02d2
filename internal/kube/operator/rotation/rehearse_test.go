package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/database"
)

// users are the users of the role that the database has.
func (w *world) users() string {
	w.Helper()
	cfg, err := pgx.ParseConfig(w.pg.URL("user", "password"))
	if err != nil {
		w.Fatal(err)
	}
	cfg.User, cfg.Password = w.pg.User, w.pg.Password
	ctx := context.WithoutCancel(w.Context())
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		w.Fatal(err)
	}
	defer c.Close(ctx)
	rows, err := c.Query(ctx, "SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1) ORDER BY 1", strings.ReplaceAll(w.ns, "-", "_"))
	if err != nil {
		w.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.Fatal(err)
	}
	return strings.Join(names, " ")
}

// rehearsed asks for a rehearsal and waits for its end.
func (w *world) rehearsed(asked string) *v1alpha1.RehearsalStatus {
	w.Helper()
	w.ask(v1alpha1.AnnotationTry, asked)
	return w.tried(asked)
}

func (w *world) tried(asked string) *v1alpha1.RehearsalStatus {
	w.Helper()
	rot := w.rotation("rehearsed", func(rot *v1alpha1.Rotation) bool {
		s := rot.Status.Rehearsal
		return s != nil && s.Asked == asked && s.Verdict != v1alpha1.TrialRunning && len(rot.Finalizers) == 0
	})
	return rot.Status.Rehearsal
}

// begun is a world whose first turn is done.
func begun(t *testing.T, change func(*operator.Config)) (w *world, stop func()) {
	t.Helper()
	w = newWorld(t)
	stop = w.start(change)
	w.settled()
	w.ask(v1alpha1.AnnotationRotate, "first")
	w.done(1)
	w.until("the pods of before are gone", func() bool { return strings.Count(w.pods(), " ") == 1 })
	return w, stop
}

// A rehearsal of a real credential: made, tried and removed, with nothing restarted
// and nothing left; the turn after it goes well.
func TestRehearsal(t *testing.T) {
	w, _ := begun(t, nil)
	before, pods := w.users(), w.pods()
	s := w.rehearsed("once")
	if s.Verdict != v1alpha1.TrialSucceeds || len(s.WouldBreak) != 0 || s.Turn != 2 || s.Time == nil {
		t.Errorf("%+v", s)
	}
	told := strings.Join(s.Lines, "\n")
	for _, want := range []string{"logged in", "does not log in any more", "1 Secrets, 1 workloads, 2 pods", "1 restarts were tried"} {
		if !strings.Contains(told, want) {
			t.Errorf("the lines lack %q:\n%s", want, told)
		}
	}
	if now := w.users(); now != before || strings.Contains(now, " ") {
		t.Errorf("the database has %q, before it had %q", now, before)
	}
	if now := w.pods(); now != pods {
		t.Errorf("a rehearsal restarted pods: %s, then %s", pods, now)
	}
	w.leaks()
	w.ask(v1alpha1.AnnotationRotate, "second")
	if rot := w.done(3); rot.Status.Rehearsal == nil || rot.Status.Proof.PodsProven != 2 {
		t.Errorf("after the rehearsal: %+v", rot.Status)
	}
}

func (w *world) pods() string {
	w.Helper()
	out, err := testCluster.Kubectl(w.Context(), nil, "-n", w.ns, "get", "pods", "-o", "jsonpath={.items[*].metadata.uid}")
	if err != nil {
		w.Fatal(err)
	}
	return string(out)
}

// What would hold or fail a turn is told, by consumer; and then it is not true of
// anything that was changed.
func TestRehearsalFinds(t *testing.T) {
	w, _ := begun(t, nil)
	w.kubectl("patch", "rotation", "db", "--type=merge", "-p", `{"spec":{"rollout":{"method":"None"}}}`)
	w.apply("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: asleep}\nspec:\n  paused: true\n  replicas: 0\n  selector: {matchLabels: {app: asleep}}\n  template:\n    metadata: {labels: {app: asleep}}\n" +
		"    spec:\n      containers: [{name: c, image: c, envFrom: [{secretRef: {name: db}}]}]\n")
	s := w.rehearsed("static")
	web := "Deployment " + w.ns + "/web"
	if s.Verdict != v1alpha1.TrialHolds || !finds(s, web, "ProofImpossible") {
		t.Errorf("pods that are never restarted: %+v", s)
	}
	w.kubectl("patch", "rotation", "db", "--type=merge", "-p", `{"spec":{"rollout":{"method":"Template"}}}`)
	w.apply("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: tight}\nspec: {hard: {pods: 2}}\n")
	w.kubectl("patch", "deployment", "web", "--type=merge", "-p", `{"spec":{"strategy":{"rollingUpdate":{"maxUnavailable":0}}}}`)
	w.kubectl("wait", "--for=jsonpath={.status.used.pods}=2", "resourcequota/tight", "--timeout=60s")
	s = w.rehearsed("quota")
	if s.Verdict != v1alpha1.TrialFails || !finds(s, web, "QuotaExceeded") || !finds(s, "Deployment "+w.ns+"/asleep", "Paused") || finds(s, web, "ProofImpossible") {
		t.Errorf("no room: %+v", s)
	}
	w.kubectl("delete", "resourcequota/tight", "deployment/asleep")
	if s = w.rehearsed("mended"); s.Verdict != v1alpha1.TrialSucceeds {
		t.Errorf("when all is mended: %+v", s)
	}
}

func (w *world) kubectl(args ...string) {
	w.Helper()
	if out, err := testCluster.Kubectl(w.Context(), nil, append([]string{"-n", w.ns}, args...)...); err != nil {
		w.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
}

func finds(s *v1alpha1.RehearsalStatus, consumer, reason string) bool {
	for _, f := range s.WouldBreak {
		if f.Consumer == consumer && f.Reason == reason {
			return true
		}
	}
	return false
}

// dying is a database target whose operator is killed amid a rehearsal: the new
// credential is made, and nothing more reaches the vault.
type dying struct {
	target.Kind
	staged chan struct{}
	once   *sync.Once
}

type dyingTarget struct {
	target.Target
	kind dying
}

func (k dying) Open(cfg target.Config) (target.Target, error) {
	made, err := k.Kind.Open(cfg)
	return dyingTarget{made, k}, err
}

var errKilled = errs.New(errs.Unavailable, "killed")

func (d dyingTarget) Observe(ctx context.Context) (target.State, error) {
	return d.Target.(target.Observer).Observe(ctx)
}

func (d dyingTarget) Rehearse(ctx context.Context, t target.Turn) ([]string, error) {
	if _, err := d.Stage(ctx, t); err != nil {
		return nil, errors.Join(err, fmt.Errorf("turn %d", t.Number))
	}
	d.kind.once.Do(func() { close(d.kind.staged) })
	<-ctx.Done()
	return nil, errKilled
}

func (d dyingTarget) Retire(ctx context.Context, t target.Turn, side target.Side) error {
	select {
	case <-d.kind.staged:
		return errKilled
	default:
		return d.Target.Retire(ctx, t, side)
	}
}

// An operator that is killed when the credential of a rehearsal is made leaves one
// that the next operator removes, and a turn begins only then.
func TestRehearsalKilled(t *testing.T) {
	d := dying{database.Kind{}, make(chan struct{}), new(sync.Once)}
	w, stop := begun(t, func(c *operator.Config) { c.Targets = map[string]target.Kind{"database": d} })
	before := w.users()
	w.ask(v1alpha1.AnnotationTry, "killed")
	<-d.staged
	w.ask(v1alpha1.AnnotationRotate, "second") // and somebody wants a turn
	stop()
	if now := w.users(); now == before {
		t.Fatal("the rehearsal made nothing: this test tests nothing")
	}
	w.start(nil)
	if s := w.tried("killed"); s.Verdict != v1alpha1.TrialInterrupted {
		t.Errorf("%+v", s)
	}
	rot := w.done(3)
	if now := w.users(); strings.Contains(now, " ") || now == before {
		t.Errorf("after turn %d the database has %q, before it had %q", rot.Status.Turn, now, before)
	}
	w.leaks()
}

// shadows counts the pods and Secrets that rehearsals made and that are left.
func (w *world) shadows() string {
	w.Helper()
	out, err := testCluster.Kubectl(w.Context(), nil, "-n", w.ns, "get", "pods,secrets", "-l", "strongkeep.io/rehearsal", "-o", "jsonpath={.items[*].metadata.name}")
	if err != nil {
		w.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func withPods(c *operator.Config) { c.RehearsalPods = true }

// A shadow runs on a credential that nobody else sees; nothing of it is left, and
// no pod that serves was touched. Who may make no pods says so.
func TestRehearsalWithPods(t *testing.T) {
	w, stop := begun(t, withPods)
	before, pods := w.users(), w.pods()
	s := w.rehearsed(v1alpha1.RehearseWithPods + "a")
	if told := strings.Join(s.Lines, "\n"); s.Verdict != v1alpha1.TrialSucceeds || !strings.Contains(told, "Deployment "+w.ns+"/web: a shadow of it runs on the new credential") {
		t.Errorf("%+v", s)
	}
	if now := w.shadows(); now != "" || w.users() != before || w.pods() != pods {
		t.Errorf("left: %q; users %q, before %q; pods %q, before %q", now, w.users(), before, w.pods(), pods)
	}
	w.leaks()
	stop()
	w.start(nil)
	if s := w.rehearsed(v1alpha1.RehearseWithPods + "b"); s.Verdict != v1alpha1.TrialUnknown || !finds(s, "shadow pods", "NotTried") {
		t.Errorf("without the right: %+v", s)
	}
	w.ask(v1alpha1.AnnotationRotate, "second")
	w.done(4)
}

// An operator that ends while a shadow runs leaves one that the next removes, with
// what it reads and its credential.
func TestRehearsalWithPodsKilled(t *testing.T) {
	w, stop := begun(t, withPods)
	before := w.users()
	w.kubectl("patch", "deployment", "web", "--type=merge", "-p", `{"spec":{"paused":true,"template":{"metadata":{"annotations":{"test.strongkeep.io/slow":""}}}}}`)
	w.ask(v1alpha1.AnnotationTry, v1alpha1.RehearseWithPods+"killed")
	w.kubectl("wait", "--for=create", "pod", "-l", "strongkeep.io/rehearsal", "--timeout=60s")
	stop()
	out, err := testCluster.Kubectl(t.Context(), nil, "-n", w.ns, "get", "pods", "-l", "strongkeep.io/rehearsal", "-o", "jsonpath={.items[0].metadata.labels.app}{.items[0].metadata.ownerReferences[0].kind}")
	if err != nil || string(out) != "Rotation" || w.users() == before {
		t.Fatalf("the shadow has the labels and owner %q (%v), the database %q", out, err, w.users())
	}
	w.start(withPods)
	if s := w.tried(v1alpha1.RehearseWithPods + "killed"); s.Verdict != v1alpha1.TrialInterrupted {
		t.Errorf("%+v", s)
	}
	if now := w.shadows(); now != "" || w.users() != before {
		t.Errorf("left: %q; users %q, before %q", now, w.users(), before)
	}
}
