package state

import (
	"context"
	"encoding/json"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/generator/record"
)

// What a state of ours carries.
const (
	// Finalizer is not that of the External Secrets Operator, which would take its
	// own off without taking a lease back.
	Finalizer = "generatorstate.strongkeep.io/revoke"
	// AnnotationSecret names the Secret that is to hold the credential, AnnotationPush
	// the PushSecret that says whether a store does.
	AnnotationSecret = "strongkeep.io/secret"
	AnnotationPush   = "strongkeep.io/pushsecret"
	// AnnotationKeep, of the owner, is how long a credential stays good after
	// another took its place, such as "1h"; no less than Grace.
	AnnotationKeep = "strongkeep.io/keep-previous"
)

// Grace is how long a credential stays good after another took its place.
const Grace = 2 * time.Minute

// Settle is how long the cache of states may be behind one that was made.
const Settle = time.Minute

// unused is how long a credential may wait until a Secret holds it. Whoever writes
// it makes sure before that half of it is left.
const unused = 10 * time.Minute

// Keeper makes states and keeps them for who uses them. It is safe for concurrent use.
type Keeper struct {
	Client client.Client // writes; reads come from a cache of GeneratorStates
	Clock  clock.PassiveClock
	Seal   Seal
}

// Origin is what a credential is made of, for whom.
type Origin struct {
	Owner   metav1.OwnerReference
	Key     types.NamespacedName // of the owner
	Holder  Holder               // that is to hold it
	Kind    string               // of the generator
	Through string               // ClusterGenerator, or ""
	Name    string
	Spec    json.RawMessage
}

// The kinds of holders.
const (
	Secret     = "Secret"
	PushSecret = "PushSecret"
)

// Holder is an object of the owner's namespace whose annotations name the states of
// the credentials that are in use (record.Names).
type Holder struct{ Kind, Name string }

// HolderOf returns the holder of a state.
func HolderOf(s client.Object) Holder {
	if name := s.GetAnnotations()[AnnotationPush]; name != "" {
		return Holder{PushSecret, name}
	}
	return Holder{Secret, s.GetAnnotations()[AnnotationSecret]}
}

func (h Holder) annotations() map[string]string {
	if h.Kind == PushSecret {
		return map[string]string{AnnotationPush: h.Name}
	}
	return map[string]string{AnnotationSecret: h.Name}
}

// Held is a state that was made for a credential that is being made. It is for one
// goroutine.
type Held struct {
	keeper *Keeper
	object *v1alpha1.GeneratorState
	from   resource
	is     envelope
}

// Begin makes a state before its credential is.
func (k *Keeper) Begin(ctx context.Context, o Origin) (*Held, error) {
	h := &Held{keeper: k, is: envelope{Version: 1}}
	h.object = &v1alpha1.GeneratorState{ObjectMeta: metav1.ObjectMeta{
		Namespace: o.Key.Namespace, GenerateName: prefix(o.Key.Name), Finalizers: []string{Finalizer},
		OwnerReferences: []metav1.OwnerReference{o.Owner}, Annotations: o.Holder.annotations(),
	}}
	h.from = resource{
		APIVersion: v1alpha1.GroupVersion().String(), Kind: o.Kind, Through: o.Through, Spec: o.Spec,
		Metadata: map[string]string{"name": o.Name, "namespace": o.Key.Namespace},
	}
	shown, err := k.Seal.shown(o.Key.Namespace, h.from)
	if err != nil {
		return nil, err
	}
	if h.object.Spec.Resource, err = raw(shown); err != nil {
		return nil, err
	}
	h.object.Spec.GarbageCollectionDeadline = timeOf(k.Clock.Now().Add(unused))
	if h.object.Spec.State, err = raw(h.is); err != nil {
		return nil, err
	}
	if err := k.Client.Create(ctx, h.object); err != nil {
		return nil, refused("making", err)
	}
	return h, nil
}

// prefix returns the beginning of a state's name.
func prefix(owner string) string {
	return "gen-" + owner[:min(len(owner), 200)] + "-"
}

func refused(doing string, err error) error {
	kind := errs.Unavailable
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		kind = errs.Conflict
	case apierrors.IsForbidden(err):
		kind = errs.Denied
	case apierrors.IsInvalid(err):
		kind = errs.Invalid
	}
	return errs.Newf(kind, "%s a GeneratorState: %w", doing, err)
}

