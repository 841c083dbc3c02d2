package state

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"

	v1alpha1 "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/generator/record"
)

// remote is a kind whose credentials live elsewhere.
type remote struct {
	revokes, renews int
	err             error
	expires         time.Time
	used            generator.Config
}

func (*remote) Generate(context.Context, generator.Config) (generator.Made, error) {
	return generator.Made{}, errs.New(errs.Internal, "not asked for here")
}

func (r *remote) Revoke(_ context.Context, cfg generator.Config, _ json.RawMessage) error {
	r.revokes++
	r.used = cfg
	return r.err
}

func (r *remote) Renew(context.Context, generator.Config, json.RawMessage) (time.Time, error) {
	r.renews++
	return r.expires, r.err
}

// desk is a Reconciler at an API server.
type desk struct {
	*testing.T
	*Reconciler
	keeper  *Keeper
	api     client.WithWatch
	clock   *clocktesting.FakeClock
	kind    *remote
	owner   client.Object
	events  []string
	updates int
	counted []string
}

func (d *desk) Revoked(kind string, err error) {
	d.counted = append(d.counted, fmt.Sprint("revoked ", kind, err == nil))
}
func (d *desk) Renewed(kind string, err error) {
	d.counted = append(d.counted, fmt.Sprint("renewed ", kind, err == nil))
}

func newDesk(t *testing.T) *desk {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	d := &desk{T: t, clock: clocktesting.NewFakeClock(noon), kind: &remote{}}
	d.api = fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			d.updates++
			return c.Update(ctx, o, opts...)
		},
	}).Build()
	d.keeper = &Keeper{Client: d.api, Clock: d.clock}
	d.owner = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app", UID: "e1"}}
	d.Reconciler = New(Config{
		Client: d.api, Live: d.api, Kinds: map[string]generator.Kind{"Remote": d.kind}, Clock: d.clock, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Event: func(_ client.Object, _, reason, message string) { d.events = append(d.events, reason+": "+message) }, Metric: d,
		Owner: func(context.Context, *v1alpha1.GeneratorState) (client.Object, error) { return d.owner, nil },
	})
	return d
}

// made makes the state of a credential.
func (d *desk) made(m generator.Made) string {
	d.Helper()
	h, err := d.keeper.Begin(d.Context(), Origin{
		Owner: metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "app", UID: "e1"}, Key: types.NamespacedName{Namespace: "team", Name: "app"},
		Holder: Holder{Secret, "app"}, Kind: "Remote", Name: "maker", Spec: json.RawMessage(`{"path":"x"}`),
	})
	if err != nil {
		d.Fatal(err)
	}
	if m.Known == nil {
		m.Known = json.RawMessage(`{"lease":"one"}`)
	}
	if kept, err := h.Made(d.Context(), m); err != nil || !kept {
		d.Fatal(kept, err)
	}
	return h.Name()
}

func (d *desk) hold(names ...string) {
	d.Helper()
	var r record.Record
	for _, name := range names {
		r = append(r, record.Entry{Of: name, State: name})
	}
	text, err := r.Format()
	if err != nil {
		d.Fatal(err)
	}
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app"}}
	if err := client.IgnoreNotFound(d.api.Delete(d.Context(), s)); err != nil {
		d.Fatal(err)
	}
	s = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app", Annotations: map[string]string{record.Annotation: text}}}
	if err := d.api.Create(d.Context(), s); err != nil {
		d.Fatal(err)
	}
}

func (d *desk) get(name string) *v1alpha1.GeneratorState {
	d.Helper()
	var s v1alpha1.GeneratorState
	err := d.api.Get(d.Context(), types.NamespacedName{Namespace: "team", Name: name}, &s)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		d.Fatal(err)
	}
	return &s
}

func (d *desk) look(name string) ctrl.Result {
	d.Helper()
	result, err := d.Reconcile(d.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "team", Name: name}})
	if err != nil {
		d.Fatal(err)
	}
	return result
}

