//go:build unix

package configure_test

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
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
	"github.com/strongkeep/strongkeep/internal/kube/encryption/meter"
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
	id       string // its lease's name; "": it tells none
	started  int
	hash     string
	reads    string // file that it takes at once; "" for none
	slow     int    // how often it is asked before it takes one
	refuses  bool
	failing  bool   // it refuses a file of its own each time
	key      string // key id that its plugin told; "-": it tells none
	told     time.Time
	date     time.Time // its clock; zero: the right one
	reloaded time.Time // when it took its file; zero: it does not tell
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
		if !s.date.IsZero() {
			w.Header().Set("Date", s.date.UTC().Format(http.TimeFormat))
		}
		s.tell(w)
	}
}

func (s *server) tell(w io.Writer) {
	_, _ = fmt.Fprintf(w, "# HELP x\nprocess_start_time_seconds %d\n", s.started)
	if s.id != "" {
		name, id := "apiserver_encryption_config_controller_", meter.HashOf(s.id)
		if s.hash != "" {
			_, _ = fmt.Fprintf(w, "%slast_config_info{apiserver_id_hash=%q,hash=%q} 1\n", name, id, s.hash)
		}
		_, _ = fmt.Fprintf(w, "%sautomatic_reloads_total{apiserver_id_hash=%q,status=\"failure\"} %d\n", name, id, s.failures)
	}
	if !s.reloaded.IsZero() {
		_, _ = fmt.Fprintf(w, "apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds{status=\"success\"} %d\n", s.reloaded.Unix())
	}
	if s.key != "-" {
		told := s.told
		if told.IsZero() {
			told = time.Now()
		}
		_, _ = fmt.Fprintf(w, "apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{key_id_hash=%q,provider_name=\"strongkeep\"} %d\n", meter.HashOf(s.key), told.Unix())
	}
}

func (s *server) reload() {
	if s.failing {
		s.failures++
	}
	text, err := os.ReadFile(s.reads)
	if s.slow > 0 && config.Hash(text) != s.hash {
		s.slow--
		return
	}
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
	cfg  configure.Config
	api  *server
	said []string // of what is not known
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
	one := configure.Identity("node-one")
	api := serve(t, &server{id: one, reads: file, hash: config.Hash([]byte(begin)), key: keyID, leases: []coordinationv1.Lease{lease(one, 0)}})
	n := &node{t, configure.Config{
		File: file, Host: "node-one", Goal: config.Goal{Resources: []string{"secrets"}, Name: "strongkeep", Socket: socket}, Wait: time.Minute,
		REST: &rest.Config{Host: api.url, TLSClientConfig: rest.TLSClientConfig{CAData: api.pem}}, Servers: []string{api.url},
		Every: func() (<-chan time.Time, func()) { k := time.NewTicker(time.Millisecond); return k.C, k.Stop },
	}, api, nil}
	n.cfg.Say = func(format string, args ...any) {
		if strings.HasPrefix(format, "Not known") {
			n.said = append(n.said, fmt.Sprintf(format, args...))
		}
	}
	return n
}

// another adds an API server with a certificate of its own.
func (n *node) another(s *server) *server {
	serve(n.T, s)
	if s.key == "" {
		s.key = n.api.key
	}
	s.started = len(n.cfg.Servers)
	n.api.leases = append(n.api.leases, lease(cmp.Or(s.id, s.url), 0))
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

// What another node's API server refuses says nothing of this node's file.
func TestOthersRefuse(t *testing.T) {
	n := newNode(t, "k1")
	n.another(&server{id: "two", hash: config.Hash([]byte(begin)), failing: true})
	n.api.slow = 3
	if s := n.run(0, ""); s.Stage != config.Reads || s.Servers[0].Which != "this" {
		t.Fatalf("%+v", s)
	}
}

// That the API server of this node is known by its address where its identity tells nothing.
func TestKnownByAddress(t *testing.T) {
	n := newNode(t, "k1")
	other := n.another(&server{id: "two", hash: config.Hash([]byte(begin)), failing: true})
	n.cfg.Host, n.cfg.Local = "elsewhere", func(url string) bool { return url != other.url }
	n.api.slow = 3
	if s := n.run(0, ""); s.Servers[0].Which != "this" {
		t.Fatalf("%+v", s)
	}
}

// A provider's name says nothing of its key: nobody writes what another plugin may not
// read.
func TestKeys(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(n *node, other *server)
		want     string // "" for no error
		notKnown bool
	}{
		"one key":        {func(*node, *server) {}, "", false},
		"another key":    {func(_ *node, other *server) { other.key = "k2" }, "have not one key", false},
		"mute":           {func(_ *node, other *server) { other.key = "-" }, "say -expect=KEYID", false},
		"mute, expected": {func(n *node, other *server) { other.key, n.cfg.Expect = "-", "k1" }, "", true},
		"not expected":   {func(n *node, _ *server) { n.cfg.Expect = "k2" }, "have not one key", false},
		"mute, and the plugin here is not the expected one": {func(n *node, other *server) { other.key, n.api.key, n.cfg.Expect = "-", "-", "k2" }, "its key id is k1, and -expect says k2", false},
		"silent for long":            {func(_ *node, other *server) { other.told = time.Now().Add(-time.Hour) }, "has told its key last at", false},
		"the plugin here is another": {func(n *node, other *server) { other.key, n.api.key = "k2", "k2" }, "its key id is k1, and that of the plugin beside", false},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, "k1")
			other := n.another(&server{id: "two", hash: config.Hash([]byte(begin)), reads: n.cfg.File})
			n.run(0, "") // reading needs no key
			c.change(n, other)
			if c.want != "" {
				n.refused(errs.Conflict, c.want)
				return
			}
			if s := n.run(0, ""); s.Stage != config.Writes {
				t.Errorf("%+v", s)
			}
			if c.notKnown != (len(n.said) > 0) {
				t.Errorf("said: %v", n.said)
			}
		})
	}
}

