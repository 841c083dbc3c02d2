package remote

import (
	"cmp"
	"context"
	"crypto/sha256"
	"net/http"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/content"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/remote/connection"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
)

// Config is what a Pool needs; all of it is required.
type Config struct {
	Live   client.Reader // of our own API server
	Scheme *runtime.Scheme
	Clock  clock.PassiveClock
	// Outbound is whom a kubeconfig may name.
	Outbound outbound.Config
	// Key of which keys of digests are derived, one for each other cluster that has no
	// operator of its own: who owns that cluster and sees stamps made by ours could
	// compare guesses. KeySecret
	// and KeyData say where such an operator has its key, Namespace where it usually
	// is: as ours.
	Key                           target.Key
	KeySecret, KeyData, Namespace string
}

// Pool keeps a connection for each kubeconfig. It is safe for concurrent use, and
// holds nothing that must be closed: idle connections end by themselves.
type Pool struct {
	cfg Config

	mu    sync.Mutex
	conns map[types.NamespacedName]*conn
}

// conn is a connection by one content of a kubeconfig.
type conn struct {
	of      [sha256.Size]byte
	id      string
	http    *http.Client
	client  client.Client
	digests map[string]*digests // by the operator's namespace
}

type digests struct {
	of  [sha256.Size]byte // the key's
	all *content.Digests
}

// New returns a Pool that has reached nothing.
func New(cfg Config) *Pool {
	return &Pool{cfg: cfg, conns: map[types.NamespacedName]*conn{}}
}

// Cluster is another cluster, reached.
type Cluster struct {
	client.Client
	// ID is the address of its API server.
	ID string
	// Digests are keyed as those of the operator there, if there is one.
	Digests *content.Digests
}

// dataKey is the key of a Secret that holds a kubeconfig.
const dataKey = "kubeconfig"

// Reach returns the cluster that c names. The kubeconfig is read each time, which
// is one request to our own API server, so that one that was changed counts from
// then on. Kinds of error: Invalid, Unsupported, Denied and NotExist need a person;
// Unavailable is worth another try.
func (p *Pool) Reach(ctx context.Context, c consumer.Cluster) (Cluster, error) {
	raw, err := p.kubeconfig(ctx, c.Kubeconfig)
	if err != nil {
		return Cluster{}, err
	}
	reached, err := p.connect(c.Kubeconfig, raw)
	if err != nil {
		return Cluster{}, errs.Newf(errs.KindOf(err), "Secret %q: %w", c.Kubeconfig, err)
	}
	key, of, err := p.keyOf(ctx, reached, cmp.Or(c.Operator, p.cfg.Namespace))
	if err != nil {
		return Cluster{}, err
	}
	return Cluster{reached.client, reached.id, p.digestsOf(reached, cmp.Or(c.Operator, p.cfg.Namespace), key, of)}, nil
}

func (p *Pool) kubeconfig(ctx context.Context, name types.NamespacedName) ([]byte, error) {
	var s corev1.Secret
	err := p.cfg.Live.Get(ctx, name, &s)
	switch {
	case apierrors.IsNotFound(err):
		p.drop(name)
		return nil, errs.Newf(errs.NotExist, "Secret %q with its kubeconfig does not exist: create it, or correct spec.consumers.clusters", name)
	case apierrors.IsForbidden(err):
		return nil, errs.Newf(errs.Denied, "the operator may not read Secret %q with its kubeconfig: add get on secrets to its role", name)
	case err != nil:
		return nil, errs.Newf(errs.Unavailable, "reading Secret %q with its kubeconfig: %w", name, err)
	}
	raw := s.Data[dataKey]
	if len(raw) == 0 {
		return nil, errs.Newf(errs.Invalid, "Secret %q has no key %q", name, dataKey)
	}
	return raw, nil
}

func (p *Pool) drop(name types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.conns[name]; old != nil {
		old.http.CloseIdleConnections()
		delete(p.conns, name)
	}
}

// connect returns the connection by a kubeconfig. No request is made: kinds are
// asked for when they are needed first.
func (p *Pool) connect(name types.NamespacedName, raw []byte) (*conn, error) {
	of := sha256.Sum256(raw)
	p.mu.Lock()
	known := p.conns[name]
	p.mu.Unlock()
	if known != nil && known.of == of {
		return known, nil
	}
	fresh, err := p.dial(name, raw)
	if err != nil {
		p.drop(name) // what it was is not what is meant now
		return nil, err
	}
	fresh.of = of
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.conns[name]; old != nil {
		if old.of == of {
			return old, nil // somebody else was as fast
		}
		old.http.CloseIdleConnections()
	}
	p.conns[name] = fresh
	return fresh, nil
}

func (p *Pool) dial(name types.NamespacedName, raw []byte) (*conn, error) {
	cfg, err := connection.Kubeconfig(raw)
	if err != nil {
		return nil, err
	}
	by, err := connection.Client(cfg, connection.Options{Outbound: p.cfg.Outbound, Clock: p.cfg.Clock, Denied: func() { p.drop(name) }})
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "the kubeconfig: %w", err)
	}
	c, err := client.New(cfg, client.Options{Scheme: p.cfg.Scheme, HTTPClient: by})
	if err != nil {
		return nil, errs.New(errs.Invalid, "no client can be made from the kubeconfig")
	}
	return &conn{id: cfg.Host, http: by, client: c, digests: map[string]*digests{}}, nil
}

// keyOf returns the key of digests in another cluster: that of the operator there,
// so that what it restarts by itself and what a rotation restarts have one stamp.
func (p *Pool) keyOf(ctx context.Context, by *conn, namespace string) (key target.Key, of [sha256.Size]byte, err error) {
	var s corev1.Secret
	name := types.NamespacedName{Namespace: namespace, Name: p.cfg.KeySecret}
	err = by.client.Get(ctx, name, &s)
	switch {
	case apierrors.IsNotFound(err):
		key, err = p.cfg.Key.Derive("cluster/" + by.id)
		return key, of, err
	case err != nil:
		return key, of, errs.Newf(kindOf(err), "asking for the operator's key, Secret %q, there: %w", name, err)
	}
	raw := s.Data[p.cfg.KeyData]
	if key, err = target.NewKey(raw); err != nil {
		return key, of, errs.Newf(errs.Invalid, "the operator's key, Secret %q, there: %w", name, err)
	}
	return key, sha256.Sum256(raw), nil
}

// kindOf returns the kind of what the API server of another cluster answers.
func kindOf(err error) errs.Kind {
	switch {
	case apierrors.IsForbidden(err), errs.Is(err, errs.Denied): // by it, or by whom we may reach
		return errs.Denied
	case apierrors.IsUnauthorized(err):
		return errs.Unauthenticated
	}
	return errs.Unavailable
}

func (p *Pool) digestsOf(c *conn, namespace string, key target.Key, of [sha256.Size]byte) *content.Digests {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := c.digests[namespace]; known != nil && known.of == of {
		return known.all
	}
	made := &digests{of, content.New(c.client, key)}
	c.digests[namespace] = made
	return made.all
}
