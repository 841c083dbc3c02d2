//go:build unix

package configure_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	v2 "k8s.io/kms/apis/v2"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/config"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/configure"
)

// canary is a key of 32 bytes, in base64, that must never be told.
const canary = "Y2FuYXJ5LTMzZjAtY2FuYXJ5LTMzZjAtY2FuYXJ5LTM="

const begin = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - aescbc: {keys: [{name: old, secret: ` + canary + `}]}
  - identity: {}
`

// server stands in for an API server: what it tells, and whether it takes files.
type server struct {
	url string
	pem []byte

	mu       sync.Mutex
	id       string
	hash     string
	reads    string // file that it takes at once; "" for none
	refuses  bool
	tried    string
	failures int
	metrics  int // status of /metrics; 0 for 200
	leases   []coordinationv1.Lease
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case strings.HasSuffix(r.URL.Path, "/leases"):
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(coordinationv1.LeaseList{TypeMeta: metav1.TypeMeta{APIVersion: "coordination.k8s.io/v1", Kind: "LeaseList"}, Items: s.leases})
	case r.URL.Path != "/metrics":
		http.NotFound(w, r)
	case s.metrics != 0:
		w.WriteHeader(s.metrics)
	default:
		s.reload()
		name := "apiserver_encryption_config_controller_"
		id := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s.id)))
		if s.hash != "" {
			_, _ = fmt.Fprintf(w, "# HELP x\n%slast_config_info{apiserver_id_hash=%q,hash=%q} 1\n", name, id, s.hash)
		}
		_, _ = fmt.Fprintf(w, "%sautomatic_reloads_total{apiserver_id_hash=%q,status=\"failure\"} %d\n", name, id, s.failures)
	}
}

func (s *server) reload() {
	text, err := os.ReadFile(s.reads)
	if s.reads == "" || err != nil || config.Hash(text) == s.hash {
		return
	}
	if !s.refuses {
		s.hash = config.Hash(text)
	} else if s.tried != config.Hash(text) {
		s.tried = config.Hash(text)
		s.failures++
	}
}

func serve(t *testing.T, s *server) *server {
	t.Helper()
	h := httptest.NewTLSServer(s)
	t.Cleanup(h.Close)
	s.url, s.pem = h.URL, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})
	return s
}

// plugin stands in for one whose key id is given.
type plugin struct {
	v2.UnimplementedKeyManagementServiceServer
	keyID string
}

func (p plugin) Status(context.Context, *v2.StatusRequest) (*v2.StatusResponse, error) {
	return &v2.StatusResponse{Version: "v2", Healthz: "ok", KeyId: p.keyID}, nil
}

// node is a control-plane node: a file, a plugin, and an API server that takes it.
type node struct {
	*testing.T
	cfg configure.Config
	api *server
}

func newNode(t *testing.T, keyID string) *node {
	t.Helper()
	dir, err := os.MkdirTemp("", "n") // short: it has a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	file, socket := filepath.Join(dir, "enc.yaml"), filepath.Join(dir, "s")
	if err := os.WriteFile(file, []byte(begin), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	v2.RegisterKeyManagementServiceServer(g, plugin{keyID: keyID})
	go func() { _ = g.Serve(l) }()
	t.Cleanup(g.Stop)
	api := serve(t, &server{id: "one", reads: file, hash: config.Hash([]byte(begin))})
	n := &node{t, configure.Config{
		File: file, Goal: config.Goal{Resources: []string{"secrets"}, Name: "strongkeep", Socket: socket}, Wait: time.Minute,
		REST: &rest.Config{Host: api.url, TLSClientConfig: rest.TLSClientConfig{CAData: api.pem}}, Servers: []string{api.url},
		Every: func() (<-chan time.Time, func()) { k := time.NewTicker(time.Millisecond); return k.C, k.Stop },
	}, api}
	return n
}

// another adds an API server with a certificate of its own.
func (n *node) another(s *server) *server {
	serve(n.T, s)
	n.cfg.REST.CAData = append(n.cfg.REST.CAData, s.pem...)
	n.cfg.Servers = append(n.cfg.Servers, s.url)
	return s
}

func (n *node) has() string {
	n.Helper()
	text, err := os.ReadFile(n.cfg.File)
	if err != nil {
		n.Fatal(err)
	}
	return string(text)
}

// run expects a kind of error with words in it, or none for "".
func (n *node) run(kind errs.Kind, words string) *configure.State {
	n.Helper()
	s, err := configure.Run(n.Context(), n.cfg)
	switch {
	case words == "" && err != nil:
		n.Fatal(err)
	case words != "" && (!errs.Is(err, kind) || !strings.Contains(err.Error(), words)):
		n.Fatalf("%v; want %v: %s", err, kind, words)
	case err != nil && strings.Contains(err.Error(), canary[:12]):
		n.Fatal("a key is told")
	}
	told, err := json.Marshal(s)
	if err != nil || strings.Contains(string(told)+fmt.Sprintf("%+v", s), canary[:12]) {
		n.Fatalf("a key is told, or %v", err)
	}
	return s
}

// refused expects that nothing was written.
func (n *node) refused(kind errs.Kind, words string) {
	n.Helper()
	before := n.has()
	n.run(kind, words)
	if n.has() != before {
		n.Error("something was written")
	}
	names, err := filepath.Glob(filepath.Join(filepath.Dir(n.cfg.File), ".strongkeep*"))
	if err != nil || len(names) > 0 {
		n.Errorf("it left %v, %v", names, err)
	}
}

// From one step to the next, never ahead of an API server, and back.
func TestSteps(t *testing.T) {
	n := newNode(t, "k1")
	other := n.another(&server{id: "two", hash: config.Hash([]byte(begin))})
	if s := n.run(0, ""); s.Stage != config.Reads || s.Servers[0].Which != "this" || s.Servers[1].Which != "before" {
		t.Fatalf("after the first step: %+v", s)
	}
	if text, err := os.ReadFile(n.cfg.File + ".previous"); err != nil || string(text) != begin {
		t.Error("the file before is not kept:", err)
	}
	// One API server could not read yet what the next file writes.
	n.refused(errs.Conflict, other.url+" is not ready for the next step: secrets")
	other.mu.Lock()
	other.reads = n.cfg.File
	other.mu.Unlock()
	if s := n.run(0, ""); s.Stage != config.Writes {
		t.Fatalf("after the second step: %+v", s)
	}
	if s := n.run(0, ""); !s.Done() {
		t.Fatal("it is not done")
	}
	n.cfg.Goal.Back = true
	if s := n.run(0, ""); s.Stage != config.Writes || len(s.InClear) != 1 {
		t.Fatalf("on the way back: %+v", s)
	}
	if !strings.Contains(n.has(), canary) {
		t.Error("the file has lost a key")
	}
}

// A file that is a link stays one, and what it was is known beside it.
func TestLink(t *testing.T) {
	n := newNode(t, "k1")
	link := filepath.Join(t.TempDir(), "enc.yaml")
	if err := os.Symlink(n.cfg.File, link); err != nil {
		t.Fatal(err)
	}
	n.cfg.File = link
	n.another(&server{id: "two", hash: config.Hash([]byte(begin))})
	if s := n.run(0, ""); s.Servers[1].Which != "before" {
		t.Errorf("%+v", s)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Error("the link is gone:", err)
	}
}

// The first file may be there before the API server's flag is.
func TestFirstFile(t *testing.T) {
	n := newNode(t, "k1")
	n.api.mu.Lock()
	n.api.hash, n.api.reads = "", ""
	n.api.mu.Unlock()
	if err := os.Remove(n.cfg.File); err != nil {
		t.Fatal(err)
	}
	if s := n.run(0, ""); s.Stage != config.Reads || s.Servers[0].Which != "none" {
		t.Fatalf("%+v", s)
	}
	n.refused(errs.Conflict, "give it --encryption-provider-config="+n.cfg.File)
}

// Without a file here nothing is known of what lies in etcd: it is no success, there is no
// way back, and a pod that names another file is believed.
func TestNoFile(t *testing.T) {
	without := func(t *testing.T) *node {
		n := newNode(t, "k1")
		n.api.mu.Lock()
		n.api.hash, n.api.reads = "", ""
		n.api.mu.Unlock()
		if err := os.Remove(n.cfg.File); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for name, c := range map[string]struct {
		change func(*node)
		kind   errs.Kind
		want   string
	}{
		"the way back": {func(n *node) { n.cfg.Goal.Back = true }, errs.NotExist, "name the file that the API server has, with -file"},
		"the pod names another": {func(n *node) {
			n.cfg.Manifest = filepath.Join(filepath.Dir(n.cfg.File), "pod.yaml")
			if err := os.WriteFile(n.cfg.Manifest, []byte("spec: {containers: [{command: [kube-apiserver, --encryption-provider-config=/etc/other.yaml]}]}"), 0o600); err != nil {
				n.Fatal(err)
			}
		}, errs.Invalid, "/etc/other.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			n := without(t)
			c.change(n)
			if s := n.run(c.kind, c.want); s.Done() {
				t.Error("it is said to be done")
			}
			if _, err := os.Stat(n.cfg.File); !os.IsNotExist(err) {
				t.Error("something was written:", err)
			}
		})
	}
}

// That others have the file already is not that this node's API server has it.
func TestOthersAreAhead(t *testing.T) {
	n := newNode(t, "k1")
	first, err := configure.Look(t.Context(), n.cfg)
	if err != nil {
		t.Fatal(err)
	}
	current, err := config.Parse(n.cfg.File, []byte(begin))
	if err != nil {
		t.Fatal(err)
	}
	next, err := current.Next(&n.cfg.Goal)
	if err != nil {
		t.Fatal(err)
	}
	n.another(&server{id: "two", hash: next.Hash})
	n.api.mu.Lock()
	n.api.refuses = true
	n.api.mu.Unlock()
	if len(first.Servers) != 1 || first.Servers[0].Which != "this" {
		t.Fatalf("%+v", first)
	}
	n.refused(errs.Unavailable, "the one before is back")
}

// An API server that refuses the file has the one before put back.
func TestRefusedFileIsTakenBack(t *testing.T) {
	n := newNode(t, "k1")
	n.api.mu.Lock()
	n.api.refuses = true
	n.api.mu.Unlock()
	n.refused(errs.Unavailable, "the one before is back in "+n.cfg.File)
	n.api.mu.Lock()
	n.api.refuses = false
	n.api.mu.Unlock()
	n.run(0, "")
}

// Nobody takes it: it stays, and the next run goes on from there.
func TestLate(t *testing.T) {
	n := newNode(t, "k1")
	n.api.mu.Lock()
	n.api.reads = ""
	n.api.mu.Unlock()
	n.cfg.Wait = time.Millisecond
	n.run(errs.Unavailable, "automatic-reload=true, or a restart")
	n.api.mu.Lock()
	n.api.reads = n.cfg.File
	n.api.mu.Unlock()
	n.cfg.Wait = time.Minute
	if s := n.run(0, ""); s.Servers[0].Which != "this" {
		t.Errorf("%+v", s)
	}
}

func lease(name string, ago time.Duration) coordinationv1.Lease {
	seconds, at := int32(3600), metav1.NewMicroTime(time.Now().Add(-ago))
	return coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: coordinationv1.LeaseSpec{LeaseDurationSeconds: &seconds, RenewTime: &at}}
}

// What is wrong is told before anything is written.
func TestRefused(t *testing.T) {
	manifest := func(n *node, at, mount string) {
		n.cfg.Manifest = filepath.Join(filepath.Dir(n.cfg.File), "pod.yaml")
		text := fmt.Sprintf("spec:\n  containers:\n  - command: [kube-apiserver, --encryption-provider-config=%s]\n    volumeMounts: [{name: v, mountPath: %s}]\n  volumes: [{name: v, hostPath: {path: %s}}]\n", at, mount, mount)
		if err := os.WriteFile(n.cfg.Manifest, []byte(text), 0o600); err != nil {
			n.Fatal(err)
		}
	}
	from := func(n *node, replace ...string) {
		n.cfg.From = filepath.Join(filepath.Dir(n.cfg.File), "new.yaml")
		if err := os.WriteFile(n.cfg.From, []byte(strings.NewReplacer(replace...).Replace(begin)), 0o600); err != nil {
			n.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		change func(*node)
		kind   errs.Kind
		want   string
	}{
		"another file in force":     {func(n *node) { n.another(&server{id: "two", hash: "sha256:other"}) }, errs.Conflict, "a file in force that is not this node's (sha256:other"},
		"an API server without one": {func(n *node) { n.another(&server{}) }, errs.Conflict, "one with no EncryptionConfiguration could not read it"},
		"one that was not asked":    {func(n *node) { n.api.leases = []coordinationv1.Lease{lease("one", 0), lease("two", 0)} }, errs.Conflict, "2 API servers are alive"},
		"no right to metrics":       {func(n *node) { n.api.metrics = http.StatusForbidden }, errs.Denied, "nonResourceURL /metrics"},
		"not known":                 {func(n *node) { n.api.metrics = http.StatusUnauthorized }, errs.Unauthenticated, "log in"},
		"an API server that is ill": {func(n *node) { n.api.metrics = http.StatusInternalServerError }, errs.Unavailable, "500"},
		"one that is away":          {func(n *node) { n.cfg.Servers = append(n.cfg.Servers, "https://127.0.0.1:1") }, errs.Unavailable, "all API servers have to answer"},
		"over HTTP":                 {func(n *node) { n.cfg.Servers = []string{"http://127.0.0.1"} }, errs.Invalid, "https://ADDRESS:6443"},
		"a relative file":           {func(n *node) { n.cfg.File, n.cfg.REST = "enc.yaml", nil; n.Chdir(filepath.Dir(n.api.reads)) }, errs.Invalid, "has to be absolute"},
		"no plugin":                 {func(n *node) { n.cfg.Goal.Socket += "x" }, errs.NotExist, "enc.yaml: line 7: kms strongkeep: there is no socket"},
		"no socket":                 {func(n *node) { n.cfg.Goal.Socket = n.cfg.File }, errs.Invalid, "is no socket"},
		"others may replace it": {func(n *node) {
			if err := os.Chmod(filepath.Dir(n.cfg.File), 0o777); err != nil {
				n.Fatal(err)
			}
		}, errs.Denied, "writable to others"},
		"the pod mounts the file":      {func(n *node) { manifest(n, n.cfg.File, n.cfg.File) }, errs.Invalid, "mount its directory"},
		"the pod reads another":        {func(n *node) { manifest(n, n.cfg.File+"2", filepath.Dir(n.cfg.File)) }, errs.Invalid, "name it with -file"},
		"the pod mounts nothing of it": {func(n *node) { manifest(n, n.cfg.File, "/nowhere") }, errs.Invalid, "in no hostPath volume"},
		"the pod has no socket": {func(n *node) {
			n.cfg.Goal.Socket = "/elsewhere/kms.sock"
			manifest(n, n.cfg.File, filepath.Dir(n.cfg.File))
		}, errs.Invalid, "mount the directory /elsewhere"},
		"no pod":                    {func(n *node) { n.cfg.Manifest = n.cfg.Goal.Socket }, errs.Invalid, "cannot be read as a pod"},
		"their file loses a key":    {func(n *node) { from(n, "name: old", "name: new") }, errs.Invalid, "enc.yaml:6: aescbc (keys old) is taken from secrets"},
		"their file loses identity": {func(n *node) { from(n, "  - identity: {}\n", "") }, errs.Invalid, "enc.yaml:7: identity is taken from secrets"},
		"their file is wrong":       {func(n *node) { from(n, "[secrets]", "['*', secrets]") }, errs.Invalid, "new.yaml:4: resource *"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, "k1")
			c.change(n)
			if !filepath.IsAbs(n.cfg.File) {
				n.run(c.kind, c.want)
				return
			}
			n.refused(c.kind, c.want)
		})
	}
	t.Run("a huge key id", func(t *testing.T) {
		newNode(t, strings.Repeat("k", 1025)).refused(errs.Invalid, "enc.yaml: line 7: kms strongkeep: the plugin's key id has 1025 bytes")
	})
	t.Run("an ended lease", func(t *testing.T) {
		n := newNode(t, "k1")
		n.api.leases = []coordinationv1.Lease{lease("one", 0), lease("two", 2*time.Hour)}
		n.run(0, "")
	})
}

// Killed at any moment, the file is whole, one of the two, and the next run ends with
// the new one; the file before is not lost.
func TestKilled(t *testing.T) {
	if file := os.Getenv("CONFIGURE_KILLED"); file != "" {
		victim(t, file)
		return
	}
	current, err := config.Parse("enc.yaml", []byte(begin))
	if err != nil {
		t.Fatal(err)
	}
	next, err := current.Next(goal())
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; ; n++ {
		file := filepath.Join(t.TempDir(), "enc.yaml")
		if err := os.WriteFile(file, []byte(begin), 0o640); err != nil {
			t.Fatal(err)
		}
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
		c.Env = append(os.Environ(), "CONFIGURE_KILLED="+file, fmt.Sprintf("CONFIGURE_STEP=%d", n))
		out, err := c.CombinedOutput()
		text, unread := os.ReadFile(file)
		if unread != nil || string(text) != begin && config.Hash(text) != next.Hash {
			t.Fatalf("killed at step %d, the file is not whole: %v", n, unread)
		}
		kept, _ := os.ReadFile(file + ".previous")
		if string(text) != begin && string(kept) != begin {
			t.Fatalf("killed at step %d, the file before is lost", n)
		}
		if err == nil { // it got to its end
			if n < 7 {
				t.Fatalf("it was killed %d times only: %s", n-1, out)
			}
			return
		}
		if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
			t.Fatalf("it was not killed: %v\n%s", err, out)
		}
		again(t, file, next)
	}
}

func goal() *config.Goal {
	return &config.Goal{Resources: []string{"secrets"}, Name: "strongkeep", Socket: "/run/s"}
}

// victim kills itself at a step of a write.
func victim(t *testing.T, file string) {
	current, err := config.Parse(file, []byte(begin))
	if err != nil {
		t.Fatal(err)
	}
	next, err := current.Next(goal())
	if err != nil {
		t.Fatal(err)
	}
	var step, at int
	if _, err := fmt.Sscan(os.Getenv("CONFIGURE_STEP"), &step); err != nil {
		t.Fatal(err)
	}
	err = configure.Write(file, func(string) {
		if at++; at == step {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}, current, next)
	if err != nil {
		t.Fatal(err)
	}
}

// again does the write that was killed, as a run after it would.
func again(t *testing.T, file string, next *config.File) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) == begin {
		now, err := config.Parse(file, text)
		if err != nil {
			t.Fatal(err)
		}
		if err := configure.Write(file, func(string) {}, now, next); err != nil {
			t.Fatal(err)
		}
	}
	text, err = os.ReadFile(file)
	if err != nil || config.Hash(text) != next.Hash {
		t.Error("the next run did not end it:", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	all, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(all) > 3 || string(text) == begin && len(all) != 2 {
		t.Errorf("it left %v, %v", all, err)
	}
}

const metrics = `# TYPE apiserver_encryption_config_controller_last_config_info gauge
apiserver_encryption_config_controller_last_config_info{apiserver_id_hash="sha256:aa",hash="sha256:bb"} 1
apiserver_encryption_config_controller_automatic_reloads_total{apiserver_id_hash="sha256:aa",status="failure"} 2 1700000000000
apiserver_encryption_config_controller_automatic_reloads_total{apiserver_id_hash="sha256:aa",status="success"} 7
apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds{apiserver_id_hash="sha256:aa",status="failure"} 1.7e+09
apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds{apiserver_id_hash="sha256:aa",status="success"} 1.8e+09
`

func TestMetrics(t *testing.T) {
	s, err := configure.Metrics([]byte(metrics))
	if err != nil || s.Hash != "sha256:bb" || s.Failures != 2 || s.Failed.Unix() != 1.7e9 || s.Reloaded.Unix() != 1.8e9 {
		t.Errorf("%+v, %v", s, err)
	}
}

func FuzzMetrics(f *testing.F) {
	f.Add([]byte(metrics))
	f.Add([]byte("apiserver_encryption_config_controller_last_config_info{hash=\"} 1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := configure.Metrics(text); err == nil && (s.Failures < 0 || strings.ContainsAny(s.Hash, "\"\n")) {
			t.Errorf("%+v", s)
		}
	})
}
