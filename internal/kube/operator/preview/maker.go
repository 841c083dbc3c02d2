package preview

import (
	"context"
	"log/slog"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/generate"
	"github.com/strongkeep/strongkeep/internal/kube/operator/render"
	"github.com/strongkeep/strongkeep/internal/kube/operator/stores"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/template"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Maker makes Secrets. All fields but Limits and Delimiters are required; it is safe for
// concurrent use if they are.
type Maker struct {
	// Reader has stores, generators, ConfigMaps, Secrets and the metadata of
	// Namespaces. Manifests is one.
	Reader client.Reader
	// Stores reads external stores.
	Stores stores.Backend
	// Generators are the kinds there are; see local for those that are called.
	Generators map[string]generator.Kind
	// Stand stands in for generators: their values by Kind and name.
	Stand   map[GeneratorKey]map[string]redact.Secret
	Cluster provider.Cluster // what generators refer to
	Clock   clock.Clock
	Limits  template.Limits
	// Delimiters are those of the operator's templates.
	Delimiters template.Delimiters
}

// GeneratorKey names a generator as generatorRef does.
type GeneratorKey struct{ Kind, Name string }

// Made is what would be made.
type Made struct {
	// Secret is nil when none would be written: with creationPolicy None, and when
	// deletionPolicy Delete has nothing left.
	Secret *target.Secret
	// Says is why there is no Secret; "" when there is one.
	Says string
	// Missing says which sources the store does not have.
	Missing []string
}

// Secret makes the Secret of es. Errors are those that would be in its status, and
// as there hold no value.
func (m *Maker) Secret(ctx context.Context, es *v1.ExternalSecret) (Made, error) {
	if es.Spec.Target.Manifest != nil {
		return Made{}, errs.New(errs.Unsupported, "spec.target.manifest is not shown: only Secrets are; remove it to see the values")
	}
	source := stores.Lookup{Reader: m.Reader}.Source(m.Stores, es.Namespace)
	source.Limits, source.Now = m.Limits, m.Clock.Now
	source.Generate = func(ctx context.Context, i int) (gather.Generated, error) { return m.generate(ctx, es, i) }
	got, err := gather.Values(ctx, es, source)
	if err != nil {
		return Made{}, err
	}
	made := Made{Missing: got.Missing}
	switch {
	case target.Policy(es) == v1.CreateNone:
		made.Says = "creationPolicy None writes no Secret"
		return made, nil
	case len(got.Data) == 0 && len(got.Missing) > 0 && es.Spec.Target.DeletionPolicy == v1.DeletionDelete:
		made.Says = "deletionPolicy Delete would delete the Secret: the store has none of its values"
		return made, nil
	}
	texts, err := render.Read(ctx, m.Reader, es)
	if err != nil {
		return Made{}, err
	}
	made.Secret, err = render.Secret(es, got.Data, texts, render.Options{Limits: m.Limits, Delimiters: m.Delimiters, Now: m.Clock.Now})
	return made, got.WithoutValues(err)
}

// generate returns what the generator of dataFrom[i] gives: what stands in for it,
// or what it makes if that lives nowhere else.
func (m *Maker) generate(ctx context.Context, es *v1.ExternalSecret, i int) (gather.Generated, error) {
	ref := es.Spec.DataFrom[i].SourceRef.GeneratorRef
	if values, ok := m.Stand[GeneratorKey{ref.Kind, ref.Name}]; ok {
		return gather.Generated{Values: values}, nil
	}
	finder := generate.New(generate.Config{Reader: m.Reader, Kinds: m.Generators, Clock: m.Clock, ClusterWide: true})
	found, err := finder.Find(ctx, es.Namespace, *ref)
	if err != nil {
		return gather.Generated{}, err
	}
	if !local(found.Kind) {
		return gather.Generated{}, errs.Newf(errs.Unsupported, "%s makes credentials elsewhere, which a preview does not: give values in its place with -values %s/%s=FILE", found, ref.Kind, ref.Name)
	}
	made, err := m.Generators[found.Kind].Generate(ctx, generator.Config{
		Scope: provider.ScopeOfGenerator(found.Kind, found.Name, es.Namespace), Spec: found.Spec,
		Cluster: m.Cluster, Clock: m.Clock, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return gather.Generated{}, errs.Newf(errs.KindOf(err), "%s: %w", found, err)
	}
	return gather.Generated{Values: made.Data}, nil
}

// local reports whether what a generator makes lives nowhere but in the Secret. No
// other is called.
func local(kind string) bool {
	switch kind {
	case generators.KindFake, generators.KindPassword, generators.KindSSHKey, generators.KindUUID:
		return true
	}
	return false
}
