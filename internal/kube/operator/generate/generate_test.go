package generate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/redact"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// counting makes "made-1", "made-2" and so on, which end after life if there is one.
type counting struct {
	made int
	life time.Duration
	err  error
}

func (c *counting) Generate(_ context.Context, cfg generator.Config) (generator.Made, error) {
	if c.err != nil {
		return generator.Made{}, c.err
	}
	c.made++
	m := generator.Made{Data: map[string]redact.Secret{"password": redact.FromString(fmt.Sprintf("made-%d", c.made))}}
	if c.life > 0 {
		m.Expires = cfg.Clock.Now().Add(c.life)
	}
	return m, nil
}

// objects is a cache of Passwords.
type objects map[string]*generators.Password

func (o objects) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	p, ok := into.(*generators.Password)
	if !ok || o[key.String()] == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "passwords"}, key.Name)
	}
	o[key.String()].DeepCopyInto(p)
	return nil
}

func (objects) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return errors.New("not for lists")
}

// bench is one ExternalSecret with its Secret.
type bench struct {
	*testing.T
	g        *Generators
	kind     *counting
	clock    *clocktesting.FakeClock
	password *generators.Password
	es       *v1.ExternalSecret
	live     *corev1.Secret
	interval time.Duration
	onChange string
}

func newBench(t *testing.T) *bench {
	key, err := target.NewKey(make([]byte, target.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, kind: &counting{}, clock: clocktesting.NewFakeClock(noon), interval: time.Hour}
	b.password = &generators.Password{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "pw", UID: "u1", Generation: 1}, Spec: generators.PasswordSpec{Length: 20}}
	b.es = &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app", UID: "e1"}}
	b.es.Spec.DataFrom = []v1.ExternalSecretDataFrom{{SourceRef: &v1.SourceOrGeneratorRef{GeneratorRef: &v1.GeneratorRef{Kind: "Password", Name: "pw"}}}}
	b.g = New(Config{
		Reader: objects{"team/pw": b.password}, Kinds: map[string]generator.Kind{"Password": b.kind}, Key: key, Clock: b.clock, Log: slog.New(slog.DiscardHandler),
	})
	return b
}

// sync is a turn up to the write: which value there would be, whether it is opaque,
// and what is to be told.
func (b *bench) sync(write, force bool) (value string, opaque bool, told []string) {
	b.Helper()
	turn := b.g.Begin(b.es, Settings{Live: b.live, Now: b.clock.Now(), Interval: b.interval, OnChange: b.onChange})
	if force {
		turn.Force()
	}
	got, err := gather.Values(b.Context(), b.es, gather.Source{Generate: turn.Values, Now: b.clock.Now})
	if err != nil {
		b.Fatal(err)
	}
	if write && !turn.Opaque() {
		text, err := turn.Record(got)
		if err != nil || strings.Contains(text, "made-") {
			b.Fatalf("the record is %s (%v)", text, err)
		}
		b.live = &corev1.Secret{Data: map[string][]byte{}}
		b.live.Annotations = map[string]string{"strongkeep.io/generated": text}
		for key, v := range got.Data {
			b.live.Data[key] = v.Reveal()
		}
		told = turn.Written()
	}
	if !turn.Opaque() {
		value = got.Data["password"].RevealString()
	}
	return value, turn.Opaque(), told
}

func (b *bench) want(what, value string) {
	b.Helper()
	if got, _, _ := b.sync(true, false); got != value {
		b.Errorf("%s: %s, want %s", what, got, value)
	}
}

// What was made stays until it is due, whatever else happens.
func TestKept(t *testing.T) {
	b := newBench(t)
	b.want("first", "made-1")
	b.want("again", "made-1")
	b.es.Labels = map[string]string{"a": "b"}
	b.want("a label", "made-1")
	b.g = New(b.g.cfg)
	b.want("a restart", "made-1")
	b.password.UID, b.password.Generation = "u2", 7
	b.want("the same generator, made anew", "made-1")
	b.clock.Step(59 * time.Minute)
	b.want("before the interval is over", "made-1")
	b.clock.Step(time.Minute)
	b.want("the interval is over", "made-2")
	b.password.Spec.Length, b.password.Generation = 21, 8
	b.want("the generator changed", "made-3")
	b.es.Annotations = map[string]string{"force-sync": "1"}
	b.want("asked for", "made-4")
	b.want("not asked again", "made-4")
	b.onChange = "state"
	b.want("OnChange", "made-5")
	b.es.Spec.DataFrom[0].Rewrite = []v1.Rewrite{{Regexp: &v1.RewriteRegexp{Source: "x", Target: "y"}}}
	b.want("the entry changed", "made-6")
	b.interval = 0
	b.clock.Step(1000 * time.Hour)
	b.want("without an interval", "made-6")
	b.live = nil
	b.want("the Secret is gone", "made-7")
}

