package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	optarget "github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/measure"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// world is a credential, a Secret fed from it, and pods that use that. It goes on
// when operators die. Fakes stand for the vault and for workloads; the API server,
// the Rotation and the Secret are real.
type world struct {
	*testing.T
	ns     string
	clock  *clocktesting.FakePassiveClock
	client client.Client // of the operator

	// the vault
	turn, published        int64            // the last turn, and that whose credential readers see
	staged, closed, gone   bool             // gone: the old one is removed
	fence                  int64            // the highest of the turn
	sending                func(act string) // when set: before the vault has it
	acts                   []string
	clients                string // of the vault itself, as it tells of them
	foresee                func(context.Context, int64) (rotate.Observed, Restart)
	changed                time.Time // when what readers see was published; zero: not said
	vaultErr, statementErr error
	statements             map[int64]string
	others                 int    // statements that were refused, being of a turn that has one
	stageErr               error  // while it is set nothing is staged
	partial                string // what the backend does not show

	// the cluster
	frozen  *corev1.Secret // what a cache that is late goes on saying
	deaf    bool           // the Secret does not follow
	stuck   bool           // pods are not replaced
	live    bool           // the last look was
	crashes int64          // pods on this version do not run
	keys    []string       // that each version changes
	pods    []consumer.Pod
	away    []consumer.Unreached // clusters

	limit, before time.Duration // of policies
	policyErr     error

	adopted []int64 // turns for which what was left open was ended

	copied              []consumer.Copy // what a search for copies finds
	unknown, unsearched []string        // of every look, of a search
	scans               int             // how often it was asked for

	forgotten string // by the Roller

	trial Trial // what the Rehearser wants
	swept int

	events []string
	log    *strings.Builder
}

const location = "vault.example:8200/database/alternating-creds/app"

func newWorld(t *testing.T) *world {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "t-"}}
	if err := testClient.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	w := &world{
		T: t, ns: ns.Name, client: testClient, log: &strings.Builder{}, statements: map[int64]string{},
		clock: clocktesting.NewFakePassiveClock(time.Now().Truncate(time.Second)), published: 100, turn: 100, keys: []string{"password"},
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "db"}}
	if err := testClient.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	w.follow()
	w.pods = []consumer.Pod{w.pod(0), w.pod(1)}
	return w
}

// follow is what the ExternalSecret's controller does.
func (w *world) follow() { w.hold(w.published) }

// hold has the Secret hold the credential of a turn.
func (w *world) hold(turn int64) {
	text := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, optarget.AnnotationVersions, fmt.Sprintf(`{%q:"%d"}`, location, turn))
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "db"}}
	if err := testClient.Patch(context.Background(), s, client.RawPatch(types.MergePatchType, []byte(text))); err != nil {
		w.Fatal(err)
	}
}

func (w *world) object(kind, name string) consumer.Object {
	o := consumer.Object{NamespacedName: types.NamespacedName{Namespace: w.ns, Name: name}}
	o.Kind.Kind = kind
	return o
}

// pod is one that is made now.
func (w *world) pod(i int) consumer.Pod {
	p := consumer.Pod{
		Object: w.object("Pod", fmt.Sprintf("web-%d-%d", i, w.published)), UID: types.UID(fmt.Sprintf("%d-%d", i, w.published)),
		Workload: w.object("Deployment", "web"), Ready: true, Stamp: "secret/db=" + w.digest(),
		Uses: []consumer.Use{{Kind: consumer.UseEnv, Secret: "db", Container: "web", Where: "DB_PASSWORD"}},
	}
	if w.published == w.crashes {
		p.Ready, p.Failing = false, "container web: CrashLoopBackOff, 3 restarts"
	}
	return p
}

func (w *world) digest() string { return fmt.Sprintf("d%d", w.published) }

// secret is what caches say of the Secret.
func (w *world) secret(ctx context.Context) (*corev1.Secret, error) {
	if w.frozen != nil {
		return w.frozen, nil
	}
	s := &corev1.Secret{}
	return s, w.client.Get(ctx, types.NamespacedName{Namespace: w.ns, Name: "db"}, s)
}

// Find implements Finder.
func (w *world) Find(ctx context.Context, q consumer.Wanted) (consumer.Graph, error) {
	w.live = q.Live
	if q.Location != location {
		return consumer.Graph{}, errs.Newf(errs.Invalid, "location %q", q.Location)
	}
	s, err := w.secret(ctx)
	if err != nil {
		return consumer.Graph{}, errs.As(errs.Unavailable, err)
	}
	version := optarget.Versions(s.Annotations)[location]
	copied := q.Copies
	if q.Scan {
		w.scans++
		copied = w.copied
	}
	g := w.graph(s, version)
	for _, c := range copied { // which a tool keeps true
		g.Secrets = append(g.Secrets, consumer.Fed{Object: c.Object, Mirror: true, Source: c.Source, Version: version, Digest: "d" + version})
	}
	g.Copies, g.Unknown, g.Unsearched = copied, w.unknown, nil
	if q.Scan {
		g.Unsearched = w.unsearched
		g.Unknown = append(slices.Clone(g.Unknown), w.unsearched...)
	}
	return g, nil
}

