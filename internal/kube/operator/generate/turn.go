package generate

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/generator/record"
	"github.com/strongkeep/strongkeep/internal/kube/generator/state"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Turn is one sync of one ExternalSecret. It is for one goroutine.
type Turn struct {
	g        *Generators
	es       *v1.ExternalSecret
	key      types.NamespacedName
	live     *corev1.Secret // nil: there is none, or it is not ours
	have     record.Record
	now      time.Time
	interval time.Duration
	onChange string // changes whenever new credentials are wanted with refreshPolicy OnChange
	forced   bool

	uses   map[int]*use // by the index in dataFrom
	remade []string     // what was made although the record says that it was not due
}

// use is one use of a generator in a turn.
type use struct {
	entry  record.Entry
	opaque bool // the values are digests in place of values
	fresh  bool // made in this turn, or before and never written
}

// Settings are what a Turn begins with.
type Settings struct {
	// Live is the Secret as it is; nil when there is none, or not one of the object's.
	Live *corev1.Secret
	Now  time.Time
	// Interval is how long a credential is kept; 0: until something else asks.
	Interval time.Duration
	// OnChange, unless it is empty, is a state of the object: another one asks for
	// new credentials.
	OnChange string
}

// Begin begins a turn for es. A turn of nil Generators refuses every use.
func (g *Generators) Begin(es *v1.ExternalSecret, s Settings) *Turn {
	t := &Turn{
		g: g, es: es, key: client.ObjectKeyFromObject(es), live: s.Live, now: s.Now, interval: s.Interval, onChange: s.OnChange,
		uses: map[int]*use{},
	}
	if s.Live != nil {
		t.have = record.Parse(s.Live.Annotations[target.New(es, nil).GeneratedKey()])
	}
	return t
}

// Force has the next gathering make anew what could not be read from the Secret.
func (t *Turn) Force() { t.forced = true }

// Opaque reports whether values were gathered that are not the values.
func (t *Turn) Opaque() bool {
	for _, u := range t.uses {
		if u.opaque {
			return true
		}
	}
	return false
}

// askedBy are the annotations whose change asks for new credentials.
var askedBy = [...]string{"force-sync", "external-secrets.io/force-sync"} //nolint:gochecknoglobals // an array that nothing changes

// Values returns what the generator of dataFrom[i] gives: what the Secret holds
// unless that is due. It implements gather.Generate.
func (t *Turn) Values(ctx context.Context, i int) (gather.Generated, error) {
	ref := refOf(&t.es.Spec.DataFrom[i])
	source, err := t.g.Find(ctx, t.es.Namespace, *ref)
	if err != nil {
		return gather.Generated{}, err
	}
	if !t.g.Answers(source) {
		return gather.Generated{}, errs.Newf(errs.Unsupported, "%s is of class %q: another operator's", source, source.Class)
	}
	want := t.want(i, *ref, source)
	have, found := t.have.Find(want.Of)
	if found {
		if p, ok := t.g.take(t.key, want.Of); ok && p.since == have.Made && p.state == have.State {
			t.g.drop(t.key, want.Of) // it was written, and nobody came to say so
		}
		due, err := t.due(ctx, have, want)
		if err != nil {
			return gather.Generated{}, err
		}
		if !due {
			if got, ok := t.kept(i, have, want); ok {
				return got, nil
			}
		}
	}
	made, err := t.made(ctx, source, want)
	if err != nil {
		return gather.Generated{}, errs.Newf(kindOf(err), "%s: %w", source, err)
	}
	return made.into(t, i, want), nil
}

// kindOf is the kind of a failure to generate. There is no secret that could be
// missing, and so nothing that a deletionPolicy could be about.
func kindOf(err error) errs.Kind {
	if kind := errs.KindOf(err); kind != errs.NotExist {
		return kind
	}
	return errs.Unavailable
}