// Written, the deadline goes; replaced, it comes with the grace that the owner asks
// for; over, the credential is taken back once and the state goes.
func TestLife(t *testing.T) {
	d := newDesk(t)
	d.owner.SetAnnotations(map[string]string{AnnotationKeep: "1h"})
	name := d.made(generator.Made{})
	if r := d.look(name); r.RequeueAfter != unused {
		t.Errorf("looked at again after %s", r.RequeueAfter)
	}
	d.hold(name)
	d.look(name)
	if s := d.get(name); s.Spec.GarbageCollectionDeadline != nil {
		t.Errorf("the deadline stays: %v", s.Spec.GarbageCollectionDeadline)
	}
	before := d.updates
	d.look(name)
	if d.updates != before {
		t.Error("written although nothing changed")
	}
	d.hold()
	d.look(name)
	if s := d.get(name); !s.Spec.GarbageCollectionDeadline.Time.Equal(noon.Add(time.Hour)) {
		t.Errorf("the deadline is %v", s.Spec.GarbageCollectionDeadline)
	}
	d.clock.Step(time.Hour)
	for range 3 {
		d.look(name)
	}
	if d.get(name) != nil || d.kind.revokes != 1 || strings.Join(d.counted, " ") != "revoked Remotetrue" {
		t.Errorf("%d revocations, counted %v", d.kind.revokes, d.counted)
	}
	if s := d.kind.used; string(s.Spec) != `{"path":"x"}` || s.Scope.Store().Namespace != "team" {
		t.Errorf("revoked with %+v", s)
	}
}

// The Secret is asked before anything is taken back, and who wants to use a credential
// that is being taken back is refused.
func TestHeldAfterAll(t *testing.T) {
	d := newDesk(t)
	name := d.made(generator.Made{})
	key := types.NamespacedName{Namespace: "team", Name: name}
	if ok, err := d.keeper.Prolong(t.Context(), key, noon); err != nil || !ok {
		t.Errorf("%t %v", ok, err)
	}
	d.clock.Step(unused)
	d.look(name) // claimed
	if ok, err := d.keeper.Prolong(t.Context(), key, noon); err != nil || ok {
		t.Errorf("a claimed one may be used (%v)", err)
	}
	if _, good, err := d.keeper.Term(t.Context(), key); err != nil || good {
		t.Errorf("a claimed one is good (%v)", err)
	}
	d.hold(name) // written meanwhile by who did not ask
	d.look(name)
	if s := d.get(name); s == nil || d.kind.revokes != 0 || s.Spec.GarbageCollectionDeadline != nil {
		t.Fatalf("taken back: %d", d.kind.revokes)
	}
	if _, good, err := d.keeper.Term(t.Context(), key); err != nil || !good {
		t.Errorf("it is not good again (%v)", err)
	}
}

// What cannot be taken back is tried again, ever more seldom whatever the words, and
// told in the state; a state that is deleted goes after an hour of it.
func TestFailingRevocation(t *testing.T) {
	d := newDesk(t)
	name := d.made(generator.Made{})
	d.clock.Step(unused)
	d.look(name)
	var waits []time.Duration
	for i := range 8 {
		d.kind.err = errs.Newf(errs.Unavailable, "connection %d refused", i)
		r := d.look(name)
		waits = append(waits, r.RequeueAfter)
		d.clock.Step(r.RequeueAfter)
	}
	for i := 1; i < len(waits); i++ {
		if waits[i] < waits[i-1] || waits[i] > retryMax {
			t.Errorf("waits %v", waits)
		}
	}
	if waits[0] != retryMin {
		t.Errorf("the first wait is %s", waits[0])
	}
	if c := d.get(name).Status.Conditions; len(c) != 1 || c[0].Status != metav1.ConditionFalse || !strings.Contains(c[0].Message, "connection 7 refused") {
		t.Errorf("conditions %+v", c)
	}
	if err := d.api.Delete(t.Context(), d.get(name)); err != nil {
		t.Fatal(err)
	}
	deleted := d.get(name).DeletionTimestamp.Time // by the API server's clock
	d.clock.SetTime(deleted.Add(giveUp - time.Second))
	d.look(name)
	if d.get(name) == nil {
		t.Fatal("given up too early")
	}
	d.clock.SetTime(deleted.Add(giveUp + time.Second))
	d.look(name)
	if d.get(name) != nil || !strings.Contains(strings.Join(d.events, "\n"), "LeftBehind") {
		t.Errorf("events %v", d.events)
	}
}