func (w *world) graph(s *corev1.Secret, version string) consumer.Graph {
	return consumer.Graph{
		Secrets: []consumer.Fed{{
			Object: w.object("Secret", "db"), Feeder: types.NamespacedName{Namespace: w.ns, Name: "es"},
			Version: version, Digest: "d" + version, ResourceVersion: s.ResourceVersion, Changed: &consumer.Change{Keys: w.keys},
		}},
		Workloads: []consumer.Workload{{Object: w.object("Deployment", "web"), Rolls: true, Manner: consumer.MannerTemplate}},
		Pods:      append([]consumer.Pod(nil), w.pods...),
		Unreached: w.away,
	}
}

func (w *world) rolling() rotate.Rolling {
	r := rotate.Rolling{Total: 1}
	for _, p := range w.pods {
		switch {
		case p.Stamp != "secret/db="+w.digest():
			r.Under = []string{"Deployment web"}
		case p.Failing != "":
			r.Failed = []string{"Deployment web: " + p.Failing}
		}
	}
	if r.Under == nil && r.Failed == nil {
		r.Done = 1
	}
	return r
}

// Look implements Roller.
func (w *world) Look(context.Context, Restart) (rotate.Rolling, error) { return w.rolling(), nil }

// Roll implements Roller.
func (w *world) Roll(context.Context, Restart) (rotate.Rolling, error) {
	if !w.stuck {
		for i := range w.pods {
			w.pods[i] = w.pod(i)
		}
	}
	return w.rolling(), nil
}

// Forget implements Roller.
func (w *world) Forget(owner string) { w.forgotten = owner }

// Nodes implements Prober.
func (w *world) Nodes(context.Context) bool { return false }

// Probe implements Prober.
func (w *world) Probe(context.Context, Question) map[types.UID]evidence.Found { return nil }

// Next implements Rehearser.
func (w *world) Next(_ context.Context, q Rehearsal) Trial {
	w.foresee = q.Foresee
	return w.trial
}

// Sweep implements Rehearser.
func (w *world) Sweep(context.Context, *v1alpha1.Rotation, target.Target) error {
	w.swept++
	return nil
}

// Due implements Calendar.
func (w *world) Due(_ *v1alpha1.Rotation, limit time.Duration, changed, now time.Time) (rotate.Due, error) {
	if limit > 0 && !changed.IsZero() && !now.Before(changed.Add(limit)) {
		return rotate.Due{Cause: rotate.CauseAge}, nil
	}
	return rotate.Due{}, nil
}

// Gate implements Calendar.
func (w *world) Gate(*v1alpha1.Rotation, time.Time) (rotate.Gate, error) {
	return rotate.Gate{Open: true}, nil
}

// MaxAge implements Policies.
func (w *world) MaxAge(context.Context, *v1alpha1.Rotation) (limit, before time.Duration, err error) {
	return w.limit, w.before, w.policyErr
}

// Vault implements Vaults.
func (w *world) Vault(context.Context, string, v1.SecretStoreRef) (target.Vault, error) {
	return w, nil
}

// Locate implements target.Vault.
func (w *world) Locate(path string) string { return "vault.example:8200/" + path }

