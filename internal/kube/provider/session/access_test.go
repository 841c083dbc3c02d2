package session

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"

	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// referring is a backend that reads all it can of the cluster, some of it late.
type referring struct {
	backend
	cfg provider.Config
}

func (b *referring) Open(_ context.Context, cfg provider.Config) (provider.Store, error) {
	b.opens.Add(1)
	b.cfg = cfg
	return b, nil
}

func (b *referring) Read(ctx context.Context, req provider.Request) (provider.Value, error) {
	ref, err := b.cfg.Scope.Ref("auth", nil, "creds")
	if err != nil {
		return provider.Value{}, err
	}
	if _, err := b.cfg.Cluster.ConfigMapKey(ctx, ref, "ca.crt"); err != nil {
		return provider.Value{}, err
	}
	if _, err := b.cfg.Cluster.(provider.Labelled).LabelledSecret(ctx, ref, "type", "webhook"); err != nil {
		return provider.Value{}, err
	}
	if _, err := b.cfg.Cluster.SecretKey(ctx, ref, "token"); err != nil {
		return provider.Value{}, err
	}
	return b.backend.Read(ctx, req)
}

// contents is a cluster whose objects have these contents.
type contents struct {
	kube
	secret, ca, labelled string
}

func (c contents) SecretKey(context.Context, provider.Ref, string) (redact.Secret, error) {
	return redact.FromString(c.secret), c.err
}
func (c contents) ConfigMapKey(context.Context, provider.Ref, string) (string, error) {
	return c.ca, c.err
}
func (c contents) LabelledSecret(context.Context, provider.Ref, string, string) (map[string]redact.Secret, error) {
	return map[string]redact.Secret{"user": redact.FromString(c.labelled)}, nil
}

// By what a store is read is the same whenever its credentials and authorities are, also
// when the read fails, and another when any of them is another or cannot be read.
func TestAccess(t *testing.T) {
	read := func(c contents, fail error) (of, now provider.Access) {
		synctest.Test(t, func(t *testing.T) {
			b := &referring{}
			b.fail(fail)
			p := New(Config{Providers: map[string]provider.Provider{"test": b}, Cluster: c, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler)})
			defer p.Close()
			v, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: "a"})
			if (err == nil) != (fail == nil && c.err == nil) || (err == nil) != v.Access.Known() {
				t.Errorf("%v; by %v", err, v.Access.Known())
			}
			of = v.Access
			if now, err = p.Access(t.Context(), object(t, 1)); err != nil || !now.Known() {
				t.Error(err)
			}
		})
		return of, now
	}
	all := contents{secret: "a", ca: "b", labelled: "c"}
	of, now := read(all, nil)
	if of != now {
		t.Error("a value is read by something else than the store")
	}
	if _, again := read(all, errs.New(errs.Unavailable, "down")); again != now {
		t.Error("the same credentials are others once the store is down")
	}
	for name, c := range map[string]contents{
		"another token": {secret: "x", ca: "b", labelled: "c"}, "another authority": {secret: "a", ca: "x", labelled: "c"},
		"another labelled Secret": {secret: "a", ca: "b", labelled: "x"}, "swapped": {secret: "b", ca: "a", labelled: "c"},
		"unreadable": {kube: kube{errs.New(errs.Unavailable, "none")}, secret: "a", ca: "b", labelled: "c"},
	} {
		if _, other := read(c, errs.New(errs.Unavailable, "down")); other == now {
			t.Errorf("%s: the same access", name)
		}
	}
}

// A store that cannot be opened is read by nothing.
func TestAccessOfAClosedStore(t *testing.T) {
	run(t, &backend{openErr: errs.New(errs.Invalid, "x")}, func(t *testing.T, p *Pool) {
		if a, err := p.Access(t.Context(), object(t, 1)); err == nil || a.Known() {
			t.Errorf("%v", err)
		}
	})
}
