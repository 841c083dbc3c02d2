package finder

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/copies"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/keeper"
)

// mirrors adds the Secrets that a known tool copies from those in b, and from
// their copies.
func (s *search) mirrors(at site, b *book) {
	marked := map[types.NamespacedName][]types.NamespacedName{}
	for name, m := range b.all {
		if len(m.Annotations) == 0 && len(m.Labels) == 0 {
			continue
		}
		if _, source := keeper.SourceOf(&m.ObjectMeta); source.Name != "" {
			marked[source] = append(marked[source], name)
		}
	}
	for i := 0; i < len(b.order); i++ { // grows while it is walked
		source := b.order[i].NamespacedName
		for _, name := range marked[source] {
			if b.found[name] != nil {
				continue
			}
			fed := s.add(at, b, name)
			fed.Mirror, fed.Source = true, source
		}
	}
}

// copied adds what holds the values of what is in b, by what a scan finds now or has
// found before.
func (s *search) copied(ctx context.Context, at site, b *book) error {
	var list []consumer.Copy
	for _, c := range s.wanted.Copies {
		if c.Cluster == at.name {
			list = append(list, c)
		}
	}
	if s.wanted.Scan {
		found, complete, err := s.scan(ctx, at, b)
		if err != nil {
			return err
		}
		if complete {
			list = nil
		}
		for _, c := range found {
			list = slices.DeleteFunc(list, func(known consumer.Copy) bool { return known.Object == c.Object })
			list = append(list, c)
		}
	}
	for _, c := range list {
		s.addCopy(at, b, c)
	}
	return nil
}

// addCopy adds a copy that is there.
func (s *search) addCopy(at site, b *book, c consumer.Copy) {
	var fed *consumer.Fed
	if c.Kind.Kind != kindSecret {
		fed = &consumer.Fed{Object: c.Object, UID: c.UID}
		if slices.ContainsFunc(b.order, func(o *consumer.Fed) bool { return o.Object == fed.Object }) {
			return
		}
		b.order = append(b.order, fed)
	} else {
		// What a tool has made anew is what it was; by hand it is another's.
		if m := b.all[c.NamespacedName]; m == nil || m.UID != c.UID && c.Tool == "" || b.found[c.NamespacedName] != nil {
			return // gone, or known otherwise
		}
		fed = s.add(at, b, c.NamespacedName)
	}
	fed.Mirror, fed.Source = true, c.Source
	fed.Problem, fed.Stuck = problemOf(c)
	s.out.Copies = append(s.out.Copies, c)
}

func problemOf(c consumer.Copy) (string, bool) {
	keys := strings.Join(c.Keys, ", ")
	switch {
	case c.Kind.Kind != kindSecret:
		return fmt.Sprintf("a ConfigMap holds a secret value of Secret %q in %s: move it to a Secret, or annotate the ConfigMap with %s: %s", c.Source, keys, copies.Annotation, copies.Ignore), true
	case c.Tool != "":
		return "", false
	}
	return fmt.Sprintf("a copy of Secret %q by hand, in %s: nothing keeps it true: feed it by an ExternalSecret, name it in spec.consumers.secrets if another tool does, or annotate it with %s: %s", c.Source, keys, copies.Annotation, copies.Ignore), true
}

// Bounds of a scan. All Secrets of one credential hold the same few values; who has a
// scan look for more would try out guesses. What is found is kept in a status.
const (
	maxSources = 32
	maxCopies  = 256
)

// scan looks for what holds a secret value of what is in b: of Secrets that an operator
// feeds, or has written as they are; not of those that a user names or annotates.
// complete: all was looked at.
func (s *search) scan(ctx context.Context, at site, b *book) (list []consumer.Copy, complete bool, err error) { //nolint:cyclop // flat: a case after the other
	for _, fed := range b.order {
		if fed.Kind.Kind != kindSecret || fed.Mirror || fed.Version == "" {
			continue
		}
		known, err := s.facts.Of(ctx, at.live, fed, s.salt, s.wanted.Live)
		if err != nil || !known.Vouched && fed.Feeder.Name == "" {
			continue // said by read
		}
		for _, v := range known.Values {
			s.sources[v] = fed.Object
		}
	}
	if len(s.sources) > maxSources {
		s.unsearched(at, "its Secrets hold %d different secret values, over %d: a template adds others; copies are not searched", len(s.sources), maxSources)
		return nil, false, nil
	}
	census, err := s.census(ctx, at)
	if err != nil {
		return nil, false, err
	}
	for _, text := range census.Unknown {
		s.unsearched(at, "%s", text)
	}
	list, all := s.shown(at, b, census.Find(s.sources))
	if len(list) > maxCopies {
		s.unsearched(at, "%d were found, over %d: the others are not followed", len(list), maxCopies)
		list, all = list[:maxCopies], false
	}
	return list, all && len(census.Unknown) == 0, nil
}

// census is shared with all who look at our cluster. Another one is read with the
// rights of a kubeconfig that is not everybody's.
func (s *search) census(ctx context.Context, at site) (*copies.Census, error) {
	of := copies.Site{Cluster: at.name, Live: at.live, Namespaces: at.namespaces, Salt: s.salt}
	if at.name != "" {
		return copies.Take(ctx, of, s.now)
	}
	return s.share.Of(ctx, of, s.sources, s.cfg.Clock.Now)
}

// shown returns those of found that whoever asks may know of, and whether these are
// all. Of another cluster he may know what his kubeconfig may read.
func (s *search) shown(at site, b *book, found []copies.Found) (list []consumer.Copy, all bool) { //nolint:cyclop // flat: a case after the other
	hidden := 0
	open := at.name != "" || s.cfg.ShowCopies
	allowed := open || s.guard.Allow(s.wanted.Namespace, s.sources, s.now)
	for _, f := range found {
		switch {
		case f.Kind.Kind == kindSecret && b.found[f.NamespacedName] != nil: // known otherwise
		case open || f.Namespace == s.wanted.Namespace || f.Shown && allowed:
			list = append(list, f.Copy)
		default:
			hidden++
			if allowed && s.cfg.Log != nil {
				s.cfg.Log.Warn("a copy of a credential in another namespace, which its Rotation is not told of", "asked", s.wanted.Namespace,
					"location", s.wanted.Location, "kind", f.Kind.Kind, "copy", f.String(), "keys", f.Keys, "tool", f.Tool)
			}
		}
	}
	switch {
	case !allowed:
		s.unsearched(at, "namespace %s has had more values compared with those of other namespaces than one may: one more each minute", s.wanted.Namespace)
	case hidden > 0:
		s.unsearched(at, "%d in other namespaces, which the operator's log names: whoever may write them annotates them with %s: %s or %s, or the operator is started with -show-copies (docs/rotation/consumers.md)",
			hidden, copies.Annotation, copies.Follow, copies.Ignore)
	}
	return list, allowed && hidden == 0
}

func (s *search) unsearched(at site, format string, args ...any) {
	text := prefix(at.name) + "copies of the credential: " + fmt.Sprintf(format, args...)
	s.out.Unknown, s.out.Unsearched = append(s.out.Unknown, text), append(s.out.Unsearched, text)
}
