package rewrite

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/meter"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
)

var (
	server *apiserver.Server
	set    kubernetes.Interface
	etcd   *clientv3.Client
)

// victim is set in a process that a test makes to be killed.
const victim = "STRONGKEEP_REWRITE_VICTIM"

func TestMain(m *testing.M) {
	if os.Getenv(victim) != "" {
		os.Exit(beVictim())
	}
	os.Exit(withServer(m))
}

// withServer runs the tests with an API server that encrypts Secrets and ConfigMaps with a
// key of its own, and reads what is in the clear.
func withServer(m *testing.M) int {
	dir, err := os.MkdirTemp("", "rewrite")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "encryption.yaml")
	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	text := `{"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration", "resources": [{"resources": ["secrets", "configmaps"],
"providers": [{"aesgcm": {"keys": [{"name": "key1", "secret": "` + key + `"}]}}, {"identity": {}}]}]}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	flags := []string{
		"--encryption-provider-config=" + path, "--encryption-provider-config-automatic-reload=true",
		// StorageVersionMigrations are there, and nobody does them but the tests.
		"--feature-gates=StorageVersionMigrator=true", "--runtime-config=storagemigration.k8s.io/v1beta1=true",
	}
	return apiserver.Main(apiserver.Config{Bare: true, Flags: flags}, func(s *apiserver.Server) (int, error) {
		server = s
		s.REST.WarningHandler = rest.NoWarnings{}
		if set, err = kubernetes.NewForConfig(s.REST); err != nil {
			return 1, err
		}
		at := s.Etcd()
		secure, err := transport.TLSInfo{CertFile: at.CertFile, KeyFile: at.KeyFile, TrustedCAFile: at.CAFile}.ClientConfig()
		if err != nil {
			return 1, err
		}
		if etcd, err = clientv3.New(clientv3.Config{Endpoints: []string{at.Endpoint}, TLS: secure, Logger: zap.NewNop()}); err != nil {
			return 1, err
		}
		defer func() { _ = etcd.Close() }()
		return m.Run(), nil
	})
}

const canary = "canary-value-2b77"

// clear puts n Secrets into etcd as an API server without encryption writes them, and
// waits until they can be read.
func clear(t *testing.T, namespace string, n int) {
	t.Helper()
	if err := apiserver.Apply(t.Context(), server.Client, "", "{apiVersion: v1, kind: Namespace, metadata: {name: "+namespace+"}}"); err != nil {
		t.Fatal(err)
	}
	value := base64.StdEncoding.EncodeToString([]byte(canary))
	// The last one is alone: the API server believes that it has seen a revision when it
	// has seen the first value of it.
	for i, end := 0, 0; i < n; i = end {
		var ops []clientv3.Op
		end = min(i+100, max(n-1, i+1))
		for j := i; j < end; j++ {
			name := fmt.Sprintf("s%05d", j)
			ops = append(ops, clientv3.OpPut("/registry/secrets/"+namespace+"/"+name, fmt.Sprintf(
				`{"kind":"Secret","apiVersion":"v1","metadata":{"name":%q,"namespace":%q,"uid":"%08x-0000-4000-8000-%012x","creationTimestamp":"2026-01-01T00:00:00Z"},"data":{"n":"MA==","value":%q},"type":"Opaque"}`,
				name, namespace, rand.Uint32(), j, value)))
		}
		if _, err := etcd.Txn(t.Context()).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if _, err := etcd.Delete(context.Background(), "/registry/secrets/"+namespace+"/", clientv3.WithPrefix()); err != nil {
			t.Error(err)
		}
	})
}

// proven reads etcd: how many Secrets are in the clear, and how many there are.
func proven(t *testing.T) (inTheClear, all int) {
	t.Helper()
	at := server.Etcd()
	e, err := stored.Dial(stored.EtcdConfig{Endpoints: []string{at.Endpoint}, CAFile: at.CAFile, CertFile: at.CertFile, KeyFile: at.KeyFile})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	r, err := stored.Verify(t.Context(), e, stored.Config{Resources: []string{"secrets"}, Provider: "aesgcm/key1"})
	if err != nil {
		t.Fatal(err)
	}
	return r.Found, r.Resources[0].Values
}

func noNote(t *testing.T) {
	t.Helper()
	if _, err := set.CoreV1().ConfigMaps("kube-system").Get(t.Context(), NoteName, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the note is still there, or: %v", err)
	}
}

// Everything is written once, and then nothing any more.
func TestRun(t *testing.T) {
	clear(t, "run", 730)
	var last Progress
	pages := 0
	cfg := Config{REST: server.REST, By: Ourselves, Pace: Full, Resources: []string{"secrets", "configmaps"}, Page: 100, Progress: func(p Progress) { last = p; pages++ }}
	r, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if inTheClear, all := proven(t); inTheClear != 0 || all < 730 {
		t.Errorf("%d of %d are in the clear", inTheClear, all)
	}
	if r.Written < 730 || r.Refused != 0 || r.Resumed || !strings.HasPrefix(r.Configuration, "configuration sha256:") {
		t.Errorf("%+v", r)
	}
	if last.Done != r.Done || last.Total != r.Done || last.Left != 0 || last.Rate <= 0 || last.Resource != "configmaps" || pages < 9 {
		t.Errorf("%d pages, the last one %+v of %+v", pages, last, r.Counts)
	}
	noNote(t)
	s, err := set.CoreV1().Secrets("run").Get(t.Context(), "s00001", metav1.GetOptions{})
	if err != nil || string(s.Data["value"]) != canary || len(s.ManagedFields) > 0 {
		t.Errorf("the Secret is another: %v, %v", s.ManagedFields, err)
	}
	again, err := Run(t.Context(), cfg)
	if err != nil || again.Written > 5 || again.Current < 730 { // the cluster's own objects may change
		t.Errorf("again: %+v, %v", again, err)
	}
}

// amount is a scaled one, or that of issue 7: 20,000 Secrets and 200 writers, beside whom
// nobody is gentle who wants to come to an end.
func amount() (secrets, writers int, pace Pace) {
	if os.Getenv("STRONGKEEP_REWRITE") != "" {
		return 20_000, 200, Full
	}
	return 300, 10, Gentle
}

// Writers who change Secrets all the while lose nothing: each counts up what it reads.
func TestWriters(t *testing.T) {
	secrets, writers, pace := amount()
	clear(t, "writers", secrets)
	counted := make([]atomic.Int64, secrets)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var group errgroup.Group
	for range writers {
		group.Go(func() error {
			for ctx.Err() == nil {
				i := rand.IntN(secrets)
				switch err := count(ctx, fmt.Sprintf("s%05d", i)); {
				case err == nil:
					counted[i].Add(1)
				case ctx.Err() == nil && !apierrors.IsConflict(err) && !passing(err):
					return err
				}
			}
			return nil
		})
	}
	r, err := Run(t.Context(), Config{REST: server.REST, By: Ourselves, Pace: pace, Resources: []string{"secrets"}, Page: 250})
	stop()
	if err := errors.Join(err, group.Wait()); err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	list, err := set.CoreV1().Secrets("writers").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != secrets {
		t.Fatalf("%d Secrets, %v", len(list.Items), err)
	}
	for i := range list.Items {
		n, err := strconv.ParseInt(string(list.Items[i].Data["n"]), 10, 64)
		// A write that was done, but whose answer came when all had ended, counts too.
		if want := counted[i].Load(); err != nil || n < want || n > want+int64(writers) {
			t.Errorf("%s was counted to %d, has %d: %v", list.Items[i].Name, want, n, err)
		}
		sum += n
	}
	if inTheClear, _ := proven(t); inTheClear != 0 || sum == 0 || r.Refused != 0 {
		t.Errorf("%d are in the clear after %d writes: %+v", inTheClear, sum, r)
	}
	t.Logf("%d writes beside %+v", sum, r.Counts)
}

// count adds one to what a Secret says, as a controller does.
func count(ctx context.Context, name string) error {
	s, err := set.CoreV1().Secrets("writers").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(string(s.Data["n"]))
	if err != nil {
		return err
	}
	s.Data["n"] = []byte(strconv.Itoa(n + 1))
	_, err = set.CoreV1().Secrets("writers").Update(ctx, s, metav1.UpdateOptions{})
	return err
}

// beVictim rewrites, and kills itself before the step that it was given: WHAT:NUMBER.
func beVictim() int {
	what, number, _ := strings.Cut(os.Getenv(victim), ":")
	at, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 2
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return 2
	}
	var steps atomic.Int64
	r, err := Run(context.Background(), Config{REST: cfg, By: Ourselves, Pace: Full, Resources: []string{"secrets", "configmaps"}, Page: 50, step: func(now string) {
		if now == what && steps.Add(1) == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	fmt.Println("resumed", r.Resumed, "done", r.Done)
	return 0
}

// A run that is killed at every step comes to its end, and what it has done then is
// everything.
func TestKilled(t *testing.T) {
	clear(t, "killed", 220)
	// Each goes on where the one before ended: see that all of them are reached.
	for _, step := range []string{
		"before the note:1", "before a page is listed:1", "before an object:1", "before an object:70", "before a page is noted:1",
		"before a page is listed:2", "before a page is noted:2", "before an object:30", "before the end:1", "never:1",
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), victim+"="+step, "KUBECONFIG="+server.Kubeconfig())
		out, err := cmd.Output()
		var exit *exec.ExitError
		switch {
		case step == "never:1":
			var done int
			if _, bad := fmt.Sscanf(string(out), "resumed true done %d", &done); bad != nil || err != nil || done < 220 {
				t.Errorf("the last one: %v: %s", err, out)
			}
		case !errors.As(err, &exit) || exit.ExitCode() != -1:
			t.Fatalf("%s: %v: %s", step, err, out)
		}
	}
	if inTheClear, all := proven(t); inTheClear != 0 || all < 220 {
		t.Errorf("%d of %d are in the clear", inTheClear, all)
	}
	noNote(t)
}

// A note from another configuration, of other resources, or that is none, counts as none.
func TestForeignNote(t *testing.T) {
	clear(t, "foreign", 60)
	api, err := connect(server.REST)
	if err != nil {
		t.Fatal(err)
	}
	now, err := api.configuration(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]note{
		"another configuration": {Resources: []string{"secrets"}, Configuration: "configuration sha256:other", At: 1},
		"other resources":       {Resources: []string{"configmaps"}, Configuration: now, At: 1},
		"out of bounds":         {Resources: []string{"secrets"}, Configuration: now, At: 2},
	} {
		if err := api.writeNote(t.Context(), "kube-system", &n); err != nil {
			t.Fatal(err)
		}
		if r, err := Run(t.Context(), Config{REST: server.REST, By: Ourselves, Pace: Full, Resources: []string{"secrets"}}); err != nil || r.Resumed || r.Done < 60 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	mine := note{Resources: []string{"secrets"}, Configuration: now, At: 1, Counts: Counts{Done: 5}}
	for _, anew := range []bool{false, true} {
		if err := api.writeNote(t.Context(), "kube-system", &mine); err != nil {
			t.Fatal(err)
		}
		r, err := Run(t.Context(), Config{REST: server.REST, By: Ourselves, Pace: Full, Resources: []string{"secrets"}, Anew: anew})
		if err != nil || r.Resumed == anew || (r.Done == 5) == anew {
			t.Errorf("anew %t: %+v, %v", anew, r, err)
		}
	}
}

// An API server that does not tell the hash of its configuration may have had another one
// when the note was written, however alike the two look: nothing is left out.
func TestNoteWithoutHash(t *testing.T) {
	clear(t, "nohash", 60)
	api, err := connect(server.REST)
	if err != nil {
		t.Fatal(err)
	}
	const told = `apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{provider_name="strongkeep",key_id_hash="sha256:1"} 1` + "\n"
	for name, metrics := range map[string]string{"nothing": "", "keys": told} {
		had, err := meter.Read(strings.NewReader(metrics))
		if err != nil {
			t.Fatal(err)
		}
		cfg := through(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if r.URL.Path != "/metrics" {
				return next.RoundTrip(r)
			}
			a := answer(r, http.StatusOK)
			a.Header.Del("Retry-After")
			a.Body = io.NopCloser(strings.NewReader(metrics))
			return a, nil
		})
		if err := api.writeNote(t.Context(), "kube-system", &note{Resources: []string{"secrets"}, Configuration: had.Configuration(), At: 1, Counts: Counts{Done: 5}}); err != nil {
			t.Fatal(err)
		}
		if r, err := Run(t.Context(), Config{REST: cfg, By: Ourselves, Pace: Full, Resources: []string{"secrets"}}); err != nil || r.Resumed || r.Done < 60 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// between is what stands between us and the API server.
type between func(*http.Request, http.RoundTripper) (*http.Response, error)

// through returns how to reach the API server through b.
func through(b between) *rest.Config {
	cfg := rest.CopyConfig(server.REST)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return tripper(func(r *http.Request) (*http.Response, error) { return b(r, next) })
	})
	return cfg
}

type tripper func(*http.Request) (*http.Response, error)

func (t tripper) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

func answer(r *http.Request, code int) *http.Response {
	return &http.Response{
		StatusCode: code, Status: http.StatusText(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Retry-After": {"1"}, "Content-Type": {"text/plain"}}, Body: io.NopCloser(strings.NewReader(canary)),
	}
}

// An API server that has too much to do is given time, and is asked less at once; one
// that drops answers, after it has written or not, is asked again.
func TestHindered(t *testing.T) {
	clear(t, "hindered", 300)
	var patches atomic.Int64
	var widths []int
	cfg := through(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		if r.Method != http.MethodPatch || strings.Contains(r.URL.Path, NoteName) {
			return next.RoundTrip(r)
		}
		switch patches.Add(1) {
		case 50:
			return answer(r, http.StatusTooManyRequests), nil
		case 51:
			return answer(r, http.StatusServiceUnavailable), nil
		case 120:
			return nil, &os.SyscallError{Syscall: "write", Err: syscall.ECONNRESET}
		case 130: // it is written, and nobody hears of it
			done, err := next.RoundTrip(r)
			if err != nil {
				return nil, err
			}
			_ = done.Body.Close()
			return nil, io.ErrUnexpectedEOF
		}
		return next.RoundTrip(r)
	})
	r, err := Run(t.Context(), Config{REST: cfg, By: Ourselves, Pace: Full, Resources: []string{"secrets"}, Page: 40, Width: 8, Progress: func(p Progress) { widths = append(widths, p.Width) }})
	if err != nil {
		t.Fatal(err)
	}
	if inTheClear, _ := proven(t); inTheClear != 0 || r.Done < 300 || r.Refused != 0 || r.ByOthers < 1 {
		t.Errorf("%d are in the clear: %+v", inTheClear, r)
	}
	if len(widths) < 2 || widths[1] >= widths[0] {
		t.Errorf("so many at once: %v", widths)
	}
}

// Where the API server is lost for good, the next run goes on.
func TestLost(t *testing.T) {
	clear(t, "lost", 300)
	var patches atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	cfg := through(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		if r.Method == http.MethodPatch && patches.Add(1) > 150 {
			cancel()
			return nil, ctx.Err()
		}
		return next.RoundTrip(r)
	})
	if _, err := Run(ctx, Config{REST: cfg, By: Ourselves, Pace: Full, Resources: []string{"secrets"}, Page: 40}); err == nil {
		t.Fatal("it came to its end")
	}
	r, err := Run(t.Context(), Config{REST: server.REST, By: Ourselves, Pace: Full, Resources: []string{"secrets"}, Page: 40})
	if err != nil || !r.Resumed || r.Done < 300 {
		t.Errorf("%+v, %v", r, err)
	}
	if inTheClear, _ := proven(t); inTheClear != 0 {
		t.Errorf("%d are in the clear", inTheClear)
	}
}

// A token of the list that etcd has forgotten costs nothing.
func TestCompacted(t *testing.T) {
	clear(t, "compacted", 300)
	var once sync.Once
	expired := false
	cfg := through(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		a, err := next.RoundTrip(r)
		expired = expired || err == nil && a.StatusCode == http.StatusGone
		return a, err
	})
	r, err := Run(t.Context(), Config{REST: cfg, By: Ourselves, Pace: Full, Resources: []string{"secrets"}, Page: 50, Width: 1, Progress: func(Progress) {
		once.Do(func() {
			at, err := etcd.Put(t.Context(), "/registry/secrets/compacted/s00299x", "k8s:enc:aesgcm:v1:key1:")
			if err == nil {
				_, err = etcd.Delete(t.Context(), "/registry/secrets/compacted/s00299x")
			}
			if err == nil {
				_, err = etcd.Compact(t.Context(), at.Header.Revision+1, clientv3.WithCompactPhysical())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}})
	if err != nil || r.Done < 300 {
		t.Fatalf("%+v, %v", r, err)
	}
	if inTheClear, _ := proven(t); inTheClear != 0 {
		t.Errorf("%d are in the clear", inTheClear)
	}
	if !expired {
		t.Error("the API server had not forgotten the token")
	}
}

// An object that admission refuses is named, and nothing of what is in it or was said.
func TestRefused(t *testing.T) {
	clear(t, "refused", 30)
	policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "refuse"}}
	policy.Spec.MatchConstraints = &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{admissionv1.Update},
		Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}},
	}}}}
	// It names the namespace: an API server obeys a policy for a while after it was deleted.
	policy.Spec.Validations = []admissionv1.Validation{{Expression: `object.metadata.namespace != "refused" || object.metadata.name != "s00007"`, Message: canary}}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "refuse"}}
	binding.Spec = admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: "refuse", ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}}
	v := set.AdmissionregistrationV1()
	if _, err := v.ValidatingAdmissionPolicies().Create(t.Context(), policy, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = v.ValidatingAdmissionPolicyBindings().Delete(context.Background(), "refuse", metav1.DeleteOptions{})
		_ = v.ValidatingAdmissionPolicies().Delete(context.Background(), "refuse", metav1.DeleteOptions{})
	})
	if _, err := v.ValidatingAdmissionPolicyBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		_, err := set.CoreV1().Secrets("refused").Patch(ctx, "s00007", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{DryRun: []string{"All"}})
		return err != nil, nil
	})
	if err != nil {
		t.Fatal("waiting for the policy:", err)
	}
	r, err := Run(t.Context(), Config{REST: server.REST, By: Ourselves, Pace: Full, Resources: []string{"secrets"}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Refused != 1 || len(r.Refusals) != 1 || r.Refusals[0] != (Refusal{"secrets", "refused/s00007", "Invalid"}) {
		t.Errorf("%+v", r)
	}
	if inTheClear, _ := proven(t); inTheClear != 1 {
		t.Errorf("%d are in the clear", inTheClear)
	}
}

// Without its rights it writes nothing, and says which is missing.
func TestRights(t *testing.T) {
	clear(t, "rights", 5)
	cfg := user(t, "half", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"list", "get"}})
	if _, err := Run(t.Context(), Config{REST: cfg, By: Ourselves, Pace: Full, Resources: []string{"secrets"}}); errs.KindOf(err) != errs.Denied || !strings.Contains(err.Error(), "patch secrets in all namespaces") {
		t.Error(err)
	}
	if inTheClear, _ := proven(t); inTheClear != 5 {
		t.Errorf("%d are in the clear", inTheClear)
	}
	noNote(t)
	for name, resources := range map[string][]string{"none": nil, "wildcard": {"*.*"}, "twice": {"secrets", "secrets"}, "absent": {"gadgets.example.com"}, "without its group": {"deployments"}} {
		want := errs.Invalid
		if name == "absent" || name == "without its group" {
			want = errs.NotExist
		}
		if _, err := Run(t.Context(), Config{REST: server.REST, By: Ourselves, Pace: Full, Resources: resources}); errs.KindOf(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// user is somebody who may do what the rules say, in all namespaces.
func user(t *testing.T, name string, rules ...rbacv1.PolicyRule) *rest.Config {
	t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
	}
	if _, err := set.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := set.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	as := rest.ImpersonationConfig{UserName: name}
	if err := apiserver.InForce(t.Context(), server.REST, as, []*rbacv1.ClusterRole{role}); err != nil {
		t.Fatal(err)
	}
	cfg := rest.CopyConfig(server.REST)
	cfg.Impersonate = as
	return cfg
}
