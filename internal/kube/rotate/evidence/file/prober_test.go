package file_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence/file"
	"github.com/strongkeep/strongkeep/internal/kube/witness"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
)

const (
	uid    = "6d1c3b1e-4f53-4f0e-9d3c-5f4a5d1f6d0a"
	canary = "canary-0c44"
)

// world is a node n1 with a real witness behind TLS, and a folder of pods.
type world struct {
	*file.Prober
	dir   string
	list  []file.Witness
	fails error // of List
	token string
	asked atomic.Int32
}

func (w *world) List(context.Context) ([]file.Witness, error)         { return w.list, w.fails }
func (w *world) Token(_ context.Context, node string) (string, error) { return w.token + node, nil }

// serve starts a witness and returns how it is reached.
func (w *world) serve(t *testing.T, handler http.Handler) file.Witness {
	identity, err := witness.NewIdentity(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked.Add(1)
		handler.ServeHTTP(rw, r)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{identity.Certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return file.Witness{Node: "n1", Address: netip.MustParseAddrPort(server.Listener.Addr().String()), Pin: identity.Pin}
}

func newWorld(t *testing.T) *world {
	w := &world{dir: t.TempDir(), token: "token-for-"}
	w.Prober = file.New(file.Config{Witnesses: w, Timeout: time.Minute})
	reader, err := witness.OpenReader(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	review := func(_ context.Context, token, audience string) (string, error) {
		if token != "token-for-n1" || audience != witness.Audience("n1") {
			return "", errs.New(errs.Unauthenticated, "no")
		}
		return "operator", nil
	}
	w.list = []file.Witness{w.serve(t, witness.NewServer(reader, review, "n1", "operator", slog.New(slog.DiscardHandler)))}
	return w
}

func (w *world) write(t *testing.T, kind, volume, path, content string) {
	t.Helper()
	p := filepath.Join(w.dir, uid, "volumes", "kubernetes.io~"+kind, volume, path)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func pod(uses ...consumer.Use) consumer.Pod {
	p := consumer.Pod{UID: uid, Node: "n1", Uses: uses}
	p.Namespace, p.Name = "shop", "web"
	return p
}

func volume(name string, items map[string]string) consumer.Use {
	return consumer.Use{Kind: consumer.UseVolume, Secret: "db", Volume: name, Items: items}
}

func question(err error) file.Question {
	var db consumer.Fed
	db.Namespace, db.Name = "shop", "db"
	return file.Question{Fed: []consumer.Fed{db}, Contents: func(context.Context, consumer.Object) (map[string]redact.Secret, error) {
		return map[string]redact.Secret{"username": redact.FromString("app"), "password": redact.FromString(canary)}, err
	}}
}

func TestAsk(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string // "kind/volume/path"
		pod   consumer.Pod
		want  evidence.Answer
		text  string
	}{
		{"all keys", map[string]string{"secret/v/username": "app", "secret/v/password": canary}, pod(volume("v", nil)), evidence.Yes, "as Secret db has it"},
		{"one key old", map[string]string{"secret/v/username": "app", "secret/v/password": "old"}, pod(volume("v", nil)), evidence.No, "volume v, password"},
		{"one key missing", map[string]string{"secret/v/username": "app"}, pod(volume("v", nil)), evidence.Unknown, "no such file"},
		{"old outweighs missing", map[string]string{"secret/v/username": "old"}, pod(volume("v", nil)), evidence.No, ""},
		{"items", map[string]string{"secret/v/deep/pw": canary}, pod(volume("v", map[string]string{"password": "deep/pw"})), evidence.Yes, ""},
		{"items the Secret lacks", nil, pod(volume("v", map[string]string{"none": "x"})), evidence.Unknown, "no key"},
		{"projected", map[string]string{"projected/v/db/pw": canary}, pod(consumer.Use{Kind: consumer.UseProjected, Secret: "db", Volume: "v", Items: map[string]string{"password": "db/pw"}}), evidence.Yes, ""},
		{"csi", map[string]string{"csi/v/mount/pw": "old"}, pod(consumer.Use{Kind: consumer.UseCSI, Secret: "db", Volume: "v", Items: map[string]string{"password": "pw"}}), evidence.No, ""},
		{"two volumes, one old", map[string]string{"secret/v/p": canary, "secret/w/p": "old"},
			pod(volume("v", map[string]string{"password": "p"}), volume("w", map[string]string{"password": "p"})), evidence.No, "volume w"},
		{"no such volume", nil, pod(volume("v", nil)), evidence.Unknown, "no such volume"},
		{"on no node", nil, func() consumer.Pod { p := pod(volume("v", nil)); p.Node = ""; return p }(), evidence.Unknown, "no node yet"},
		{"node without witness", nil, func() consumer.Pod { p := pod(volume("v", nil)); p.Node = "n2"; return p }(), evidence.Unknown, "no witness is ready on node n2"},
		{"another cluster", nil, func() consumer.Pod { p := pod(volume("v", nil)); p.Cluster = "east"; return p }(), evidence.Unknown, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			for name, content := range tc.files {
				part := strings.SplitN(name, "/", 3)
				w.write(t, part[0], part[1], part[2], content)
			}
			got := w.Ask(t.Context(), question(nil), []consumer.Pod{tc.pod})[uid]
			if got.Answer != tc.want || !strings.Contains(got.Text, tc.text) || strings.Contains(got.Text, canary) {
				t.Errorf("%s %q, want %s %q", got.Answer, got.Text, tc.want, tc.text)
			}
		})
	}
}

// Ways that put no file of the Secret on the node are not asked for at all.
func TestAskNothing(t *testing.T) {
	w := newWorld(t)
	other := volume("v", nil)
	other.Secret = "other"
	for _, u := range []consumer.Use{
		{Kind: consumer.UseEnv, Secret: "db"}, {Kind: consumer.UseSubPath, Secret: "db", Volume: "v"}, {Kind: consumer.UseImagePull, Secret: "db"},
		{Kind: consumer.UseCSI, Secret: "db", Volume: "v"}, other,
	} {
		if got := w.Ask(t.Context(), question(nil), []consumer.Pod{pod(u)}); len(got) != 0 {
			t.Errorf("%+v: %v", u, got)
		}
	}
	if got := w.Ask(t.Context(), question(errors.New(canary)), []consumer.Pod{pod(volume("v", nil))})[uid]; got.Answer != evidence.Unknown || !strings.Contains(got.Text, "cannot be read") {
		t.Errorf("a Secret that cannot be read: %+v", got)
	}
	if w.asked.Load() != 0 {
		t.Errorf("%d questions", w.asked.Load())
	}
	w.fails = errors.New("away")
	if got := w.Ask(t.Context(), question(nil), []consumer.Pod{pod(volume("v", nil))})[uid]; !strings.Contains(got.Text, "cannot be listed") {
		t.Errorf("%+v", got)
	}
	if w.There(t.Context()) {
		t.Error("there are witnesses, though nobody knows")
	}
}

// Whoever answers in a witness's place is not believed, and not shown the token.
func TestAskStrangers(t *testing.T) {
	p := []consumer.Pod{pod(volume("v", nil))}
	w := newWorld(t)
	w.write(t, "secret", "v", "username", "app")
	w.write(t, "secret", "v", "password", canary)
	real := w.list[0]
	ask := func() evidence.Word { return w.Ask(t.Context(), question(nil), p)[uid] }
	if got := ask(); got.Answer != evidence.Yes {
		t.Fatalf("%+v", got)
	}
	shown := 0
	thief := w.serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { shown++ }))
	for _, pin := range []string{real.Pin, "", "sha256:"} {
		w.list = []file.Witness{{Node: "n1", Address: thief.Address, Pin: pin}}
		if got := ask(); got.Answer != evidence.Unknown || !strings.Contains(got.Text, "not the one that its pod names") {
			t.Errorf("pin %q: %+v", pin, got)
		}
	}
	if shown != 0 {
		t.Error("a stranger was shown the token")
	}
	for name, handler := range map[string]http.HandlerFunc{
		"redirect": func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, "https://"+real.Address.String()+witness.Path, http.StatusTemporaryRedirect)
		},
		"refusal":  func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, canary, http.StatusForbidden) },
		"nonsense": func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(canary)) },
		"too few":  func(rw http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(rw).Encode(witness.Answer{}) },
		"no digests": func(rw http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(rw).Encode(witness.Answer{Files: []witness.Said{{Reason: "x\n" + strings.Repeat("y", 500)}, {Reason: "x"}}})
		},
	} {
		w.list = []file.Witness{w.serve(t, handler)}
		if got := ask(); got.Answer != evidence.Unknown || got.Text == "" || strings.Contains(got.Text, canary) || strings.Contains(got.Text, "\n") || len(got.Text) > 250 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	gone, err := port.Free(port.Host())
	if err != nil {
		t.Fatal(err)
	}
	real.Address = netip.AddrPortFrom(netip.MustParseAddr(port.Host()), uint16(gone))
	w.list = []file.Witness{real}
	if got := ask(); got.Answer != evidence.Unknown || !strings.Contains(got.Text, "cannot be reached") {
		t.Errorf("%+v", got)
	}
	w.token = "other-"
	w.list = nil
	if got := ask(); got.Answer != evidence.Unknown {
		t.Errorf("%+v", got)
	}
}

// 1500 pods of a node are two questions, and each answer is its own pod's.
func TestAskMany(t *testing.T) {
	w := newWorld(t)
	var pods []consumer.Pod
	for i := range 1500 {
		p := pod(volume("v", map[string]string{"password": "p"}))
		p.UID = types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", i))
		content := canary
		if i%3 == 0 {
			content = "old"
		}
		dir := filepath.Join(w.dir, string(p.UID), "volumes", "kubernetes.io~secret", "v")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "p"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		pods = append(pods, p)
	}
	got := w.Ask(t.Context(), question(nil), pods)
	for i, p := range pods {
		want := evidence.Yes
		if i%3 == 0 {
			want = evidence.No
		}
		if got[p.UID].Answer != want {
			t.Fatalf("pod %d: %+v", i, got[p.UID])
		}
	}
	if w.asked.Load() != 2 {
		t.Errorf("%d questions", w.asked.Load())
	}
}
