package finder

import (
	"context"
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/stock"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// feeds adds the Secrets of every ExternalSecret that reads the credential.
func (s *search) feeds(ctx context.Context, at site, b *book) error {
	if s.wanted.Location == "" {
		return nil
	}
	w := &where{search: s, at: at, stores: map[v1.StoreKey]storeOrNot{}}
	err := eachOf(ctx, at, &v1.ExternalSecretList{}, func(o runtime.Object) error {
		es, ok := o.(*v1.ExternalSecret)
		if !ok || target.Policy(es) == v1.CreateNone {
			return nil
		}
		verdict, err := w.reads(ctx, es)
		if err != nil {
			return err
		}
		s.feed(at, b, es, verdict)
		return nil
	})
	switch {
	case meta.IsNoMatchError(err): // another cluster, where nobody installed them
		return nil
	case stock.Refused(err):
		s.unknown("%s%s", prefix(at.name), stock.Refusal("externalsecrets."+v1.Group, "", "list"))
		return nil
	case err != nil && errs.KindOf(err) == errs.Internal:
		return stock.Unreachable("externalsecrets."+v1.Group, err)
	}
	return err
}

// verdict is whether an ExternalSecret reads the credential.
type verdict struct {
	reads  bool
	pinned string // the version that it wants, if it wants only that
	doubt  string // why it cannot be said; empty when it can
}

// feed adds what es writes. Where it cannot be said what es reads, what it
// wrote last can.
func (s *search) feed(at site, b *book, es *v1.ExternalSecret, v verdict) {
	if es.Spec.Target.Manifest != nil {
		s.noSecret(at, es, v)
		return
	}
	name := nameOf(es.Namespace, target.Name(es))
	m := b.all[name]
	if v.doubt != "" && m != nil {
		_, v.reads = s.versionAt(at, m)
		if !v.reads && len(versionsOf(m)) == 0 {
			s.unknown("%sExternalSecret %q: whether it reads the credential is not known: %s", prefix(at.name), nameOf(es.Namespace, es.Name), v.doubt)
		}
	}
	if !v.reads {
		return
	}
	fed := s.add(at, b, name)
	fed.Feeder = nameOf(es.Namespace, es.Name)
	problem, stuck := feedProblem(es, v, at.name != "")
	if fed.Problem == "" || stuck && !fed.Stuck {
		fed.Problem, fed.Stuck = problem, stuck
	}
}

// noSecret says of an ExternalSecret that makes something else than a Secret what
// cannot be known.
func (s *search) noSecret(at site, es *v1.ExternalSecret, v verdict) {
	if v.reads || v.doubt != "" && !es.Status.RefreshTime.IsZero() {
		s.unknown("%sExternalSecret %q makes %s %q, and no Secret, of the credential: who uses that, and of which version it is, is not known; make a Secret, or set its target.creationPolicy to None",
			prefix(at.name), nameOf(es.Namespace, es.Name), es.Spec.Target.Manifest.Kind, target.Name(es))
	}
}

// feedProblem returns why es does not bring a new version by itself. away: it is
// in another cluster, where nobody can be told to hurry.
func feedProblem(es *v1.ExternalSecret, v verdict, away bool) (problem string, stuck bool) {
	name := "ExternalSecret " + nameOf(es.Namespace, es.Name).String()
	if why := standstill(es, v, away); why != "" {
		return name + ": " + why, true
	}
	c := v1.FindCondition(es.Status.Conditions, v1.ConditionReady)
	switch {
	case c != nil && c.Status == metav1.ConditionFalse:
		return name + " is not ready: " + c.Message, false
	case c == nil:
		return name + " was not synced yet", false
	case v.doubt != "":
		return name + ": " + v.doubt, false
	}
	return "", false
}

// standstill returns why es never brings a new version, or "".
func standstill(es *v1.ExternalSecret, v verdict, away bool) string {
	spec := &es.Spec
	switch {
	case es.DeletionTimestamp != nil:
		return "it is being deleted"
	case v.pinned != "":
		return "it is pinned to version " + v.pinned + ": remove remoteRef.version"
	case spec.Target.Immutable:
		return "spec.target.immutable is true: its Secret never changes"
	case spec.RefreshPolicy == v1.RefreshCreatedOnce:
		return "refreshPolicy CreatedOnce reads the store only once: use Periodic"
	case away && spec.RefreshPolicy == v1.RefreshOnChange:
		return "refreshPolicy OnChange reads the store only when the object changes: use Periodic"
	case away && spec.RefreshInterval != nil && spec.RefreshInterval.Duration <= 0:
		return "refreshInterval 0 reads the store only once: set an interval"
	}
	return ""
}

// where says where what ExternalSecrets name is.
type where struct {
	*search
	at     site
	stores map[v1.StoreKey]storeOrNot
}

type storeOrNot struct {
	store v1.Store
	why   string // why not
}

// reads judges es. Only an API server that cannot be asked is an error.
func (w *where) reads(ctx context.Context, es *v1.ExternalSecret) (verdict, error) {
	var v verdict
	for _, want := range gather.Wants(&es.Spec) {
		found, why, err := w.matches(ctx, es.Namespace, want)
		switch {
		case err != nil:
			return v, err
		case why != "":
			v.doubt = why
		case found:
			v.reads = true
			if want.Version != "" {
				v.pinned = want.Version
			}
		}
	}
	if v.reads {
		v.doubt = ""
		return v, nil
	}
	near, err := w.finds(ctx, es)
	if near {
		v.doubt = "dataFrom.find takes whatever it finds in the same vault"
	}
	return v, err
}

// finds reports whether es takes what it finds in the vault that has the
// credential.
func (w *where) finds(ctx context.Context, es *v1.ExternalSecret) (bool, error) {
	for i := range es.Spec.DataFrom {
		from := &es.Spec.DataFrom[i]
		if from.Find == nil {
			continue
		}
		ref := es.Spec.SecretStoreRef
		if from.SourceRef != nil && from.SourceRef.SecretStoreRef != nil {
			ref = *from.SourceRef.SecretStoreRef
		}
		if near, err := w.near(ctx, es.Namespace, ref); near || err != nil {
			return near, err
		}
	}
	return false, nil
}

// matches reports whether want is the credential. why it cannot be said is not
// empty when it cannot.
func (w *where) matches(ctx context.Context, namespace string, want gather.Want) (match bool, why string, err error) {
	store, err := w.store(ctx, namespace, want.Store)
	if err != nil || store.why != "" {
		return false, store.why, err
	}
	location, err := w.at.locate(ctx, store.store, want.Key)
	switch {
	case ctx.Err() != nil:
		return false, "", errs.Newf(errs.Unavailable, "locating what ExternalSecrets read: %w", ctx.Err())
	case err != nil:
		return false, err.Error(), nil
	}
	return location == w.wanted.Location, "", nil
}

// near reports whether a store is of the server that has the credential.
func (w *where) near(ctx context.Context, namespace string, ref v1.SecretStoreRef) (bool, error) {
	store, err := w.store(ctx, namespace, ref)
	if err != nil || store.why != "" {
		return store.why != "", err
	}
	location, err := w.at.locate(ctx, store.store, "secret/any")
	host, _, _ := strings.Cut(location, "/")
	wanted, _, _ := strings.Cut(w.wanted.Location, "/")
	return err != nil || host == wanted, nil
}

func (w *where) store(ctx context.Context, namespace string, ref v1.SecretStoreRef) (storeOrNot, error) {
	key := v1.KeyFor(ref, namespace)
	if known, ok := w.stores[key]; ok {
		return known, nil
	}
	var store v1.Store = &v1.SecretStore{}
	if key.Kind == v1.KindClusterSecretStore {
		store = &v1.ClusterSecretStore{}
	}
	out := storeOrNot{store: store}
	err := w.at.cached.Get(ctx, key.NamespacedName(), store)
	switch {
	case err == nil:
	case apierrors.IsNotFound(err):
		out.why = key.String() + " does not exist"
	case stock.Refused(err):
		out.why = key.String() + " may not be read"
	case uncached(err):
		out.why = key.String() + " is not served by this operator"
	default:
		return out, stock.Unreachable(key.String(), err)
	}
	w.stores[key] = out
	return out, nil
}

// uncached reports whether a cache was asked for what it was told not to keep.
func uncached(err error) bool {
	var notKept *cache.ErrResourceNotCached
	return errors.As(err, &notKept)
}
