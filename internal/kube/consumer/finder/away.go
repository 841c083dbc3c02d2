package finder

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/alias"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/versions"
)

// awayLimit bounds one look at all other clusters together, however many they are:
// who looks keeps a worker from others meanwhile.
const awayLimit = 30 * time.Second

// lookFar looks at the other clusters, all at once. Unavailable: ctx is over.
func (s *search) lookFar(ctx context.Context) error {
	inner, cancel := context.WithTimeout(ctx, awayLimit)
	defer cancel()
	graphs := make([]consumer.Graph, len(s.wanted.Clusters))
	failures := make([]error, len(s.wanted.Clusters))
	var looking sync.WaitGroup
	for i, c := range s.wanted.Clusters {
		looking.Go(func() { graphs[i], failures[i] = s.lookAway(inner, c) })
	}
	looking.Wait()
	for i, c := range s.wanted.Clusters {
		if err := failures[i]; err == nil {
			s.join(&graphs[i])
		} else if ctx.Err() != nil {
			return errs.Newf(errs.Unavailable, "asking cluster %q: %w", c.Name, ctx.Err())
		} else {
			err = brief(err)
			s.unknown("cluster %q: %v", c.Name, err)
			s.out.Unreached = append(s.out.Unreached, consumer.Unreached{Cluster: c.Name, Err: err})
		}
	}
	return nil
}

// lookAway looks at another cluster, as it is at this moment, with what is known of
// ours. Of one that cannot be asked to the end nothing is kept: half a cluster looks
// like a whole one.
func (s *search) lookAway(ctx context.Context, c consumer.Cluster) (consumer.Graph, error) {
	if s.cfg.Cluster == nil {
		return consumer.Graph{}, errs.New(errs.Unsupported, "this operator reaches no other cluster")
	}
	conn, err := s.cfg.Cluster(ctx, c)
	if err != nil {
		return consumer.Graph{}, err
	}
	far := &search{
		Finder: s.Finder, wanted: s.wanted, now: s.now, held: map[consumer.Object]bool{},
		versions: versions.New(&s.memory, s.wanted.Location), sources: maps.Clone(s.sources),
	}
	at := site{name: c.Name, cached: conn.Live, live: conn.Live, digests: conn.Digests, namespaces: []string{""}}
	at.alias = alias.New(s.wanted.Location, c)
	at.locate = far.locateAway(conn.Locate, at)
	err = far.look(ctx, at)
	return far.out, err
}

// join adds what was found in another cluster.
func (s *search) join(g *consumer.Graph) {
	out := &s.out
	out.Secrets, out.Pods = append(out.Secrets, g.Secrets...), append(out.Pods, g.Pods...)
	out.Workloads, out.Others = append(out.Workloads, g.Workloads...), append(out.Others, g.Others...)
	out.Copies, out.Unsearched = append(out.Copies, g.Copies...), append(out.Unsearched, g.Unsearched...)
	out.Unknown, out.Bounds = append(out.Unknown, g.Unknown...), append(out.Bounds, g.Bounds...)
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
