package migrate_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/kube/operator"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
	"github.com/strongkeep/strongkeep/internal/testenv/buffer"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
	"github.com/strongkeep/strongkeep/test/cluster/process"
)

// canary stands in every value of these tests.
const canary = "canary-77c0"

// world is a namespace with a vault, in which operators of both kinds run.
type world struct {
	testing.TB
	ns    string
	vault *testenv.Vault
	log   *buffer.Buffer // of ours
}

func newWorld(t testing.TB) *world {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "migrate-"}}
	if err := server.Client.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	ns.Labels = map[string]string{"test": ns.Name}
	if err := server.Client.Update(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, ns: ns.Name, vault: testenv.Start(t, nil), log: new(buffer.Buffer)}
	if err := w.vault.Sys().Mount("secret", &vault.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}); err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(w.vault.Server.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []client.Object{
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "vault-ca"}, Data: map[string]string{"ca.crt": string(ca)}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "vault-token"}, Data: map[string][]byte{"token": []byte(w.vault.Root)}},
	} {
		if err := server.Client.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(w.explain)
	return w
}

// explain shows what a test that failed needs to be understood, and looks for values
// where none may be.
func (w *world) explain() {
	ctx := context.WithoutCancel(w.Context())
	out, err := server.Kubectl(ctx, nil, "--namespace="+w.ns, "get", "externalsecrets,pushsecrets,events", "--output=yaml")
	if err != nil {
		w.Error(err)
	}
	log := w.log.String()
	for what, text := range map[string]string{"objects": string(out), "our log": log} {
		if strings.Contains(text, canary) || strings.Contains(text, w.vault.Root) {
			w.Errorf("a value is in %s", what)
		}
	}
	if w.Failed() {
		w.Logf("end of our log:\n%s", log[max(0, len(log)-20000):])
	}
}

func (w *world) apply(text string) {
	w.Helper()
	text = strings.NewReplacer("VAULT", w.vault.Server.URL(), "NAMESPACE", w.ns).Replace(text)
	if err := apiserver.Apply(w.Context(), server.Client, w.ns, text); err != nil {
		w.Fatal(err)
	}
}

func (w *world) get(o client.Object, name string) {
	w.Helper()
	if err := server.Client.Get(w.Context(), client.ObjectKey{Namespace: w.ns, Name: name}, o); err != nil {
		w.Fatal(err)
	}
}

// put writes a secret of the vault.
func (w *world) put(path string, data map[string]any) {
	w.Helper()
	if _, err := w.vault.KVv2("secret").Put(w.Context(), path, data); err != nil {
		w.Fatal(err)
	}
}

// await waits until f holds.
func (w *world) await(what string, f func(context.Context) (bool, error)) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	if err := wait.PollUntilContextCancel(ctx, often, true, f); err != nil {
		w.Fatalf("%s: %v", what, err)
	}
}

// ready waits until ExternalSecrets are.
func (w *world) ready(names ...string) {
	w.Helper()
	for _, name := range names {
		var es v1.ExternalSecret
		w.await(name+" is ready", func(ctx context.Context) (bool, error) {
			err := server.Client.Get(ctx, client.ObjectKey{Namespace: w.ns, Name: name}, &es)
			return err == nil && v1.IsReady(es.Status.Conditions), client.IgnoreNotFound(err)
		})
	}
}

// holds waits until a Secret's data is as wanted.
func (w *world) holds(name string, want map[string]string) {
	w.Helper()
	var s corev1.Secret
	w.await("Secret "+name, func(ctx context.Context) (bool, error) {
		if err := server.Client.Get(ctx, client.ObjectKey{Namespace: w.ns, Name: name}, &s); err != nil {
			return false, client.IgnoreNotFound(err)
		}
		for key, value := range want {
			if string(s.Data[key]) != value {
				return false, nil
			}
		}
		return len(s.Data) == len(want), nil
	})
}

// value is that of a key of a Secret.
func (w *world) value(name, key string) string {
	w.Helper()
	var s corev1.Secret
	w.get(&s, name)
	if len(s.Data[key]) == 0 {
		w.Fatalf("Secret %s has no %s", name, key)
	}
	return string(s.Data[key])
}

// operatorProcess is one of the two, as the test sees it.
type operatorProcess struct {
	w       *world
	name    string
	metrics string
	calls   string // how its metric of reconciles begins
	stop    func()
}

