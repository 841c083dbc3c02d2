package remote

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/content"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
)

const canary = "canary-7d20"

// file is a kubeconfig with server and user as given, in YAML's flow style.
func file(server, user string) string {
	return "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {" + server + "}}]\nusers: [{name: u, user: {" + user + "}}]\n"
}

// server is an API server that knows Secrets only, and the tokens that log in.
type server struct {
	*httptest.Server

	mu      sync.Mutex
	token   string
	key     []byte // of the operator there; nil: none
	asked   int
	forward string // where it sends who asks elsewhere
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{token: "one"}
	s.Server = httptest.NewTLSServer(s)
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	answer := func(status int, o any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(o)
	}
	state := func(code int32, reason metav1.StatusReason) {
		answer(int(code), metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: reason, Code: code})
	}
	switch {
	case s.forward != "":
		http.Redirect(w, r, s.forward, http.StatusFound)
	case r.Header.Get("Authorization") != "Bearer "+s.token:
		state(http.StatusUnauthorized, metav1.StatusReasonUnauthorized)
	case r.URL.Path == "/api":
		answer(http.StatusOK, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case r.URL.Path == "/apis":
		answer(http.StatusOK, metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}})
	case r.URL.Path == "/api/v1":
		answer(http.StatusOK, metav1.APIResourceList{
			TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: "v1",
			APIResources: []metav1.APIResource{{Name: "secrets", Namespaced: true, Kind: "Secret", Verbs: metav1.Verbs{"get"}}},
		})
	case r.URL.Path == "/api/v1/namespaces/sk/secrets/key" && s.key != nil:
		answer(http.StatusOK, &corev1.Secret{TypeMeta: metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"}, Data: map[string][]byte{"hmac": s.key}})
	case r.URL.Path == "/api/v1/namespaces/app/secrets/db":
		answer(http.StatusOK, &corev1.Secret{
			TypeMeta: metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: "app", Name: "db", ResourceVersion: "1"},
			Data: map[string][]byte{"password": []byte(canary)},
		})
	default:
		state(http.StatusNotFound, metav1.StatusReasonNotFound)
	}
}

func (s *server) change(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }

func (s *server) kubeconfig(token string) []byte {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return []byte(file(fmt.Sprintf("server: '%s', certificate-authority-data: %s", s.URL, base64.StdEncoding.EncodeToString(ca)), "token: "+token))
}

type fixture struct {
	*testing.T
	*Pool
	own   client.Client
	clock *clocktesting.FakePassiveClock
}

var east = consumer.Cluster{Name: "east", Kubeconfig: types.NamespacedName{Namespace: "team", Name: "east"}}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	f := &fixture{T: t, own: fake.NewClientBuilder().WithScheme(scheme).Build(), clock: clocktesting.NewFakePassiveClock(time.Unix(1_800_000_000, 0))}
	f.Pool = New(Config{Outbound: outbound.Config{Loopback: true}, Live: f.own, Scheme: scheme, Clock: f.clock, Key: key(t, 1), KeySecret: "key", KeyData: "hmac", Namespace: "sk"})
	return f
}

