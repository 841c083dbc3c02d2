package generate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/generator/record"
	"github.com/strongkeep/strongkeep/internal/kube/generator/state"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// killed is what ends an operator at once, as kill -9 does.
type killed struct{}

// lender makes credentials that live elsewhere, as a vault does: what is made for a
// login ends with it.
type lender struct {
	*life
	made    int
	alive   map[string]bool
	revoked map[string]int
}

type loan struct{ Login, ID string }

func (l *lender) Generate(ctx context.Context, cfg generator.Config) (generator.Made, error) {
	l.made++
	is := loan{Login: fmt.Sprintf("login-%d", l.made)}
	noted, _ := json.Marshal(is)
	if err := cfg.Note(ctx, noted); err != nil {
		return generator.Made{}, err
	}
	is.ID = fmt.Sprintf("user-%d", l.made)
	l.step()
	l.alive[is.ID] = true
	l.step()
	known, _ := json.Marshal(is)
	return generator.Made{Data: map[string]redact.Secret{"password": redact.FromString(is.ID)}, Known: known}, nil
}

func (l *lender) Revoke(_ context.Context, _ generator.Config, known json.RawMessage) error {
	var is loan
	if err := json.Unmarshal(known, &is); err != nil {
		l.Fatal(err)
	}
	l.step()
	id := "user-" + is.Login[len("login-"):] // ends with its login
	if held := l.inUse(); slices.Contains(held, id) {
		l.Fatalf("killed at %d: %s is taken back, and %v are in use", l.at, id, held)
	}
	if l.alive[id] {
		l.revoked[id]++
	}
	delete(l.alive, id)
	l.step()
	return nil
}

// life is an operator's, with an API server and a vault that outlive it.
type life struct {
	*testing.T
	at, steps int // killed at which step, of those that were taken; at 0: never
	api       client.WithWatch
	clock     *clocktesting.FakeClock
	lender    *lender
	es        *v1.ExternalSecret
	ps        *v1alpha1.PushSecret
	stores    [2]string // what was pushed to each
	g         *Generators
	states    *state.Reconciler
}

func (l *life) step() {
	if l.steps++; l.steps == l.at {
		panic(killed{})
	}
}

func newLife(t *testing.T, at int) *life {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1.AddToScheme, v1alpha1.AddToScheme, generators.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	l := &life{T: t, at: at, clock: clocktesting.NewFakeClock(noon)}
	l.lender = &lender{life: l, alive: map[string]bool{}, revoked: map[string]int{}}
	l.es = &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app", UID: "e1"}}
	l.es.Spec.DataFrom = []v1.ExternalSecretDataFrom{{SourceRef: &v1.SourceOrGeneratorRef{GeneratorRef: &v1.GeneratorRef{Kind: generators.KindVaultDynamicSecret, Name: "db"}}}}
	l.ps = &v1alpha1.PushSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app", UID: "p1"}}
	l.ps.Spec.Selector.GeneratorRef = l.es.Spec.DataFrom[0].SourceRef.GeneratorRef
	db := &generators.VaultDynamicSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "db", UID: "g1", Generation: 1}}
	// Every write may be the last thing that is done, and the last before it.
	l.api = fake.NewClientBuilder().WithScheme(scheme).WithObjects(l.es, l.ps, db).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			l.step()
			defer l.step()
			return c.Create(ctx, o, opts...)
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			l.step()
			defer l.step()
			return c.Update(ctx, o, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			l.step()
			defer l.step()
			return c.Patch(ctx, o, p, opts...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			l.step()
			defer l.step()
			return c.Delete(ctx, o, opts...)
		},
	}).Build()
	l.begin()
	return l
}