// Our own word on a failure brings no look before its time.
func TestChanged(t *testing.T) {
	at := func(change func(*v1alpha1.GeneratorState)) *v1alpha1.GeneratorState {
		s := &v1alpha1.GeneratorState{Spec: v1alpha1.GeneratorStateSpec{State: &apiextensionsv1.JSON{Raw: []byte(`{"v":1}`)}}}
		if change != nil {
			change(s)
		}
		return s
	}
	for name, c := range map[string]struct {
		change func(*v1alpha1.GeneratorState)
		want   bool
	}{
		"nothing":    {nil, false},
		"conditions": {func(s *v1alpha1.GeneratorState) { setCondition(s, errs.New(errs.Unavailable, "no"), noon) }, false},
		"a label":    {func(s *v1alpha1.GeneratorState) { s.Labels = map[string]string{"a": "b"} }, false},
		"a deadline": {func(s *v1alpha1.GeneratorState) { s.Spec.GarbageCollectionDeadline = timeOf(noon) }, true},
		"a claim":    {func(s *v1alpha1.GeneratorState) { s.Spec.State.Raw = []byte(`{"v":1,"claimed":true}`) }, true},
		"deleted":    {func(s *v1alpha1.GeneratorState) { s.DeletionTimestamp = timeOf(noon) }, true},
		"its Secret": {func(s *v1alpha1.GeneratorState) { s.Annotations = map[string]string{AnnotationSecret: "x"} }, true},
		"its owner":  {func(s *v1alpha1.GeneratorState) { s.OwnerReferences = []metav1.OwnerReference{{UID: "x"}} }, true},
	} {
		if got := Changed().Update(event.UpdateEvent{ObjectOld: at(nil), ObjectNew: at(c.change)}); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// Renewed at two thirds; what is left of a longest life is no renewal, and one that is
// gone is marked so that another is made.
func TestRenewal(t *testing.T) {
	d := newDesk(t)
	name := d.made(generator.Made{Expires: noon.Add(time.Hour), Renewable: true})
	key := types.NamespacedName{Namespace: "team", Name: name}
	d.hold(name)
	d.look(name)
	if r := d.look(name); r.RequeueAfter != 40*time.Minute {
		t.Errorf("renewed in %s", r.RequeueAfter)
	}
	d.clock.Step(40 * time.Minute)
	d.kind.err = errs.New(errs.Unavailable, "sealed")
	d.look(name)
	d.kind.err, d.kind.expires = nil, d.clock.Now().Add(time.Hour)
	d.look(name)
	term, good, err := d.keeper.Term(t.Context(), key)
	if err != nil || !good || !term.Expires.Equal(d.kind.expires) || !term.Renewable || d.kind.renews != 2 {
		t.Fatalf("%+v, %d renewals (%v)", term, d.kind.renews, err)
	}
	if c := d.get(name).Status.Conditions; len(c) != 1 || c[0].Status != metav1.ConditionTrue {
		t.Errorf("conditions %+v", c)
	}
	d.clock.Step(40 * time.Minute)
	d.kind.expires = d.clock.Now().Add(time.Minute)
	d.look(name)
	if term, _, _ = d.keeper.Term(t.Context(), key); term.Renewable {
		t.Error("a longest life that is nearly over is taken for a renewal")
	}
	d = newDesk(t)
	name = d.made(generator.Made{Expires: noon.Add(time.Hour), Renewable: true})
	d.hold(name)
	d.look(name)
	d.clock.Step(40 * time.Minute)
	d.kind.err = errs.New(errs.NotExist, "no such lease")
	d.look(name)
	if term, _, _ = d.keeper.Term(t.Context(), types.NamespacedName{Namespace: "team", Name: name}); term.Due().After(d.clock.Now()) {
		t.Errorf("one that is gone is not due: %+v", term)
	}
}

// What ended by itself need not be taken back.
func TestOver(t *testing.T) {
	d := newDesk(t)
	name := d.made(generator.Made{Expires: noon.Add(time.Minute)})
	d.clock.Step(unused)
	d.look(name)
	d.look(name)
	if d.get(name) != nil || d.kind.revokes != 0 {
		t.Errorf("%d revocations", d.kind.revokes)
	}
}

// With its owner gone a credential goes as soon as the Secret does.
func TestOrphan(t *testing.T) {
	d := newDesk(t)
	name := d.made(generator.Made{})
	d.hold(name)
	d.owner = nil
	if r := d.look(name); r.RequeueAfter != orphanLook {
		t.Errorf("looked at again after %s", r.RequeueAfter)
	}
	d.hold()
	d.look(name)
	d.look(name)
	if d.get(name) != nil || d.kind.revokes != 1 {
		t.Errorf("%d revocations", d.kind.revokes)
	}
}

// What another operator made, or somebody spoiled, is left alone; but nothing that is
// spoiled keeps a namespace from going.
func TestForeignAndSpoiled(t *testing.T) {
	d := newDesk(t)
	d.hold()
	foreign := &v1alpha1.GeneratorState{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "foreign", Finalizers: []string{"generatorstate.externalsecrets.io/finalizer"}}}
	foreign.Spec.State, foreign.Spec.Resource = &apiextensionsv1.JSON{Raw: []byte(`{"id":7}`)}, &apiextensionsv1.JSON{Raw: []byte(`{}`)}
	spoiled := foreign.DeepCopy()
	spoiled.Name, spoiled.Finalizers = "spoiled", []string{Finalizer}
	for _, s := range []*v1alpha1.GeneratorState{foreign, spoiled} {
		if err := d.api.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	d.look("foreign")
	d.look("spoiled")
	if d.get("foreign") == nil || d.get("spoiled") == nil || d.kind.revokes != 0 || d.updates != 0 {
		t.Errorf("%d revocations, %d updates", d.kind.revokes, d.updates)
	}
	if err := d.api.Delete(t.Context(), d.get("spoiled")); err != nil {
		t.Fatal(err)
	}
	d.look("spoiled")
	if d.get("spoiled") != nil || !strings.Contains(strings.Join(d.events, "\n"), "LeftBehind") {
		t.Errorf("it stays; events %v", d.events)
	}
}

// A wish that is no duration is told, and the usual grace kept.
func TestBadGrace(t *testing.T) {
	d := newDesk(t)
	d.owner.SetAnnotations(map[string]string{AnnotationKeep: "1d"})
	name := d.made(generator.Made{})
	d.hold(name)
	d.look(name)
	d.hold()
	d.look(name)
	if s := d.get(name); !s.Spec.GarbageCollectionDeadline.Time.Equal(noon.Add(Grace)) || len(d.events) != 1 || !strings.Contains(d.events[0], `"1d"`) {
		t.Errorf("until %v, events %v", s.Spec.GarbageCollectionDeadline, d.events)
	}
}

// A state that came to nothing goes at once; one of which something is known is
// taken back soon.
func TestAbandon(t *testing.T) {
	d := newDesk(t)
	begin := func() *Held {
		h, err := d.keeper.Begin(t.Context(), Origin{Key: types.NamespacedName{Namespace: "team", Name: "app"}, Holder: Holder{Secret, "app"}, Kind: "Remote", Name: "m", Spec: json.RawMessage(`{}`)})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	h := begin()
	if err := h.Abandon(t.Context()); err != nil || d.get(h.Name()) != nil {
		t.Error(err)
	}
	h = begin()
	if kept, err := h.Made(t.Context(), generator.Made{}); err != nil || kept || d.get(h.Name()) != nil {
		t.Error(kept, err)
	}
	h = begin()
	if err := h.Note(t.Context(), json.RawMessage(`{"login":"x"}`)); err != nil {
		t.Fatal(err)
	}
	if err := h.Abandon(t.Context()); err != nil || d.get(h.Name()) == nil {
		t.Fatal(err)
	}
	d.look(h.Name())
	d.look(h.Name())
	if d.get(h.Name()) != nil || d.kind.revokes != 1 {
		t.Errorf("%d revocations", d.kind.revokes)
	}
}

// Whatever stands in a state is read, or refused; what was read is written as it was.
func FuzzRead(f *testing.F) {
	f.Add(`{"v":1,"known":{"lease":"a"},"since":"2026-01-01T00:00:00Z","renewable":true}`, `{"kind":"Password","metadata":{"name":"x"},"spec":{}}`)
	f.Add(`{"v":1,"known":null,"claimed":true,"done":true}`, `{}`)
	f.Add(`[]`, `""`)
	f.Fuzz(func(t *testing.T, state, from string) {
		s := &v1alpha1.GeneratorState{Spec: v1alpha1.GeneratorStateSpec{State: &apiextensionsv1.JSON{Raw: []byte(state)}, Resource: &apiextensionsv1.JSON{Raw: []byte(from)}}}
		e, _, err := read(s)
		if err != nil {
			return
		}
		if s.Spec.State, err = raw(e); err != nil {
			t.Fatal(err)
		}
		again, _, err := read(s)
		if err != nil || again.Claimed != e.Claimed || again.Done != e.Done || again.Renewable != e.Renewable || len(again.Known) == 0 != (len(e.Known) == 0) {
			t.Fatalf("%+v became %+v (%v)", e, again, err)
		}
	})
}