// Another plugin than that of other nodes is refused at the first step already, if
// somebody says which one it should be.
func TestExpected(t *testing.T) {
	n := newNode(t, "k1")
	n.api.key, n.cfg.Expect = "-", "k2"
	n.refused(errs.Conflict, "its key id is k1, and -expect says k2")
}

// What somebody else writes until the last moment is not lost.
func TestChangedMeanwhile(t *testing.T) {
	for _, step := range []string{"opened enc.yaml", "written enc.yaml", "renamed enc.yaml.previous"} {
		n := newNode(t, "k1")
		theirs := strings.Replace(begin, "name: old", "name: theirs", 1)
		n.cfg.At = func(at string) {
			if at != step {
				return
			}
			if err := os.WriteFile(n.cfg.File, []byte(theirs), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		n.run(errs.Conflict, "was changed meanwhile, and is left as it is")
		if n.has() != theirs {
			t.Errorf("%s: what somebody else wrote is lost", step)
		}
	}
}

// held locks a directory as another run does.
func held(n *node, dir string) {
	d, err := os.Open(dir)
	if err == nil {
		err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		n.Fatal(err)
	}
	n.Cleanup(func() { _ = d.Close() })
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
		"one that was not asked":    {func(n *node) { n.api.leases = append(n.api.leases, lease("two", 0)) }, errs.Conflict, "2 API servers are alive"},
		"one that was not asked, by a clock that is right": {func(n *node) {
			n.api.leases = append(n.api.leases, lease("two", 90*time.Minute))
			n.api.date = time.Now().Add(-time.Hour)
		}, errs.Conflict, "2 API servers are alive"},
		"no lease at all": {func(n *node) { n.api.leases = nil }, errs.Conflict, "say -these-are-all"},
		"no living lease": {func(n *node) { n.api.leases = []coordinationv1.Lease{lease(n.api.id, 2*time.Hour)} }, errs.Conflict, "say -these-are-all"},
		"another cluster's": {func(n *node) {
			n.another(&server{id: "two", hash: config.Hash([]byte(begin))})
			n.api.leases = []coordinationv1.Lease{lease(n.api.id, 0), lease("three", 0)}
		}, errs.Conflict, "none of the 2 that are alive in this cluster"},
		"one at two addresses": {func(n *node) {
			two := n.another(&server{})
			n.another(&server{}).started = two.started
		}, errs.Conflict, "of 1 of them it is not known"},
		"one too many": {func(n *node) {
			n.another(&server{})
			n.another(&server{})
			n.api.leases = n.api.leases[:2]
		}, errs.Conflict, "2 API servers were asked that tell no identity, and 1 such"},
		"somebody is at work":       {func(n *node) { held(n, filepath.Dir(n.cfg.File)) }, errs.Conflict, "another run is at work"},
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
		n.api.leases = append(n.api.leases, lease("two", 2*time.Hour))
		n.run(0, "")
	})
	t.Run("no lease, and all are named", func(t *testing.T) {
		n := newNode(t, "k1")
		n.api.leases, n.cfg.TheseAreAll = nil, true
		n.run(0, "")
	})
	t.Run("all are named, and a lease says no", func(t *testing.T) {
		n := newNode(t, "k1")
		n.api.leases, n.cfg.TheseAreAll = append(n.api.leases, lease("two", 0)), true
		n.refused(errs.Conflict, "2 API servers are alive")
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
