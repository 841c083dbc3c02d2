package application

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const canary = "canary-1b7e"

// network is where all pods are: one server answers for every address.
type network struct {
	*httptest.Server
	mu      sync.Mutex
	dialled []string
}

func start(t testing.TB, answer http.HandlerFunc) *network {
	n := &network{Server: httptest.NewServer(answer)}
	t.Cleanup(n.Close)
	return n
}

func (n *network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	n.dialled = append(n.dialled, address)
	n.mu.Unlock()
	var d net.Dialer
	return d.DialContext(ctx, network, n.Listener.Addr().String())
}

func (n *network) prober() *Prober { return New(Config{Dial: n.dial, Timeout: time.Minute}) }

func pod(annotations ...string) consumer.Pod {
	p := consumer.Pod{UID: "u1", IP: "10.0.0.1", Annotations: map[string]string{}, Uses: []consumer.Use{{Kind: consumer.UseEnv, Secret: "db"}}}
	p.Namespace, p.Name = "shop", "web-1"
	for i := 0; i < len(annotations); i += 2 {
		p.Annotations[annotations[i]] = annotations[i+1]
	}
	return p
}

func question() Question {
	var db consumer.Fed
	db.Namespace, db.Name = "shop", "db"
	return Question{
		Rotation: "shop/db", Version: "7", Fed: []consumer.Fed{db},
		Contents: func(context.Context, consumer.Object) (map[string]redact.Secret, error) {
			return map[string]redact.Secret{"password": redact.FromString(canary)}, nil
		},
	}
}

func (n *network) ask(t testing.TB, q Question, pods ...consumer.Pod) evidence.Word {
	t.Helper()
	w := n.prober().Ask(t.Context(), q, pods)["u1"]
	if strings.Contains(w.Text, canary) {
		t.Errorf("a value is in %q", w.Text)
	}
	return w
}

// digester answers as an application with that value would.
func digester(value string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		nonce, err := base64.RawURLEncoding.DecodeString(r.URL.Query().Get("nonce"))
		if err != nil || len(nonce) != nonceSize || r.URL.Query().Get("rotation") != "shop/db" || r.URL.Path != "/p" {
			http.Error(w, "bad question", http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"key": "password", "digest": base64.StdEncoding.EncodeToString(evidence.Digest(nonce, []byte(value)))})
	}
}

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
}

func TestAsk(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		want   evidence.Answer
		text   string
	}{
		{"digest", digester(canary), evidence.Yes, "key password of Secret db"},
		{"digest of another value", digester("old"), evidence.No, "another one"},
		{"version", says(`{"version":"7"}`), evidence.Yes, "version 7"},
		{"older version", says(`{"version":"6"}`), evidence.No, "says version 6"},
		{"version that is none", says(`{"version":"` + canary + `"}`), evidence.No, "another version"},
		{"right version, wrong digest", says(`{"version":"7","key":"password","digest":"AAAA"}`), evidence.No, "another one"},
		{"wrong version, some digest", says(`{"version":"6","key":"password","digest":"AAAA"}`), evidence.No, "version 6"},
		{"digest of an unknown key", says(`{"key":"nokey","digest":"AAAA"}`), evidence.Unknown, "none of its Secrets"},
		{"digest without key", says(`{"digest":"AAAA"}`), evidence.Unknown, "no key beside"},
		{"digest no base64", says(`{"key":"password","digest":"!"}`), evidence.Unknown, "no base64"},
		{"neither", says(`{}`), evidence.Unknown, "neither"},
		{"no JSON", says(canary), evidence.Unknown, "no JSON object"},
		{"two objects", says(`{"version":"7"}{"version":"6"}`), evidence.Unknown, "no JSON object"},
		{"too long", says(`{"version":"7"}` + strings.Repeat(" ", maxAnswer)), evidence.Unknown, "more than"},
		{"error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, canary, http.StatusServiceUnavailable) }, evidence.Unknown, "status 503"},
		{"no content", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, evidence.Unknown, "status 204"},
		{"hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, evidence.Unknown, "connection failed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := start(t, tc.answer).ask(t, question(), pod(evidence.AnnotationPath, "/p"))
			if w.Answer != tc.want || !strings.Contains(w.Text, tc.text) {
				t.Errorf("%s %q, want %s %q", w.Answer, w.Text, tc.want, tc.text)
			}
		})
	}
}