// A credential near its end is due, whatever the interval.
func TestEnds(t *testing.T) {
	b := newBench(t)
	b.kind.life, b.interval = 30*time.Minute, 0
	b.want("first", "made-1")
	b.clock.Step(19 * time.Minute)
	b.want("before two thirds", "made-1")
	b.clock.Step(time.Minute)
	b.want("at two thirds", "made-2")
}

// A record that a clock wrote which was ahead delays the next value by an interval, or a
// life, and not until then; one minute is nothing. A clock of ours that is behind replaces nothing at once.
func TestRecordOfTheFuture(t *testing.T) {
	for what, life := range map[string]time.Duration{"by its interval": 0, "by its life": 90 * time.Minute} {
		b := newBench(t)
		if b.kind.life = life; life > 0 {
			b.interval = 0
		}
		b.clock.SetTime(noon.Add(1000 * time.Hour))
		b.want(what+", by a clock that is ahead", "made-1")
		b.clock.SetTime(noon)
		b.g = New(b.g.cfg)
		b.want(what+", by a clock that is right", "made-1")
		b.clock.Step(59 * time.Minute)
		b.want(what+", before it is over", "made-1")
		b.clock.Step(time.Minute)
		b.want(what+", when it is over", "made-2")
		b.clock.Step(59 * time.Minute)
		b.want(what+", of the next", "made-2")
	}
	b := newBench(t)
	b.clock.SetTime(noon.Add(30 * time.Second))
	b.want("a little ahead", "made-1")
	b.clock.SetTime(noon)
	b.g = New(b.g.cfg)
	b.clock.Step(time.Hour)
	b.want("its own hour is not over", "made-1")
}

// What was made and not written is not made again, and what was written is not
// written again when it is due.
func TestFailedWrites(t *testing.T) {
	b := newBench(t)
	for range 5 {
		if value, _, _ := b.sync(false, false); value != "made-1" {
			t.Fatalf("%s: another was made for each try", value)
		}
	}
	b.want("written at last", "made-1")
	b.clock.Step(time.Hour)
	if value, _, _ := b.sync(false, false); value != "made-2" {
		t.Error(value)
	}
	b.clock.Step(time.Hour) // it has had its interval before it was written
	b.want("waited too long", "made-3")
}

// A value that somebody changed is opaque: enough to compare by. Made anew only when
// forced, and then told.
func TestChangedByHand(t *testing.T) {
	b := newBench(t)
	b.want("first", "made-1")
	b.live.Data["password"] = []byte("x")
	if _, opaque, _ := b.sync(true, false); !opaque || b.kind.made != 1 {
		t.Fatalf("opaque: %t, made %d", opaque, b.kind.made)
	}
	value, opaque, told := b.sync(true, true)
	if value != "made-2" || opaque || len(told) != 1 || told[0] != "dataFrom[0]" {
		t.Errorf("%s, opaque %t, told %v", value, opaque, told)
	}
	b.want("and kept", "made-2")
}