// want is the entry of a use as it must be, but for what is made.
func (t *Turn) want(i int, ref v1.GeneratorRef, s Source) record.Entry {
	nth := 0 // of those that say the same
	say := func(j int) string {
		f := &t.es.Spec.DataFrom[j]
		r := refOf(f)
		if r == nil {
			return ""
		}
		rewrite, _ := json.Marshal(f.Rewrite)
		return r.Kind + "\x00" + r.Name + "\x00" + string(rewrite)
	}
	for j := range i {
		if say(j) == say(i) {
			nth++
		}
	}
	e := record.Entry{
		Of: t.digest("use", say(i)+"\x00"+strconv.Itoa(nth)), Spec: t.digest("spec", string(s.Spec)), Object: s.object(),
	}
	asked := t.onChange
	for _, name := range askedBy {
		if text := t.es.Annotations[name]; text != "" {
			asked += "\x00" + name + "\x00" + text
		}
	}
	if asked != "" {
		e.Asked = t.digest("asked", asked)
	}
	return e
}

func (t *Turn) digest(purpose, text string) string {
	return t.g.cfg.Key.Digest("generated/"+purpose+"/"+t.key.String(), map[string][]byte{"": []byte(text)})
}

// due reports whether another credential is to be made in place of have.
func (t *Turn) due(ctx context.Context, have, want record.Entry) (bool, error) {
	if have.Object != want.Object && have.Spec != want.Spec || have.Asked != want.Asked {
		return true, nil
	}
	due, err := t.g.dueOf(ctx, t.es.Namespace, have, t.interval)
	return Reached(due.End, t.now) || Reached(due.Interval, t.now), err
}

// kept returns what the Secret holds, when it holds it as it was made.
func (t *Turn) kept(i int, have, want record.Entry) (gather.Generated, bool) {
	values := map[string]redact.Secret{}
	whole := true
	for key, digest := range have.Keys {
		value, ok := t.live.Data[key]
		if !ok || t.digest("value/"+key, string(value)) != digest {
			whole = false
			break
		}
		values[key] = redact.New(slices.Clone(value))
	}
	have.Object, have.Spec = want.Object, want.Spec // what says the same may be another object
	if whole {
		t.uses[i] = &use{entry: have}
		return gather.Generated{Values: values, Final: true}, true
	}
	if t.forced {
		t.remade = append(t.remade, fmt.Sprintf("dataFrom[%d]", i))
		return gather.Generated{}, false
	}
	for key, digest := range have.Keys {
		values[key] = redact.FromString(digest)
	}
	t.uses[i] = &use{entry: have, opaque: true}
	return gather.Generated{Values: values, Final: true}, true
}

// into notes a credential as that of dataFrom[i].
func (p pending) into(t *Turn, i int, want record.Entry) gather.Generated {
	want.State, want.Made = p.state, p.since
	if !p.made.Expires.IsZero() && p.state == "" {
		want.Expires = p.made.Expires.Unix()
	}
	t.uses[i] = &use{entry: want, fresh: true}
	return gather.Generated{Values: p.made.Data}
}

// made returns a credential that was made before and never written, or another.
func (t *Turn) made(ctx context.Context, source Source, want record.Entry) (pending, error) {
	if p, ok := t.g.take(t.key, want.Of); ok {
		good, err := t.usable(ctx, p, want)
		if err != nil || good {
			return p, err
		}
		t.g.drop(t.key, want.Of)
	}
	p := pending{owner: t.es.UID, spec: want.Spec, asked: want.Asked, object: want.Object, since: t.now.Unix()}
	var err error
	if p.made, p.state, err = t.make(ctx, source); err != nil {
		return p, err
	}
	t.g.keep(t.key, want.Of, p)
	return p, nil
}

