package kubernetes

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/providertest"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
)

// The tests of this package run against one real API server.
var (
	testREST   *rest.Config
	testClient client.Client
)

func TestMain(m *testing.M) {
	os.Exit(apiserver.Main(apiserver.Config{
		Schemes: []func(*runtime.Scheme) error{rbacv1.AddToScheme, authenticationv1.AddToScheme}, Bare: true,
	}, func(s *apiserver.Server) (int, error) {
		testREST, testClient = s.REST, s.Client
		return m.Run(), nil
	}))
}

const canary = providertest.Canary

// world is one test's namespace, with a ServiceAccount that has all rights to its
// Secrets, and a proxy in front of the API server that does what is wrong.
type world struct {
	*testing.T
	ns    string
	proxy *httptest.Server
	ca    []byte // of the proxy, in PEM

	mu     sync.Mutex
	fault  func(w http.ResponseWriter, r *http.Request) (answered bool)
	before func() // the next write
	seen   map[string]bool
	ended  map[string]bool // tokens
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "k-"}}
	if err := testClient.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, ns: ns.Name, seen: map[string]bool{}, ended: map[string]bool{}}
	w.account("owner", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "create", "update", "delete"}})
	to, err := url.Parse(testREST.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(rest.AnonymousClientConfig(testREST))
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(to)
	forward.Transport = transport
	w.proxy = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.serve(forward, rw, r) }))
	w.proxy.Config.ErrorLog = nil
	t.Cleanup(w.proxy.Close)
	w.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.proxy.Certificate().Raw})
	return w
}

func (w *world) serve(forward http.Handler, rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	fault, before := w.fault, w.before
	token := r.Header.Get("Authorization")
	w.seen[token] = true
	ended := w.ended[token]
	writes := r.Method != http.MethodGet && strings.Contains(r.URL.Path, "/secrets")
	if writes {
		w.before = nil
	}
	w.mu.Unlock()
	if ended {
		state(rw, http.StatusUnauthorized, metav1.StatusReasonUnauthorized)
		return
	}
	if fault != nil && fault(rw, r) {
		return
	}
	if writes && before != nil {
		before()
	}
	forward.ServeHTTP(rw, r)
}

// state answers as an API server does.
func state(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: reason, Code: int32(code), Message: "as the test says",
	})
}

// set begins a fault and returns what ends it.
func (w *world) set(fault func(http.ResponseWriter, *http.Request) bool) (heal func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = fault
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.fault = nil
	}
}

func always(f func(http.ResponseWriter)) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool { f(w); return true }
}

// account makes a ServiceAccount that may do what rules say.
func (w *world) account(name string, rules ...rbacv1.PolicyRule) {
	w.Helper()
	meta := metav1.ObjectMeta{Namespace: w.ns, Name: name}
	for _, o := range []client.Object{
		&corev1.ServiceAccount{ObjectMeta: meta}, &rbacv1.Role{ObjectMeta: meta, Rules: rules},
		&rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: name}, Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: w.ns, Name: name}}},
	} {
		if err := testClient.Create(w.Context(), o); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *world) token(ctx context.Context, account string, audiences ...string) (string, error) {
	req := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
	err := testClient.SubResource("token").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: account}}, req)
	return req.Status.Token, err
}

// objects are what a store's settings refer to. Tokens are real.
type objects struct {
	w    *world
	keys map[string]string // "NAME/KEY"
}

func (o objects) SecretKey(_ context.Context, ref provider.Ref, key string) (redact.Secret, error) {
	v, ok := o.keys[ref.Name()+"/"+key]
	if !ok {
		return redact.Secret{}, errs.Newf(errs.Unavailable, "Secret %q has no key %q", ref, key)
	}
	return redact.FromString(v), nil
}

func (o objects) ConfigMapKey(ctx context.Context, ref provider.Ref, key string) (string, error) {
	v, err := o.SecretKey(ctx, ref, key)
	return v.RevealString(), err
}

