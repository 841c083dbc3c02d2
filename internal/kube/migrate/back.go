package migrate

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// between is the class of stores while they are handed back: nobody's. Whoever
// answered for them has let go, and the original does not look yet.
const between = "strongkeep.io-between"

// Back gives the stores of m the class they had. The original looks at an
// ExternalSecret of another class once and then never again by itself, and what it
// takes for changed it makes anew, generated credentials too. So each ExternalSecret
// and its Secret are left as the original leaves them, and it is told last. Back may be
// called again for what was partly handed back.
func (a *Mover) Back(ctx context.Context, m *Move) ([]Outcome, error) {
	key := make([]byte, sha256.Size)
	rand.Read(key)
	before := a.secrets(ctx, m, key)
	moved := map[v1.StoreKey]bool{}
	for _, s := range m.stores {
		if err := a.set(ctx, s, func(o v1.Store) bool {
			_, moved[v1.KeyOf(s)] = o.GetAnnotations()[AnnotationBefore]
			if !moved[v1.KeyOf(s)] || o.StoreSpec().Controller == between {
				return false
			}
			o.StoreSpec().Controller = between
			return true
		}); err != nil {
			return nil, err
		}
	}
	untold := a.each(ctx, m, moved, nil, a.mark)
	for _, s := range m.stores {
		if err := a.set(ctx, s, backToBefore); err != nil {
			return nil, err
		}
	}
	untold = a.each(ctx, m, moved, untold, a.tell)
	out := a.outcomes(m, before, a.secrets(ctx, m, key), nil)
	for i := range out {
		if err := untold[types.NamespacedName{Namespace: out[i].Namespace, Name: out[i].ExternalSecret}]; err != nil {
			out[i].Result, out[i].Wrong = fmt.Sprintf("%s; the original does not look at it until it, or its Secret, changes: %v", out[i].Result, err), true
		}
	}
	return out, nil
}

func backToBefore(o v1.Store) bool {
	class, moved := o.GetAnnotations()[AnnotationBefore]
	if !moved {
		return false
	}
	annotations := maps.Clone(o.GetAnnotations())
	delete(annotations, AnnotationBefore)
	o.SetAnnotations(annotations)
	o.StoreSpec().Controller = class
	return true
}

// each does f for every ExternalSecret of m that is handed back, and returns why it
// could not, with what could not before.
func (a *Mover) each(ctx context.Context, m *Move, moved map[v1.StoreKey]bool, failed map[types.NamespacedName]error, f func(context.Context, *v1.ExternalSecret) error) map[types.NamespacedName]error {
	out := maps.Clone(failed)
	if out == nil {
		out = map[types.NamespacedName]error{}
	}
	for _, es := range m.users {
		for _, key := range storesOf(es) {
			if !moved[key] {
				continue
			}
			if err := f(ctx, es); err != nil {
				out[client.ObjectKeyFromObject(es)] = err
			}
			break
		}
	}
	return out
}

// mark leaves the Secret of es as the original marks its own, so that it finds it as
// it wrote it.
func (a *Mover) mark(ctx context.Context, es *v1.ExternalSecret) error {
	if target.Policy(es) == v1.CreateNone {
		return nil
	}
	return try("Secret "+target.Name(es), func() error {
		var s corev1.Secret
		if err := a.Client.Get(ctx, types.NamespacedName{Namespace: es.Namespace, Name: target.Name(es)}, &s); err != nil {
			return client.IgnoreNotFound(err)
		}
		was := s.DeepCopy()
		s.Labels, s.Annotations = with(s.Labels, target.LabelManaged, target.LabelManagedTrue), with(s.Annotations, target.AnnotationMark, theirDigest(s.Data))
		return a.Client.Patch(ctx, &s, client.MergeFromWithOptions(was, client.MergeFromWithOptimisticLock{}), client.FieldOwner("strongkeep-cli"))
	})
}

// tell writes the status of es as the original has it of what is synced. What is not
// ready it is to look at as if it were new.
func (a *Mover) tell(ctx context.Context, es *v1.ExternalSecret) error {
	return try("the status of ExternalSecret "+es.Name, func() error {
		var now v1.ExternalSecret
		if err := a.Client.Get(ctx, client.ObjectKeyFromObject(es), &now); err != nil {
			return client.IgnoreNotFound(err)
		}
		synced := ""
		if v1.IsReady(now.Status.Conditions) {
			synced = theirVersion(&now)
		}
		status := map[string]any{"syncedResourceVersion": synced}
		if now.Status.SyncedResourceVersion == synced { // any write is heard, this one changes nothing
			status["refreshTime"] = metav1.NewTime(now.Status.RefreshTime.Add(-time.Second))
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": now.ResourceVersion}, "status": status})
		if err != nil {
			return err
		}
		return a.Client.Status().Patch(ctx, &now, client.RawPatch(types.MergePatchType, patch), client.FieldOwner("strongkeep-cli"))
	})
}

// try does f again while others write what it writes.
func try(what string, f func() error) error {
	for range 5 {
		err := f()
		switch {
		case apierrors.IsConflict(err):
			continue
		case apierrors.IsForbidden(err):
			return errs.Newf(errs.Denied, "writing %s: %w", what, err)
		case err != nil:
			return errs.Newf(errs.Unavailable, "writing %s: %w", what, err)
		}
		return nil
	}
	return errs.Newf(errs.Conflict, "%s changes all the time: who writes it?", what)
}

func with(m map[string]string, key, value string) map[string]string {
	out := maps.Clone(m)
	if out == nil {
		out = map[string]string{}
	}
	out[key] = value
	return out
}

// theirDigest is the original's mark of data, as it will write it there itself: a
// digest without a key, over Go's way to print the map.
func theirDigest(data any) string {
	sum := sha3.Sum224(fmt.Appendf(nil, "%+v", data))
	return hex.EncodeToString(sum[:])
}

// theirVersion is how the original says which state of es is synced: its generation,
// and a digest of its labels and annotations.
func theirVersion(es *v1.ExternalSecret) string {
	return fmt.Sprintf("%d-%s", es.Generation, theirDigest(struct{ annotations, labels map[string]string }{es.Annotations, es.Labels}))
}
