package world

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/buffer"
	"github.com/strongkeep/strongkeep/internal/testenv/dbtest"
	"github.com/strongkeep/strongkeep/test/rotation/collector"
)

// Patience bounds waits for one thing; one that succeeds takes seconds. Often is
// how often is looked.
const (
	Patience = 3 * time.Minute
	Often    = 50 * time.Millisecond
)

// World is one test's namespace, vault, database users, operator and
// applications.
type World struct {
	testing.TB
	Namespace string
	Vault     *testenv.Vault
	Database  *dbtest.Server
	Collector *collector.Collector
	// OperatorLog is what all operators said.
	OperatorLog *buffer.Buffer

	site     *site
	operator string // kubeconfig
	powers   Powers
	id       string // for names in the database
	mu       sync.Mutex
	applied  []Consumer
	known    map[string]string
}

// New makes a world on a database, "postgres" or "mariadb", with a role of
// alternating users, the Secret "db" fed from it and a Rotation "db"; no operator
// runs yet, and nobody uses it.
func New(t testing.TB, kind string) *World { t.Helper(); return NewWith(t, kind, Powers{}) }

// NewWith is New, with operators that have more than the usual powers.
func NewWith(t testing.TB, kind string, powers Powers) *World {
	t.Helper()
	s := open(t)
	db, err := dbtest.Open(kind, s.HostIP())
	if err != nil {
		if strings.Contains(err.Error(), "is not installed") {
			t.Skipf("SKIPPED: %v", err)
		}
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "t-"}}
	if powers.Drills {
		ns.Labels = map[string]string{v1alpha1.LabelDrills: v1alpha1.DrillsAllowed}
	}
	if err := s.Client.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	w := &World{TB: t, Namespace: ns.Name, Database: db, OperatorLog: new(buffer.Buffer), site: s,
		id: strings.ReplaceAll(ns.Name, "-", "_"), powers: powers, known: map[string]string{}}
	t.Cleanup(w.explain)
	t.Cleanup(w.remove)
	if w.Collector, err = collector.Start(t.Context(), s.HostIP()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Collector.Close)
	w.startVault()
	w.prepareDatabase()
	w.Role("")
	w.operator = w.allow()
	w.feed()
	return w
}

// explain shows what a test that failed needs to be understood.
func (w *World) explain() {
	if !w.Failed() {
		return
	}
	ctx := context.WithoutCancel(w.Context())
	for _, args := range [][]string{
		{"get", "rotations,externalsecrets,secretstores", "--output=yaml"},
		{"get", "deployments,replicasets,pods", "--output=wide"},
		{"get", "events"},
	} {
		out, err := w.site.Kubectl(ctx, nil, append([]string{"--namespace=" + w.Namespace}, args...)...)
		w.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	log := w.OperatorLog.String()
	w.Logf("%v\nend of the operators' log:\n%s", w.Collector.Totals(""), log[max(0, len(log)-20000):])
}

// remove leaves nothing for the worlds that follow, and looks for passwords where
// none may be.
func (w *World) remove() {
	ctx := context.WithoutCancel(w.Context())
	w.searchLeaks(ctx)
	if w.Failed() { // explain runs after us
		return
	}
	_, err := w.site.Kubectl(ctx, nil, "delete", "namespace", w.Namespace, "--wait=false")
	if err != nil {
		w.Error(err)
	}
}

// searchLeaks looks for every password that was published in what people read.
func (w *World) searchLeaks(ctx context.Context) {
	var all strings.Builder
	for _, args := range [][]string{
		{"get", "rotations,externalsecrets,secretstores,deployments,replicasets,pods", "--output=yaml"},
		{"get", "events", "--output=yaml"},
	} {
		out, err := w.site.Kubectl(ctx, nil, append([]string{"--namespace=" + w.Namespace}, args...)...)
		if err != nil {
			w.Error(err)
		}
		all.Write(out)
	}
	all.WriteString(w.OperatorLog.String())
	all.WriteString(w.Vault.Log.String())
	text := all.String()
	w.mu.Lock()
	defer w.mu.Unlock()
	for secret, what := range w.known {
		if at := strings.Index(text, secret); at >= 0 {
			w.Errorf("%s is where people read: …%s", what, strings.ReplaceAll(text[max(0, at-300):at], secret, "***"))
		}
	}
}

// remember has searchLeaks look for a secret.
func (w *World) remember(what, secret string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known[secret] = what
}

// Kubectl runs kubectl in the world's namespace, with all permissions.
func (w *World) Kubectl(args ...string) string {
	w.Helper()
	out, err := w.site.Kubectl(w.Context(), nil, append([]string{"--namespace=" + w.Namespace}, args...)...)
	if err != nil {
		w.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// Apply applies manifests in the world's namespace.
func (w *World) Apply(manifests string) {
	w.Helper()
	_, err := w.site.Kubectl(w.Context(), strings.NewReader(manifests), "apply", "--server-side", "--namespace="+w.Namespace, "-f", "-")
	if err != nil {
		w.Fatalf("%v\n%s", err, manifests)
	}
}

func (w *World) create(o any) {
	w.Helper()
	if err := w.site.Client.Create(w.Context(), o.(client.Object)); err != nil && !apierrors.IsAlreadyExists(err) {
		w.Fatal(err)
	}
}

// Until looks until f has nothing to complain of.
func (w *World) Until(what string, f func() error) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), Patience)
	defer cancel()
	tick := time.NewTicker(Often)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.Fatalf("%s: %v", what, err)
		}
	}
}

// HostIP is where pods reach this process.
func (w *World) HostIP() string { return w.site.HostIP() }

// name is one in the database that no other world has.
func (w *World) name(base string) string { return fmt.Sprintf("%s_%s", base, w.id) }