// theirs runs the original until the test ends or it is stopped, as it runs when it is
// given nothing.
func (w *world) theirs() *operatorProcess {
	w.Helper()
	number, err := port.Free("127.0.0.1")
	if err != nil {
		w.Fatal(err)
	}
	at := net.JoinHostPort("127.0.0.1", strconv.Itoa(number))
	p, err := process.Start(process.Config{
		Name: "external-secrets", Path: original, LogDir: w.TempDir(),
		Args: []string{"--metrics-addr=" + at, "--live-addr=0"}, Env: []string{"KUBECONFIG=" + server.Kubeconfig()},
	})
	if err != nil {
		w.Fatal(err)
	}
	o := &operatorProcess{w: w, name: "the original", metrics: "http://" + at + "/metrics", calls: `controller_runtime_reconcile_total{controller="externalsecret"`}
	o.stop = func() { p.Stop(10 * time.Second) }
	w.Cleanup(func() {
		if w.Failed() {
			w.Log(p.Explain(fmt.Errorf("a test failed")))
		}
		o.stop()
	})
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	if err := p.Await(ctx, func(ctx context.Context) error { _, err := o.scrape(ctx); return err }); err != nil {
		w.Fatal(err)
	}
	return o
}

// ours runs Strongkeep's operator until the test ends or it is stopped.
func (w *world) ours(onlyClass bool) *operatorProcess {
	w.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	started, ended := make(chan operator.Addresses, 1), make(chan error, 1)
	cfg := operator.Config{
		REST: server.REST, OwnNamespace: w.ns, Class: "strongkeep", OnlyClass: onlyClass, NoRotation: true, NoReload: true,
		MetricsAddr: "127.0.0.1:0", HealthAddr: "127.0.0.1:0", Started: func(a operator.Addresses) { started <- a },
		Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	go func() { ended <- app.RunOperator(ctx, cfg) }()
	o := &operatorProcess{w: w, name: "ours", calls: `controller_runtime_reconcile_total{controller="externalsecret"`}
	select {
	case a := <-started:
		o.metrics = "http://" + a.Metrics + "/metrics"
	case err := <-ended:
		cancel()
		w.Fatalf("our operator ended: %v", err)
	}
	stopped := false
	o.stop = func() {
		cancel()
		if !stopped {
			stopped = true
			if err := <-ended; err != nil {
				w.Errorf("our operator ended: %v", err)
			}
		}
	}
	w.Cleanup(o.stop)
	return o
}

// scrape returns the metrics, a line each.
func (o *operatorProcess) scrape(ctx context.Context) ([]string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.metrics, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics: %s, %w", resp.Status, err)
	}
	return strings.Split(string(text), "\n"), nil
}

// sum adds up the metrics that begin so.
func (o *operatorProcess) sum(ctx context.Context, begin ...string) (float64, error) {
	lines, err := o.scrape(ctx)
	if err != nil {
		return 0, err
	}
	var total float64
	for _, line := range lines {
		for _, b := range begin {
			if !strings.HasPrefix(line, b) {
				continue
			}
			n, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
			if err != nil {
				return 0, err
			}
			total += n
		}
	}
	return total, nil
}

// look has operators look at the Secrets of ExternalSecrets, by a touch of each, and
// waits until they have and have nothing more to do. Operators that fought would go on
// for ever.
func (w *world) look(secrets []string, operators ...*operatorProcess) {
	w.Helper()
	before := map[*operatorProcess]float64{}
	for _, o := range operators {
		n, err := o.sum(w.Context(), o.calls)
		if err != nil {
			w.Fatal(err)
		}
		before[o] = n
	}
	for _, name := range secrets {
		var s corev1.Secret
		w.get(&s, name)
		touched, _ := strconv.Atoi(s.Annotations[touchedBy])
		patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:"%d"}}}`, touchedBy, touched+1)
		if err := server.Client.Patch(w.Context(), &s, client.RawPatch("application/merge-patch+json", []byte(patch)), client.FieldOwner("test")); err != nil {
			w.Fatal(err)
		}
	}
	for _, o := range operators {
		w.await(o.name+" has looked at the Secrets", func(ctx context.Context) (bool, error) {
			n, err := o.sum(ctx, o.calls)
			if err != nil || n < before[o]+float64(len(secrets)) {
				return false, err
			}
			busy, err := o.sum(ctx, "workqueue_depth{", "controller_runtime_active_workers{")
			return busy == 0, err
		})
	}
}

// says runs a command that must end with code and say all of want.
func (w *world) says(code int, args []string, want ...string) string {
	w.Helper()
	var stdout, stderr bytes.Buffer
	env := session.System()
	env.Context, env.Stdin, env.Stdout, env.Stderr, env.ReadLine, env.ReadPassword = w.Context(), strings.NewReader(""), &stdout, &stderr, nil, nil
	env.Getenv = func(name string) string { return map[string]string{"KUBECONFIG": server.Kubeconfig()}[name] }
	got := cli.Main(args, env)
	text := stdout.String() + stderr.String()
	if strings.Contains(text, canary) || strings.Contains(text, w.vault.Root) {
		w.Errorf("%v shows a value", args)
	}
	if got != code {
		w.Fatalf("%v: exit code %d, want %d:\n%s", args, got, code, text)
	}
	for _, x := range want {
		if !strings.Contains(text, x) {
			w.Errorf("%v lacks %q:\n%s", args, x, text)
		}
	}
	return text
}

func command(args ...string) []string {
	return append([]string{"migrate", "external-secrets"}, args...)
}
