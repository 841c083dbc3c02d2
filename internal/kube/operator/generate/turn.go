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
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator/record"
	"github.com/strongkeep/strongkeep/internal/kube/generator/state"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Turn is one sync of one ExternalSecret. It is for one goroutine.
type Turn struct {
	user
	es       *v1.ExternalSecret
	live     *corev1.Secret // nil: there is none, or it is not ours
	have     record.Record
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
	u := user{
		g: g, key: client.ObjectKeyFromObject(es), now: s.Now, interval: s.Interval, holder: state.Holder{Kind: state.Secret, Name: target.Name(es)},
		ref: metav1.OwnerReference{APIVersion: v1.GroupVersion().String(), Kind: v1.KindExternalSecret, Name: es.Name, UID: es.UID},
	}
	t := &Turn{user: u, es: es, live: s.Live, onChange: s.OnChange, uses: map[int]*use{}}
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
	if got, ok := t.adopted(i, source, want); ok {
		return got, nil
	}
	have, found := t.have.Find(want.Of)
	if found {
		if p, ok := t.take(want.Of); ok && p.since == have.Made && p.state == have.State {
			t.drop(want.Of) // it was written, and nobody came to say so
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
	e.Asked = t.asked(t.onChange, t.es.Annotations)
	return e
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
			t.drop(u.entry.Of)
		}
	}
	return t.remade
}
