package finder

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/alias"
)

// awayLimit bounds one look at another cluster: who waits for one cluster does
// not look at the others meanwhile.
const awayLimit = 30 * time.Second

// lookAway looks at another cluster, as it is at this moment. Of one that cannot
// be asked to the end nothing is kept: half a cluster looks like a whole one.
func (s *search) lookAway(ctx context.Context, c consumer.Cluster) error {
	if s.cfg.Cluster == nil {
		return errs.New(errs.Unsupported, "this operator reaches no other cluster")
	}
	ctx, cancel := context.WithTimeout(ctx, awayLimit)
	defer cancel()
	conn, err := s.cfg.Cluster(ctx, c)
	if err != nil {
		return err
	}
	before := s.out
	at := site{name: c.Name, cached: conn.Live, live: conn.Live, digests: conn.Digests, namespaces: []string{""}}
	at.alias = alias.New(s.wanted.Location, c)
	at.locate = s.locateAway(conn.Locate, at)
	if err := s.look(ctx, at); err != nil {
		s.out = before
		maps.DeleteFunc(s.held, func(o consumer.Object, _ bool) bool { return o.Cluster == c.Name })
		return err
	}
	return nil
}

// maxWords bounds what another cluster's server can say in a status of ours, in bytes.
const maxWords = 400

// brief returns err with a text of a bounded length.
func brief(err error) error {
	text := err.Error()
	if len(text) <= maxWords {
		return err
	}
	return errs.New(errs.KindOf(err), strings.ToValidUTF8(text[:maxWords], "")+"…")
}

// uid is what an object is known by in a graph.
func (at site) uid(uid types.UID) types.UID {
	if at.name == "" || uid == "" {
		return uid
	}
	return types.UID(at.name+"/") + uid
}

func (s *search) doubtful(at site, what, host string) {
	s.unknown("%s%s reads the same path of a vault at %s, and the credential is at %s: name in spec.consumers.clusters, as servers of %q, the addresses by which it is reached there",
		prefix(at.name), what, host, at.alias.Host, at.name)
}

// locateAway is locate with what is known of the names that vaults have there.
func (s *search) locateAway(locate Locate, at site) Locate {
	return func(ctx context.Context, store v1.Store, key string) (string, error) {
		location, err := locate(ctx, store, key)
		if err != nil {
			return "", err
		}
		if host := at.alias.Doubt(location); host != "" {
			s.doubtful(at, v1.KeyOf(store).String(), host)
		}
		return at.alias.Of(location), nil
	}
}

// versionAt returns the version of the credential that a Secret was made of,
// and whether it was made of it.
func (s *search) versionAt(at site, m *metav1.PartialObjectMetadata) (version string, ok bool) {
	if s.wanted.Location == "" {
		return "", false
	}
	all := versionsOf(m)
	if at.alias == nil {
		version, ok = all[s.wanted.Location]
		return version, ok
	}
	for location, v := range all {
		if at.alias.Of(location) == s.wanted.Location {
			return v, true
		}
	}
	return "", false
}

// alike adds what is doubtful of Secrets of another cluster whose ExternalSecret
// is gone.
func (s *search) alike(at site, b *book) {
	if at.alias.Named() {
		return
	}
	for name, m := range b.all {
		for location := range versionsOf(m) {
			if host := at.alias.Doubt(location); host != "" && !slices.ContainsFunc(b.order, func(fed *consumer.Fed) bool { return fed.NamespacedName == name }) {
				s.doubtful(at, "what Secret "+name.String()+" was made of", host)
			}
		}
	}
}
