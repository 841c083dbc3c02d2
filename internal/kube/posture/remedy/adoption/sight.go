package adoption

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	selector "k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// sights see every state of the Secrets of an adoption from one moment on. A look at the
// end alone would not see a write that the operator's went over.
type sights []*sight

// sight is that of one Secret.
type sight struct {
	*taken
	*Adopter
	key    []byte // of digests
	seen   string // resourceVersion of the newest state that was looked at
	states watch.Interface
	// gone is what became of the object, "" for nothing; other says that it held something
	// else, by whom, and lost that afterwards it held what it had again.
	gone, by    string
	other, lost bool
}

// watch begins to look. The caller closes what it gets. Conflict: a Secret is not what it
// was when p was made.
func (a *Adopter) watch(ctx context.Context, p *Adoption) (sights, error) {
	var out sights
	for i := range p.taken {
		x := &sight{taken: &p.taken[i], Adopter: a, key: p.key}
		s, err := a.secret(ctx, x.NamespacedName)
		if err == nil {
			x.judge(s)
			err = x.open(ctx)
		}
		if err == nil {
			out = append(out, x)
			err = x.err()
		}
		if err != nil {
			out.close()
			return nil, err
		}
	}
	return out, nil
}

func (all sights) close() {
	for _, x := range all {
		x.states.Stop()
	}
}

// open has the states behind the newest that was looked at come, each of them.
func (x *sight) open(ctx context.Context) error {
	w, err := x.Client.Watch(ctx, &corev1.SecretList{}, &client.ListOptions{
		Namespace: x.Namespace, FieldSelector: selector.OneTermEqualSelector(metav1.ObjectNameField, x.Name), Raw: &metav1.ListOptions{ResourceVersion: x.seen},
	})
	if err != nil {
		return explain(err, "watching Secret "+x.String()+", so that no write of others is missed (it takes watch on it)")
	}
	x.states = w
	return nil
}

// look looks at the states that have come.
func (all sights) look(ctx context.Context) error {
	for _, x := range all {
		for more := true; more; {
			select {
			case e, open := <-x.states.ResultChan():
				if err := x.take(ctx, e, open); err != nil {
					return err
				}
				more = open
			default:
				more = false
			}
		}
		if err := x.err(); err != nil {
			return err
		}
	}
	return nil
}

// comes bounds how long a state may be on its way.
const comes = 30 * time.Second

// settle looks at all states until now.
func (all sights) settle(ctx context.Context) error {
	for _, x := range all {
		live, err := x.secret(ctx, x.NamespacedName)
		switch {
		case errs.Is(err, errs.NotExist):
			x.gone = deleted
		case err != nil:
			return err
		default:
			err = x.until(ctx, live.ResourceVersion)
		}
		if other := x.err(); other != nil {
			return other
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// until looks at the states up to one.
func (x *sight) until(ctx context.Context, version string) error {
	bound := time.NewTimer(comes)
	defer bound.Stop()
	for x.seen != version && x.gone == "" {
		select {
		case <-bound.C:
			return errs.Newf(errs.Unavailable, "what became of Secret %s meanwhile was not told in %s: look who has written it", x, comes)
		case e, open := <-x.states.ResultChan():
			if err := x.take(ctx, e, open); err != nil {
				return err
			}
		}
	}
	return nil
}

const deleted = "was deleted"

// take looks at one state. Where an API server ends a watch, it is gone on with from the
// state that was seen last.
func (x *sight) take(ctx context.Context, e watch.Event, open bool) error {
	s, is := e.Object.(*corev1.Secret)
	switch {
	case !open && ctx.Err() != nil:
		return ctx.Err()
	case !open:
		return x.open(ctx)
	case e.Type == watch.Error:
		return explain(apierrors.FromObject(e.Object), "watching Secret "+x.String()+": what became of it meanwhile is not known, look who has written it")
	case !is || s.Name != x.Name: // a fake gives all of the namespace
	case e.Type == watch.Deleted:
		x.gone = deleted
	default:
		x.judge(s)
	}
	return nil
}

// judge compares a state with what it was to be.
func (x *sight) judge(s *corev1.Secret) {
	x.seen = s.ResourceVersion
	same := digest(x.key, s.Data) == x.digest
	switch {
	case x.gone != "":
	case s.UID != x.uid:
		x.gone = "is another object now"
	case !same:
		x.other, x.lost, x.by = true, false, writer(s)
	case x.other:
		x.lost = true
	}
}

func (x *sight) err() error {
	switch {
	case x.gone != "":
		return errs.Newf(errs.Conflict, "Secret %s %s", x, x.gone)
	case x.other && x.lost:
		return errs.Newf(errs.Conflict, "Secret %s held something else meanwhile%s, and holds what it had again: that write was undone", x, x.by)
	case x.other:
		return errs.Newf(errs.Conflict, "Secret %s holds something else now%s", x, x.by)
	}
	return nil
}

// writer says who wrote a state, as far as its managedFields do.
func writer(s *corev1.Secret) string {
	var last *metav1.ManagedFieldsEntry
	for i := range s.ManagedFields {
		if m := &s.ManagedFields[i]; m.Time != nil && (last == nil || !m.Time.Before(last.Time)) {
			last = m
		}
	}
	if last == nil {
		return ""
	}
	return fmt.Sprintf(" (written by %q at %s)", last.Manager, last.Time.UTC().Format(time.RFC3339))
}
