package finder

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/alias"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/copies"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/versions"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/stock"
)

// search is one search. It is not safe for concurrent use.
type search struct {
	*Finder
	wanted consumer.Wanted
	now    time.Time
	out    consumer.Graph
	held   map[consumer.Object]bool // the Secrets found
	works  map[consumer.Object]*consumer.Workload
	asked  map[stock.Owner]*stock.Entry
	missed map[stock.Owner]bool          // those of asked whose kind is not to be had, which is said already
	owners map[types.UID]consumer.Object // what restarts the pods of an owner, by its UID
	// versions are those of secret values; sources are where those are that copies are
	// looked for of.
	versions *versions.Values
	sources  copies.Values
}

// site is one cluster to look at.
type site struct {
	name         string // empty: our own
	cached, live client.Reader
	locate       Locate
	alias        *alias.Alias // nil: our own
	digests      Digests
	namespaces   []string
	stock        *stock.Stock
}

func (s *search) unknown(format string, args ...any) {
	s.out.Unknown = append(s.out.Unknown, fmt.Sprintf(format, args...))
}

func (s *search) bound(format string, args ...any) {
	s.out.Bounds = append(s.out.Bounds, fmt.Sprintf(format, args...))
}

// look looks at one cluster: Secrets first, then who uses them.
func (s *search) look(ctx context.Context, at site) error {
	feds, err := s.secrets(ctx, at)
	if err != nil {
		return err
	}
	if err := s.stockUp(ctx, &at, feds); err != nil {
		return err
	}
	extra, err := s.extras.of(ctx, s, at)
	if err != nil {
		return err
	}
	s.works, s.owners = map[consumer.Object]*consumer.Workload{}, map[types.UID]consumer.Object{}
	s.asked, s.missed = map[stock.Owner]*stock.Entry{}, map[stock.Owner]bool{}
	if err := s.consumers(ctx, at, feds, extra); err != nil {
		return err
	}
	s.others(at, feds, extra)
	for _, fed := range feds {
		s.out.Secrets = append(s.out.Secrets, *fed)
	}
	for _, w := range s.works {
		s.out.Workloads = append(s.out.Workloads, *w)
	}
	return nil
}

// consumers adds pods and workloads.
func (s *search) consumers(ctx context.Context, at site, feds []*consumer.Fed, extra *found) error {
	users := s.users(at, feds, extra)
	for _, e := range users.works {
		if err := s.addWorkload(ctx, at, e, users.more[e]); err != nil {
			return err
		}
	}
	for _, e := range users.pods {
		if err := s.addPod(ctx, at, e, users.more[e]); err != nil {
			return err
		}
	}
	return s.named(ctx, at)
}

// stockUp gets the pods and workloads: from the informers, or as they are now.
func (s *search) stockUp(ctx context.Context, at *site, feds []*consumer.Fed) error {
	var err error
	if at.name == "" && !s.wanted.Live {
		at.stock, err = s.keeper.Stock(ctx)
	} else {
		at.stock, err = stock.Read(ctx, at.live, s.placesOf(*at, feds))
	}
	if err != nil {
		return err
	}
	for _, text := range at.stock.Unknown {
		s.unknown("%s%s", prefix(at.name), text)
	}
	return nil
}

// placesOf returns the namespaces in which pods can use feds or are named.
func (s *search) placesOf(at site, feds []*consumer.Fed) []string {
	var out []string
	for _, fed := range feds {
		out = append(out, fed.Namespace)
	}
	for _, w := range s.wanted.Workloads {
		if w.Cluster == at.name {
			out = append(out, w.Namespace)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// users are the entries that use a Secret; more are uses that are not in their
// specs.
type users struct {
	pods, works []*stock.Entry
	more        map[*stock.Entry][]consumer.Use
}

func (s *search) users(at site, feds []*consumer.Fed, extra *found) users {
	u := users{more: map[*stock.Entry][]consumer.Use{}}
	seen := map[*stock.Entry]bool{}
	add := func(e *stock.Entry) {
		if seen[e] {
			return
		}
		seen[e] = true
		if e.Pod != nil {
			u.pods = append(u.pods, e)
		} else if e.Work != nil {
			u.works = append(u.works, e)
		}
	}
	for _, fed := range feds {
		if fed.Kind.Kind != kindSecret {
			continue
		}
		key := fed.Namespace + "/" + fed.Name
		for _, e := range at.stock.By(stock.BySecret, key) {
			add(e)
		}
		for _, e := range extra.rollouts[key] {
			add(e)
		}
		for _, account := range extra.pulls[key] {
			for _, e := range at.stock.By(stock.ByAccount, account) {
				add(e)
				u.more[e] = append(u.more[e], consumer.Use{Kind: consumer.UseImagePull, Secret: fed.Name})
			}
		}
	}
	s.classUsers(at, feds, extra, func(e *stock.Entry, use consumer.Use) {
		add(e)
		u.more[e] = append(u.more[e], use)
	})
	return u
}

// only returns those of uses that are of the Secrets found.
func (s *search) only(namespace string, at site, uses []consumer.Use) []consumer.Use {
	var out []consumer.Use
	for _, use := range uses {
		if s.held[secretObject(at.name, nameOf(namespace, use.Secret))] {
			out = append(out, use)
		}
	}
	return out
}

func prefix(cluster string) string {
	if cluster == "" {
		return ""
	}
	return fmt.Sprintf("cluster %q: ", cluster)
}

const kindSecret = "Secret"

// graph returns what was found, in order.
func (s *search) graph() consumer.Graph {
	g := s.out
	slices.SortFunc(g.Secrets, func(a, b consumer.Fed) int { return compare(a.Object, b.Object) })
	slices.SortFunc(g.Pods, func(a, b consumer.Pod) int { return compare(a.Object, b.Object) })
	slices.SortFunc(g.Workloads, func(a, b consumer.Workload) int { return compare(a.Object, b.Object) })
	slices.SortFunc(g.Others, func(a, b consumer.Other) int {
		return cmp.Or(compare(a.Object, b.Object), strings.Compare(a.Secret, b.Secret))
	})
	g.Others = slices.Compact(g.Others)
	slices.Sort(g.Unknown)
	g.Unknown = slices.Compact(g.Unknown)
	return g
}

func compare(a, b consumer.Object) int {
	return cmp.Or(strings.Compare(a.Cluster, b.Cluster), strings.Compare(a.Namespace, b.Namespace),
		strings.Compare(a.Name, b.Name), strings.Compare(a.Kind.String(), b.Kind.String()))
}

// secretObject names a Secret.
func secretObject(cluster string, name types.NamespacedName) consumer.Object {
	return consumer.Object{Cluster: cluster, Kind: corev1.SchemeGroupVersion.WithKind(kindSecret), NamespacedName: name}
}