// A nonce is of one question only: an answer kept from before is wrong.
func TestReplay(t *testing.T) {
	var kept atomic.Pointer[string]
	n := start(t, func(w http.ResponseWriter, r *http.Request) {
		if old := kept.Load(); old != nil {
			_, _ = w.Write([]byte(*old))
			return
		}
		rec := httptest.NewRecorder()
		digester(canary)(rec, r)
		body := rec.Body.String()
		kept.Store(&body)
		_, _ = w.Write([]byte(body))
	})
	if w := n.ask(t, question(), pod(evidence.AnnotationPath, "/p")); w.Answer != evidence.Yes {
		t.Fatalf("%+v", w)
	}
	if w := n.ask(t, question(), pod(evidence.AnnotationPath, "/p")); w.Answer != evidence.No {
		t.Errorf("an answer of before counts: %+v", w)
	}
}

// Whatever a pod's annotations say, only its own address is asked: no other host,
// no redirect, no address of the node's own or of a cloud's metadata.
func TestOnlyThePodIsAsked(t *testing.T) {
	n := start(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
	})
	if w := n.ask(t, question(), pod(evidence.AnnotationPath, "/p")); w.Answer != evidence.Unknown || !strings.Contains(w.Text, "status 302") {
		t.Errorf("%+v", w)
	}
	for _, annotations := range [][]string{
		{evidence.AnnotationPath, "//evil.example/p"}, {evidence.AnnotationPath, "/@evil.example/"}, {evidence.AnnotationPath, "/../../x"},
	} {
		n.ask(t, question(), pod(annotations...))
	}
	for _, address := range n.dialled {
		if address != "10.0.0.1:8080" {
			t.Errorf("asked %s", address)
		}
	}
	before := len(n.dialled)
	for _, annotations := range [][]string{
		{evidence.AnnotationPath, "http://evil.example/"}, {evidence.AnnotationPath, "p"}, {evidence.AnnotationPath, "/p?x=1"}, {evidence.AnnotationPath, "/p#x"},
		{evidence.AnnotationPath, "/p", evidence.AnnotationPort, "0"}, {evidence.AnnotationPath, "/p", evidence.AnnotationPort, "65536"},
		{evidence.AnnotationPath, "/p", evidence.AnnotationPort, "80@evil.example"}, {evidence.AnnotationPath, "/p", evidence.AnnotationPort, "http"},
		{evidence.AnnotationPath, "/p", evidence.AnnotationScheme, "gopher"},
	} {
		if w := n.ask(t, question(), pod(annotations...)); w.Answer != evidence.Unknown || !strings.Contains(w.Text, "cannot be asked") {
			t.Errorf("%q: %+v", annotations, w)
		}
	}
	for _, ip := range []string{"", "127.0.0.1", "::1", "0.0.0.0", "169.254.169.254", "fe80::1", "224.0.0.1", "::ffff:127.0.0.1", "evil.example", "10.0.0.1%eth0"} {
		p := pod(evidence.AnnotationPath, "/p")
		p.IP = ip
		if w := n.ask(t, question(), p); !strings.Contains(w.Text, "cannot be asked") {
			t.Errorf("%q: %+v", ip, w)
		}
	}
	host := pod(evidence.AnnotationPath, "/p", evidence.AnnotationPort, "9000")
	host.HostNetwork, host.Ports = true, []int32{8080}
	if w := n.ask(t, question(), host); w.Answer != evidence.Unknown || !strings.Contains(w.Text, "port 9000 may be anybody's") {
		t.Errorf("a port of the node: %+v", w)
	}
	other := pod(evidence.AnnotationPath, "/p")
	other.Cluster = "east"
	if w := n.ask(t, question(), other); !strings.Contains(w.Text, "other clusters") {
		t.Errorf("%+v", w)
	}
	if len(n.dialled) != before {
		t.Errorf("asked %q", n.dialled[before:])
	}
	host.Ports = []int32{9000}
	n.ask(t, question(), host)
	if len(n.dialled) != before+1 || n.dialled[before] != "10.0.0.1:9000" {
		t.Errorf("asked %q: the port is the pod's own", n.dialled[before:])
	}
}

