package finder

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/content"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// there is what locate is in another cluster, where the vault has another name.
func there(ctx context.Context, store v1.Store, key string) (string, error) {
	location, err := locate(ctx, store, key)
	return strings.Replace(location, "vault.test:8200", "vault.far:443", 1), err
}

// beside returns a cluster of objects.
func beside(t *testing.T, text string, funcs interceptor.Funcs) func(context.Context, consumer.Cluster) (Cluster, error) {
	t.Helper()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c := unstreamed{interceptor.NewClient(fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects(t, text)...).Build(), funcs)}
	key, err := target.NewKey(bytes.Repeat([]byte{9}, target.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return func(context.Context, consumer.Cluster) (Cluster, error) {
		return Cluster{Live: c, Locate: there, Digests: content.New(c, key)}, nil
	}
}

func asking(servers ...string) consumer.Wanted {
	w := wanted
	w.Clusters = []consumer.Cluster{{Name: "east", Servers: servers}}
	return w
}

// theirs returns the Secret a/name of the other cluster.
func theirs(t *testing.T, g consumer.Graph, name string) consumer.Fed {
	t.Helper()
	for _, f := range g.Secrets {
		if f.Cluster == "east" && f.Name == name {
			return f
		}
	}
	t.Fatalf("%s is not found there: %+v, unknown %q", name, g.Secrets, g.Unknown)
	return consumer.Fed{}
}

const (
	marked = `  annotations: {strongkeep.io/versions: '{"vault.test:8200/database/alternating-creds/app":"7"}'}` + "\n"
	unread = "the same path of a vault at vault.far:443"
)

// Another cluster calls the vault by another name: named as one of its servers
// that is the vault, and not named it is a doubt that is said.
func TestAwayByAnotherName(t *testing.T) {
	far := strings.ReplaceAll(fedSecret, "vault.test:8200", "vault.far:443")
	for name, c := range map[string]struct {
		text    string
		servers []string
		found   bool
		doubt   bool
	}{
		"named":                        {far, []string{"https://vault.far"}, true, false},
		"named beside others":          {far, []string{"https://else:8200", "https://VAULT.far:443/"}, true, false},
		"not named":                    {far, nil, false, true},
		"another one, as is said":      {far, []string{"https://vault.test:8200"}, false, false},
		"not named, no ExternalSecret": {far[strings.Index(far, "apiVersion: v1\nkind: Secret\n"):], nil, false, true},
		"named, no ExternalSecret":     {far[strings.Index(far, "apiVersion: v1\nkind: Secret\n"):], []string{"https://vault.far"}, true, false},
		"another path":                 {strings.ReplaceAll(far, "alternating-creds/app", "alternating-creds/else"), nil, false, false},
	} {
		w := newWorld(t, objects(t, fedSecret), func(cfg *Config, _ *interceptor.Funcs) { cfg.Cluster = beside(t, c.text, interceptor.Funcs{}) })
		g := w.find(asking(c.servers...))
		found := slices.ContainsFunc(g.Secrets, func(f consumer.Fed) bool { return f.Cluster == "east" && f.Version == "7" })
		doubt := slices.ContainsFunc(g.Unknown, func(text string) bool {
			return strings.HasPrefix(text, `cluster "east": `) && strings.Contains(text, unread) && strings.Contains(text, `servers of "east"`)
		})
		if found != c.found || doubt != c.doubt || !c.doubt && len(g.Unknown) > 0 {
			t.Errorf("%s: found %v, unknown %q", name, found, g.Unknown)
		}
	}
}

// What another operator feeds says no version: it holds ours when it holds the
// same value.
func TestAwayByContent(t *testing.T) {
	foreign := strings.Replace(fedSecret, marked, "", 1)
	for name, c := range map[string]struct{ here, there, version string }{
		"the same":         {fedSecret, foreign, "7"},
		"an older one":     {fedSecret, strings.NewReplacer("Y2FuYXJ5LTlaazItUGFzc3dvcmQ=", "b2xkZXItcGFzc3dvcmQtMQ==", "canary-9Zk2-Password", "older-password-1").Replace(foreign), ""},
		"nothing here":     {"", foreign, ""},
		"says it itself":   {"", fedSecret, "7"},
		"as ours, unnamed": {foreign, foreign, ""},
	} {
		w := newWorld(t, objects(t, c.here), func(cfg *Config, _ *interceptor.Funcs) { cfg.Cluster = beside(t, c.there, interceptor.Funcs{}) })
		w.cfg.Locate = there // of both: names are another test's
		ask := asking("https://vault.far")
		if c.here != "" {
			w.cfg.Locate = locate
		}
		f := theirs(t, w.find(ask), "db")
		if f.Version != c.version || (c.version == "") != strings.Contains(f.Problem, "it does not say which version it holds") || f.Stuck {
			t.Errorf("%s: version %q, problem %q", name, f.Version, f.Problem)
		}
	}
}

// A copy by hand in another cluster is found by what Secrets here hold.
func TestAwayCopies(t *testing.T) {
	const copied = "apiVersion: v1\nkind: Secret\nmetadata: {namespace: z, name: NAME}\ndata: {pass: Y2FuYXJ5LTlaazItUGFzc3dvcmQ=}\n---\n"
	// One of them has the name that the credential has here.
	text := strings.Replace(copied, "NAME", "hidden", 1) + strings.Replace(strings.Replace(copied, "NAME", "db", 1), "namespace: z", "namespace: a", 1)
	w := newWorld(t, objects(t, fedSecret), func(cfg *Config, _ *interceptor.Funcs) { cfg.Cluster = beside(t, text, interceptor.Funcs{}) })
	ask := asking("https://vault.far")
	ask.Scan = true
	g := w.find(ask)
	for _, name := range []string{"hidden", "db"} {
		if f := theirs(t, g, name); !f.Mirror || !f.Stuck || f.Version != "7" {
			t.Errorf("%+v", f)
		}
	}
}

// Of a cluster that stops answering half way nothing is kept.
func TestAwayHalfWay(t *testing.T) {
	long := strings.Repeat("x", 2*maxWords)
	w := newWorld(t, objects(t, fedSecret), func(cfg *Config, _ *interceptor.Funcs) {
		cfg.Cluster = beside(t, fedSecret+pod("p", ""), interceptor.Funcs{
			List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
				if _, ok := list.(*corev1.ServiceAccountList); ok {
					return errs.New(errs.Unavailable, long)
				}
				return c.List(ctx, list, opts...)
			},
		})
	})
	g := w.find(asking("https://vault.far"))
	if len(g.Unreached) != 1 || g.Unreached[0].Cluster != "east" || !errs.Is(g.Unreached[0].Err, errs.Unavailable) || len(g.Unreached[0].Err.Error()) > maxWords+4 {
		t.Errorf("%+v", g.Unreached)
	}
	if slices.ContainsFunc(g.Secrets, func(f consumer.Fed) bool { return f.Cluster != "" }) || len(g.Pods) > 0 || len(g.Workloads) > 0 {
		t.Errorf("half a cluster is kept: %+v", g)
	}
	if len(g.Unknown) != 1 || !strings.HasPrefix(g.Unknown[0], `cluster "east": `) {
		t.Errorf("unknown %q", g.Unknown)
	}
}

