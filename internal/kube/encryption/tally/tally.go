package tally

import (
	"cmp"
	"context"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"golang.org/x/sync/errgroup"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/meter"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

const (
	width = 8   // requests at once
	limit = 500 // objects on a page
)

// Config says what to have read. Resources, Provider, KeyID and Most are as those of
// stored.Config.
type Config struct {
	REST      *rest.Config
	Server    string // URL of one API server; "" is that of REST
	Resources []string
	Provider  string
	KeyID     string
	Most      int
}

// counted is what was read of one resource.
type counted struct {
	name   string
	counts string // its name in the metrics
	read   int
	broken []string // NAMESPACE/NAME of what the API server could not read
}

// Verify has every object read, and answers by what was counted. Kinds: Invalid,
// NotExist (a resource), Denied, Unauthenticated, Unavailable.
func Verify(ctx context.Context, cfg Config) (*stored.Report, error) {
	if len(cfg.Resources) == 0 {
		return nil, errs.New(errs.Invalid, "no resource is named: name at least secrets")
	}
	to := rest.CopyConfig(cfg.REST)
	to.Host, to.QPS = cmp.Or(cfg.Server, cfg.REST.Host), -1
	client, mapper, err := connect(to)
	if err != nil {
		return nil, err
	}
	before, err := meter.Ask(ctx, to, to.Host)
	if err != nil {
		return nil, err
	}
	var all []counted
	for i, name := range cfg.Resources {
		if slices.Contains(cfg.Resources[:i], name) {
			return nil, errs.Newf(errs.Invalid, "resource %s is named twice", name)
		}
		found, err := resolve(mapper, name)
		if err != nil {
			return nil, err
		}
		c := counted{name: name, counts: found.GroupResource().String()}
		if err := c.readAll(ctx, client.Resource(found)); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	after, err := meter.Ask(ctx, to, to.Host)
	if err != nil {
		return nil, err
	}
	return judge(&cfg, to.Host, [2]meter.Reading{before, after}, all), nil
}

func connect(to *rest.Config) (metadata.Interface, meta.RESTMapper, error) {
	shared, err := rest.HTTPClientFor(to)
	if err != nil {
		return nil, nil, errs.Newf(errs.Invalid, "making a client of the API server: %w", err)
	}
	client, err := metadata.NewForConfigAndClient(to, shared)
	if err != nil {
		return nil, nil, errs.Newf(errs.Invalid, "making a client of the API server: %w", err)
	}
	mapper, err := apiutil.NewDynamicRESTMapper(to, shared)
	if err != nil {
		return nil, nil, errs.Newf(errs.Unavailable, "asking the API server for its resources: %w", err)
	}
	return client, mapper, nil
}

func resolve(mapper meta.RESTMapper, name string) (schema.GroupVersionResource, error) {
	gr := schema.ParseGroupResource(name)
	found, err := mapper.ResourceFor(gr.WithVersion(""))
	switch {
	case meta.IsNoMatchError(err), err == nil && found.GroupResource() != gr:
		return found, errs.Newf(errs.NotExist, "the API server has no resource %q: name it as kubectl api-resources does, with its group: RESOURCE.GROUP; wildcards are not taken", name)
	case err != nil:
		return found, explain(err, "asking for resources")
	}
	return found, nil
}

// readAll lists names, and has each object read by a request of its own: without a
// resourceVersion it comes from etcd, where a list comes from the API server's memory.
func (c *counted) readAll(ctx context.Context, from metadata.Getter) error {
	for token := ""; ; {
		page, err := from.List(ctx, metav1.ListOptions{Limit: limit, Continue: token})
		if err != nil {
			return explain(err, "listing "+c.name)
		}
		if err := c.readPage(ctx, from, page.Items); err != nil {
			return err
		}
		if token = page.Continue; token == "" {
			return nil
		}
	}
}

func (c *counted) readPage(ctx context.Context, from metadata.Getter, items []metav1.PartialObjectMetadata) error {
	outcome := make([]error, len(items))
	var g errgroup.Group
	g.SetLimit(width)
	for i := range items {
		g.Go(func() error {
			_, err := from.Namespace(items[i].Namespace).Get(ctx, items[i].Name, metav1.GetOptions{})
			outcome[i] = err
			if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsInternalError(err) {
				return explain(err, "reading "+c.name)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, err := range outcome {
		switch {
		case err == nil:
			c.read++
		case apierrors.IsInternalError(err):
			c.broken = append(c.broken, name(&items[i]))
		}
	}
	return nil
}

func name(o *metav1.PartialObjectMetadata) string {
	if o.Namespace == "" {
		return o.Name
	}
	return o.Namespace + "/" + o.Name
}

// explain gives an error of the API server a kind. Its text may quote an object, so that
// only the reason is taken.
func explain(err error, doing string) error {
	reason := apierrors.ReasonForError(err)
	switch {
	case apierrors.IsForbidden(err):
		return errs.Newf(errs.Denied, "%s: the API server does not allow it: it takes the rights to list and get it in all namespaces", doing)
	case apierrors.IsUnauthorized(err):
		return errs.Newf(errs.Unauthenticated, "%s: the API server does not know who asks: log in to the cluster anew", doing)
	case apierrors.IsInternalError(err):
		return errs.Newf(errs.Unavailable, "%s: the API server answers with an error of its own (%s): one object that cannot be decrypted is enough", doing, reason)
	case reason != metav1.StatusReasonUnknown:
		return errs.Newf(errs.Unavailable, "%s: the API server says %s", doing, reason)
	}
	return errs.Newf(errs.Unavailable, "%s: %w", doing, err)
}