// Call implements target.Vault: the evidence engine.
func (w *world) Call(_ context.Context, method, path string, body any) (json.RawMessage, error) {
	if strings.HasPrefix(path, "sys/readers/") { // nobody but Secrets
		return json.RawMessage(`{"complete":true,"incomplete":[],"clients":[` + w.clients + `]}`), w.vaultErr
	}
	if err := firstOf(w.vaultErr, w.statementErr); err != nil {
		return nil, err
	}
	if number, ok := strings.CutPrefix(path, "evidence/statements/"+w.ns+"/db/"); ok && method == "GET" {
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || w.statements[n] == "" {
			return nil, errs.New(errs.NotExist, "none")
		}
		return json.RawMessage(`{"statement":` + w.statements[n] + `}`), nil
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	var in struct {
		Turn      int64           `json:"turn"`
		Statement json.RawMessage `json:"statement"`
	}
	if err := json.Unmarshal(raw, &in); err != nil || !strings.Contains(path, "/statements/"+w.ns+"/") || method != "POST" {
		return nil, errs.Newf(errs.Invalid, "%s %s: %w", method, path, err)
	}
	switch was, ok := w.statements[in.Turn]; {
	case ok && was != string(in.Statement):
		w.others++
		return nil, errs.New(errs.Invalid, "there is another statement of this turn")
	case !ok && len(w.statements) > 0 && in.Turn < slices.Max(slices.Collect(maps.Keys(w.statements))):
		return nil, errs.New(errs.Conflict, "too late")
	}
	w.statements[in.Turn] = string(in.Statement)
	return nil, nil
}

func firstOf(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

// Open implements target.Kind.
func (w *world) Open(cfg target.Config) (target.Target, error) {
	if db := cfg.Spec.Database; db == nil || db.Role != "app" {
		return bystander{w}, nil
	}
	return credential{w}, nil
}

// bystander is another credential, which no act of the turn is about.
type bystander struct{ *world }

func (b bystander) Observe(context.Context) (target.State, error) {
	return target.State{Location: location + "-other", Version: "7", Turn: 7}, b.vaultErr
}

func (b bystander) touched(what string) error {
	b.Helper()
	b.Errorf("%s is done to another credential", what)
	return nil
}

func (b bystander) Stage(context.Context, target.Turn) (target.State, error) {
	return target.State{}, b.touched("Stage")
}

func (b bystander) Publish(context.Context, target.Turn, target.Side) (target.State, error) {
	return target.State{}, b.touched("Publish")
}
func (b bystander) Close(context.Context, target.Turn) error  { return b.touched("Close") }
func (b bystander) Reopen(context.Context, target.Turn) error { return b.touched("Reopen") }
func (b bystander) Retire(context.Context, target.Turn, target.Side) error {
	return b.touched("Retire")
}

// credential is what is rotated, as strict as the engine is.
type credential struct{ *world }

func (c credential) state() target.State {
	s := target.State{Location: location, Turn: c.turn, Changed: c.changed}
	if c.published > 0 {
		s.Version = strconv.FormatInt(c.published, 10)
	}
	return s
}

// Adopt implements target.Adopter.
func (c credential) Adopt(_ context.Context, t target.Turn) error {
	c.adopted = append(c.adopted, t.Number)
	return c.vaultErr
}

// Observe implements target.Observer.
func (c credential) Observe(context.Context) (target.State, error) {
	if c.vaultErr != nil {
		return target.State{}, c.vaultErr
	}
	return c.state(), nil
}

// act notes an act and refuses it if it is not of the present turn.
func (c credential) act(name string, t target.Turn) error {
	if send := c.sending; send != nil {
		send(name)
	}
	if c.vaultErr != nil {
		return c.vaultErr
	}
	if t.Number != c.turn {
		return errs.Newf(errs.Conflict, "turn %d is not the present one, %d", t.Number, c.turn)
	}
	if t.Fence < c.fence || t.Fence < 1 {
		return errs.Newf(errs.Conflict, "%s with fence %d comes late: %d", name, t.Fence, c.fence)
	}
	c.fence = t.Fence
	c.acts = append(c.acts, name)
	return nil
}

func (c credential) Stage(_ context.Context, t target.Turn) (target.State, error) {
	if c.stageErr != nil {
		return target.State{}, c.stageErr
	}
	if c.vaultErr == nil && t.Number == c.turn+1 && !c.staged {
		c.turn, c.staged, c.closed, c.gone, c.fence = t.Number, true, false, false, 0
	}
	return c.state(), c.act("stage", t)
}

func (c credential) Publish(_ context.Context, t target.Turn, side target.Side) (target.State, error) {
	if err := c.act("publish "+[]string{"new", "old"}[side], t); err != nil {
		return target.State{}, err
	}
	c.published = c.turn
	if side == target.Old {
		c.published = c.turn - 1
	}
	return c.state(), nil
}

func (c credential) Close(_ context.Context, t target.Turn) error {
	if err := c.act("close", t); err != nil {
		return err
	}
	if !c.live {
		c.Errorf("the old credential is closed by what caches say")
	}
	if c.published != c.turn {
		c.Errorf("the old credential is closed while readers see it")
	}
	for _, p := range c.pods {
		if p.Stamp != "secret/db="+c.digest() {
			c.Errorf("the old credential is closed while pod %s uses it", p.Name)
		}
	}
	c.closed = true
	return nil
}

func (c credential) Reopen(_ context.Context, t target.Turn) error {
	if err := c.act("reopen", t); err != nil {
		return err
	}
	c.closed = false
	return nil
}

func (c credential) Retire(_ context.Context, t target.Turn, side target.Side) error {
	if err := c.act("retire "+[]string{"new", "old"}[side], t); err != nil {
		return err
	}
	if side == target.Old && !c.closed {
		c.Errorf("the old credential is removed without having been closed")
	}
	if side == target.New && c.published == c.turn {
		c.Errorf("the new credential is discarded while readers see it")
	}
	c.staged, c.gone = false, true
	return nil
}

// Sessions implements target.Witness.
func (c credential) Sessions(context.Context, target.Turn) (target.Sessions, error) {
	var s target.Sessions
	for _, p := range c.pods {
		session := target.Session{Address: p.IP}
		if p.Stamp == fmt.Sprintf("secret/db=d%d", c.turn) {
			s.New = append(s.New, session)
		} else {
			s.Old = append(s.Old, session)
		}
	}
	s.Partial = c.partial
	return s, c.vaultErr
}

// operator is one process.
func (w *world) operator() *Reconciler {
	return New(Config{
		Client: w.client, Live: w.client, Vaults: w, Targets: map[string]target.Kind{"database": w}, Finder: w, Roller: w, Prober: w,
		Calendar: w, Policies: w, Rehearser: w, Clock: w.clock, Log: slog.New(slog.NewTextHandler(w.log, nil)), Metrics: measure.New(w.clock),
		Refresh: func(types.NamespacedName) {
			if !w.deaf {
				w.follow()
			}
		},
		Event: func(_ client.Object, eventType, reason, message string) {
			w.events = append(w.events, eventType+" "+reason+": "+message)
		},
		Namespaces: []string{w.ns},
	})
}

// create makes a Rotation, changed if need be.
func (w *world) create(name string, change func(*v1alpha1.Rotation)) {
	w.Helper()
	rot := &v1alpha1.Rotation{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name},
		Spec: v1alpha1.RotationSpec{
			Target:  v1alpha1.Target{StoreRef: v1.SecretStoreRef{Name: "vault"}, Database: &v1alpha1.DatabaseTarget{Role: "app"}},
			Overlap: v1alpha1.Overlap{Watch: &metav1.Duration{Duration: 20 * time.Second}},
		},
	}
	if change != nil {
		change(rot)
	}
	if err := testClient.Create(w.Context(), rot); err != nil {
		w.Fatal(err)
	}
}

func (w *world) get(name string) *v1alpha1.Rotation {
	w.Helper()
	rot := &v1alpha1.Rotation{}
	if err := testClient.Get(context.WithoutCancel(w.Context()), types.NamespacedName{Namespace: w.ns, Name: name}, rot); err != nil && !apierrors.IsNotFound(err) {
		w.Fatal(err)
	}
	return rot
}

func (w *world) annotate(name, key, value string) {
	w.Helper()
	rot := w.get(name)
	base := rot.DeepCopy()
	if rot.Annotations == nil {
		rot.Annotations = map[string]string{}
	}
	rot.Annotations[key] = value
	if value == "" {
		delete(rot.Annotations, key)
	}
	if err := testClient.Patch(w.Context(), rot, client.MergeFrom(base)); err != nil {
		w.Fatal(err)
	}
}

// run reconciles name until f holds, and fails if that does not come to pass.
// Time goes on as the operator waits.
func (w *world) run(r *Reconciler, name, what string, f func(*v1alpha1.Rotation) bool) *v1alpha1.Rotation {
	w.Helper()
	for range 300 {
		rot := w.get(name)
		if f(rot) {
			return rot
		}
		w.once(r, name)
	}
	rot := w.get(name)
	w.Fatalf("not %s: phase %s, conditions %+v, acts %v\n%s", what, rot.Status.Phase, rot.Status.Conditions, w.acts, w.log)
	return nil
}

func (w *world) once(r *Reconciler, name string) {
	result, err := r.Reconcile(context.WithoutCancel(w.Context()), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: w.ns, Name: name}})
	switch {
	case err != nil:
		w.clock.SetTime(w.clock.Now().Add(time.Second))
	case result.RequeueAfter > 0:
		w.clock.SetTime(w.clock.Now().Add(result.RequeueAfter))
	}
}

func phase(p v1alpha1.Phase) func(*v1alpha1.Rotation) bool {
	return func(rot *v1alpha1.Rotation) bool { return rot.Status.Phase == p }
}

// ended: the turn is over, and rests.
func ended(p v1alpha1.Phase) func(*v1alpha1.Rotation) bool {
	return func(rot *v1alpha1.Rotation) bool {
		return rot.Status.Phase == p && len(rot.Finalizers) == 0
	}
}

func condition(rot *v1alpha1.Rotation, kind string) metav1.Condition {
	for _, c := range rot.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return metav1.Condition{}
}