// Equal inputs, opaque or not, have equal digests, so that nothing is written for
// nothing; another value has another.
func TestInputs(t *testing.T) {
	b := newBench(t)
	inputs := func() string {
		turn := b.g.Begin(b.es, Settings{Live: b.live, Now: b.clock.Now(), Interval: b.interval})
		got, err := gather.Values(t.Context(), b.es, gather.Source{Generate: turn.Values, Now: b.clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		v := turn.Inputs(got)["password"]
		if strings.Contains(v.RevealString(), "made-") {
			t.Error("the value itself is compared")
		}
		return v.RevealString()
	}
	b.want("first", "made-1")
	whole := inputs()
	b.live.Data["password"] = []byte("x")
	if inputs() != whole {
		t.Error("an opaque value compares otherwise")
	}
	b.clock.Step(time.Hour)
	if inputs() == whole {
		t.Error("another value compares the same")
	}
}

// No failure to generate lets a deletionPolicy act.
func TestFailures(t *testing.T) {
	b := newBench(t)
	b.kind.err = errs.New(errs.NotExist, "no such thing")
	b.es.Spec.Target.DeletionPolicy = v1.DeletionDelete
	turn := b.g.Begin(b.es, Settings{Now: noon})
	_, err := gather.Values(t.Context(), b.es, gather.Source{Generate: turn.Values, Now: b.clock.Now})
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), `Password "pw"`) {
		t.Error(err)
	}
	for ref, words := range map[v1.GeneratorRef]string{
		{Kind: "Password", Name: "absent"}:                      "create it",
		{Kind: "Nope", Name: "pw"}:                              "no such generator",
		{Kind: "UUID", Name: "pw"}:                              "create it",
		{Kind: "Password", Name: "pw", APIVersion: "v1"}:        "apiVersion",
		{Kind: generators.KindClusterGenerator, Name: "absent"}: "--no-cluster-stores",
	} {
		if _, err := b.g.Find(t.Context(), "team", ref); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%+v: %v, want %q", ref, err, words)
		}
	}
	var none *Generators
	if _, err := none.Find(t.Context(), "team", v1.GeneratorRef{}); !errs.Is(err, errs.Unsupported) {
		t.Error(err)
	}
	none.Forget(v1.KindExternalSecret, client.ObjectKeyFromObject(b.es))
}

// drawing is counting whose credentials live nowhere else.
type drawing struct{ *counting }

func (drawing) Keys(json.RawMessage) ([]string, error) { return []string{"password"}, nil }

// theirs makes the Secret one that another operator wrote.
func (b *bench) theirs(manager string) {
	b.live = &corev1.Secret{Data: map[string][]byte{"password": []byte("theirs")}}
	b.live.Annotations = map[string]string{target.AnnotationMark: "0123456789abcdef"}
	b.live.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, FieldsV1: &metav1.FieldsV1{Raw: []byte(`{"f:data":{"f:password":{}}}`)},
	}}
}

// What another operator drew is kept when its Secret is taken over, for as long as
// what we draw ourselves; and nothing else is.
func TestAdopted(t *testing.T) {
	b := newBench(t)
	b.g.cfg.Kinds["Password"] = drawing{b.kind}
	b.theirs(target.Manager("app"))
	b.want("taken over", "theirs")
	b.want("again", "theirs")
	b.clock.Step(time.Hour)
	b.want("the interval is over", "made-1")
	b.theirs(target.Manager("app"))
	b.live.Annotations["strongkeep.io/generated"] = `[{"of":"x"}]`
	b.want("taken over again", "theirs")

	b.theirs("kubectl")
	b.want("somebody else's value", "made-2")
	b.theirs(target.Manager("app"))
	b.live.Annotations[target.AnnotationMark] = "v1.a.b.c"
	b.want("the mark is ours", "made-3")
	b.theirs(target.Manager("app"))
	b.es.Spec.Target.Template = &v1.ExternalSecretTemplate{Data: map[string]string{"password": "x"}}
	b.want("a template made something of it", "made-4")
	b.es.Spec.Target.Template = nil
	b.es.Spec.DataFrom[0].Rewrite = []v1.Rewrite{{Regexp: &v1.RewriteRegexp{Source: "x", Target: "y"}}}
	b.theirs(target.Manager("app"))
	b.want("rewrite made something of it", "made-5")
	b.es.Spec.DataFrom[0].Rewrite = nil
	b.g.cfg.Kinds["Password"] = b.kind
	b.theirs(target.Manager("app"))
	b.want("it lives elsewhere", "made-6")
}

// Into a Secret that several write, what another operator drew is told by there being
// no record of ours.
func TestAdoptedShared(t *testing.T) {
	b := newBench(t)
	b.g.cfg.Kinds["Password"] = drawing{b.kind}
	b.es.Spec.Target.CreationPolicy = v1.CreateMerge
	b.theirs(target.Manager("app"))
	b.want("taken over", "theirs")
	key := target.New(b.es, nil).GeneratedKey()
	b.theirs(target.Manager("app"))
	b.live.Annotations[key] = `[{"of":"x"}]`
	b.want("a record of ours", "made-1")
}