// begin starts an operator, which knows nothing of the one before.
func (l *life) begin() {
	key, err := target.NewKey(make([]byte, target.KeySize))
	if err != nil {
		l.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	kinds := map[string]generator.Kind{generators.KindVaultDynamicSecret: l.lender}
	l.g = New(Config{Reader: l.api, Kinds: kinds, States: &state.Keeper{Client: l.api, Clock: l.clock}, Key: key, Clock: l.clock, Log: log})
	l.states = state.New(state.Config{
		Client: l.api, Live: l.api, Kinds: kinds, Clock: l.clock, Log: log,
		Event: func(client.Object, string, string, string) {}, Metric: deaf{}, Pushes: true,
		Owner: func(ctx context.Context, s *generators.GeneratorState) (client.Object, error) {
			var owner client.Object = &v1.ExternalSecret{}
			if s.OwnerReferences[0].Kind == v1alpha1.KindPushSecret {
				owner = &v1alpha1.PushSecret{}
			}
			err := l.api.Get(ctx, types.NamespacedName{Namespace: s.Namespace, Name: s.OwnerReferences[0].Name}, owner)
			if apierrors.IsNotFound(err) {
				return nil, nil
			}
			return owner, err
		},
	})
}

type deaf struct{}

func (deaf) Revoked(string, error) {}
func (deaf) Renewed(string, error) {}

func (l *life) secret() *corev1.Secret {
	var s corev1.Secret
	err := l.api.Get(l.Context(), types.NamespacedName{Namespace: "team", Name: "app"}, &s)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		l.Fatal(err)
	}
	return &s
}

func (l *life) inSecret() string {
	if s := l.secret(); s != nil {
		return string(s.Data["password"])
	}
	return ""
}

// inUse returns the credentials that the Secret or a store holds.
func (l *life) inUse() (held []string) { return append(l.stores[:], l.inSecret()) }

// push is what the controller of PushSecrets does.
func (l *life) push() {
	var ps v1alpha1.PushSecret
	if err := l.api.Get(l.Context(), client.ObjectKeyFromObject(l.ps), &ps); err != nil {
		l.Fatal(err)
	}
	turn := l.g.BeginPush(&ps, PushSettings{Now: l.clock.Now(), Interval: time.Hour, Asked: "here"})
	due, err := turn.Due(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	if !due {
		return
	}
	values, err := turn.Values(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	annotate := func(text string, err error) {
		before := ps.DeepCopy()
		ps.Annotations = map[string]string{AnnotationPushed: text}
		if err != nil {
			l.Fatal(err)
		}
		if err := l.api.Patch(l.Context(), &ps, client.MergeFrom(before)); err != nil {
			l.Fatal(err)
		}
	}
	annotate(turn.Begun())
	for i := range l.stores {
		l.step()
		l.stores[i] = values["password"].RevealString()
		l.step()
	}
	annotate(turn.Ended())
	turn.Written()
}

// sync is what the controller of ExternalSecrets does.
func (l *life) sync() {
	live := l.secret()
	turn := l.g.Begin(l.es, Settings{Live: live, Now: l.clock.Now(), Interval: time.Hour})
	got, err := gather.Values(l.Context(), l.es, gather.Source{Generate: turn.Values, Now: l.clock.Now})
	if err != nil {
		l.Fatal(err)
	}
	text, err := turn.Record(got)
	if err != nil {
		l.Fatal(err)
	}
	next := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app"}}
	if live != nil {
		next = live.DeepCopy()
	}
	next.Annotations = map[string]string{record.Annotation: text}
	next.Data = map[string][]byte{"password": got.Data["password"].Reveal()}
	write := l.api.Update
	if live == nil {
		write = func(ctx context.Context, o client.Object, _ ...client.UpdateOption) error {
			return l.api.Create(ctx, o)
		}
	}
	if err := write(l.Context(), next); err != nil {
		l.Fatal(err)
	}
	turn.Written()
}

// collect looks at every state as often as events would have it.
func (l *life) collect() {
	for range 6 {
		var list generators.GeneratorStateList
		if err := l.api.List(l.Context(), &list); err != nil {
			l.Fatal(err)
		}
		for i := range list.Items {
			if _, err := l.states.Reconcile(l.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])}); err != nil {
				l.Fatal(err)
			}
		}
	}
}

// until runs f, and reports whether it was not killed.
func (l *life) until(f func()) (whole bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(killed); !ok {
				panic(r)
			}
			whole = false
		}
	}()
	f()
	return true
}