// usable reports whether what was made before may still be written.
func (t *Turn) usable(ctx context.Context, p pending, want record.Entry) (bool, error) {
	if p.owner != t.es.UID || p.spec != want.Spec || p.asked != want.Asked {
		return false, nil
	}
	term := record.Term{Since: time.Unix(p.since, 0), Expires: p.made.Expires}
	if Reached(term.Due(), t.now) || t.interval > 0 && Reached(term.Since.Add(t.interval), t.now) {
		return false, nil
	}
	if p.state == "" {
		return true, nil
	}
	return t.g.cfg.States.Prolong(ctx, types.NamespacedName{Namespace: t.es.Namespace, Name: p.state}, time.Unix(p.since, 0))
}

// make makes a credential, with a state before it where it lives elsewhere.
func (t *Turn) make(ctx context.Context, source Source) (made generator.Made, name string, err error) {
	kind := t.g.cfg.Kinds[source.Kind]
	label := source.Kind
	if source.Through != "" {
		label = source.Through
	}
	cfg := generator.Config{
		Scope: provider.ScopeOfGenerator(label, source.Name, t.es.Namespace), Spec: source.Spec,
		Cluster: t.g.cfg.Cluster, Clock: t.g.cfg.Clock, Log: t.g.cfg.Log,
	}
	if _, lasting := kind.(generator.Revoker); !lasting {
		made, err = kind.Generate(ctx, cfg)
		return made, "", err
	}
	held, err := t.g.cfg.States.Begin(ctx, state.Origin{
		Owner: metav1.OwnerReference{APIVersion: v1.GroupVersion().String(), Kind: v1.KindExternalSecret, Name: t.es.Name, UID: t.es.UID},
		Key:   t.key, Secret: target.Name(t.es), Kind: source.Kind, Through: source.Through, Name: source.Name, Spec: source.Spec,
	})
	if err != nil {
		return made, "", err
	}
	cfg.Note = held.Note
	if made, err = kind.Generate(ctx, cfg); err != nil {
		t.undone(ctx, held.Abandon)
		return made, "", err
	}
	kept, err := held.Made(ctx, made)
	if err != nil {
		t.undone(ctx, func(ctx context.Context) error { return revoke(ctx, kind, cfg, made.Known) })
		return made, "", err
	}
	if !kept {
		return made, "", nil
	}
	return made, held.Name(), nil
}

func revoke(ctx context.Context, kind generator.Kind, cfg generator.Config, known json.RawMessage) error {
	if r, ok := kind.(generator.Revoker); ok && known != nil {
		return r.Revoke(ctx, cfg, known)
	}
	return nil
}

// undone tidies up after a credential that is not used, also when the operator
// ends. Where it cannot, the state's deadline does.
func (t *Turn) undone(ctx context.Context, tidy func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := tidy(ctx); err != nil {
		t.g.cfg.Log.Info("a credential that is not used is taken back later", "externalSecret", t.key.String(), "error", err)
	}
}

// Inputs returns what the Secret is made from, with digests in place of what was
// generated, so that a value that cannot be read back compares as well as one that can.
func (t *Turn) Inputs(got gather.Result) map[string]redact.Secret {
	if len(t.uses) == 0 {
		return got.Data
	}
	out := maps.Clone(got.Data)
	for key, i := range got.Generated {
		if u := t.uses[i]; u != nil && !u.opaque {
			out[key] = redact.FromString(t.digest("value/"+key, got.Made[key].RevealString()))
		}
	}
	return out
}

// Record returns the annotation for a Secret made of got.
func (t *Turn) Record(got gather.Result) (string, error) {
	var r record.Record
	for _, i := range slices.Sorted(maps.Keys(t.uses)) {
		u := t.uses[i]
		if !u.opaque {
			u.entry.Keys = map[string]string{}
			for key, by := range got.Generated {
				if by == i {
					u.entry.Keys[key] = t.digest("value/"+key, got.Made[key].RevealString())
				}
			}
		}
		r = append(r, u.entry)
	}
	return r.Format()
}

// Written drops what was kept for the Secret, which holds it now, and returns what
// there is to tell.
func (t *Turn) Written() []string {
	for _, u := range t.uses {
		if u.fresh {
			t.g.drop(t.key, u.entry.Of)
		}
	}
	return t.remade
}
