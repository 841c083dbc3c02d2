package finder

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/facts"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/versions"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/stock"
	"github.com/strongkeep/strongkeep/internal/kube/content"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// parallel bounds the Secrets that are read at once.
const parallel = 16

// book is the Secrets of one cluster: all of them by metadata, and those found.
type book struct {
	all   map[types.NamespacedName]*metav1.PartialObjectMetadata
	order []*consumer.Fed
	found map[types.NamespacedName]*consumer.Fed // Secrets only
}

// secrets returns the Secrets of a cluster that hold the credential.
func (s *search) secrets(ctx context.Context, at site) ([]*consumer.Fed, error) {
	b := &book{all: map[types.NamespacedName]*metav1.PartialObjectMetadata{}, found: map[types.NamespacedName]*consumer.Fed{}}
	if err := s.openBook(ctx, at, b); err != nil {
		return nil, err
	}
	if err := s.feeds(ctx, at, b); err != nil {
		return nil, err
	}
	for name, m := range b.all {
		if _, ok := s.versionAt(at, m); ok {
			s.add(at, b, name)
		}
	}
	s.alike(at, b)
	if at.name == "" {
		for _, name := range s.wanted.Secrets {
			if name.Namespace == "" {
				name.Namespace = s.wanted.Namespace
			}
			s.add(at, b, name)
		}
	}
	s.mirrors(at, b)
	if err := s.copied(ctx, at, b); err != nil {
		return nil, err
	}
	return b.order, s.read(ctx, at, b)
}

// openBook lists the metadata of all Secrets: from the cache, or page by page.
func (s *search) openBook(ctx context.Context, at site, b *book) error {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	keep := func(o runtime.Object) error {
		if m, ok := o.(*metav1.PartialObjectMetadata); ok {
			b.all[nameOf(m.Namespace, m.Name)] = m
		}
		return nil
	}
	err := eachOf(ctx, at, list, keep)
	if stock.Refused(err) {
		s.unknown("%s%s", prefix(at.name), stock.Refusal("secrets", "", "list"))
		return nil
	}
	if err != nil {
		return stock.Unreachable("secrets", err)
	}
	return nil
}

// eachOf calls keep with every object of what at.cached has. They are shared
// with the cache, and not to be changed.
func eachOf(ctx context.Context, at site, list client.ObjectList, keep func(runtime.Object) error) error {
	if at.name != "" {
		return stock.Pages(ctx, at.cached, list, "", keep)
	}
	if err := at.cached.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	return meta.EachListItem(list, keep)
}

// add puts a Secret into b, once.
func (s *search) add(at site, b *book, name types.NamespacedName) *consumer.Fed {
	if fed := b.found[name]; fed != nil {
		return fed
	}
	fed := &consumer.Fed{Object: secretObject(at.name, name)}
	if m := b.all[name]; m != nil {
		fed.UID, fed.ResourceVersion = m.UID, m.ResourceVersion
		fed.Version, _ = s.versionAt(at, m)
		fed.Changed = s.changeAt(at, m, fed.Version)
	}
	b.found[name] = fed
	b.order = append(b.order, fed)
	s.held[fed.Object] = true
	return fed
}

// versionsOf returns location → version of what a Secret was made of.
func versionsOf(m *metav1.PartialObjectMetadata) map[string]string {
	if len(m.Annotations) == 0 {
		return nil
	}
	return target.Versions(m.Annotations)
}

// changeAt is what a Secret says that came with version; nil for nothing.
func (s *search) changeAt(at site, m *metav1.PartialObjectMetadata, version string) *consumer.Change {
	for location, c := range target.Changes(m.Annotations) {
		if at.alias != nil {
			location = at.alias.Of(location)
		}
		if location == s.wanted.Location && c.Version == version && version != "" {
			return &consumer.Change{Keys: c.Keys, Unsure: c.Unsure}
		}
	}
	return nil
}

