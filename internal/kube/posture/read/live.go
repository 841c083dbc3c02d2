package read

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/record"
	"github.com/strongkeep/strongkeep/internal/kube/posture/record/custom"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// atOnce is how many lists are read at the same time.
const atOnce = 4

// Options say how much of a cluster is read.
type Options struct {
	Now time.Time
	// Whole reads everything that a snapshot has. Without it RBAC, pods and the names
	// of Secrets are read, and no more rights are needed.
	Whole bool
	// Key of the fingerprints. With Whole, the contents of Secrets and ConfigMaps are
	// read for them; without a Key, of Secrets only metadata leave the API server.
	Key *fingerprint.Key
	// Namespaces to ask one by one, where not all may be listed at once, beside those
	// that may be listed.
	Namespaces []string
}

// Live reads the cluster that config reaches, as whoever config stands for. What may
// not be read is a Gap and no error; an API server that cannot be reached, or does not
// know who asks, is one.
func Live(ctx context.Context, config *rest.Config, o Options) (*snapshot.Snapshot, error) {
	l, err := dial(config, o)
	if err != nil {
		return nil, err
	}
	if err := l.served(ctx); err != nil {
		return nil, err
	}
	steps := l.minimal()
	if o.Whole {
		steps = l.whole()
	}
	group, lists := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, step := range steps {
		group.Go(func() error { return step(lists) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if !o.Whole {
		l.join.finish(l.out)
		return l.out, nil
	}
	l.sums()
	if err := l.measured(ctx); err != nil {
		return nil, err
	}
	return l.out, nil
}

// measured finishes the snapshot while the API server gathers its metrics.
func (l *live) measured(ctx context.Context) error {
	var control snapshot.Control
	var gap snapshot.Gap
	group, asking := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		gap, err = l.metrics(asking, &control)
		return err
	})
	l.join.finish(l.out)
	if err := group.Wait(); err != nil {
		return err
	}
	to := &l.out.Control
	to.Transformations, to.Reloaded, to.Started, to.InForce = control.Transformations, control.Reloaded, control.Started, control.InForce
	l.gap("metrics", gap)
	return nil
}

func dial(config *rest.Config, o Options) (*live, error) {
	fast := rest.CopyConfig(config)
	fast.ContentType, fast.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf,application/json"
	http, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "making a client of %s: %w", config.Host, err)
	}
	typed, err1 := kubernetes.NewForConfigAndClient(fast, http)
	names, err2 := metadata.NewForConfigAndClient(config, http)
	objects, err3 := dynamic.NewForConfigAndClient(config, http)
	kinds, err4 := discovery.NewDiscoveryClientForConfigAndClient(config, http)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, errs.Newf(errs.Invalid, "making a client of %s: %w", config.Host, err)
	}
	l := &live{
		Options: o, client: typed, names: names, custom: objects, kinds: kinds, maker: record.Maker{Key: o.Key},
		out:  &snapshot.Snapshot{Source: config.Host, Taken: o.Now, Live: true, Coverage: snapshot.Coverage{}, Served: map[string]bool{}},
		join: newJoin(),
	}
	if o.Whole && o.Key != nil {
		l.out.Key = o.Key.ID()
	}
	return l, nil
}

// live is one reading of a cluster.
type live struct {
	Options
	client kubernetes.Interface
	names  metadata.Interface
	custom dynamic.Interface
	kinds  *discovery.DiscoveryClient
	maker  record.Maker
	// known are the namespaces to ask one by one, which are listed when something is
	// forbidden.
	known    namespaces
	versions map[string]string // of served resources, by "group/resource"
	// provisioned are the kinds by which Crossplane makes things outside, and whose
	// credentials it writes into Secrets.
	provisioned []custom.Kind

	// silent are the groups that do not answer.
	silent map[string]bool

	mu   sync.Mutex // guards what is below
	out  *snapshot.Snapshot
	join join
}

// keep changes the snapshot.
func (l *live) keep(change func(*snapshot.Snapshot)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l.out)
}

// gap notes how far a resource was read.
func (l *live) gap(resource string, g snapshot.Gap) {
	l.keep(func(s *snapshot.Snapshot) { s.Coverage[resource] = g })
}

// served notes which resources the cluster has. Groups that do not answer are
// left out, and said.
func (l *live) served(ctx context.Context) error {
	_, lists, err := l.kinds.ServerGroupsAndResourcesWithContext(ctx)
	l.versions, l.silent = map[string]string{}, map[string]bool{}
	for _, list := range lists {
		group, version, ok := strings.Cut(list.GroupVersion, "/")
		if !ok {
			group, version = "", list.GroupVersion
		}
		for i := range list.APIResources {
			name := group + "/" + list.APIResources[i].Name
			l.out.Served[name] = true
			// The first version is the one that the group prefers.
			r := &list.APIResources[i]
			if _, has := l.versions[name]; has || !slices.Contains(r.Verbs, "list") {
				continue
			}
			l.versions[name] = version
			if custom.Provisions(r.Categories) {
				l.provisioned = append(l.provisioned, custom.Kind{Group: group, Resource: r.Name, Kind: r.Kind, Global: !r.Namespaced})
			}
		}
	}
	var partly *discovery.ErrGroupDiscoveryFailed
	if err != nil && len(lists) > 0 && errors.As(err, &partly) {
		for gv := range partly.Groups {
			l.silent[gv.Group] = true
		}
		l.gap("resources", snapshot.Gap{Reason: fmt.Sprintf("%d API groups do not answer", len(partly.Groups))})
		return nil
	}
	g, err := reason(err)
	if err != nil {
		return fmt.Errorf("asking what is served: %w", err)
	}
	l.gap("resources", g)
	return nil
}

// namespaces are listed once.
type namespaces struct {
	once  sync.Once
	names []string
	err   error
}

// namespaces are those that may be listed, and those that were given. The error is that
// of the list, with the latter.
func (l *live) namespaces(ctx context.Context) ([]string, error) {
	l.known.once.Do(func() {
		names := slices.Clone(l.Namespaces)
		l.known.err = pages(ctx, func(ctx context.Context, o metav1.ListOptions) (string, error) {
			list, err := l.client.CoreV1().Namespaces().List(ctx, o)
			if err != nil {
				return "", err
			}
			for i := range list.Items {
				names = append(names, list.Items[i].Name)
			}
			return list.Continue, nil
		})
		slices.Sort(names)
		l.known.names = slices.Compact(names)
	})
	return l.known.names, l.known.err
}
