package rotation

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/render"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/rehearse"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/rehearse/shadow"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// crew returns what makes shadow pods, and has what is left of them collected;
// nil where none are to be made.
func crew(mgr ctrl.Manager, live client.Client, cfg Config) (rehearse.Shadows, error) {
	if !cfg.RehearsalPods {
		return nil, nil
	}
	c := shadow.Collector{Client: live, Namespaces: cfg.Namespaces, Clock: clock.RealClock{}, Log: cfg.Log}
	if err := mgr.Add(leader(c.Run)); err != nil {
		return nil, err
	}
	return shadow.Crew{Client: live, Render: rendering{mgr.GetClient(), live, cfg}.render}, nil
}

// rendering makes what an ExternalSecret would write.
type rendering struct {
	cached, live client.Reader
	cfg          Config
}

// render is a shadow.Render.
func (r rendering) render(ctx context.Context, name types.NamespacedName, location string, staged redact.Secret) (map[string][]byte, error) {
	es := &v1.ExternalSecret{}
	if err := r.cached.Get(ctx, name, es); err != nil {
		return nil, errs.Newf(errs.Unavailable, "reading it: %w", err)
	}
	got, err := gather.Values(ctx, es, gather.Source{
		Now: time.Now,
		Read: func(ctx context.Context, ref v1.SecretStoreRef, req provider.Request) (provider.Value, error) {
			store, err := r.cfg.Stores.Store(ctx, es.Namespace, ref)
			if err != nil {
				return provider.Value{}, err
			}
			at, err := r.cfg.Pool.LocateKey(ctx, store, req.Key)
			if err == nil && at == location && req.Version == "" && !req.Metadata {
				return provider.Value{Data: staged}, nil
			}
			req.For = es.Namespace
			return r.cfg.Pool.Read(ctx, store, req)
		},
		Find: func(context.Context, v1.SecretStoreRef, provider.Query) ([]provider.Found, time.Time, error) {
			return nil, time.Time{}, errs.New(errs.Unsupported, "a search (dataFrom.find) does not find what is staged")
		},
		Picks: func(ctx context.Context, ref v1.SecretStoreRef) bool {
			store, err := r.cfg.Stores.Store(ctx, es.Namespace, ref)
			return err == nil && r.cfg.Pool.Picks(ctx, store)
		},
	})
	if err != nil {
		return nil, err
	}
	texts, err := render.Read(ctx, r.live, es)
	if err != nil {
		return nil, err
	}
	made, err := render.Secret(es, got.Data, texts, render.Options{Delimiters: r.cfg.TemplateDelimiters, Now: time.Now})
	if err != nil {
		return nil, errs.New(errs.KindOf(err), "its template fails on the new credential") // what it says may quote that
	}
	return made.Data, nil
}
