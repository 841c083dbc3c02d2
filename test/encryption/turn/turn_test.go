package turn_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/transit"
	"github.com/strongkeep/strongkeep/internal/kms/serve"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
	"github.com/strongkeep/strongkeep/internal/testenv/await"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
	"github.com/strongkeep/strongkeep/test/encryption/page"
)

const (
	canary = "canary-value-c81e"
	policy = `
path "transit/keys/kube"         { capabilities = ["read"] }
path "transit/encrypt/kube"      { capabilities = ["update"] }
path "transit/decrypt/kube"      { capabilities = ["update"] }
path "transit/keys/kube/rotate"  { capabilities = ["update"] }`
	// The socket is at one path on every node, so that the files are the same: here nodes
	// are directories that API servers are started in.
	encryption = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - kms: {apiVersion: v2, name: strongkeep, endpoint: "unix:///proc/self/cwd/kms.sock", timeout: 3s}
  - identity: {}
`
)

// world is a cluster with two control-plane nodes.
type world struct {
	*testing.T
	vault   *testenv.Vault
	server  *apiserver.Server
	nodes   []string // directories
	urls    []string
	clients []kubernetes.Interface
	flags   []string // of API servers
}

func start(t *testing.T) *world {
	t.Helper()
	if os.Getenv("STRONGKEEP_KMS_TURN") == "" {
		t.Skip("SKIPPED: it takes six minutes; set STRONGKEEP_KMS_TURN=1")
	}
	w := &world{T: t, vault: testenv.Start(t, nil)}
	if err := w.vault.Sys().Mount("transit", &vault.MountInput{Type: "transit"}); err != nil {
		t.Fatal(err)
	}
	w.write("transit/keys/kube", nil)
	dir, err := os.MkdirTemp("", "turn") // short: it has sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	file := filepath.Join(dir, "encryption.yaml")
	if err := os.WriteFile(file, []byte(encryption), 0o600); err != nil {
		t.Fatal(err)
	}
	w.flags = []string{"--encryption-provider-config=" + file, "--encryption-provider-config-automatic-reload=true"}
	token := w.vault.Policy("kms", policy)
	for i := range 2 {
		w.nodes = append(w.nodes, filepath.Join(dir, fmt.Sprint(i)))
		w.plugin(w.nodes[i], token)
	}
	t.Chdir(w.nodes[0])
	if w.server, err = apiserver.Start(t.Context(), apiserver.Config{Bare: true, Flags: w.flags}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.server.Stop(); err != nil {
			t.Error(err)
		}
	})
	w.server.REST.WarningHandler = rest.NoWarnings{}
	w.client(w.server.REST.Host)
	w.another(w.nodes[1])
	return w
}

func (w *world) write(path string, data map[string]any) {
	w.Helper()
	if _, err := w.vault.Logical().Write(path, data); err != nil {
		w.Fatal(err)
	}
}

// plugin runs one with its configuration in a directory.
func (w *world) plugin(dir, token string) {
	w.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(token), 0o600); err != nil {
		w.Fatal(err)
	}
	text := fmt.Sprintf("name: test\nsocket: %s/kms.sock\npoll: 2s\nactivation_delay: 4s\nstale_after: 10s\nkey: {transit: {address: %q, ca_file: %q, key: kube, timeout: 10s, auth: {token_file: %s/token}}}\n",
		dir, w.vault.Server.URL(), w.vault.Server.CAFile(), dir)
	path := filepath.Join(dir, "kms.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	cfg, err := serve.Load(path)
	if err != nil {
		w.Fatal(err)
	}
	key, err := keystore.Open(map[string]keystore.Opener{"transit": transit.Open}, cfg.Key)
	if err != nil {
		w.Fatal(err)
	}
	s, err := serve.New(w.Context(), cfg, key, slog.New(slog.DiscardHandler))
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	var ended sync.WaitGroup
	ended.Go(func() { _ = s.Run(ctx) })
	w.Cleanup(func() { cancel(); ended.Wait() })
}

func (w *world) client(url string) kubernetes.Interface {
	w.Helper()
	cfg := rest.CopyConfig(w.server.REST)
	cfg.Host = url
	c, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		w.Fatal(err)
	}
	w.urls, w.clients = append(w.urls, url), append(w.clients, c)
	return c
}

// another starts one more API server on a node, and returns what reaches it.
func (w *world) another(node string) kubernetes.Interface {
	w.Helper()
	w.Chdir(node)
	number, err := port.Free("127.0.0.1")
	if err != nil {
		w.Fatal(err)
	}
	var c kubernetes.Interface
	s, err := w.server.AddAPIServer(w.Context(), number, func(ctx context.Context, url string) error {
		if c == nil {
			c = w.client(url)
		}
		return c.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	}, w.flags...)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { s.Stop(time.Second) })
	return c
}

// onPage are pairs of what docs/encryption.md calls API servers and etcd, and what they are here.
func (w *world) onPage() []string {
	at := w.server.Etcd()
	return []string{
		"https://10.0.0.1:6443", w.urls[0], "https://10.0.0.2:6443", w.urls[1], "https://127.0.0.1:2379", at.Endpoint, "/etc/kubernetes/pki/etcd/ca.crt", at.CAFile,
		"/etc/kubernetes/pki/apiserver-etcd-client.crt", at.CertFile, "/etc/kubernetes/pki/apiserver-etcd-client.key", at.KeyFile,
	}
}

// rotate runs "strongkeep encryption rotate-key", and expects its exit code and words.
func (w *world) rotate(code int, args []string, want ...string) {
	w.Helper()
	args = slices.Concat(args, []string{"-config=" + filepath.Join(w.nodes[0], "kms.yaml"), "-kubeconfig=" + w.server.Kubeconfig(), "-by=ourselves"})
	var out bytes.Buffer
	begun := time.Now()
	got := cli.Main(args, session.Env{Context: w.Context(), Stdout: &out, Stderr: &out, Stdin: strings.NewReader(""), Getenv: func(string) string { return "" }})
	w.Logf("after %s, %v: exit code %d\n%s", time.Since(begun).Round(time.Second), args, got, &out)
	said := strings.Join(strings.Fields(out.String()), " ") // columns are as wide as they have to be
	if got != code || strings.Contains(said, canary) {
		w.Fatalf("exit code %d, want %d", got, code)
	}
	for _, words := range want {
		if !strings.Contains(said, words) {
			w.Errorf("it does not say %q", words)
		}
	}
}

// snapshot writes one of etcd.
func (w *world) snapshot(path string) {
	w.Helper()
	at := w.server.Etcd()
	secure, err := transport.TLSInfo{CertFile: at.CertFile, KeyFile: at.KeyFile, TrustedCAFile: at.CAFile}.ClientConfig()
	if err != nil {
		w.Fatal(err)
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{at.Endpoint}, TLS: secure, Logger: zap.NewNop()})
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	from, err := c.Snapshot(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	raw, err := io.ReadAll(from)
	if err == nil {
		err = os.WriteFile(path, raw, 0o600)
	}
	if err != nil {
		w.Fatal(err)
	}
}

// load writes and reads by both API servers until it is stopped, which returns how many
// Secrets there are of each.
func (w *world) load() (stop func() []int) {
	ctx, cancel := context.WithCancel(w.Context())
	written := make([]int, 2)
	var writers sync.WaitGroup
	for i := range written {
		own, other := w.clients[i].CoreV1().Secrets("default"), w.clients[1-i].CoreV1().Secrets("default")
		writers.Go(func() {
			tick := time.NewTicker(250 * time.Millisecond)
			defer tick.Stop()
			for ; ctx.Err() == nil; written[i]++ {
				<-tick.C
				name := fmt.Sprintf("load-%d-%d", i, written[i])
				secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string][]byte{"password": []byte(canary)}}
				if _, err := own.Create(w.Context(), secret, metav1.CreateOptions{}); err != nil {
					w.Errorf("writing %s: %v", name, err)
					return
				}
				if got, err := other.Get(w.Context(), name, metav1.GetOptions{}); err != nil || string(got.Data["password"]) != canary {
					w.Errorf("reading %s by the other API server: %v", name, err)
					return
				}
			}
		})
	}
	return func() []int { cancel(); writers.Wait(); return written }
}

// A key is turned from its making to the proof while two API servers are written to. What
// it says then may go goes, and an API server that starts after that reads everything.
func TestTurnUnderLoad(t *testing.T) {
	w := start(t)
	backups := t.TempDir()
	stop := w.load()
	for i, c := range w.clients {
		await.Until(t, "something is written", func() bool {
			_, err := c.CoreV1().Secrets("default").Get(t.Context(), fmt.Sprintf("load-%d-0", i), metav1.GetOptions{})
			return err == nil
		})
	}
	turn := page.Command(t, "encryption rotate-key", append(w.onPage(), "/var/backups/etcd", backups)...)
	all := slices.DeleteFunc(slices.Clone(turn), func(arg string) bool { return arg == "-new-version" })
	w.rotate(0, append(all, "-dry-run"), "nothing needs another version done", "The next version: strongkeep write -f")
	w.snapshot(filepath.Join(backups, "before.db"))

	w.rotate(8, append(turn, "-wait=1s"), "Made version 2.", "it goes on where it stands")
	w.rotate(6, turn, "the turn to version 2 is under way")
	w.rotate(0, append(all, "-dry-run"), "later")
	w.rotate(0, all, "may write under the key id before until", "nothing needs another version done", "No value in etcd is under version 1. Disable now what may go, or run this again with -dry-run right before",
		"transit/keys/kube/config min_decryption_version=2", "these backups are kept, which need it: before.db", "before.db there 1 (")
	written := stop()
	if min(written[0], written[1]) < 100 {
		t.Errorf("%v Secrets were written meanwhile", written)
	}
	w.snapshot(filepath.Join(backups, "after.db"))
	w.rotate(0, append(all, "-dry-run"), "after.db there 2 (", "which need it: before.db")

	w.write("transit/keys/kube/config", map[string]any{"min_decryption_version": 2})
	fresh := w.another(w.nodes[0]).CoreV1().Secrets("default")
	var list *corev1.SecretList
	await.Until(t, "a new API server lists Secrets", func() bool {
		var err error
		list, err = fresh.List(t.Context(), metav1.ListOptions{})
		return err == nil
	})
	if len(list.Items) < written[0]+written[1] {
		t.Errorf("%d Secrets are read, of %v", len(list.Items), written)
	}
	for i := range list.Items {
		if got := string(list.Items[i].Data["password"]); got != canary {
			t.Errorf("%s has another value", list.Items[i].Name)
		}
	}
}