func (o objects) ServiceAccountToken(ctx context.Context, ref provider.Ref, audiences []string) (redact.Secret, error) {
	if ref.Namespace() != "team" {
		return redact.Secret{}, errs.New(errs.Internal, "another namespace than the store's")
	}
	token, err := o.w.token(ctx, ref.Name(), audiences...)
	if err != nil {
		return redact.Secret{}, errs.Newf(errs.Unavailable, "ServiceAccount %q does not exist", ref)
	}
	return redact.FromString(token), nil
}

func (objects) ServiceAccountAnnotations(context.Context, provider.Ref) (map[string]string, error) {
	return nil, nil
}

// put writes a Secret as somebody else does.
func (w *world) put(name string, parts map[string]string, labels map[string]string) {
	w.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}
	err := testClient.Get(context.WithoutCancel(w.Context()), client.ObjectKeyFromObject(s), s)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		w.Error(err)
		return
	}
	s.Data = map[string][]byte{}
	for key, part := range parts {
		s.Data[key] = []byte(part)
	}
	if labels != nil {
		s.Labels = labels
	}
	if missing {
		err = testClient.Create(w.Context(), s)
	} else {
		err = testClient.Update(w.Context(), s)
	}
	if err != nil {
		w.Error(err)
	}
}

// putJSON is put of an object's keys.
func (w *world) putJSON(name, object string, labels map[string]string) {
	w.Helper()
	parts, err := provider.Value{Data: redact.FromString(object)}.Map()
	if err != nil {
		w.Fatal(err)
	}
	texts := map[string]string{}
	for key, part := range parts {
		texts[key] = part.RevealString()
	}
	w.put(name, texts, labels)
}

func (w *world) get(name string) *corev1.Secret {
	w.Helper()
	s := &corev1.Secret{}
	if err := testClient.Get(w.Context(), client.ObjectKey{Namespace: w.ns, Name: name}, s); err != nil {
		w.Fatal(err)
	}
	return s
}

func selector(name, key string) v1.SecretKeySelector {
	return v1.SecretKeySelector{Name: name, Key: key}
}

func dashes(key string) string { return strings.ReplaceAll(key, "/", "-") }

// plant stores what the suites read.
func (w *world) plant() {
	w.Helper()
	for _, p := range providertest.Planted() {
		w.putJSON(dashes(p.Key), p.Value, nil)
	}
}

// byToken is a harness that goes through the proxy with a token out of a Secret.
func (w *world) byToken() providertest.Harness {
	w.Helper()
	token, err := w.token(w.Context(), "owner")
	if err != nil {
		w.Fatal(err)
	}
	return providertest.Harness{
		Provider: Provider{Outbound: outbound.Config{Loopback: true}},
		Settings: Settings{
			Server: Server{URL: w.proxy.URL, CABundle: w.ca}, RemoteNamespace: w.ns,
			Auth: &Auth{Token: &Token{BearerToken: selector("login", "token")}},
		},
		Cluster: objects{w, map[string]string{"login/token": token + "\n"}}, Key: dashes, Literal: true,
	}
}

// byAccount is a harness for what is the operator's own server, by a ServiceAccount.
func (w *world) byAccount() providertest.Harness {
	return providertest.Harness{
		Provider: Provider{Own: &rest.Config{Host: w.proxy.URL, TLSClientConfig: rest.TLSClientConfig{CAData: w.ca}, BearerToken: canary + "-operator"}},
		Settings: json.RawMessage(fmt.Sprintf(`{"server":{"url":"kubernetes.default"},"auth":{"serviceAccount":{"name":"owner"}},"remoteNamespace":%q}`, w.ns)),
		Cluster:  objects{w: w}, Key: dashes, Literal: true,
	}
}

