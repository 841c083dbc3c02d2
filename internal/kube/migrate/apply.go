package migrate

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/externalsecret"
	"github.com/strongkeep/strongkeep/internal/kube/operator/externalsecret/timing"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

type partial = metav1.PartialObjectMetadata

func partialOf(s *corev1.Secret) *partial { return &partial{ObjectMeta: s.ObjectMeta} }

func referred(es *v1.ExternalSecret) []v1.SecretStoreRef {
	return slices.DeleteFunc(gather.Stores(&es.Spec), func(r v1.SecretStoreRef) bool { return r.Name == "" })
}

// names reports whether a reference of a PushSecret in namespace names s.
func names(name, kind string, selector *metav1.LabelSelector, namespace string, s v1.Store) bool {
	if kind == "" {
		kind = v1.KindSecretStore
	}
	if s.StoreKind() != kind || kind == v1.KindSecretStore && s.GetNamespace() != namespace {
		return false
	}
	if selector != nil {
		chosen, err := metav1.LabelSelectorAsSelector(selector)
		return err == nil && chosen.Matches(labels.Set(s.GetLabels()))
	}
	return s.GetName() == name
}

func tied(m *Move, asked []string) error {
	var shared []string
	for _, s := range m.stores {
		if s.StoreKind() == v1.KindClusterSecretStore {
			shared = append(shared, s.GetName())
		}
	}
	return errs.Newf(errs.Invalid, "namespace %s moves together with %s, which use the same ClusterSecretStores (%s): give -n %s",
		asked[0], strings.Join(m.Namespaces, ", "), strings.Join(shared, ", "), strings.Join(m.Namespaces, ","))
}

func nothing(namespace string) error {
	return errs.Newf(errs.NotExist, "namespace %s has no SecretStore and no ExternalSecret: there is nothing to move", namespace)
}

// Mover moves stores to a class and back.
type Mover struct {
	Client client.Client
	Class  string
	// Wait is how long the operator may take for all of a move; 0: it is not waited for.
	Wait time.Duration
	Now  func() time.Time
}

// Outcome is what came of one Secret.
type Outcome struct {
	Namespace      string `json:"namespace"`
	ExternalSecret string `json:"externalSecret"`
	Secret         string `json:"secret,omitempty"`
	Result         string `json:"result"`
	// Wrong: not as it was promised.
	Wrong bool `json:"wrong,omitempty"`
}

// seen is what is known of a Secret, by a digest that nobody else can make.
type seen struct {
	uid    types.UID
	digest string
	err    error // why it is not known
}

// Apply gives the stores of m the class, waits until the operator has taken over
// every ExternalSecret that was ready, and says of each Secret whether it is the same
// object with the same data. It may be called again for what was partly moved.
func (a *Mover) Apply(ctx context.Context, m *Move) ([]Outcome, error) {
	key := make([]byte, sha256.Size)
	rand.Read(key)
	before := a.secrets(ctx, m, key)
	for _, s := range m.stores {
		if err := a.set(ctx, s, func(o v1.Store) bool {
			if o.StoreSpec().Controller == a.Class {
				return false
			}
			annotations := maps.Clone(o.GetAnnotations())
			if annotations == nil {
				annotations = map[string]string{}
			}
			if o.StoreSpec().Controller != between {
				annotations[AnnotationBefore] = o.StoreSpec().Controller
			}
			o.SetAnnotations(annotations)
			o.StoreSpec().Controller = a.Class
			return true
		}); err != nil {
			return nil, err
		}
	}
	late, err := a.await(ctx, m)
	if err != nil {
		return nil, err
	}
	return a.outcomes(m, before, a.secrets(ctx, m, key), late), nil
}

// set changes a store as it is now, if f does.
func (a *Mover) set(ctx context.Context, s v1.Store, f func(v1.Store) bool) error {
	for range 5 {
		now, ok := s.DeepCopyObject().(v1.Store)
		if !ok {
			return errs.Newf(errs.Internal, "copying a %s", s.StoreKind())
		}
		if err := a.Client.Get(ctx, client.ObjectKeyFromObject(s), now); err != nil {
			return errs.Newf(errs.Unavailable, "reading %s: %w", v1.KeyOf(s), err)
		}
		before, _ := now.DeepCopyObject().(v1.Store)
		if !f(now) {
			return nil
		}
		err := a.Client.Patch(ctx, now, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), client.FieldOwner("strongkeep-cli"))
		switch {
		case apierrors.IsConflict(err):
			continue
		case apierrors.IsForbidden(err):
			return errs.Newf(errs.Denied, "changing %s: %w", v1.KeyOf(s), err)
		case err != nil:
			return errs.Newf(errs.Unavailable, "changing %s: %w", v1.KeyOf(s), err)
		}
		return nil
	}
	return errs.Newf(errs.Conflict, "%s changes all the time: who writes it?", v1.KeyOf(s))
}