func key(t *testing.T, b byte) target.Key {
	t.Helper()
	k, err := target.NewKey(bytes.Repeat([]byte{b}, target.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (f *fixture) put(raw []byte) {
	f.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "east"}}
	err := f.own.Get(f.Context(), client.ObjectKeyFromObject(s), s)
	s.Data = map[string][]byte{"kubeconfig": raw}
	if err == nil {
		err = f.own.Update(f.Context(), s)
	} else {
		err = f.own.Create(f.Context(), s)
	}
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) refused(kind errs.Kind, says string) {
	f.Helper()
	_, err := f.Reach(f.Context(), east)
	if err == nil || errs.KindOf(err) != kind || !strings.Contains(err.Error(), says) {
		f.Errorf("%v (%v), want %v with %q", err, errs.KindOf(err), kind, says)
	}
	if err != nil && strings.Contains(err.Error(), canary) {
		f.Errorf("the error quotes the kubeconfig")
	}
}

func (f *fixture) reached() Cluster {
	f.Helper()
	c, err := f.Reach(f.Context(), east)
	if err != nil {
		f.Fatal(err)
	}
	return c
}

// The kubeconfig is what the Secret holds now, and one connection is kept for as
// long as it does not change.
func TestReach(t *testing.T) {
	f, s := newFixture(t), newServer(t)
	f.refused(errs.NotExist, `Secret "team/east" with its kubeconfig does not exist`)
	f.put(nil)
	f.refused(errs.Invalid, `has no key "kubeconfig"`)
	f.put([]byte(canary))
	f.refused(errs.Invalid, `Secret "team/east": the kubeconfig is not one`)
	f.put(s.kubeconfig("one"))
	first := f.reached()
	if again := f.reached(); again.Client != first.Client || again.ID != s.URL {
		t.Errorf("not the same connection to %s", again.ID)
	}
	s.change(func() { s.token = "two" })
	f.refused(errs.Unauthenticated, "asking for the operator's key")
	f.put(s.kubeconfig("two"))
	if other := f.reached(); other.Client == first.Client {
		t.Error("a kubeconfig that was changed is not taken up")
	}
	f.put(file1(s.URL))
	f.refused(errs.Invalid, "certificates or key cannot be used")
}

// file1 logs in by a certificate that is none.
func file1(url string) []byte {
	none := base64.StdEncoding.EncodeToString([]byte(canary))
	return []byte(file("server: '"+url+"'", "client-certificate-data: "+none+", client-key-data: "+none))
}

// Digests are keyed as those of the operator there, so that both make one stamp.
func TestDigests(t *testing.T) {
	f, s := newFixture(t), newServer(t)
	f.put(s.kubeconfig("one"))
	o := content.Object{Kind: content.Secret, NamespacedName: types.NamespacedName{Namespace: "app", Name: "db"}}
	digest := func() string {
		t.Helper()
		d, err := f.reached().Digests.Of(t.Context(), o, "")
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	of := func(b byte) string {
		return key(t, b).Digest("secret/app/db", map[string][]byte{"password": []byte(canary)})
	}
	derived, err := key(t, 1).Derive("cluster/" + f.reached().ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := digest(); d != derived.Digest("secret/app/db", map[string][]byte{"password": []byte(canary)}) || d == of(1) {
		t.Error("without an operator there it is not a key of this cluster's own")
	}
	if other, err := key(t, 1).Derive("cluster/https://other"); err != nil || other.Digest("x", nil) == derived.Digest("x", nil) || other.Digest("x", nil) == key(t, 1).Digest("x", nil) {
		t.Error("two clusters have one key", err)
	}
	s.change(func() { s.key = bytes.Repeat([]byte{9}, target.KeySize) })
	if digest() != of(9) {
		t.Error("the key of the operator there is not used")
	}
	s.change(func() { s.key = []byte("short") })
	f.refused(errs.Invalid, "the operator's key")
}

// A kubeconfig names whom the operator may reach for others, and nobody else,
// whatever a name resolves to.
func TestForbiddenServers(t *testing.T) {
	f := newFixture(t)
	f.Pool.cfg.Outbound = outbound.Config{}
	for server, says := range map[string]string{
		"https://127.0.0.1:6443": "own machine", "https://localhost:6443": "own machine", "https://[::1]:6443": "own machine",
		"https://169.254.169.254": "own machine", "https://[fd00:ec2::254]": "own machine", "https://10.0.0.1:6443": "--private-networks",
	} {
		f.put([]byte(file("server: '"+server+"'", "token: "+canary)))
		reached, err := f.Reach(t.Context(), east)
		if err == nil {
			err = reached.Get(t.Context(), types.NamespacedName{Namespace: "x", Name: "x"}, &corev1.Secret{})
		}
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", server, err)
		}
	}
}

// A server of somebody else's sends the operator nowhere.
func TestNoRedirect(t *testing.T) {
	f, s := newFixture(t), newServer(t)
	elsewhere := newServer(t)
	f.put(s.kubeconfig("one"))
	s.change(func() { s.forward = elsewhere.URL })
	if _, err := f.Reach(t.Context(), east); err == nil {
		t.Error("a redirect is an answer")
	}
	elsewhere.mu.Lock()
	defer elsewhere.mu.Unlock()
	if elsewhere.asked > 0 {
		t.Error("a redirect was followed")
	}
}