// Name returns the state's name.
func (h *Held) Name() string { return h.object.Name }

// Note writes down what is known; see generator.Config.
func (h *Held) Note(ctx context.Context, known json.RawMessage) error {
	h.is.Known = known
	return h.write(ctx)
}

// Made writes down what became of it. Where there is nothing to take back the
// state is deleted and kept is false.
func (h *Held) Made(ctx context.Context, made generator.Made) (kept bool, err error) {
	if made.Known == nil {
		return false, h.Drop(ctx)
	}
	h.is.Known = made.Known
	h.is.setTerm(record.Term{Since: h.keeper.Clock.Now(), Expires: made.Expires, Renewable: made.Renewable})
	return true, h.write(ctx)
}

// Drop deletes a state of which nothing is to be taken back.
func (h *Held) Drop(ctx context.Context) error { return release(ctx, h.keeper.Client, h.object, h.is) }

// Abandon ends a state whose credential was not made: what is known of it is taken
// back soon, and a state of which nothing is known goes at once.
func (h *Held) Abandon(ctx context.Context) error {
	if h.is.Known == nil {
		return h.Drop(ctx)
	}
	h.object.Spec.GarbageCollectionDeadline = timeOf(h.keeper.Clock.Now())
	return h.write(ctx)
}

func (h *Held) write(ctx context.Context) error {
	h.is.Seal = h.keeper.Seal.of(h.object.Namespace, h.from, h.is.Known)
	state, err := raw(h.is)
	if err != nil {
		return err
	}
	h.object.Spec.State = state
	if err := h.keeper.Client.Update(ctx, h.object); err != nil {
		return refused("writing", err)
	}
	return nil
}

// release takes the finalizer off and deletes a state, which says so before, for who
// comes after one that was killed in between. One that is gone is no error.
func release(ctx context.Context, c client.Client, s *v1alpha1.GeneratorState, e envelope) error {
	if controllerutil.RemoveFinalizer(s, Finalizer) {
		e.Done = true
		state, err := raw(e)
		if err != nil {
			return err
		}
		s.Spec.State = state
		if err := c.Update(ctx, s); err != nil {
			return client.IgnoreNotFound(err)
		}
	}
	return remove(ctx, c, s)
}

func remove(ctx context.Context, c client.Client, s *v1alpha1.GeneratorState) error {
	if !s.DeletionTimestamp.IsZero() {
		return nil
	}
	return client.IgnoreNotFound(c.Delete(ctx, s, client.Preconditions{UID: &s.UID}))
}

// Prolong makes sure that a credential that no Secret holds yet is not taken back
// while one is written. false: it is, or was, and must not be used. The write is what
// shows that the cache is right: Conflict means to look again. So it does where the
// cache has not seen a state that was made just before.
func (k *Keeper) Prolong(ctx context.Context, name types.NamespacedName, made time.Time) (bool, error) {
	var s v1alpha1.GeneratorState
	if err := k.Client.Get(ctx, name, &s); err != nil {
		if apierrors.IsNotFound(err) {
			if k.Clock.Since(made) < Settle {
				return false, errs.Newf(errs.Conflict, "GeneratorState %q is not in the cache yet, or was deleted", name)
			}
			return false, nil
		}
		return false, refused("reading", err)
	}
	e, _, err := read(&s)
	if err != nil || e.Claimed || e.Known == nil || !s.DeletionTimestamp.IsZero() {
		return false, nil //nolint:nilerr // what cannot be read must not be used
	}
	s.Spec.GarbageCollectionDeadline = timeOf(k.Clock.Now().Add(unused))
	if err := k.Client.Update(ctx, &s); err != nil {
		return false, refused("writing", err)
	}
	return true, nil
}

// Term returns how long the credential of a state lives, from the cache. false: the
// state is gone or going, and its credential with it.
func (k *Keeper) Term(ctx context.Context, name types.NamespacedName) (t record.Term, good bool, err error) {
	var s v1alpha1.GeneratorState
	if err := k.Client.Get(ctx, name, &s); err != nil {
		if apierrors.IsNotFound(err) {
			return t, false, nil
		}
		return t, false, refused("reading", err)
	}
	e, _, err := read(&s)
	if err != nil || e.Claimed || !s.DeletionTimestamp.IsZero() {
		return t, false, nil //nolint:nilerr // as if it were gone
	}
	return e.term(), true, nil
}