// read reads what metadata does not say: digests, and of Secrets that are not
// an ExternalSecret's whether they can change, and whose values they hold.
func (s *search) read(ctx context.Context, at site, b *book) error {
	// Secrets of other clusters are compared with ours.
	unclear := len(s.wanted.Clusters) > 0 || slices.ContainsFunc(b.order, func(fed *consumer.Fed) bool { return fed.Version == "" })
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	known := make([]facts.Fact, len(b.order))
	failures := make([]error, len(b.order))
	for i, fed := range b.order {
		if fed.Kind.Kind != kindSecret {
			continue
		}
		group.Go(func() error {
			if unclear || fed.Feeder.Name == "" { // first: the digest is to be of what this has read, or later
				known[i], failures[i] = s.facts.Of(inner, at.live, fed, s.salt, s.wanted.Live)
			}
			if failures[i] == nil {
				fed.Digest, failures[i] = at.digests.Of(inner, content.Object{Kind: content.Secret, NamespacedName: fed.NamespacedName}, fed.ResourceVersion)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, fed := range b.order {
		if err := s.settle(at, fed, known[i], failures[i]); err != nil {
			return err
		}
	}
	s.compareVersions(at, b, known)
	return nil
}

// settle says what reading one Secret has shown.
func (s *search) settle(at site, fed *consumer.Fed, known facts.Fact, err error) error {
	switch {
	case errs.Is(err, errs.NotExist):
		fed.Digest = ""
		if fed.Problem == "" {
			fed.Problem = "there is no such Secret"
		}
	case errs.Is(err, errs.Denied):
		s.unknown("%sSecret %q: the operator may not read it: add get on secrets to its role", prefix(at.name), fed.NamespacedName)
	case err != nil:
		return err
	case known.Immutable && !fed.Stuck:
		fed.Problem, fed.Stuck = "the Secret is immutable: delete it and let it be made anew", true
	}
	return nil
}

// words are what a Secret says of its values: each with what is said of it.
func words(fed *consumer.Fed, known facts.Fact) map[versions.Word][]facts.Sum {
	c := fed.Changed
	if c == nil || c.Unsure {
		return map[versions.Word][]facts.Sum{versions.Unsure: known.Values}
	}
	out := map[versions.Word][]facts.Sum{}
	for i, v := range known.Values {
		word := versions.Unchanged
		if slices.Contains(c.Keys, known.Keys[i]) {
			word = versions.Changed
		}
		out[word] = append(out[word], v)
	}
	return out
}

// compareVersions finds the version of Secrets that do not name one: that of a
// Secret which does, when both hold the same secret value. So Secrets of clusters are
// known that are fed by another operator. Whose word counts where: package versions.
func (s *search) compareVersions(at site, b *book, known []facts.Fact) {
	for i, fed := range b.order {
		if fed.Version != "" && !known[i].Moved { // else the values may be of another version than the metadata
			s.hear(at, fed, known[i])
		}
	}
	for i, fed := range b.order {
		if fed.Version != "" {
			continue
		}
		fed.Version = s.versions.Of(versions.Place{Cluster: at.name, Namespace: fed.Namespace}, known[i].Values)
		switch {
		case fed.Version != "":
			fed.Changed = &consumer.Change{Unsure: true}
		case at.name != "" && fed.Problem == "" && fed.Kind.Kind == kindSecret:
			fed.Problem = "it does not say which version it holds, and no Secret of our cluster holds the same value: it is late; or nothing here reads the credential, and an ExternalSecret is needed to compare with"
		}
	}
}

// hear notes what a Secret says of its values, for those whom its word counts for.
func (s *search) hear(at site, fed *consumer.Fed, known facts.Fact) {
	said := words(fed, known)
	if at.name == "" && known.Vouched {
		for word, values := range said {
			s.versions.Vouch(values, fed.Version, word)
		}
		return
	}
	near := versions.Place{Cluster: at.name, Namespace: fed.Namespace}
	if at.name != "" && fed.Feeder.Name != "" && fed.Problem == "" { // its operators have a key of their own
		near.Namespace = ""
	}
	s.versions.Claim(near, slices.Concat(said[versions.Unsure], said[versions.Changed]), fed.Version)
}