// day is a credential's life: made, replaced twice because its interval is over, each
// taken back after the grace; with another that is never written.
func (l *life) day(work func()) {
	for range 3 {
		work()
		l.collect()
		l.clock.Step(3 * time.Minute)
		l.collect()
		l.clock.Step(12 * time.Minute)
		l.collect()
		l.clock.Step(time.Hour)
	}
}

// ADR 0008, "A generated credential's life" and invariants 3 and 4: killed at any
// step, the operator that comes after loses no credential, and none is taken back
// that the Secret holds. No lease is revoked twice, unless who did it was killed
// before it could say so.
func TestKilledAtAnyStep(t *testing.T) {
	t.Run("ExternalSecret", func(t *testing.T) {
		killedAtAnyStep(t, (*life).sync, func(l *life) []string { return []string{l.inSecret()} })
	})
	t.Run("PushSecret", func(t *testing.T) {
		killedAtAnyStep(t, (*life).push, func(l *life) []string { return l.stores[:] })
	})
}

func killedAtAnyStep(t *testing.T, work func(*life), in func(*life) []string) {
	kills := 0
	for at := 1; ; at++ {
		l := newLife(t, at)
		day := func() { l.day(func() { work(l) }) }
		whole := l.until(day)
		l.at = 0
		if !whole {
			kills++
			l.begin()
			day()
		}
		for _, held := range in(l) {
			if len(l.lender.alive) != 1 || !l.lender.alive[held] {
				t.Errorf("killed at %d: %v are alive, and %s is in use", at, l.lender.alive, held)
			}
		}
		for id, n := range l.lender.revoked {
			if n != 1 {
				t.Errorf("killed at %d: %s was revoked %d times", at, id, n)
			}
		}
		var list generators.GeneratorStateList
		if err := l.api.List(t.Context(), &list); err != nil || len(list.Items) != 1 {
			t.Errorf("killed at %d: %d states are left (%v)", at, len(list.Items), err)
		}
		if whole {
			break
		}
	}
	if kills < 30 {
		t.Errorf("killed %d times only", kills)
	}
}

// Two operators that both believe to lead, and both make a credential: one of the two
// is written, and the other taken back.
func TestTwoLeaders(t *testing.T) {
	l := newLife(t, 0)
	other := *l
	other.begin()
	turn := other.g.Begin(l.es, Settings{Now: l.clock.Now(), Interval: time.Hour})
	if _, err := gather.Values(t.Context(), l.es, gather.Source{Generate: turn.Values, Now: l.clock.Now}); err != nil {
		t.Fatal(err) // made, and stopped before it is written
	}
	l.day(l.sync)
	if held := l.inSecret(); len(l.lender.alive) != 1 || !l.lender.alive[held] {
		t.Errorf("%v are alive, and the Secret holds %s", l.lender.alive, held)
	}
}

// A cache that has not seen a state yet does not make another credential; one that
// was deleted does, after a while.
func TestCacheBehind(t *testing.T) {
	l := newLife(t, 0)
	gathered := func() (string, error) {
		turn := l.g.Begin(l.es, Settings{Now: l.clock.Now(), Interval: time.Hour})
		got, err := gather.Values(t.Context(), l.es, gather.Source{Generate: turn.Values, Now: l.clock.Now})
		return got.Data["password"].RevealString(), err
	}
	first, err := gathered()
	if err != nil {
		t.Fatal(err)
	}
	all := l.g.cfg.States.Client
	l.g.cfg.States.Client = behind{all}
	if _, err := gathered(); err == nil || l.lender.made != 1 {
		t.Errorf("%v, %d made", err, l.lender.made)
	}
	l.g.cfg.States.Client = all
	if again, err := gathered(); err != nil || again != first {
		t.Errorf("%s, then %s (%v)", first, again, err)
	}
	l.g.cfg.States.Client = behind{all}
	l.clock.Step(state.Settle)
	if again, err := gathered(); err != nil || again == first || l.lender.made != 2 {
		t.Errorf("%s, then %s (%v)", first, again, err)
	}
}

type behind struct{ client.Client }

func (behind) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return apierrors.NewNotFound(generators.GroupVersion().WithResource("generatorstates").GroupResource(), key.Name)
}
