package pushsecret

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// How long what was pushed holds up a deletion that it is part of. A namespace that does
// not go holds up whoever wants it gone, and nobody can put anything into it any more
// that would help.
const (
	settle = time.Minute // when the credentials of its store are gone
	giveUp = time.Hour   // whatever is wrong
)

// hopeless reports whether what ps pushed to a store (nil: one that it may not use) is to be
// let go, for which err came: ps is being deleted, together with the store or with the whole
// namespace. Who deletes a PushSecret alone is waited for.
func (w *work) hopeless(ctx context.Context, store v1.Store, err error) bool {
	together := store != nil && !store.GetDeletionTimestamp().IsZero() || w.r.lookup().Ending(ctx, w.ps.Namespace) != nil
	credentials := errors.Is(err, provider.ErrReference) && store != nil && store.StoreKind() == v1.KindSecretStore // which go with it
	wait := giveUp
	if credentials {
		wait = settle
	}
	d := w.ps.DeletionTimestamp
	return together && !d.IsZero() && w.r.Clock.Now().Sub(d.Time) >= wait
}

// leave forgets what was pushed to a store, and says so: in the log, in a metric, and in
// an event, which of a namespace that is being deleted is about the namespace, for there can
// be none in it: others read that, so it names no place.
func (w *work) leave(ctx context.Context, store string, places []string, why string) {
	text := fmt.Sprintf("what was pushed to %s stays there: %s; %s", store, strings.Join(places, ", "), why)
	for _, place := range places {
		delete(w.synced[store], place)
	}
	w.r.Metrics.Left(len(places))
	w.r.Log.Warn("what was pushed is left behind", "pushSecret", w.ps.Namespace+"/"+w.ps.Name, "store", store, "places", places, "why", why)
	w.r.warn(w.ps, "LeftBehind", text)
	if ns := w.r.lookup().Ending(ctx, w.ps.Namespace); ns != nil {
		w.r.Event(ns, corev1.EventTypeWarning, "LeftBehind", fmt.Sprintf("PushSecret %q: %d of what was pushed to %s stays there; the log of the operator says what and why", w.ps.Name, len(places), store))
	}
}