// secrets reads what the Secrets of m are.
func (a *Mover) secrets(ctx context.Context, m *Move, key []byte) map[types.NamespacedName]seen {
	out := map[types.NamespacedName]seen{}
	for _, es := range m.users {
		name := types.NamespacedName{Namespace: es.Namespace, Name: target.Name(es)}
		if target.Policy(es) == v1.CreateNone {
			continue
		}
		var s corev1.Secret
		if err := a.Client.Get(ctx, name, &s); err != nil {
			out[name] = seen{err: err}
			continue
		}
		h := hmac.New(sha256.New, key)
		for _, k := range slices.Sorted(maps.Keys(s.Data)) {
			_, _ = fmt.Fprintf(h, "%q=%x;", k, s.Data[k])
		}
		out[name] = seen{uid: s.UID, digest: string(h.Sum(nil))}
	}
	return out
}

// lookEvery is how often it is looked whether the operator has taken over.
const lookEvery = 300 * time.Millisecond

// await waits until every ExternalSecret of m that was ready is taken over, and
// returns those that are not in time.
func (a *Mover) await(ctx context.Context, m *Move) (map[types.NamespacedName]bool, error) {
	if a.Wait <= 0 {
		return nil, nil
	}
	late := m.ready()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for began := a.Now(); ; {
		for name := range late {
			done, err := a.taken(ctx, name)
			if err != nil && ctx.Err() == nil {
				return nil, err
			}
			if done {
				delete(late, name)
			}
		}
		if len(late) == 0 || a.Now().Sub(began) >= a.Wait {
			return late, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// ready are the ExternalSecrets of m that were ready and will be refreshed.
func (m *Move) ready() map[types.NamespacedName]bool {
	out := map[types.NamespacedName]bool{}
	for _, es := range m.users {
		if v1.IsReady(es.Status.Conditions) && !timing.Once(es) {
			out[client.ObjectKeyFromObject(es)] = true
		}
	}
	return out
}

// taken reports whether our operator has written the status of an ExternalSecret as
// it is now; one that is gone is nobody's.
func (a *Mover) taken(ctx context.Context, name types.NamespacedName) (bool, error) {
	var es v1.ExternalSecret
	switch err := a.Client.Get(ctx, name, &es); {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, errs.Newf(errs.Unavailable, "reading ExternalSecret %q: %w", name, err)
	}
	current, ours := externalsecret.Current(&es)
	return current && ours && v1.IsReady(es.Status.Conditions), nil
}

// outcomes is pure.
func (a *Mover) outcomes(m *Move, before, after map[types.NamespacedName]seen, late map[types.NamespacedName]bool) []Outcome {
	out := make([]Outcome, 0, len(m.users))
	for _, es := range m.users {
		name := types.NamespacedName{Namespace: es.Namespace, Name: target.Name(es)}
		o := Outcome{Namespace: es.Namespace, ExternalSecret: es.Name, Secret: name.Name}
		if target.Policy(es) == v1.CreateNone {
			o.Secret, o.Result = "", "has no Secret"
		} else {
			o.Result, o.Wrong = became(before[name], after[name])
		}
		if late[client.ObjectKeyFromObject(es)] {
			o.Result, o.Wrong = "not taken over in time; "+o.Result, true
		}
		out = append(out, o)
	}
	return out
}

// became says what is of a Secret that was something.
func became(was, is seen) (result string, wrong bool) {
	switch {
	case apierrors.IsNotFound(was.err) && is.err == nil:
		return "made", false
	case apierrors.IsNotFound(was.err):
		return "has no Secret yet", false
	case was.err == nil && apierrors.IsNotFound(is.err):
		return "the Secret is gone", true
	case was.err != nil || is.err != nil:
		return "not known: the Secret may not be read", false
	case was.uid != is.uid:
		return "the Secret is another object", true
	case was.digest != is.digest:
		return "the data changed", true
	}
	return "same Secret, same data", false
}
