package generate

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/generator/state"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// Config is what Generators need. Class and ClusterWide may be left out.
type Config struct {
	Reader  client.Reader // a cache of generators
	Kinds   map[string]generator.Kind
	States  *state.Keeper
	Cluster provider.Cluster
	Key     target.Key
	Clock   clock.Clock
	Log     *slog.Logger
	// Class is whose generators are answered for, beside those of no class.
	Class string
	// ClusterWide lets ClusterGenerators be used.
	ClusterWide bool
}

// Generators makes and keeps credentials. It is safe for concurrent use. A nil one
// is that of a cluster without generators: every use is refused.
type Generators struct {
	cfg   Config
	began time.Time // when New was called

	mu      sync.Mutex
	pending map[slot]map[string]pending
}

// slot tells who uses generators.
type slot struct {
	kind string
	types.NamespacedName
}

// pending is a credential that no Secret holds yet.
type pending struct {
	owner  types.UID
	spec   string // the MAC of what it was made by
	asked  string
	object string
	made   generator.Made
	state  string
	since  int64
}

// New returns Generators. Without a Clock they only find.
func New(cfg Config) *Generators {
	g := &Generators{cfg: cfg, pending: map[slot]map[string]pending{}}
	if cfg.Clock != nil {
		g.began = cfg.Clock.Now()
	}
	return g
}

// Source is a generator as an object names it.
type Source struct {
	Kind    string // of what is generated
	Through string // ClusterGenerator, or ""
	Name    string
	Spec    json.RawMessage
	UID     types.UID
	Version int64 // its generation
	Class   string
}

// String returns such as `Password "app"`.
func (s Source) String() string {
	if s.Through != "" {
		return s.Through + ` "` + s.Name + `"`
	}
	return s.Kind + ` "` + s.Name + `"`
}

// object is what tells a generator from another, or from itself changed.
func (s Source) object() string { return fmt.Sprintf("%s/%d", s.UID, s.Version) }

// Answers reports whether s is this operator's.
func (g *Generators) Answers(s Source) bool {
	return g == nil || s.Class == "" || s.Class == g.cfg.Class
}

// Find returns the generator that ref names from namespace. Unavailable: there is
// none. Invalid and Unsupported: there can be none.
func (g *Generators) Find(ctx context.Context, namespace string, ref v1.GeneratorRef) (Source, error) {
	if g == nil {
		return Source{}, errs.New(errs.Unsupported, "generators are off: the cluster lacks their definitions or the operator's role lacks the permission; apply deploy/crds and the roles of this release, and start the operator again")
	}
	if ref.APIVersion != "" && ref.APIVersion != generators.GroupVersion().String() {
		return Source{}, errs.Newf(errs.Invalid, "generatorRef.apiVersion is %q: it must be %s", ref.APIVersion, generators.GroupVersion())
	}
	if ref.Kind == generators.KindClusterGenerator {
		return g.findCluster(ctx, ref.Name)
	}
	object, ok := generators.New()[ref.Kind]
	if !ok {
		return Source{}, errs.Newf(errs.Unsupported, "generatorRef.kind is %q: this operator has no such generator (docs/generators.md lists them)", ref.Kind)
	}
	if err := g.cfg.Reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: ref.Name}, object); err != nil {
		return Source{}, missing(ref, err)
	}
	spec, err := json.Marshal(object.GeneratorSpec())
	if err != nil {
		return Source{}, errs.New(errs.Internal, "encoding a generator")
	}
	return g.known(Source{Kind: ref.Kind, Name: ref.Name, Spec: spec, UID: object.GetUID(), Version: object.GetGeneration()})
}

func (g *Generators) findCluster(ctx context.Context, name string) (Source, error) {
	if !g.cfg.ClusterWide {
		return Source{}, errs.New(errs.Unsupported, "this operator leaves ClusterGenerators alone (--no-cluster-stores): use a generator of the namespace")
	}
	var object generators.ClusterGenerator
	if err := g.cfg.Reader.Get(ctx, types.NamespacedName{Name: name}, &object); err != nil {
		return Source{}, missing(v1.GeneratorRef{Kind: generators.KindClusterGenerator, Name: name}, err)
	}
	spec, ok := object.Spec.Generator.Of(object.Spec.Kind)
	if !ok {
		return Source{}, errs.Newf(errs.Invalid, "ClusterGenerator %q: spec.generator must have the spec of a %s and no other", name, object.Spec.Kind)
	}
	return g.known(Source{
		Kind: object.Spec.Kind, Through: generators.KindClusterGenerator, Name: name, Spec: spec,
		UID: object.UID, Version: object.Generation,
	})
}

func missing(ref v1.GeneratorRef, err error) error {
	if apierrors.IsNotFound(err) {
		return errs.Newf(errs.Unavailable, "%s %q does not exist: create it, or correct the reference", ref.Kind, ref.Name)
	}
	return errs.Newf(errs.Unavailable, "getting %s %q: %w", ref.Kind, ref.Name, err)
}

// known refuses kinds that are defined and not built.
func (g *Generators) known(s Source) (Source, error) {
	if _, ok := g.cfg.Kinds[s.Kind]; !ok {
		return s, errs.Newf(errs.Unsupported, "%s: this operator cannot make what a %s makes yet (docs/generators.md lists what it can)", s, s.Kind)
	}
	var class struct {
		Controller string `json:"controller"`
	}
	if json.Unmarshal(s.Spec, &class) == nil {
		s.Class = class.Controller
	}
	return s, nil
}

// Refs returns every generator that spec names, in its order.
func Refs(spec *v1.ExternalSecretSpec) []v1.GeneratorRef {
	var out []v1.GeneratorRef
	for i := range spec.DataFrom {
		if ref := refOf(&spec.DataFrom[i]); ref != nil {
			out = append(out, *ref)
		}
	}
	return out
}

func refOf(f *v1.ExternalSecretDataFrom) *v1.GeneratorRef {
	if f.SourceRef == nil {
		return nil
	}
	return f.SourceRef.GeneratorRef
}

// Forget drops what is kept for an ExternalSecret, or an object of another kind, that
// is gone. What lives elsewhere is taken back by its state.
func (g *Generators) Forget(kind string, key types.NamespacedName) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.pending, slot{kind, key})
}

func (g *Generators) take(key slot, of string) (pending, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p, ok := g.pending[key][of]
	return p, ok
}

func (g *Generators) keep(key slot, of string, p pending) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pending[key] == nil {
		g.pending[key] = map[string]pending{}
	}
	g.pending[key][of] = p
}

func (g *Generators) drop(key slot, of string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.pending[key], of)
}
