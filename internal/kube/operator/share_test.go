package operator

import (
	"context"
	"fmt"
	"testing"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/fake"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
)

// hangs is provider fake, but for the stores of one namespace, which do not answer until
// they are released.
type hangs struct {
	namespace string
	asked     chan struct{}
	release   chan struct{}
}

func (h hangs) Open(ctx context.Context, cfg provider.Config) (provider.Store, error) {
	s, err := fake.Provider{}.Open(ctx, cfg)
	if err != nil || cfg.Scope.Store().Namespace != h.namespace {
		return s, err
	}
	return stuck{s, h}, nil
}

type stuck struct {
	provider.Store
	hangs
}

func (s stuck) Read(ctx context.Context, req provider.Request) (provider.Value, error) {
	s.asked <- struct{}{}
	select {
	case <-s.release:
		return s.Store.Read(ctx, req)
	case <-ctx.Done():
		return provider.Value{}, errs.Newf(errs.Unavailable, "reading: %w", ctx.Err())
	}
}

// Guards every other namespace: more objects than there are workers, all of one whose store
// does not answer, and those of another are synced; and later these too.
func TestAStoreThatHangsHoldsUpItsNamespaceOnly(t *testing.T) {
	w := newWorld(t)
	slow := w.namespace("slow", nil)
	const workers, many = 4, 10
	h := hangs{slow, make(chan struct{}, many*10), make(chan struct{})}
	w.start(func(cfg *Config) {
		cfg.Concurrency, cfg.Namespaces = workers, []string{w.ns, slow}
		cfg.Providers[fake.Name] = h
	})
	const store = `
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: s}
spec: {provider: {fake: {data: [{key: k, value: v}%s]}}}
`
	const object = `
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: %s}
spec: {secretStoreRef: {name: s}, data: [{secretKey: k, remoteRef: {key: %s}}]}
`
	keys, objects := "", ""
	for i := range many {
		keys += fmt.Sprintf(", {key: k%d, value: v}", i)
		objects += fmt.Sprintf(object, fmt.Sprint("slow", i), fmt.Sprint("k", i))
	}
	if err := apiserver.Apply(t.Context(), testClient, slow, fmt.Sprintf(store, keys)+objects); err != nil {
		t.Fatal(err)
	}
	for range workers / 2 {
		<-h.asked
	}
	w.apply(fmt.Sprintf(store, "") + fmt.Sprintf(object, "quick", "k"))
	w.es("quick", v1.ReasonSecretSynced, "")
	if n := len(h.asked); n != 0 {
		t.Errorf("%d more of the other namespace wait for its store", n)
	}
	close(h.release)
	other := *w
	other.ns = slow
	for i := range many {
		other.es(fmt.Sprint("slow", i), v1.ReasonSecretSynced, "")
	}
}