// Other clusters are looked at all at once and within one time for all: those that
// drip bytes do not add up.
func TestSlowClustersTogether(t *testing.T) {
	const slow = 31
	fine := beside(t, fedSecret, interceptor.Funcs{})
	var mu sync.Mutex
	limits := map[time.Time]int{}
	all := make(chan struct{})
	w := newWorld(t, objects(t, fedSecret), func(cfg *Config, _ *interceptor.Funcs) {
		cfg.Cluster = func(ctx context.Context, c consumer.Cluster) (Cluster, error) {
			if c.Name == "east" {
				return fine(ctx, c)
			}
			mu.Lock()
			limit, _ := ctx.Deadline()
			if limits[limit]++; limits[limit] == slow {
				close(all)
			}
			mu.Unlock()
			select { // none answers until all are asked
			case <-all:
				return Cluster{}, errs.New(errs.Unavailable, "it drips")
			case <-ctx.Done():
				return Cluster{}, errs.New(errs.Unavailable, "nobody else is asked meanwhile")
			}
		}
	})
	ask := asking("https://vault.far")
	for i := range slow {
		ask.Clusters = append(ask.Clusters, consumer.Cluster{Name: fmt.Sprintf("slow-%d", i)})
	}
	g := w.find(ask)
	if len(g.Unreached) != slow || g.Unreached[0].Err.Error() != "it drips" || len(limits) != 1 {
		t.Errorf("%d clusters are not reached, with %d limits: %+v", len(g.Unreached), len(limits), g.Unreached)
	}
	theirs(t, g, "db")
}
