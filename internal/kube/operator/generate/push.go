package generate

import (
	"context"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator/record"
	"github.com/strongkeep/strongkeep/internal/kube/generator/state"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// AnnotationPushed of a PushSecret is a record of what its stores hold:
// the credential that was pushed to all of them, and, with Of empty, those that may
// be in some since a push was begun and not ended.
const AnnotationPushed = record.Annotation

// Push is one push of what a generator makes. A value that was pushed is nowhere to
// be read, so that whatever is to be pushed elsewhere is made anew. It is for one
// goroutine.
type Push struct {
	user
	ps   *v1alpha1.PushSecret
	also string
	have record.Record
	with pending // what is being pushed
	want record.Entry
}

// PushSettings are what a Push begins with.
type PushSettings struct {
	Now time.Time
	// Interval is how long a credential is kept; 0: until something else asks.
	Interval time.Duration
	// Asked is a state of what is pushed where: another one asks for new credentials.
	Asked string
}

// BeginPush begins a push for ps, which names a generator. Of nil Generators it refuses.
func (g *Generators) BeginPush(ps *v1alpha1.PushSecret, s PushSettings) *Push {
	return &Push{
		ps: ps, also: s.Asked, have: record.Parse(ps.Annotations[AnnotationPushed]),
		user: user{
			g: g, key: client.ObjectKeyFromObject(ps), now: s.Now, interval: s.Interval, salt: "pushsecret/",
			holder: state.Holder{Kind: state.PushSecret, Name: ps.Name},
			ref:    metav1.OwnerReference{APIVersion: v1alpha1.GroupVersion().String(), Kind: v1alpha1.KindPushSecret, Name: ps.Name, UID: ps.UID},
		},
	}
}

// wish returns the generator, and the entry of the record as it must be but for what
// is made.
func (p *Push) wish(ctx context.Context) (Source, record.Entry, error) {
	ref := p.ps.Spec.Selector.GeneratorRef
	source, err := p.g.Find(ctx, p.ps.Namespace, *ref)
	if err != nil {
		return source, record.Entry{}, err
	}
	if !p.g.Answers(source) {
		return source, record.Entry{}, errs.Newf(errs.Unsupported, "%s is of class %q: another operator's", source, source.Class)
	}
	return source, record.Entry{
		Of: p.digest("use", ref.Kind+"\x00"+ref.Name), Spec: p.digest("spec", string(source.Spec)), Object: source.object(),
		Asked: p.asked(p.also, p.ps.Annotations),
	}, nil
}

// Due reports whether another credential is to be made and pushed.
func (p *Push) Due(ctx context.Context) (bool, error) {
	_, want, err := p.wish(ctx)
	if err != nil {
		return false, err
	}
	have, found := p.have.Find(want.Of)
	if !found || len(p.have) > 1 { // a push was begun and not ended
		return true, nil
	}
	return p.due(ctx, have, want)
}

// Values returns what is to be pushed: what was made before and is not in all stores
// yet, or another credential.
func (p *Push) Values(ctx context.Context) (map[string]redact.Secret, error) {
	source, want, err := p.wish(ctx)
	if err != nil {
		return nil, err
	}
	if p.with, err = p.made(ctx, source, want); err != nil {
		return nil, errs.Newf(kindOf(err), "%s: %w", source, err)
	}
	want.State, want.Made = p.with.state, p.with.since
	if !p.with.made.Expires.IsZero() && p.with.state == "" {
		want.Expires = p.with.made.Expires.Unix()
	}
	p.want = want
	return p.with.made.Data, nil
}

// Begun returns the annotation for a PushSecret whose stores are about to be written:
// it names every state that one of them may hold then.
func (p *Push) Begun() (string, error) {
	r := record.Record{}
	for _, name := range append(states(p.have), p.with.state) {
		if name != "" && !slices.ContainsFunc(r, func(e record.Entry) bool { return e.State == name }) {
			r = append(r, record.Entry{State: name})
		}
	}
	return r.Format()
}

// states returns the names of the states of a record.
func states(r record.Record) (names []string) {
	for _, e := range r {
		names = append(names, e.State)
	}
	return names
}

// Ended returns the annotation for a PushSecret whose stores all hold the credential.
func (p *Push) Ended() (string, error) { return record.Record{p.want}.Format() }

// Written drops what was kept for the stores, which hold it now.
func (p *Push) Written() { p.drop(p.want.Of) }

// Pushed returns when what ps pushed must be made anew, whatever its interval: near
// its end. The zero time is never.
func (g *Generators) Pushed(ctx context.Context, ps *v1alpha1.PushSecret) (time.Time, error) {
	if ps.Spec.Selector.GeneratorRef == nil {
		return time.Time{}, nil
	}
	r := record.Parse(ps.Annotations[AnnotationPushed])
	due, err := g.Due(ctx, ps.Namespace, slices.DeleteFunc(r, func(e record.Entry) bool { return e.Of == "" }), 0)
	return due.End, err
}

// Version tells a generator from another, or from itself changed. An error is one
// that Find returns.
func (g *Generators) Version(ctx context.Context, namespace string, ref v1.GeneratorRef) (version string, ours bool, err error) {
	source, err := g.Find(ctx, namespace, ref)
	if err != nil {
		return "", true, err
	}
	return source.object(), g.Answers(source), nil
}

// ForgetPush drops what is kept for a PushSecret that is gone.
func (g *Generators) ForgetPush(key types.NamespacedName) { g.Forget(v1alpha1.KindPushSecret, key) }