func TestAnnotations(t *testing.T) {
	n := start(t, says(`{"version":"7"}`))
	for _, tc := range []struct {
		annotations []string
		want        evidence.Answer
	}{
		{[]string{evidence.AnnotationVersion, "shop/db=7"}, evidence.Yes},
		{[]string{evidence.AnnotationVersion, "shop/db=6"}, evidence.No},
		{[]string{evidence.AnnotationVersion, "shop/other=7"}, evidence.Unknown},
		{[]string{evidence.AnnotationPath, "/p", evidence.AnnotationPort, "9000", evidence.AnnotationScheme, "http"}, evidence.Yes},
		{[]string{evidence.AnnotationPath, "/p", evidence.AnnotationVersion, "shop/db=6"}, evidence.Yes}, // the endpoint is of now
	} {
		if w := n.ask(t, question(), pod(tc.annotations...)); w.Answer != tc.want {
			t.Errorf("%q: %+v", tc.annotations, w)
		}
	}
	if len(n.prober().Ask(t.Context(), question(), []consumer.Pod{pod()})) != 0 {
		t.Error("a pod that cannot answer has an answer")
	}
}

// What the Secret holds is read live, once for all; if it does not hold the
// version, nothing is compared.
func TestContents(t *testing.T) {
	n := start(t, digester(canary))
	q := question()
	var reads atomic.Int32
	inner := q.Contents
	q.Contents = func(ctx context.Context, s consumer.Object) (map[string]redact.Secret, error) {
		reads.Add(1)
		return inner(ctx, s)
	}
	var pods []consumer.Pod
	for i := range 500 {
		p := pod(evidence.AnnotationPath, "/p")
		p.UID, p.IP = types.UID(fmt.Sprint("u", i)), fmt.Sprintf("10.0.%d.%d", i/200, i%200+1)
		pods = append(pods, p)
	}
	began := time.Now()
	got := n.prober().Ask(t.Context(), q, pods)
	t.Logf("500 pods took %v", time.Since(began))
	for uid, w := range got {
		if w.Answer != evidence.Yes {
			t.Fatalf("%s: %+v", uid, w)
		}
	}
	if len(got) != 500 || reads.Load() != 1 {
		t.Errorf("%d answers, %d reads", len(got), reads.Load())
	}
	q.Contents = func(context.Context, consumer.Object) (map[string]redact.Secret, error) {
		return nil, errors.New(canary)
	}
	if w := n.ask(t, q, pod(evidence.AnnotationPath, "/p")); w.Answer != evidence.Unknown || !strings.Contains(w.Text, "does not hold version 7") {
		t.Errorf("%+v", w)
	}
	q.Contents = inner
	q.Fed = nil
	if w := n.ask(t, q, pod(evidence.AnnotationPath, "/p")); w.Answer != evidence.Unknown {
		t.Errorf("compared with a Secret that is not fed: %+v", w)
	}
}

// Pods that do not answer cost their timeout, side by side, and no more than
// that; an end of ctx ends all.
func TestSilentPods(t *testing.T) {
	quit := make(chan struct{})
	n := start(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-quit:
		case <-r.Context().Done():
		}
	})
	defer close(quit)
	p := New(Config{Dial: n.dial, Timeout: 50 * time.Millisecond, Parallel: 8})
	var pods []consumer.Pod
	for i := range 32 {
		q := pod(evidence.AnnotationPath, "/p")
		q.UID = types.UID(fmt.Sprint("u", i))
		pods = append(pods, q)
	}
	got := p.Ask(t.Context(), question(), pods)
	for uid, w := range got {
		if w.Answer != evidence.Unknown || !strings.Contains(w.Text, "no answer in time") {
			t.Errorf("%s: %+v", uid, w)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for uid, w := range p.Ask(ctx, question(), pods) {
		if w.Answer != evidence.Unknown {
			t.Errorf("%s: %+v", uid, w)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"version":"7"}`))
	f.Add([]byte(`{"key":"password","digest":"AAAA"}`))
	f.Add([]byte(`{"version":7}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, sum, err := parse(body)
		if err == nil && a.Version == "" && (sum == nil && a.Digest == "" || a.Key == "") {
			t.Errorf("%s says nothing and is an answer", body)
		}
	})
}
