package generate

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/generator/record"
	"github.com/strongkeep/strongkeep/internal/kube/generator/state"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// user is for whom credentials are made, and what is to hold them.
type user struct {
	g        *Generators
	ref      metav1.OwnerReference
	key      types.NamespacedName
	holder   state.Holder
	salt     string // tells digests of kinds of users apart
	now      time.Time
	interval time.Duration
}

// slot is where what was made for a user is kept.
func (u *user) slot() slot { return slot{u.ref.Kind, u.key} }

func (u *user) take(of string) (pending, bool) { return u.g.take(u.slot(), of) }
func (u *user) drop(of string)                 { u.g.drop(u.slot(), of) }
func (u *user) keep(of string, p pending)      { u.g.keep(u.slot(), of, p) }

// askedBy are the annotations whose change asks for new credentials.
var askedBy = [...]string{"force-sync", "external-secrets.io/force-sync"} //nolint:gochecknoglobals // an array that nothing changes

// asked returns the MAC of what asks for new credentials, "" for nothing.
func (u *user) asked(also string, annotations map[string]string) string {
	for _, name := range askedBy {
		if text := annotations[name]; text != "" {
			also += "\x00" + name + "\x00" + text
		}
	}
	if also == "" {
		return ""
	}
	return u.digest("asked", also)
}

// kindOf is the kind of a failure to generate. There is no secret that could be
// missing, and so nothing that a deletionPolicy could be about.
func kindOf(err error) errs.Kind {
	if kind := errs.KindOf(err); kind != errs.NotExist {
		return kind
	}
	return errs.Unavailable
}

func (u *user) digest(purpose, text string) string {
	return u.g.cfg.Key.Digest("generated/"+u.salt+purpose+"/"+u.key.String(), map[string][]byte{"": []byte(text)})
}

// due reports whether another credential is to be made in place of have.
func (u *user) due(ctx context.Context, have, want record.Entry) (bool, error) {
	if have.Object != want.Object && have.Spec != want.Spec || have.Asked != want.Asked {
		return true, nil
	}
	due, err := u.g.dueOf(ctx, u.key.Namespace, have, u.interval)
	return Reached(due.End, u.now) || Reached(due.Interval, u.now), err
}

// made returns a credential that was made before and never written, or another.
func (u *user) made(ctx context.Context, source Source, want record.Entry) (pending, error) {
	if p, ok := u.take(want.Of); ok {
		good, err := u.usable(ctx, p, want)
		if err != nil || good {
			return p, err
		}
		u.drop(want.Of)
	}
	p := pending{owner: u.ref.UID, spec: want.Spec, asked: want.Asked, object: want.Object, since: u.now.Unix()}
	var err error
	if p.made, p.state, err = u.make(ctx, source); err != nil {
		return p, err
	}
	u.keep(want.Of, p)
	return p, nil
}

// usable reports whether what was made before may still be written.
func (u *user) usable(ctx context.Context, p pending, want record.Entry) (bool, error) {
	if p.owner != u.ref.UID || p.spec != want.Spec || p.asked != want.Asked {
		return false, nil
	}
	term := record.Term{Since: time.Unix(p.since, 0), Expires: p.made.Expires}
	if Reached(term.Due(), u.now) || u.interval > 0 && Reached(term.Since.Add(u.interval), u.now) {
		return false, nil
	}
	if p.state == "" {
		return true, nil
	}
	return u.g.cfg.States.Prolong(ctx, types.NamespacedName{Namespace: u.key.Namespace, Name: p.state}, time.Unix(p.since, 0))
}

// make makes a credential, with a state before it where it lives elsewhere.
func (u *user) make(ctx context.Context, source Source) (made generator.Made, name string, err error) {
	kind := u.g.cfg.Kinds[source.Kind]
	label := source.Kind
	if source.Through != "" {
		label = source.Through
	}
	cfg := generator.Config{
		Scope: provider.ScopeOfGenerator(label, source.Name, u.key.Namespace), Spec: source.Spec,
		Cluster: u.g.cfg.Cluster, Clock: u.g.cfg.Clock, Log: u.g.cfg.Log,
	}
	if _, lasting := kind.(generator.Revoker); !lasting {
		made, err = kind.Generate(ctx, cfg)
		return made, "", err
	}
	held, err := u.g.cfg.States.Begin(ctx, state.Origin{
		Owner: u.ref, Key: u.key, Holder: u.holder, Kind: source.Kind, Through: source.Through, Name: source.Name, Spec: source.Spec,
	})
	if err != nil {
		return made, "", err
	}
	cfg.Note = held.Note
	if made, err = kind.Generate(ctx, cfg); err != nil {
		u.undone(ctx, held.Abandon)
		return made, "", err
	}
	kept, err := held.Made(ctx, made)
	if err != nil {
		u.undone(ctx, func(ctx context.Context) error { return revoke(ctx, kind, cfg, made.Known) })
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
func (u *user) undone(ctx context.Context, tidy func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := tidy(ctx); err != nil {
		u.g.cfg.Log.Info("a credential that is not used is taken back later", strings.ToLower(u.ref.Kind), u.key.String(), "error", err)
	}
}