func (w *world) faults() providertest.Faults {
	named := func(kind, rest string) string { return `{"apiVersion":"v1","kind":"` + kind + `"` + rest + `}` }
	return providertest.Faults{
		Garbage: func(body string) func() {
			return w.set(always(func(w http.ResponseWriter) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, body)
			}))
		},
		Bodies: []string{
			named("Secret", ""), named("Secret", `,"metadata":{"name":"app-config"},"data":{"password":"Y2FuYXJ5"}`),
			named("Secret", `,"metadata":{"name":"other","uid":"1","resourceVersion":"1"}`),
			named("Secret", `,"metadata":{"name":"app-config","uid":"1","resourceVersion":"1"},"data":{"password":"`+canary+`!"}`),
			named("ConfigMap", `,"metadata":{"name":"app-config","uid":"1","resourceVersion":"1"}`),
			named("SecretList", ""), named("SecretList", `,"metadata":{},"items":[]`), named("List", `,"metadata":{"resourceVersion":"1"},"items":[]`),
			named("SecretList", `,"metadata":{"resourceVersion":"1"},"items":[{}]`),
			named("SecretList", `,"metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"a","namespace":"kube-system","uid":"1","resourceVersion":"1"}}]`),
			named("Status", `,"status":"Failure","reason":"NotFound","code":404,"details":{"name":"app-config","kind":"secrets"}`),
		},
		Throttle: func() func() {
			return w.set(always(func(w http.ResponseWriter) {
				w.Header().Set("Retry-After", "60")
				state(w, http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests)
			}))
		},
		Outage: func() func() {
			return w.set(always(func(w http.ResponseWriter) {
				state(w, http.StatusInternalServerError, metav1.StatusReasonInternalError)
			}))
		},
		Refuse: func() func() {
			return w.set(always(func(w http.ResponseWriter) { state(w, http.StatusForbidden, metav1.StatusReasonForbidden) }))
		},
		Expire: func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			for token := range w.seen {
				w.ended[token] = true
			}
		},
	}
}

func TestConformance(t *testing.T) {
	w := newWorld(t)
	w.plant()
	providertest.Run(t, w.byToken())
	t.Run("by ServiceAccount", func(t *testing.T) { providertest.Run(t, w.byAccount()) })
}

// A token that lies in a Secret is not made anew: whoever edits the Secret opens the
// store again.
func TestFaults(t *testing.T) {
	w := newWorld(t)
	w.plant()
	f := w.faults()
	providertest.RunFaults(t, w.byAccount(), f)
	f.Expire = nil
	t.Run("by token", func(t *testing.T) { providertest.RunFaults(t, w.byToken(), f) })
}

func TestFinder(t *testing.T) {
	w := newWorld(t)
	w.plant()
	for _, s := range providertest.Searched() {
		labels := s.Tags
		w.putJSON(dashes(s.Key), s.Value, labels)
	}
	providertest.RunFinder(t, w.byToken(), providertest.Search{
		Path: func(folder string) string { return dashes(folder) + "-" },
		SecondPage: func() func() {
			return w.set(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Query().Get("continue") == "" {
					return false
				}
				state(w, http.StatusGone, metav1.StatusReasonExpired)
				return true
			})
		},
	})
}

func TestWriter(t *testing.T) {
	w := newWorld(t)
	h := w.byToken()
	providertest.RunWriter(t, h, providertest.Writing{
		Versions: func(name string) int {
			n, _ := strconv.Atoi(w.get(name).ResourceVersion)
			return n
		},
		Put: func(name, value string) { w.putJSON(name, value, nil) },
		Before: func(f func()) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.before = f
		},
		Outage: func() func() {
			return w.set(always(func(w http.ResponseWriter) { http.Error(w, "upstream "+canary, http.StatusServiceUnavailable) }))
		},
		OutageAfter: func(n int) func() {
			var asked atomic.Int64
			return w.set(func(w http.ResponseWriter, _ *http.Request) bool {
				if asked.Add(1) <= int64(n) {
					return false
				}
				state(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable)
				return true
			})
		},
		Objects: true,
	})
}
